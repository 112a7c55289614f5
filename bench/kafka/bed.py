# SPDX-License-Identifier: Apache-2.0
"""What every measurement stands on: one Kafka, the programs, topics with events, and a process measured."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import Cluster
from process import spawn, stop, tail

REPOSITORY = Path(__file__).resolve().parents[2]
_BUILD = REPOSITORY / "build"
_PEERS = ("copy", "fill", "meter", "read")
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
LIFECYCLE = "envelope.lifecycle.v1"
COMMIT_MS = 20
PARTITIONS = 4

_SAMPLE_S = 0.05  # of a process's memory
_KAFKA = {
    "auto.create.topics.enable": "true",  # where copies go
    "num.partitions": str(PARTITIONS),
    # instances that start together are one generation of their group
    "group.initial.rebalance.delay.ms": "500",
    # nothing is compacted meanwhile: that would be measured too
    "log.cleaner.backoff.ms": "86400000",
}

# A day's work for a machine that nobody waits for: its deadline is six hours away.
_OPEN = {
    "phase": "admission",
    "tenant": "tenant-04",
    "source": "urn:service:backend",
    "caller": {"requester_urn": "urn:tenant-04:user:38", "initiator": "human"},
    "execution": {"kind": "data_movement", "service": "backend", "operation": "copy_dataset"},
    "requested": {"cpu_millis": 1000, "memory_bytes": 20401094656, "placement": {"location": "us-east"}},
}


class BenchError(Exception):
    """Something measured did not do its work; the text says what."""


@dataclass
class Usage:
    """What a process took: CPU seconds, and the most memory (bytes) it held at once."""

    cpu_s: float = 0
    resident: int = 0  # all pages, mapped files too
    private: int = 0  # anonymous and shared memory alone


class Running:
    """A process whose memory is looked at for as long as it is waited for."""

    def __init__(self, argv: Sequence[str | Path], directory: Path, stdin: int = subprocess.DEVNULL) -> None:
        directory.mkdir(parents=True)
        self.argv = [str(a) for a in argv]
        self.out, self.err = directory / "stdout", directory / "stderr"
        self.usage = Usage()
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = spawn(self.argv, stdin=stdin, stdout=out, stderr=err)

    def look(self) -> None:
        """Takes note of its memory; nothing if it has ended."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        kib = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
        self.usage.resident = max(self.usage.resident, kib.get("VmHWM", 0) << 10)
        self.usage.private = max(self.usage.private, (kib.get("RssAnon", 0) + kib.get("RssShmem", 0)) << 10)

    def wait(self, deadline_s: float) -> Usage:
        """Waits for its end, which must be a good one."""
        exited = os.pidfd_open(self.process.pid)
        try:
            for _ in range(int(deadline_s / _SAMPLE_S)):
                self.look()
                if select.select([exited], [], [], _SAMPLE_S)[0]:
                    break
            else:
                stop(self.process)
                raise BenchError(f"{self} still ran after {deadline_s:g} s\n{tail(self.err)}")
        finally:
            os.close(exited)
        self.usage.cpu_s = self._reap()
        if self.process.returncode != 0:
            raise BenchError(f"{self} ended with {self.process.returncode}\n{tail(self.err)}")
        return self.usage

    def _reap(self) -> float:
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return used.ru_utime + used.ru_stime

    def end(self, grace_s: float = 30) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        self.look()
        stop(self.process, grace_s=grace_s)

    def kill(self) -> None:
        self.look()
        stop(self.process)

    def logs(self) -> Iterator[dict[str, Any]]:
        """Its log lines so far, those that are JSON."""
        for line in self.err.read_text(errors="replace").split("\n")[:-1]:
            if line.startswith("{"):
                yield json.loads(line)

    def __str__(self) -> str:
        return f"{Path(self.argv[0]).name} (pid {self.process.pid})"


