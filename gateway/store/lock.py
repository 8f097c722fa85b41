"""A store has one user at a time, and a dead one holds nothing."""

import fcntl
import os
import socket
from pathlib import Path

from gateway.store.errors import StoreError, explained


class Lock:
    """Exclusive use of the store at a path, kept by the kernel until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises StoreError when somebody has it, or when the place has no locks."""
        # A file of its own: closing any descriptor of the database would drop the locks SQLite has on it.
        place = path.with_name(path.name + ".lock")
        try:
            self._descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explained(error, path) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace") or "a starting process"
            os.close(self._descriptor)
            raise StoreError(
                f"The store {path} is in use by another gateway ({holder}). "
                "Stop that one first, or give this gateway a store of its own."
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise explained(error, path) from error

    def release(self) -> None:
        """Let the next user in. The file stays: removing it could take the lock away from him."""
        os.close(self._descriptor)
