"""The way to a CSMS as the operator configured it, with what the station has learned since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from gateway.certificates.keys import KeyRing
    from gateway.csms.endpoint import LinkConfig
    from gateway.station.effects import ChangeLink


def changed(configured: LinkConfig, change: ChangeLink, keys: KeyRing) -> LinkConfig:
    """What the link has to obey. ValueError: it cannot work so; OSError: the certificate cannot be written."""
    config = configured
    profile = configured.security_profile if change.security_profile is None else change.security_profile
    if change.password is not None:
        password = bytes.fromhex(change.password) if change.password_is_hex else change.password.encode()
        config = replace(config, password=password)
    if change.certificate is not None:
        chain_file, key_file = keys.files(*change.certificate)
        config = replace(config, client_cert_file=chain_file, client_key_file=key_file)
    return replace(
        config,
        url=_secure(config) if profile >= 2 else config.url,
        security_profile=profile,
        roots=change.roots,
        ping_interval_s=_or(change.ping_interval_s, config.ping_interval_s),
        wait_minimum_s=_or(change.backoff_minimum_s, config.wait_minimum_s),
        random_range_s=_or(change.backoff_random_s, config.random_range_s),
        repeat_times=config.repeat_times if change.backoff_repeats is None else change.backoff_repeats,
    )


def _secure(config: LinkConfig) -> str:
    """# A05: from profile 2 on the link is one with TLS."""
    if not config.url.startswith("ws://"):
        return config.url
    return config.secure_url or f"wss://{config.url.removeprefix('ws://')}"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
