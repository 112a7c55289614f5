# SPDX-License-Identifier: Apache-2.0
"""Child processes that end with their starter, ports that stay ours, and waiting.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")
Stream = int | IO[bytes] | None

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def wait_until(condition: Callable[[], T], deadline_s: float, what: str, poll_s: float = 0.02) -> T:
    """Polls the condition until it is true and returns its value; TimeoutError after the deadline.

    `what` says what is waited for, as it should read in the error.
    """
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s:g} s for: {what}")
        time.sleep(poll_s)
    return value


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts a process in a group of its own, which the kernel kills when its starter dies.

    The starter is the calling *thread*: call this from one that lives as long as the process should.
    """
    parent = os.getpid()

    def in_child() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(127)

    return subprocess.Popen(
        [str(a) for a in argv],
        env=None if env is None else {**os.environ, **env},
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=in_child,
    )


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has exited; unlike poll(), it does not reap it, so that its group keeps its number."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait(process: subprocess.Popen[bytes], deadline_s: float) -> int:
    """Waits for a process of spawn(), ends what it left behind, returns its status; or TimeoutError."""
    if process.returncode is None:
        exited = os.pidfd_open(process.pid)
        try:
            if not select.select([exited], [], [], deadline_s)[0]:
                raise TimeoutError(f"process {process.pid} still runs after {deadline_s:g} s")
        finally:
            os.close(exited)
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 0) -> int:
    """Ends a process of spawn() and its group, politely first if there is a grace; returns its status."""
    if process.returncode is None:
        if grace_s > 0:
            os.killpg(process.pid, signal.SIGTERM)
            os.killpg(process.pid, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                return wait(process, grace_s)
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process, ours or not, is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, for error messages."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


class Port:
    """A free port of loopback, held: bound but not listening, so that the kernel gives it to no other.

    A server that sets SO_REUSEADDR, as Java's and Python's do, can listen on it, end, and listen again.
    """

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", number))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()
