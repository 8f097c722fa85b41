"""The one place where a station's certificate work is done; each task brings exactly one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.certificates import reading, signatures
from gateway.station.certificate_work import (
    CertificateWorked,
    CheckSignature,
    Examine,
    ExamineChain,
    ExamineSigner,
    KeepKeys,
    KeysKept,
    MakeRequest,
    RequestMade,
    Unusable,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from gateway.certificates.keys import KeyRing
    from gateway.station.certificate_work import CertificateWork, ChainFacts, Outcome, Task


class Desk:
    """One station's; tasks that take long, or wait for the disk, are done in a thread of the pool."""

    def __init__(self, keys: KeyRing, *, ca_file: str | None = None, pool: Executor | None = None) -> None:
        """`ca_file`: the operator's authorities. Without a pool everything is done at once."""
        self.keys = keys
        self._ca_file = ca_file
        self._pool = pool

    def carry_out(self, work: CertificateWork, done: Callable[[CertificateWorked], None]) -> None:
        """`done` is called with the answer, at once or later, on the thread that called."""
        if self._pool is None or isinstance(work.task, Examine | ExamineSigner | CheckSignature):
            done(CertificateWorked(work.ref, self._outcome(work.task)))
            return
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, self._outcome, work.task)
        future.add_done_callback(lambda future: done(CertificateWorked(work.ref, future.result())))

    def _outcome(self, task: Task) -> Outcome:
        try:
            match task:
                case Examine():
                    return reading.examined(task.pem, task.authorities)
                case MakeRequest():
                    return RequestMade(self.keys.make_request(task))
                case ExamineChain():
                    return self._chain(task)
                case ExamineSigner():
                    return signatures.examined_signer(task.pem, task.authorities)
                case CheckSignature():
                    return signatures.checked(task.certificate, task.signature, task.sha256)
                case KeepKeys():
                    self.keys.keep(task.keys)
                    return KeysKept()
                case _:
                    return Unusable(f"nobody here can do {type(task).__name__}")
        except (OSError, ValueError) as error:
            return Unusable(f"the station's keys cannot be used: {error}")

    def _chain(self, task: ExamineChain) -> ChainFacts | Unusable:
        authorities = task.authorities
        if self._ca_file is not None:
            authorities = (*authorities, Path(self._ca_file).read_text())
        return reading.examined_chain(task.pem, self.keys.public_key(task.key), authorities)
