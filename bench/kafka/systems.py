# SPDX-License-Identifier: Apache-2.0
"""What is measured, each with one face: drain the topics under a prefix, or follow them."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cache
from bed import COMMIT_MS, LIFECYCLE, PHASES, Bed, BenchError, Running, Usage
from kafka import find_java
from process import has_exited, tail, wait_until

STREAMS_HEAP = "1g"


@dataclass(frozen=True)
class Drained:
    """Seconds from the first output to the last one, by their times, and what the process took for it."""

    seconds: float
    outputs: int
    bytes: int
    usage: Usage


class System(ABC):
    """`output` is the topic, after the prefix, that it writes to all along."""

    output = LIFECYCLE

    def __init__(self, bed: Bed, name: str) -> None:
        self.bed = bed
        self.name = name

    @abstractmethod
    def work(self, prefix: str, out: str) -> Usage:
        """Steps all that is under the prefix and commits it. `out` is the prefix of what it writes."""

    @abstractmethod
    def follow(self, prefix: str) -> Running:
        """Begins to step what comes, with outputs under the same prefix; returns when it runs."""

    def drain(self, prefix: str) -> Drained:
        out = self.out_of(prefix)
        usage = self.work(prefix, out)
        found = self.bed.read(out + self.output)
        if found["records"] == 0:
            raise BenchError(f"{self.name} wrote nothing")
        return Drained(max(found["span_seconds"], 0.001), found["records"], found["bytes"], usage)

    def out_of(self, prefix: str) -> str:
        """Where it writes what it drains: beside the others' outputs."""
        return f"{self.name}.{prefix}"


class Processor(System):
    """One of ours. `instances` share the partitions."""

    def __init__(self, bed: Bed, name: str, output: str = LIFECYCLE, *, label: str = "", instances: int = 1) -> None:
        super().__init__(bed, label or name)
        self.program = bed.program(f"envelope-{name}")
        self.output = output
        self.instances = instances

    def out_of(self, prefix: str) -> str:
        return prefix

    def command(self, prefix: str, state: Path, instance: str = "one") -> list[str | Path]:
        group = f"{prefix}{self.program.name}"
        return [
            self.program, "--bootstrap", self.bed.bootstrap, "--topic-prefix", prefix, "--group", group,
            "--instance", instance, "--state-dir", state, "--commit-interval", f"{COMMIT_MS}ms",
        ]  # fmt: skip

    def work(self, prefix: str, out: str) -> Usage:
        running = [
            self.bed.start([*self.command(prefix, self.bed.folder("state"), f"i{i}"), "--drain"])
            for i in range(self.instances)
        ]
        used = [process.wait(900) for process in running]
        return Usage(sum(u.cpu_s for u in used), sum(u.resident for u in used), sum(u.private for u in used))

    def follow(self, prefix: str) -> Running:
        return self.begin(prefix, self.bed.folder("state"))

    def begin(self, prefix: str, state: Path) -> Running:
        """With that state; returns when its partitions run."""
        running = self.bed.start(self.command(prefix, state))
        wait_for_log(running, "partitions run", 600)
        return running


def wait_for_log(running: Running, message: str, deadline_s: float) -> dict[str, Any]:
    """The first log line that says so; an error if the process ends before."""

    def found() -> dict[str, Any] | None:
        running.look()
        ended = has_exited(running.process)
        line = next((line for line in running.logs() if line["message"] == message), None)
        if line is None and ended:
            raise BenchError(f"{running} ended before it logged {message!r}\n{tail(running.err)}")
        return line

    line = wait_until(found, deadline_s, f"{running} to log {message!r}")
    assert line is not None
    return line


class Copy(System):
    """The bare copy, which writes as many bytes as the join does."""

    def __init__(self, bed: Bed, name: str, sizes: dict[str, int], *options: str) -> None:
        super().__init__(bed, name)
        self.sizes = sizes
        self.options = options

    def command(self, prefix: str, out: str, *options: str) -> list[str | Path]:
        group = f"{prefix}{self.name}"
        topics = [f"{prefix}envelope.{phase}.v1:{self.sizes.get(phase, 0)}" for phase in PHASES]
        where = [self.bed.bootstrap, group, out + LIFECYCLE, str(COMMIT_MS), *topics]
        return [self.bed.program("copy"), *self.options, *options, *where]

    def work(self, prefix: str, out: str) -> Usage:
        return self.bed.run(*self.command(prefix, out)).usage

    def follow(self, prefix: str) -> Running:
        return self.bed.start(self.command(prefix, prefix, "-f"))


class Streams(System):
    """The join on Kafka Streams, in one JVM for the whole run, so that it is warm."""

    def __init__(self, bed: Bed, store: str) -> None:
        super().__init__(bed, f"streams-{store}")
        self.store = store
        home = cache.require("streams")
        commands, self._commands = os.pipe()
        self.jvm = bed.start(
            [
                find_java(), f"-Xmx{STREAMS_HEAP}", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{home}/classes:{home}/libs/*",
                "envelope.bench.Main", bed.bootstrap, store, str(COMMIT_MS),
            ],
            stdin=commands,
        )  # fmt: skip
        os.close(commands)
        self._answers = 0

    def tell(self, *words: str | Path, deadline_s: float = 900) -> dict[str, Any]:
        """Gives a command and waits for the answer."""
        os.write(self._commands, (" ".join(map(str, words)) + "\n").encode())

        def answer() -> str | None:
            self.jvm.look()
            ended = has_exited(self.jvm.process)
            lines = self.jvm.out.read_text().split("\n")[:-1]
            if len(lines) == self._answers and ended:
                raise BenchError(f"{self.name} ended\n{tail(self.jvm.err)}")
            return lines[self._answers] if len(lines) > self._answers else None

        line = wait_until(answer, deadline_s, f"{self.name} to {words[0]}")
        assert line is not None
        self._answers += 1
        told: dict[str, Any] = json.loads(line)
        return told

    def drain_into(self, prefix: str, out: str) -> dict[str, Any]:
        return self.tell("drain", f"{self.name}-{out}{prefix}", prefix, out, self.bed.folder("streams"))

    def work(self, prefix: str, out: str) -> Usage:
        told = self.drain_into(prefix, out)
        return Usage(told["cpu_seconds"], self.jvm.usage.resident, self.jvm.usage.private)

    def follow(self, prefix: str) -> Running:
        self.tell("start", f"{self.name}-{prefix}", prefix, prefix, self.bed.folder("streams"))
        return self.jvm

    def close(self) -> None:
        """Ends the JVM, which closes the join first."""
        os.close(self._commands)
        self.jvm.wait(60)


def same_outputs(bed: Bed, left: str, right: str) -> int:
    """How many lifecycle records and violations under two prefixes are the same; BenchError if any differs."""
    same = 0
    for topic in (LIFECYCLE, "envelope.violation.v1"):
        name = "violation_id" if "violation" in topic else "envelope_id"
        found = [{r["value"][name]: r["value"] for r in bed.cat(prefix, topic)} for prefix in (left, right)]
        for key in {**found[0], **found[1]}:
            if found[0].get(key) != found[1].get(key):
                raise BenchError(f"{topic} of {key} differs:\n{found[0].get(key)}\n{found[1].get(key)}")
        same += len(found[0])
    return same
