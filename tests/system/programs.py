# SPDX-License-Identifier: Apache-2.0
"""Runs the programs under test: with a deadline, their logs read, ended with the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from process import has_exited, spawn, stop, tail, wait, wait_until

NAMES = (
    "envelope-emit",
    "envelope-gateway",
    "envelope-deploy-model",
    "envelope-join",
    "envelope-governance",
    "envelope-accounting",
    "envelope-local",
    "envelopectl",
)

Log = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """How a run ended. Status is negative for a signal; `logs` are the lines of standard error that are
    JSON objects, `noise` its other lines (there should be none)."""

    status: int
    stdout: bytes
    stderr: bytes
    logs: list[Log]
    noise: list[str]

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Program:
    """A program that runs. Its output goes to files, so it never waits for us to read."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        directory: Path,
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """With stdin None it reads from a pipe, `stdin`, that the test may write to and close."""
        self.argv = [str(a) for a in argv]
        if not Path(self.argv[0]).exists():
            raise FileNotFoundError(f"{self.argv[0]} is not there: build it, or set ENVELOPE_BIN to where it is")
        directory.mkdir(parents=True, exist_ok=True)
        self._out, self._err = directory / "stdout", directory / "stderr"
        given: IO[bytes] | int = subprocess.PIPE
        if stdin is not None:
            (directory / "stdin").write_bytes(stdin)
            given = (directory / "stdin").open("rb")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = spawn(self.argv, stdin=given, stdout=out, stderr=err, env=env)
        if not isinstance(given, int):
            given.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return not has_exited(self._process)

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "this program was given its standard input"
        return self._process.stdin

    def logs(self) -> list[Log]:
        """The log lines so far; a last line without its newline is not one yet."""
        return self._parse()[0]

    def wait_log(self, matches: Callable[[Log], bool], what: str, deadline_s: float = 30) -> Log:
        """Waits for a log line; an error if the program ends before."""

        def found() -> Log | None:
            ended = not self.is_running
            line = next(filter(matches, self.logs()), None)
            if line is None and ended:
                raise AssertionError(f"{self} ended before it logged {what}\n{tail(self._err)}")
            return line

        line = wait_until(found, deadline_s, f"{self} to log {what}, see {self._err}")
        assert line is not None
        return line

    def signal(self, number: signal.Signals) -> None:
        """SIGTERM to drain, SIGSTOP to freeze, SIGCONT to thaw."""
        os.kill(self.pid, number)

    def kill(self) -> Result:
        """SIGKILL: a crash."""
        stop(self._process)
        return self._result()

    def terminate(self, deadline_s: float = 30) -> Result:
        """SIGTERM, and the result; TimeoutError if it has not ended by the deadline."""
        if self.is_running:
            self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def wait(self, deadline_s: float = 30) -> Result:
        """Its result when it has ended by itself; TimeoutError, with it killed, after the deadline."""
        try:
            wait(self._process, deadline_s)
        except TimeoutError:
            self.kill()
            raise TimeoutError(f"{self} still ran after {deadline_s:g} s\n{tail(self._err)}") from None
        return self._result()

    def _result(self) -> Result:
        if self._process.stdin is not None:
            self._process.stdin.close()
        logs, noise = self._parse()
        return Result(self._process.returncode, self._out.read_bytes(), self._err.read_bytes(), logs, noise)

    def _parse(self) -> tuple[list[Log], list[str]]:
        logs: list[Log] = []
        noise: list[str] = []
        for line in self._err.read_text(errors="replace").split("\n")[:-1]:
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                logs.append(value)
            else:
                noise.append(line)
        return logs, noise

    def __str__(self) -> str:
        return f"{Path(self.argv[0]).name} (pid {self.pid})"


class Programs:
    """The programs in a folder, run one beside the other; close() kills those that are left."""

    def __init__(self, folder: Path, directory: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._directory = directory
        self._env = dict(env or {})
        self._started: list[Program] = []

    def path(self, name: str) -> Path:
        return self.folder / name

    def start(
        self, name: str | Path, *args: str | Path, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> Program:
        """Starts a program by its name, or any other by its path."""
        path = name if isinstance(name, Path) else self.path(name)
        directory = self._directory / f"{len(self._started):02}-{path.name}"
        program = Program([path, *args], directory, stdin=stdin, env={**self._env, **(env or {})})
        self._started.append(program)
        return program

    def run(
        self,
        name: str | Path,
        *args: str | Path,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        deadline_s: float = 30,
        status: int | None = 0,
    ) -> Result:
        """Runs a program to its end. An exit status other than `status` is an error, unless that is None."""
        program = self.start(name, *args, stdin=stdin, env=env)
        result = program.wait(deadline_s)
        if status is not None and result.status != status:
            text = result.stderr.decode(errors="replace")
            raise AssertionError(f"{program} ended with {result.status} instead of {status}\n{text[-4000:]}")
        return result

    def close(self) -> None:
        for program in self._started:
            program.kill()
