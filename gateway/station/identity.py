"""With which profile, password and certificate the station connects; a change is on trial until it has worked.

A CSMS can lock a station out by a password, a profile or a certificate that it then does not take. So what
worked last is kept (# 1.6 whitepaper A05, A02) and tried in every turn of attempts, after the new one has failed
NetworkProfileConnectionAttempts times; whichever opens a link is the one that stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import certificates, own_certificates, security
from gateway.station.certificate_work import CSMS_ROOT
from gateway.station.effects import ChangeLink, CloseLink
from gateway.station.records import LinkIdentity, VariableRecord
from gateway.station.variable_definitions import HIDDEN

if TYPE_CHECKING:
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

PROFILE = f"{HIDDEN}.SecurityProfile"
_PASSWORDS = ("SecurityCtrlr.BasicAuthPassword", f"{HIDDEN}.AuthorizationKey")
_OF_IDENTITY = frozenset({"refused_auth", "tls_certificate", "tls_version", "tls_cipher", "tls_other"})
"""Why an attempt failed, when it may be due to who we are."""


class Identity:
    """What the link was told, and what became of it."""

    __slots__ = ("failures", "proven", "roots", "told")

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.told: LinkIdentity | None = None
        """What attempts are made with."""
        self.proven: LinkIdentity | None = None
        """What the last link of this run was made with."""
        self.roots: tuple[str, ...] = ()
        """As they were told."""
        self.failures = 0
        """Attempts that failed since something changed."""


def profile(state: StationState) -> int:
    """The security profile wanted now; never below the operator's (# A00.FR.005)."""
    return max(state.variables.security_profile, state.config.security_profile)


def wanted(state: StationState) -> LinkIdentity:
    """What the CSMS and the operator want; only what the profile makes use of."""
    number = profile(state)
    own = own_certificates.current(state)
    return LinkIdentity(
        number,
        state.variables.password if number in {1, 2} else None,
        own.key if own is not None and number == 3 else None,
    )


def chosen(state: StationState) -> LinkIdentity:
    """What the next attempt is made with."""
    before = state.record.identity_before
    attempts = state.variables.connection_attempts
    if before is not None and state.identity.failures % (attempts + 1) == attempts:
        return before
    return wanted(state)


def obstacle(state: StationState, text: str) -> str | None:
    """Why SecurityProfile cannot be set to this; None when it can, or is no number (# 1.6 whitepaper A05)."""
    number = int(text) if text.isdecimal() else 0
    has_password = state.variables.password is not None or "password" in state.config.configured
    has_root = "authority" in state.config.configured or certificates.roots(state, CSMS_ROOT)
    has_certificate = "certificate" in state.config.configured or own_certificates.current(state) is not None
    if number not in {0, 1, 2, 3}:
        return None
    if number <= profile(state):
        return "a security profile is only ever raised"  # [TC_084]
    if number in {1, 2} and not has_password:
        return "there is no AuthorizationKey"
    if number >= 2 and not has_root:
        return "there is no CentralSystemRootCertificate"
    if number == 3 and not has_certificate:
        return "the station has no certificate of its own"
    return None


# ------------------------------------------------------------------ what happens to the link


def opened(state: StationState, turn: Turn) -> None:
    """A link with what was told last: that is what works."""
    state.identity.failures = 0
    state.identity.proven = state.identity.told
    before = state.record.identity_before
    if before is None:
        return
    state.record.identity_before = None
    state.save(turn)
    if state.identity.told == before != wanted(state):
        _go_back(state, turn, before)


def failed(state: StationState, kind: str) -> None:
    """An attempt to connect failed; with a change on trial that may be the change's fault."""
    before = state.record.identity_before
    if before is None or kind == "closed_by_us":
        return
    if kind in _OF_IDENTITY or before.profile != profile(state):
        state.identity.failures += 1


def _go_back(state: StationState, turn: Turn, before: LinkIdentity) -> None:
    """# A05: the former one works and the new one does not."""
    variables = state.variables
    if before.profile != profile(state):
        variables.forget(PROFILE)
        if before.profile > profile(state):
            variables.provide(HIDDEN, "SecurityProfile", str(before.profile))
    if before.profile in {1, 2} and before.password != variables.password:
        if before.password is None:
            for name in _PASSWORDS:
                variables.forget(name)
        else:
            text, is_hex = before.password
            component, variable = _PASSWORDS[is_hex].split(".")
            variables.provide(component, variable, text)
    if before.profile == 3:
        own_certificates.go_back(state, turn, before.certificate)
    for name, held in variables.changed().items():
        turn.save("variable", name, None if held is None else VariableRecord(held))
    why = "the CSMS did not take what it had set: the former security profile, password and certificate hold"
    security.record(state, turn, "ReconfigurationOfSecurityParameters", why)


def settle(state: StationState, turn: Turn) -> bool:
    """Pass on what has changed; True: the open link was made with something else, and is closed."""
    want, roots = chosen(state), certificates.roots(state, CSMS_ROOT)
    if want == state.identity.told and roots == state.identity.roots:
        return False
    proven = state.identity.proven
    begins = state.linked and proven is not None and want != proven
    if begins and state.record.identity_before is None:
        state.record.identity_before = proven
        state.save(turn)
    changed = want != state.identity.told
    turn.do(link_settings(state))
    if not begins or not changed:
        return False
    state.identity.failures = 0
    turn.do(CloseLink("security profile, password or certificate changed"))  # [TC_073] [TC_074] [TC_083]
    return True


def link_settings(state: StationState) -> ChangeLink:
    """What the link needs to know; from now on attempts are made with it."""
    variables, identity = state.variables, chosen(state)
    roots = certificates.roots(state, CSMS_ROOT)
    state.identity.told, state.identity.roots = identity, roots
    return ChangeLink(
        ping_interval_s=variables.ping_interval_s,
        call_timeout_s=variables.message_timeout_s,
        backoff_minimum_s=variables.backoff_minimum_s,
        backoff_random_s=variables.backoff_random_s,
        backoff_repeats=variables.backoff_repeats,
        security_profile=identity.profile,
        password=None if identity.password is None else identity.password[0],
        password_is_hex=identity.password is not None and identity.password[1],
        certificate=own_certificates.chain_of(state, identity.certificate),
        roots=roots,
    )
