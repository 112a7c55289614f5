# SPDX-License-Identifier: Apache-2.0
"""Instances of the processors under a supervisor: what ends by itself is started again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipeline import PROCESSORS, Pipeline
from process import wait_until
from programs import Program

AGAIN_S = 0.3  # from the end of an instance to its next start
END_UNKNOWN = "the end of a transaction is unknown: new producer, state read again"


def group_of(pipeline: Pipeline, processor: str) -> str:
    """One for each set of topics."""
    return f"{pipeline.settings.prefix}{processor}"


@dataclass
class Instance:
    """One state directory, one instance name, and the process that has them now, if any."""

    processor: str
    name: str
    program: Program | None = None
    wanted: bool = False
    start_at: float = 0
    frozen: bool = False

    def __str__(self) -> str:
        return f"{self.processor}/{self.name}"

    def says(self, message: str) -> int:
        """How often its process has logged it."""
        return 0 if self.program is None else sum(line["message"] == message for line in self.program.logs())

    @property
    def has_rewound(self) -> int:
        """Grows whenever its process throws a batch away; by more than one where it says so twice."""
        return self.says("the batch is thrown away and read again") + self.says(END_UNKNOWN)

    @property
    def is_running(self) -> bool:
        return self.program is not None and self.program.is_running

    @property
    def at_work(self) -> bool:
        """Whether it holds partitions and is past their restoring, as far as its log says."""
        if not self.is_running:
            return False
        assert self.program is not None
        last = [x["message"] for x in self.program.logs() if x["message"].startswith("partitions ")]
        return last[-1:] == ["partitions run"]


@dataclass
class Fleet:
    pipeline: Pipeline
    names: tuple[str, ...] = ("one", "two")
    faults: Counter[str] = field(default_factory=Counter)
    at_work: int = 0  # of those killed
    exits: Counter[str] = field(default_factory=Counter)  # that nobody asked for, by their last words
    instances: list[Instance] = field(default_factory=list)
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.instances = [Instance(p, name) for name in self.names for p in PROCESSORS]

    def of(self, *names: str, processors: Iterable[str] = PROCESSORS) -> list[Instance]:
        return [i for i in self.instances if i.name in names and i.processor in processors]

    def group(self, processor: str) -> str:
        return group_of(self.pipeline, processor)

    # ---- The supervisor.

    def tend(self) -> None:
        """To be called often: starts what should run and does not. Raises when a process has crashed."""
        for i in self.instances:
            if i.program is not None and not i.program.is_running:
                self._ended(i)
            if i.wanted and i.program is None and time.monotonic() >= i.start_at:
                i.program = self.pipeline.start(i.processor, self.group(i.processor), i.name, *self.more)
                i.frozen = False

    def _ended(self, i: Instance) -> None:
        assert i.program is not None
        result = i.program.wait(5)
        i.program = None
        i.start_at = time.monotonic() + AGAIN_S
        if result.status < 0 or result.noise:
            raise AssertionError(f"{i} crashed: status {result.status}\n{result.stderr.decode(errors='replace')[-3000:]}")
        if i.wanted:
            last = [x for x in result.logs if x["level"] == "error"] or result.logs
            self.exits[f"{i.processor}: {last[-1]['message'] if last else '?'}"] += 1

    def until(self, condition: Callable[[], object], deadline_s: float, what: str) -> None:
        def tended() -> object:
            self.tend()
            return condition()

        wait_until(tended, deadline_s, what)

    def go_on(self, seconds: float) -> None:
        """Lets time pass under load, instances tended."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, seconds + 60, "time to pass")

    def until_running(self, instances: Iterable[Instance], deadline_s: float = 60) -> None:
        for i in instances:
            self.until(lambda: i.at_work, deadline_s, f"{i} to run its partitions")  # noqa: B023

    # ---- What is done to them.

    def start(self, instances: Iterable[Instance]) -> None:
        for i in instances:
            i.wanted, i.start_at = True, 0
        self.tend()

    def restart_in(self, i: Instance, seconds: float) -> None:
        i.wanted, i.start_at = True, time.monotonic() + seconds

    def kill(self, instances: Iterable[Instance]) -> None:
        """SIGKILL, and nobody starts it again before start() or restart_in()."""
        for i in instances:
            i.wanted = False
            if i.program is None:
                continue
            self.faults["SIGKILL"] += 1
            self.at_work += i.at_work
            i.program.kill()
            i.program = None

    def ask_to_stop(self, instances: Iterable[Instance]) -> None:
        for i in instances:
            i.wanted = False
            if i.is_running:
                assert i.program is not None
                self.faults["SIGTERM"] += 1
                i.program.signal(signal.SIGTERM)

    def stop(self, instances: Iterable[Instance], deadline_s: float = 30) -> None:
        """SIGTERM; with all brokers up a stop ends with status 0."""
        asked = [i for i in instances if i.program is not None]
        self.ask_to_stop(asked)
        for i in asked:
            if i.program is None:
                continue
            result = i.program.wait(deadline_s)
            i.program = None
            if result.status != 0:
                last = result.logs[-1]["message"] if result.logs else f"status {result.status}"
                self.exits[f"{i.processor}, stopped: {last}"] += 1
            if result.status < 0 or result.noise:
                raise AssertionError(f"{i} crashed: {result.status}\n{result.stderr.decode(errors='replace')[-3000:]}")

    def freeze(self, i: Instance) -> None:
        if i.is_running and not i.frozen:
            assert i.program is not None
            self.faults["SIGSTOP"] += 1
            i.program.signal(signal.SIGSTOP)
            i.frozen = True

    def thaw(self, i: Instance) -> None:
        if i.frozen and i.program is not None:
            os.kill(i.program.pid, signal.SIGCONT)
        i.frozen = False

    def lose_state(self, i: Instance) -> None:
        """The disk of an instance that does not run."""
        assert i.program is None
        self.faults["state lost"] += 1
        shutil.rmtree(self.pipeline.state(self.group(i.processor), i.name), ignore_errors=True)
