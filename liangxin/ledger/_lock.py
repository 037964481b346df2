"""
The lock file beside a ledger: one holder at a time, on this machine, for as long as it lives.

It holds the operating system's lock on the open file, which ends with the process whatever kills
it, and a note of who holds it.  It never waits.  filelock is not used: its older versions empty
the file when they merely try, and free the lock when a forked child drops its copy of the object.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from io import FileIO
from pathlib import Path

from liangxin._errors import LedgerLocked

if sys.platform == "win32":
    import msvcrt

    # Far behind the note, which others could not read otherwise: locks are mandatory there.
    _LOCKED_BYTE = 1 << 30

    def try_lock(fd: int) -> bool:
        """Lock a file at whose beginning we are until it is closed; False if another has it."""
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Lock a file at whose beginning we are until it is closed; False if another has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)


class LockFile:
    """A lock that is held: take it with `LockFile.take`, let it go with `release`."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self._file = file

    @classmethod
    def take(cls, path: Path) -> LockFile:
        """Take the lock at once, or raise `LedgerLocked`, or the `OSError` of the file system."""
        while True:
            file = FileIO(os.open(path, _FLAGS, 0o600), "r+")
            try:
                if not try_lock(file.fileno()):
                    raise _locked(path, file)
                if _is_at(path, file):
                    _leave_note(file)
                    return cls(path, file)
            except BaseException:
                file.close()
                raise
            file.close()  # its holder let it go, and removed it, since we opened it

    def release(self) -> None:
        """Remove the file and let the lock go, in the order that leaves no gap for two holders."""
        if sys.platform != "win32":
            self._remove()
        self._file.close()
        if sys.platform == "win32":  # which removes no open file, so nobody else's either
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()

    def disown(self) -> None:
        """In a forked child: close our copy, which leaves the lock with the parent alone."""
        self._file.close()


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _leave_note(file: FileIO) -> None:
    file.truncate(0)
    file.seek(0)
    file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())


def _locked(path: Path, file: FileIO) -> LedgerLocked:
    file.seek(0)
    pid, host = _holder(file.read(1000))
    ledger = path.with_suffix("")
    if pid is None:
        who = "another process"
    elif pid == os.getpid() and host == socket.gethostname():
        who = "this very process, by another Ledger"
    else:
        who = f"process {pid} on {host}"
    return LedgerLocked(
        f"{ledger} is in use by {who}: wait until it ends, or take another file",
        pid=pid,
        host=host,
    )


def _holder(note: bytes) -> tuple[int | None, str | None]:
    pid, _, host = note.decode(errors="replace").strip().partition(" ")
    return (int(pid), host) if pid.isdecimal() and host else (None, None)
