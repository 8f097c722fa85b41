"""How a station reaches its CSMS, and proves who it is."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from gateway.settings.general import pair
from gateway.settings.words import (
    AnyVersion,
    Finding,
    ReadableFile,
    Secret,
    Section,
    Text,
    any_case,
    listed,
    read_secret,
    refuse,
)

PasswordEncoding = Literal["auto", "hex", "text"]

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")


def _csms_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("is no CSMS URL; it begins with ws:// or wss:// (TLS)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in it; give the password as csms.password")
    if not parts.hostname:
        raise ValueError("names no host; it looks like wss://csms.example/ocpp")
    try:
        parts.port  # noqa: B018 - read for the error that it raises
    except ValueError as error:
        raise ValueError("has no valid port; ports are 1 to 65535") from error
    if parts.fragment:
        raise ValueError(f"ends in #{parts.fragment}, which no server would see")
    return url


def _distinct(versions: tuple[str, ...]) -> tuple[str, ...]:
    if not versions:
        raise ValueError("is empty; without a version there is nothing to speak")
    if len(set(versions)) < len(versions):
        raise ValueError("names a version twice")
    return versions


class Csms(Section):
    """One way to a CSMS. Written short, a URL or the name of an entry of `csms` may stand in its place."""

    endpoint: Annotated[
        Text | None,
        Field(
            title="Shared entry",
            description="Name of an entry of the top-level `csms`, whose keys then hold here "
            "unless they are given again.",
            examples=["main"],
        ),
    ] = None
    url: Annotated[
        Annotated[Text, AfterValidator(_csms_url)] | None,
        Field(
            title="URL",
            description="The identity is appended, or put in place of `{id}`.",
            examples=["wss://csms.example/ocpp", "wss://csms.example/tenant/{id}/1.6"],
        ),
    ] = None
    secure_url: Annotated[
        Annotated[Text, AfterValidator(_csms_url)] | None,
        Field(
            title="URL with TLS",
            description="Where the station goes when the CSMS raises its security profile to 2 or 3 and `url` "
            "begins with ws://. Default: `url` with wss:// in its place.",
            examples=["wss://csms.example:8443/ocpp"],
        ),
    ] = None
    versions: Annotated[
        tuple[AnyVersion, ...],
        BeforeValidator(listed),
        AfterValidator(_distinct),
        Field(
            title="OCPP versions",
            description="Offered in this order; the CSMS chooses.",
            examples=[["1.6"], ["2.0.1", "1.6"]],
        ),
    ] = ("ocpp2.0.1", "ocpp1.6")
    append_identity: Annotated[
        bool, Field(title="Append the identity", description="`false`: the URL is complete as it is.")
    ] = True
    assume_subprotocol: Annotated[
        AnyVersion | None,
        Field(
            title="Version of a CSMS that chooses none",
            description="Default: such a connection is closed, and the reason told.",
            examples=["1.6"],
        ),
    ] = None
    security_profile: Annotated[
        Literal[0, 1, 2, 3] | None,
        BeforeValidator(lambda value: int(value) if value in ("0", "1", "2", "3") else value),
        Field(
            title="Security profile",
            description="0 none, 1 password, 2 password over TLS, 3 client certificate over TLS. "
            "Default: what follows from the URL, the password and the certificate.",
        ),
    ] = None
    password: Annotated[
        Secret | None,
        Field(title="Password", description="HTTP Basic authentication; the AuthorizationKey of 1.6."),
    ] = None
    password_file: Annotated[
        ReadableFile | None,
        Field(
            title="File with the password", description="Instead of `password`.", examples=["garage.password"]
        ),
    ] = None
    password_encoding: Annotated[
        PasswordEncoding,
        any_case(get_args(PasswordEncoding)),
        Field(
            title="What the password stands for",
            description="`hex`: for bytes. `text`: for itself. `auto`: `hex` for 32 to 40 hex digits where "
            "only 1.6 is spoken, else `text`.",
        ),
    ] = "auto"  # noqa: S105 - a word about passwords
    ca_file: Annotated[
        ReadableFile | None,
        Field(
            title="Authorities (PEM)",
            description="Who may have signed the CSMS's certificate. Default: whom the system trusts.",
        ),
    ] = None
    client_cert_file: Annotated[
        ReadableFile | None, Field(title="Client certificate (PEM)", description="For security profile 3.")
    ] = None
    client_key_file: Annotated[
        ReadableFile | None,
        Field(title="Key of the client certificate (PEM)", description="Without a passphrase."),
    ] = None

    _password: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits(self) -> Csms:
        findings = pair(self.client_cert_file, self.client_key_file)
        if self.password is not None and self.password_file is not None:
            findings.append(Finding(("password_file",), "stands beside password; give one of them"))
        elif self.password_file is not None:
            try:
                self._password = read_secret(self.password_file)
            except ValueError as error:
                findings.append(Finding(("password_file",), str(error)))
        elif self.password is not None:
            self._password = self.password.get_secret_value()
        encoding = self.password_encoding
        if encoding == "hex" and self._password is not None and not _is_hex(self._password):
            findings.append(
                Finding(
                    ("password",), "is not an even number of hex digits, as password_encoding: hex demands"
                )
            )
        if findings:
            refuse(findings)
        return self

    def profile(self) -> int:
        """The security profile, chosen or inferred."""
        if self.security_profile is not None:
            return self.security_profile
        if self.client_cert_file is not None and self._password is None:
            return 3
        if self._password is None:
            return 0
        return 2 if self._secure() else 1

    def configured(self) -> frozenset[Literal["password", "authority", "certificate"]]:
        """What there is to prove who the station and the CSMS are."""
        given: dict[Literal["password", "authority", "certificate"], object] = {
            "password": self._password,
            "authority": self.ca_file,
            "certificate": self.client_cert_file,
        }
        return frozenset(what for what, there in given.items() if there is not None)

    def encoding(self) -> Literal["hex", "text"]:
        """What the password stands for, chosen or inferred. # [TC_085]; 2.0.1 knows only plain text"""
        encoding = self.password_encoding
        if encoding != "auto":
            return encoding
        only_16 = set(self.versions) == {"ocpp1.6"}
        return "hex" if only_16 and self._password is not None and _HEX.fullmatch(self._password) else "text"

    def secret(self) -> bytes | None:
        """The password's bytes, as HTTP Basic authentication sends them."""
        if self._password is None:
            return None
        return bytes.fromhex(self._password) if self.encoding() == "hex" else self._password.encode()

    def findings(self) -> list[Finding]:
        """What is wrong or missing once a station is to use it."""
        if self.url is None:
            return [Finding(("url",), "is missing: the URL of the CSMS, such as wss://csms.example/ocpp")]
        profile, found = self.profile(), []
        if profile >= 2 and not self._secure():
            found.append(
                Finding(("url",), f"begins with ws://, but security profile {profile} needs wss:// (TLS)")
            )
        if profile in (1, 2) and self._password is None:
            found.append(
                Finding(
                    ("password",), f"is missing: security profile {profile} needs password or password_file"
                )
            )
        if profile == 3 and self.client_cert_file is None:
            found.append(
                Finding(("client_cert_file",), "is missing: security profile 3 needs a client certificate")
            )
        if profile in (0, 3) and self._password is not None:
            found.append(
                Finding(
                    ("security_profile",),
                    f"is {profile}, which sends no password; remove the password, or "
                    "choose profile 1 (ws://) or 2 (wss://)",
                )
            )
        if self.secure_url is not None and urlsplit(self.secure_url).scheme != "wss":
            found.append(Finding(("secure_url",), "does not begin with wss://"))
        if self.ca_file is not None and not self._secure() and self.secure_url is None:
            found.append(
                Finding(
                    ("ca_file",),
                    "is of no use without TLS; url must begin with wss://, or secure_url be given",
                )
            )
        if self.assume_subprotocol is not None and self.assume_subprotocol not in self.versions:
            found.append(Finding(("assume_subprotocol",), "is not among versions"))
        return found

    def _secure(self) -> bool:
        return self.url is not None and urlsplit(self.url).scheme == "wss"


def shorthand(value: Any) -> Any:
    """A URL or the name of a shared entry in place of the whole section."""
    if isinstance(value, str):
        return {"url": value} if "://" in value else {"endpoint": value}
    return value


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and re.fullmatch(r"[0-9A-Fa-f]+", text) is not None
