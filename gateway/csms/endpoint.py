"""Where a station finds its CSMS and how it proves who it is: the configuration, made ready for the wire."""

import base64
import ipaddress
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One station's way to its CSMS. A combination that cannot work is a ValueError when it is made."""

    url: str
    """`ws://` or `wss://`; the identity is appended, or put in place of `{id}`."""
    secure_url: str | None = None
    """`wss://`: where security profiles 2 and 3 are spoken when `url` is without TLS."""
    identity: str
    append_identity: bool = True
    """False: the URL is complete as it is."""
    assume_subprotocol: str | None = None
    """The version to speak when the server selects none; None: close such a connection."""
    security_profile: int = 0
    """0 none, 1 password, 2 password over TLS, 3 client certificate over TLS."""
    password: bytes | None = None
    """Raw bytes: a hex key of 1.6 already decoded, which need not be UTF-8."""
    ca_file: str | None = None
    """Who may have signed the server's certificate; None: whom the operating system trusts."""
    roots: tuple[str, ...] = ()
    """PEMs of who may have signed it as well."""
    client_cert_file: str | None = None
    client_key_file: str | None = None
    ping_interval_s: float = 25.0
    """Below the 60 s after which some servers drop a silent peer; 0: no ping, and no dead peer is noticed."""
    open_timeout_s: float = 30.0
    close_timeout_s: float = 5.0
    wait_minimum_s: float = 10.0
    random_range_s: float = 10.0
    repeat_times: int = 5
    max_frame_bytes: int = 4 * 1024 * 1024
    """What the CSMS may send in one message."""
    max_unsent_bytes: int = 4 * 1024 * 1024
    """What may wait for a CSMS that does not read, before the connection is given up."""

    def __post_init__(self) -> None:
        secure = station_url(self).startswith("wss://")
        if self.security_profile not in (0, 1, 2, 3):
            msg = f"Security profile {self.security_profile} does not exist; 0, 1, 2 and 3 do."
            raise ValueError(msg)
        if self.security_profile >= 2 and not secure:
            msg = f"Security profile {self.security_profile} needs TLS: the CSMS URL must begin with wss://."
            raise ValueError(msg)
        if self.security_profile in (1, 2) and self.password is None:
            msg = f"Security profile {self.security_profile} needs a password."
            raise ValueError(msg)
        if self.security_profile in (1, 2) and ":" in self.identity:
            msg = f"The identity {self.identity!r} has a colon, which would end the user name in HTTP."
            raise ValueError(msg)
        if self.security_profile == 3 and not (self.client_cert_file and self.client_key_file):
            msg = "Security profile 3 needs the files of a client certificate and of its key."
            raise ValueError(msg)


def station_url(config: LinkConfig) -> str:
    """The URL of this station: identity percent-encoded, no slash doubled, query kept. # OCPP-J 1.6 §3.1.1"""
    identity = quote(config.identity, safe="")
    parts = urlsplit(config.url.strip())
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        msg = f"{url_for_logs(config.url)!r} is no CSMS URL: it must look like ws://host/path or wss://host/path."
        raise ValueError(msg)
    if parts.username is not None or parts.password is not None:
        msg = "The CSMS URL has a user name or password in it: give the password in its own setting."
        raise ValueError(msg)
    if parts.fragment:
        msg = f"The CSMS URL ends in #{parts.fragment}, which no server would see."
        raise ValueError(msg)
    if not config.identity:
        msg = "The station has no identity."
        raise ValueError(msg)
    path, query = parts.path, parts.query
    if "{id}" in path or "{id}" in query:
        path, query = path.replace("{id}", identity), query.replace("{id}", identity)
    elif config.append_identity:
        path = f"{path.rstrip('/')}/{identity}"
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def url_for_logs(url: str) -> str:
    """The URL without what may be a secret: user, password, and the values of its query."""
    parts = urlsplit(url)
    query = "&".join(f"{pair.partition('=')[0]}=…" for pair in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def is_address(host: str) -> bool:
    """Whether `host` is a literal IP address, so that there is no name to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def authorization(config: LinkConfig) -> str | None:
    """The Authorization header; None where the profile has none. # [TC_085]: the key's bytes, not its hex"""
    if config.password is None or config.security_profile not in (1, 2):
        return None
    credentials = config.identity.encode() + b":" + config.password
    return "Basic " + base64.b64encode(credentials).decode()