class Bed:
    """One Kafka and everything that runs on it. Events lie under prefixes of topics."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        self.cluster = cluster
        self._started: list[Running] = []
        # The same programs throughout, whatever is built meanwhile.
        self._bin = directory / "bin"
        shutil.copytree(_BUILD / "bin", self._bin)
        for peer in _PEERS:
            shutil.copy(_BUILD / "obj" / "bench" / "kafka" / peer, self._bin)

    @property
    def bootstrap(self) -> str:
        return self.cluster.bootstrap

    def folder(self, name: str) -> Path:
        """A path that nothing has used before."""
        return self.directory / f"{name}-{uuid.uuid4().hex[:8]}"

    def start(self, argv: Sequence[str | Path], stdin: int = subprocess.DEVNULL) -> Running:
        running = Running(argv, self.folder(Path(argv[0]).name), stdin)
        self._started.append(running)
        return running

    def run(self, *argv: str | Path, deadline_s: float = 600) -> Running:
        running = self.start(argv)
        running.wait(deadline_s)
        return running

    def program(self, name: str) -> Path:
        """One of the programs, or of our own clients: copy, fill, meter, read."""
        return self._bin / name

    def peer(self, name: str, *args: str | int, deadline_s: float = 600) -> dict[str, Any]:
        """Runs one of our own clients and returns the JSON of its last line."""
        out = self.run(self.program(name), *map(str, args), deadline_s=deadline_s).out.read_text()
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
        return said

    def close(self) -> None:
        for running in self._started:
            running.kill()

    # ---- Topics.

    def make_topics(self, prefix: str, partitions: int = PARTITIONS) -> None:
        common = ["--bootstrap", self.bootstrap, "--topic-prefix", prefix]
        self.run(self.program("envelopectl"), "topics", "apply", *common, "--partitions", str(partitions))

    def load(self, prefix: str, events: Path, partitions: int = PARTITIONS) -> None:
        """Topics with these events in them."""
        self.make_topics(prefix, partitions)
        self.run(self.program("envelope-emit"), "--bootstrap", self.bootstrap, "--topic-prefix", prefix, events)

    def fill(self, prefix: str, count: int, version: int = 7) -> None:
        """Topics with so many open envelopes in them, an admission each."""
        self.make_topics(prefix)
        event = self.folder("open")
        event.write_text(json.dumps(_OPEN | {"envelope_id": str(uuid.uuid4())}) + "\n")
        template = f"template-{uuid.uuid4().hex[:8]}."
        self.load(template, event, 1)
        topic = "envelope.admission.v1"
        self.run(self.program("fill"), self.bootstrap, template + topic, prefix + topic, str(count), str(version))

    def read(self, *topics: str) -> dict[str, Any]:
        """How many records there are, their bytes, how long it took to read and, by their times, to write them."""
        return self.peer("read", self.bootstrap, *topics)

    def cat(self, prefix: str, topic: str, *options: str) -> Iterator[dict[str, Any]]:
        where = ["--bootstrap", self.bootstrap, "--topic-prefix", prefix]
        with self.run(self.program("envelopectl"), "cat", *where, topic, *options).out.open() as lines:
            yield from map(json.loads, lines)

    def output_sizes(self, prefix: str) -> dict[str, int]:
        """Mean bytes that the join wrote for an event of each phase."""
        sizes = defaultdict(list)
        for line in self.cat(prefix, LIFECYCLE, "--raw"):
            trigger = json.loads(_raw(dict(line["headers"])["in"]))
            sizes[trigger[0].split(".")[-2]].append(len(_raw(line["value"])))
        return {phase: sum(found) // len(found) for phase, found in sizes.items()}


def _raw(value: Mapping[str, str] | str) -> bytes:
    """A value as `envelopectl cat` prints it: text, or base64 of what is none."""
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


@contextmanager
def open_bed(directory: Path) -> Iterator[Bed]:
    """Kafka as a bench wants it: the JVM's own choices, with enough heap."""
    with Cluster(config=_KAFKA, heap="1g", jvm=()) as cluster:
        bed = Bed(directory, cluster)
        try:
            yield bed
        finally:
            bed.close()


def make_traffic(bed: Bed, envelopes: int, seed: int) -> tuple[Path, int]:
    """A file of so many envelopes' events, and their number; raw records, which break the contract, left out.

    They happen now: accounting would book days of grants that began long ago.
    """
    options = ["--envelopes", str(envelopes), "--seed", str(seed), "--start", "now", "--span", "10min"]
    said = bed.run(bed.program("envelope-traffic"), *options).out
    events = bed.folder("events")
    with said.open() as lines, events.open("w") as kept:
        count = sum(1 for line in lines if not line.startswith('{"topic"') and kept.write(line))
    return events, count


def with_random_ids(events: Path) -> Path:
    """The same events, their envelopes named by UUIDs of version 4."""
    out = events.with_name(events.name + "-v4")
    named: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        made = uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_OID, match[1]).bytes, version=4)
        return f'"envelope_id":"{named.setdefault(match[1], str(made))}"'

    out.write_text(re.sub(r'"envelope_id":"([^"]*)"', rename, events.read_text()))
    return out
