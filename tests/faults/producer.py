# SPDX-License-Identifier: Apache-2.0
"""A producer that is killed again and again, on a disk that fills up, with brokers that go away and segments
that are damaged; and what readers of its topics make of its numbers.

    tests/faults/run-producer --rounds 200
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache import HERE
from clients import java_partition
from kafka import Cluster
from process import spawn, stop, wait_until
from programs import Programs

ROOT = HERE.parents[1]
EMITTER = ROOT / "build" / "obj" / "tests" / "system" / "emitter" / "emitter"
PARTITIONS = 4
THREADS = 2
MOST = 60_000  # events of a thread in a round
DISK_MIB = 24
SETTINGS = ("segment-bytes=1MiB", "spool-bytes=1GiB", "producer=under:test")
KINDS = {"kill": 5, "away": 2, "full": 1, "restart": 1, "torn": 1, "missing": 1}

GRACE_S = 2

Number = tuple[int, int, int]
"""epoch, partition, number"""


@dataclass
class Numbers:
    """What a reader knows of one epoch's numbers on one partition."""

    arrived: set[int] = field(default_factory=set)
    highest: int = -1


@dataclass
class Found:
    """What lies in Kafka at the end."""

    delivered: Counter[str]
    missing: set[Number]
    declared: set[Number]
    told: set[Number]  # by the join's violations


