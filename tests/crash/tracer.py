"""
Follows one child from system call to system call, and strikes at the chosen one.

It counts the calls that matter over all threads of the child.  strace could inject the same
signals and errors, but it counts for each thread by itself (`when=3` lets a program through that
makes two such calls in each of two threads), and the ledger has a thread of its own.

Linux on x86-64 only; whatever else it is, `why_not` says it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_CALLS = {
    1: "write",
    3: "close",
    18: "pwrite64",
    20: "writev",
    42: "connect",
    44: "sendto",
    45: "recvfrom",
    46: "sendmsg",
    47: "recvmsg",
    72: "fcntl",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    77: "ftruncate",
    82: "rename",
    83: "mkdir",
    87: "unlink",
    257: "openat",
    258: "mkdirat",
    263: "unlinkat",
    264: "renameat",
    296: "pwritev",
    316: "renameat2",
}
_PATH_AT = {82: 0, 83: 0, 87: 0, 257: 1, 258: 1, 263: 1, 264: 1, 316: 1}
"""Which argument of a call is a path; the others begin with a descriptor."""
_CONNECT, _FCNTL = 42, 72
_F_SETLK = 6

_SEIZE, _INTERRUPT, _SYSCALL, _POKEUSER, _SYSCALL_INFO = 0x4206, 0x4207, 24, 6, 0x420E
_SYSGOOD, _TRACE_CLONE, _EXIT_KILL = 1, 8, 1 << 20
_ENTRY, _EXIT = 1, 2
_ORIG_RAX, _RAX = 15 * 8, 10 * 8
_WALL = 0x40000000


class _Info(ctypes.Structure):
    """What PTRACE_GET_SYSCALL_INFO tells: number and arguments at the entry of a call."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
    )


@cache
def _library() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    return libc


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> int:
    result: int = _library().ptrace(request, tid, address, data)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def why_not() -> str | None:
    """Why no child can be followed here, or None if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the crash campaign follows system calls on Linux on x86-64 only"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        try:
            _ptrace(_SEIZE, child.pid, 0, _EXIT_KILL)
        except OSError as error:
            return f"ptrace is not permitted here: {error.strerror}"
        finally:
            child.kill()
    return None


@dataclass(frozen=True)
class Strike:
    """
    What happens at the n-th call of a kind: SIGKILL before it is made, or an error in its place.

    `lasting` errors come back from every later call of the kind too: a disk that stays full.
    """

    kind: str
    nth: int
    error: str | None = None
    lasting: bool = False

    def hits(self, kind: str, count: int) -> bool:
        """Whether this is the call."""
        return kind == self.kind and (count == self.nth or (self.lasting and count > self.nth))


@dataclass
class Followed:
    """How the child went: the calls that mattered, by kind, and whether it was struck."""

    calls: Counter[str] = field(default_factory=Counter)
    was_struck: bool = False
    status: int = 0


class _Tracer:
    def __init__(self, pid: int, folder: Path, strike: Strike | None) -> None:
        self.followed = Followed()
        self._pid = pid
        self._folder = str(folder)
        self._strike = strike
        self._services: set[str] = set()
        """The sockets that were connected to an IP address."""
        self._failing: set[int] = set()
        """The threads whose call under way is to end with the error."""
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self._info = _Info()

    def follow(self) -> Followed:
        """Follow the child, which is being stopped, to its end."""
        try:
            while True:
                tid, status = os.waitpid(-1, _WALL)
                if os.WIFSTOPPED(status):
                    self._stopped(tid, status)
                elif tid == self._pid:
                    self.followed.status = status
                    return self.followed
        finally:
            os.close(self._memory)

    def _stopped(self, tid: int, status: int) -> None:
        reason, is_event = os.WSTOPSIG(status), status >> 16
        passed_on = 0
        try:
            if reason == signal.SIGTRAP | 0x80:
                self._called(tid)
            elif not is_event:
                passed_on = reason
            _ptrace(_SYSCALL, tid, 0, passed_on)
        except ProcessLookupError:  # killed meanwhile
            return

    def _called(self, tid: int) -> None:
        info = self._info
        _ptrace(_SYSCALL_INFO, tid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _EXIT:
            if tid in self._failing:
                self._failing.remove(tid)
                self._end_with_error(tid)
        elif info.op == _ENTRY and info.number in _CALLS:
            self._entered(tid)

    def _entered(self, tid: int) -> None:
        target = self._target()
        if target is None:
            return
        kind = f"{_CALLS[self._info.number]} {target}"
        self.followed.calls[kind] += 1
        strike = self._strike
        if strike is None or not strike.hits(kind, self.followed.calls[kind]):
            return
        self.followed.was_struck = True
        if strike.error is None:
            os.kill(self._pid, signal.SIGKILL)
        else:
            _ptrace(_POKEUSER, tid, _ORIG_RAX, -1)  # no call has this number: nothing is done
            self._failing.add(tid)

    def _end_with_error(self, tid: int) -> None:
        assert self._strike is not None
        assert self._strike.error is not None
        _ptrace(_POKEUSER, tid, _RAX, -getattr(errno, self._strike.error))

    def _target(self) -> str | None:
        number, args = self._info.number, self._info.args
        if number in _PATH_AT:
            return self._file(self._text(args[_PATH_AT[number]]))
        try:
            name = os.readlink(f"/proc/{self._pid}/fd/{args[0]}")
        except OSError:  # a descriptor that is not open
            return None
        if number == _CONNECT:
            (family,) = struct.unpack("=H", os.pread(self._memory, 2, args[1]))
            if family in (2, 10):
                self._services.add(name)
        if number == _FCNTL and args[1] != _F_SETLK:
            return None
        if name in self._services:
            return "service"
        return self._file(name.removesuffix(" (deleted)"))

    def _file(self, path: str) -> str | None:
        """The sort of a file in the folder of the batch; None for any other."""
        if not path.startswith(self._folder):
            return None
        name = path[len(self._folder) + 1 :]
        if name.startswith("ledger.db"):
            return "lock" if name.endswith(".lock") else "ledger"
        if name.endswith(".jsonl"):
            return "lines"
        return "result" if name else "folder"

    def _text(self, address: int) -> str:
        # What is read ends where the memory does: a string may be the last thing before that.
        return os.fsdecode(os.pread(self._memory, 4096, address).partition(b"\0")[0])


def follow(pid: int, folder: Path, strike: Strike | None, *, go: int) -> Followed:
    """
    Follow a child of this process, which waits for a byte from `go`, to its end.

    This process must have no other child, and only one thread.
    """
    _ptrace(_SEIZE, pid, 0, _SYSGOOD | _TRACE_CLONE | _EXIT_KILL)
    _ptrace(_INTERRUPT, pid)
    tracer = _Tracer(pid, folder, strike)
    os.write(go, b"!")
    return tracer.follow()
