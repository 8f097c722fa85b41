"""The one place where a station's certificate work is done; each task brings exactly one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.certificates import reading
from gateway.station.certificate_work import CertificateFacts, CertificateWorked, Examine, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.station.certificate_work import CertificateWork, Task


class Desk:
    """Shared by all stations."""

    def carry_out(self, work: CertificateWork, done: Callable[[CertificateWorked], None]) -> None:
        """Do it at once: reading a certificate takes a fraction of a millisecond."""
        done(CertificateWorked(work.ref, _outcome(work.task)))


def _outcome(task: Task) -> CertificateFacts | Unusable:
    match task:
        case Examine():
            return reading.examined(task.pem, task.authorities)
        case _:
            return Unusable(f"nobody here can do {type(task).__name__}")