@dataclass
class Trial:
    """One spool on a small disk, and the rounds that it lives through."""

    cluster: Cluster
    programs: Programs
    directory: Path
    random: random.Random
    kinds: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    dropped: Counter[int] = field(default_factory=Counter)  # by partition
    unreturned: set[str] = field(default_factory=set)  # whose call the kill cut short: in the spool, dropped, or neither
    noises: list[str] = field(default_factory=list)
    prefix: str = field(default_factory=lambda: f"producer-{uuid.uuid4().hex[:8]}.")

    @property
    def spool(self) -> Path:
        return self.directory / "disk" / "spool"

    def segments(self) -> list[Path]:
        return sorted(self.spool.glob("?" * 16 + ".segment"))

    @property
    def common(self) -> list[str]:
        return ["--bootstrap", self.cluster.bootstrap, "--topic-prefix", self.prefix]

    @contextlib.contextmanager
    def disk(self) -> Iterator[None]:
        """A file system of its own, so that the disk can be full."""
        disk = self.directory / "disk"
        disk.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    # ---- A round.

    def choose(self, rounds: int) -> list[str]:
        """The first is quiet, so that the number of partitions is known."""
        return ["kill", *self.random.choices(list(KINDS), list(KINDS.values()), k=rounds - 1)]

    def run_round(self, number: int, kind: str) -> None:
        self.kinds[kind] += 1
        broker = self.cluster.brokers[0]
        damages = kind in ("torn", "missing")
        most = 400 if damages else MOST
        rate = 1e9 if kind == "full" else self.random.choice((500.0, 4000.0, 20000.0))
        results = self.directory / f"results-{number}"
        if kind in ("away", "full") or damages:
            broker.pause()
        emitter = self.start_emitter(number, results, most, rate)
        try:
            if damages:
                self.wait_numbered(results, most)
            else:
                self.live(emitter, self.random.uniform(0.05, 0.8), broker if kind == "restart" else None)
        finally:
            stop(emitter)
            if kind in ("away", "full") or damages:
                broker.resume()
        self.take_results(number, results, most)
        if damages:
            self.damage(kind)

    def start_emitter(self, number: int, results: Path, most: int, rate: float) -> subprocess.Popen[bytes]:
        noise = (self.directory / "noise").open("ab")
        settings = [f"bootstrap={self.cluster.bootstrap}", f"topic-prefix={self.prefix}", f"spool={self.spool}", "source=urn:s"]
        process = spawn(
            [EMITTER, results, str(THREADS), str(most), str(rate), f"r{number}", *settings, *SETTINGS],
            stdout=subprocess.PIPE,
            stderr=noise,
        )
        noise.close()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == b"open\n", (self.directory / "noise").read_text()[-2000:]
        return process

    def live(self, emitter: subprocess.Popen[bytes], seconds: float, broker: Any | None) -> None:
        """The time that it has is the experiment's own, not a wait for something."""
        end = time.monotonic() + seconds
        if broker is not None:
            broker.kill()
            broker.start()
            broker.wait_ready()
        while time.monotonic() < end and emitter.poll() is None:
            time.sleep(0.01)
        assert emitter.poll() is None, "the emitter ended by itself: " + (self.directory / "noise").read_text()[-2000:]

    def wait_numbered(self, results: Path, most: int) -> None:
        """Until all events have numbers: so what is damaged then can be named."""

        def numbered() -> bool:
            returned = results.read_bytes() if results.exists() else b"\0"
            return b"\0" not in returned and all(all_numbered(path.read_bytes()) for path in self.segments() if path.exists())

        wait_until(numbered, 60, "all events of the round to be numbered", poll_s=0.2)

    def take_results(self, number: int, path: Path, most: int) -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as results:
            for thread in range(THREADS):
                mine = results[thread * most : (thread + 1) * most].rstrip(b"\0")
                for i, result in enumerate(mine):
                    event = f"r{number}-{thread}-{i}"
                    if result == ord("A"):
                        self.accepted.add(event)
                    else:
                        self.dropped[java_partition(event.encode(), PARTITIONS)] += 1
                self.unreturned.add(f"r{number}-{thread}-{len(mine)}")
        path.unlink()

    def damage(self, kind: str) -> None:
        segment = self.random.choice([path for path in self.segments() if has_records(path)])
        if kind == "missing":
            segment.unlink()
            return
        content = bytearray(segment.read_bytes())
        at = self.random.randrange(len(content) // 4)
        content[at : at + 512] = self.random.randbytes(512)
        segment.write_bytes(content)

    # ---- The end.

    def finish(self) -> None:
        self.programs.run("envelope-emit", *self.common, "--spool", self.spool, "--segment-bytes", "1MiB", deadline_s=120)

    def find(self) -> Found:
        numbers: dict[tuple[int, int], Numbers] = defaultdict(Numbers)
        delivered: Counter[str] = Counter()
        for record in self.cat("admission"):
            delivered[record["key"]] += 1
            headers = dict(record["headers"])
            for name in ("seq", "was"):
                if name not in headers:
                    continue
                _, epoch, number = headers[name].rsplit(":", 2)
                known = numbers[int(epoch), record["partition"]]
                known.arrived.add(int(number))
                if name == "seq":
                    known.highest = max(known.highest, int(number))
        declared = set()
        for record in self.cat("producer"):
            report = record["value"]
            for last in report["sequences"]:
                known = numbers[report["epoch"], last["partition"]]
                known.highest = max(known.highest, last["number"])
            for hole in report["holes"]:
                known = numbers[report["epoch"], hole["partition"]]
                run = range(hole["first"], hole["last"] + 1)
                if hole["reason"] == "sent_again":
                    known.arrived.update(run)
                else:
                    known.highest = max(known.highest, hole["last"])
                    declared |= {(report["epoch"], hole["partition"], n) for n in run}
        missing = {
            (epoch, partition, n)
            for (epoch, partition), known in numbers.items()
            for n in set(range(known.highest + 1)) - known.arrived
        }
        return Found(delivered, missing, declared & missing, self.join(len(missing)))

    def join(self, expected: int) -> set[Number]:
        """What the join tells of these topics, once ticks are late enough for all that it can tell."""
        state = ["--state-dir", self.directory / "join", "--grace", f"{GRACE_S}s"]

        def told() -> set[Number]:
            self.programs.run("envelopectl", "tick", *self.common)
            self.programs.run("envelope-join", *self.common, "--group", self.prefix + "join", *state, "--drain", deadline_s=120)
            out: set[Number] = set()
            for record in self.cat("violation"):
                hole = record["value"].get("hole")
                if record["value"]["kind"] == "producer_hole":
                    assert not hole["coarse"] and hole["topic"] == self.prefix + "envelope.admission.v1", hole
                    out |= {(hole["epoch"], hole["partition"], n) for n in range(hole["first"], hole["last"] + 1)}
            return out

        end = time.monotonic() + 2 * GRACE_S + 1
        wait_until(lambda: time.monotonic() > end and len(told()) >= expected, 60, "the join to tell of all holes")
        return told()

    def cat(self, name: str) -> list[dict[str, Any]]:
        result = self.programs.run("envelopectl", "cat", f"envelope.{name}.v1", *self.common, deadline_s=120)
        return [json.loads(line) for line in result.stdout.splitlines()]


def has_records(segment: Path) -> bool:
    """Spares have none yet: what is spoiled there destroys nothing."""
    with segment.open("rb") as file:
        return struct.unpack_from("<I", file.read(64 + 4), 64)[0] > 0


def all_numbered(segment: bytes) -> bool:
    """Whether each record of a segment has a number (producers/spool/format.h); up to the first place without one."""
    at = 64
    while at + 64 <= len(segment):
        (size,) = struct.unpack_from("<I", segment, at)
        if size < 64 or size % 64 != 0:
            return True
        if struct.unpack_from("<I", segment, at + 56)[0] == 0:
            return False
        at += size
    return True


def run_trial(
    cluster: Cluster, programs: Programs, directory: Path, seed: int, rounds: int | Sequence[str]
) -> tuple[Trial, Found]:
    """So many rounds of any kind, or these."""
    trial = Trial(cluster, programs, directory, random.Random(seed))
    programs.run("envelopectl", "topics", "apply", "--partitions", str(PARTITIONS), *trial.common)
    with trial.disk():
        for number, kind in enumerate(trial.choose(rounds) if isinstance(rounds, int) else rounds):
            trial.run_round(number, kind)
        trial.finish()
        assert not list(trial.spool.glob("refused*"))
    return trial, trial.find()


def judge(trial: Trial, found: Found) -> dict[str, int]:
    """Asserts that nothing was lost but what was destroyed, and that readers miss exactly that and what was dropped."""
    lost = trial.accepted - set(found.delivered)
    damaged = trial.kinds["torn"] + trial.kinds["missing"]
    assert damaged or not lost, sorted(lost)[:10]
    expected = Counter(trial.dropped)
    expected.update(java_partition(event.encode(), PARTITIONS) for event in lost)
    possible = expected + Counter(
        java_partition(event.encode(), PARTITIONS) for event in trial.unreturned - set(found.delivered)
    )
    missing = Counter(partition for _, partition, _ in found.missing)
    for partition in range(PARTITIONS):
        assert expected[partition] <= missing[partition] <= possible[partition], (missing, expected, possible)
    assert found.told == found.missing, (sorted(found.told ^ found.missing)[:10], len(found.told), len(found.missing))
    return {
        "accepted": len(trial.accepted),
        "delivered": sum(found.delivered.values()),
        "again": sum(found.delivered.values()) - len(found.delivered),
        "dropped": sum(trial.dropped.values()),
        "destroyed": len(lost),
        "missing": len(found.missing),
        "declared": len(found.declared),
        "told by the join": len(found.told),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/faults/run-producer", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--batch", type=int, default=40, help="rounds on one spool")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    keep = Path(tempfile.mkdtemp(prefix="envelope-faults-"))
    print("| seed | rounds | accepted | delivered | of these again | dropped | destroyed | missing | declared | told | s |")
    print("|" + " --- |" * 11, flush=True)
    with Cluster(directory=keep / "kafka") as cluster:
        for batch in range(-(-arguments.rounds // arguments.batch)):
            seed = arguments.seed + batch
            rounds = min(arguments.batch, arguments.rounds - batch * arguments.batch)
            programs = Programs(ROOT / "build" / "bin", keep / f"programs-{seed}")
            began = time.monotonic()
            trial, found = run_trial(cluster, programs, keep / f"trial-{seed}", seed, rounds)
            counts = judge(trial, found)
            kinds = ", ".join(f"{n} {kind}" for kind, n in trial.kinds.items())
            cells = (seed, f"{rounds} ({kinds})", *counts.values(), f"{time.monotonic() - began:.0f}")
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            programs.close()
    shutil.rmtree(keep)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
