# SPDX-License-Identifier: Apache-2.0
"""What bounds the processors: --memory, and the disk under --state-dir."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cache import HERE
from kafka import Cluster
from pipeline import PROCESSORS
from process import wait_until
from programs import Program, Programs

ROOT = HERE.parents[1]
MIB = 1 << 20
# --memory (MiB), the least that it takes and its default, and open envelopes whose state is well over what it lets the
# working set hold.
OPEN = {64: 120_000, 128: 150_000}
MIXED = 60_000  # envelopes of all kinds behind them, each with what became of it: three events or so


def admissions(count: int) -> bytes:
    """Of envelopes that are otherwise all the same."""
    example = json.loads((ROOT / "schemas/examples/admission.json").read_text())
    envelope, event = "0" * 36, "1" * 36
    line = json.dumps({**example, "envelope_id": envelope, "event_id": event}) + "\n"
    return "".join(line.replace(envelope, str(uuid.uuid4())).replace(event, str(uuid.uuid4())) for _ in range(count)).encode()


@dataclass(frozen=True)
class Many:
    """A set of topics with many open envelopes, and with mixed traffic behind them, for a process with so much memory.

    Read at full speed, all topics are read ahead, and those with few events the farthest: every queue is full, and the
    working set as well.
    """

    prefix: str
    memory: int


@pytest.fixture(scope="module", params=OPEN, ids="{}MiB".format)
def many(kafka: Cluster, programs_of_module: Programs, request: pytest.FixtureRequest) -> Many:
    run, memory = programs_of_module.run, request.param
    prefix = f"bounds-{uuid.uuid4().hex[:8]}."
    common = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    run("envelopectl", "topics", "apply", "--partitions", "4", *common)
    run("envelope-emit", *common, stdin=admissions(OPEN[memory]), deadline_s=120)
    # Now: accounting would book days of grants that began long ago.
    traffic = ("--envelopes", str(MIXED), "--start", "now", "--span", "10min")
    lines = run("envelope-traffic", *traffic, deadline_s=60).stdout.splitlines(keepends=True)
    # Without those that break the contract, which `envelope-emit` would refuse.
    run("envelope-emit", *common, stdin=b"".join(x for x in lines if not x.startswith(b'{"topic"')), deadline_s=120)
    return Many(prefix, memory)


@pytest.fixture(scope="module")
def programs_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    folder = Path(os.environ.get("ENVELOPE_BIN") or ROOT / "build" / "bin").absolute()
    running = Programs(folder, tmp_path_factory.mktemp("bounds"))
    yield running
    running.close()


# ---- The kernel's own count, where it can be had: a control group with a limit, page cache and all.

BESIDE = 64  # MiB: what a group is given beside --memory, for the kernel's buffers and for pages of files


def place_of_groups() -> tuple[str, Path] | None:
    """The version of control groups, and one of those above us in which groups with a memory limit can be made."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        place = Path("/sys/fs/cgroup", "memory" if controllers else "", path.lstrip("/"))
        if controllers == "memory" and os.access(place / "memory.limit_in_bytes", os.W_OK):
            return "cgroup1", place
        # One that has processes gives its children no controllers: ours is beside theirs.
        for above in (place, *place.parents) if not controllers else ():
            control = above / "cgroup.subtree_control"
            if os.access(above / "cgroup.procs", os.W_OK) and "memory" in control.read_text().split():
                return "cgroup2", above
    return None


GROUPS = place_of_groups()


class Confined:
    """A control group with a limit of memory and no swap, for one program after the other; without `path`, none."""

    _FILES = {"cgroup1": ("memory.limit_in_bytes", "memory.oom_control"), "cgroup2": ("memory.max", "memory.events")}

    def __init__(self, mib: int) -> None:
        self.path: Path | None = None
        if GROUPS is None:
            return
        version, place = GROUPS
        limit, self._events = self._FILES[version]
        self.path = place / f"bounds-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()
        (self.path / limit).write_text(str(mib * MIB))
        no_swap = self.path / "memory.swap.max"
        if no_swap.exists():
            no_swap.write_text("0")

    def start(self, programs: Programs, name: str, *args: str | Path) -> Program:
        if self.path is None:
            return programs.start(name, *args)
        into = 'echo $$ > "$0" && exec "$@"'
        return programs.start(Path("/bin/sh"), "-c", into, self.path / "cgroup.procs", programs.path(name), *args)

    def kills(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        if self.path is None:
            return 0
        (count,) = re.findall(r"^oom_kill (\d+)$", (self.path / self._events).read_text(), re.M)
        return int(count)

    def close(self) -> None:
        if path := self.path:
            wait_until(lambda: not (path / "cgroup.procs").read_text(), 30, "the group to be empty")
            path.rmdir()


@pytest.fixture(params=[GROUPS[0] if GROUPS else "no-cgroup"])
def confined(many: Many) -> Iterator[Confined]:
    """The test's name says what of it there was."""
    group = Confined(many.memory + BESIDE)
    yield group
    group.close()


def held_mib(program: Program) -> float:
    """Anonymous and shared memory now; 0 when it has ended."""
    try:
        status = Path(f"/proc/{program.pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(kib) for kib in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", status, re.M)) / 1024


def most_held_mib(program: Program, deadline_s: float = 120) -> float:
    """Sampled until it ends."""
    most = 0.0

    def ended() -> bool:
        nonlocal most
        most = max(most, held_mib(program))
        return not program.is_running

    wait_until(ended, deadline_s, f"{program} to end", 0.01)
    result = program.wait()
    assert result.status == 0, result.stderr[-3000:]
    assert most > 10, "it was seen at work"
    return most


@pytest.mark.parametrize("processor", PROCESSORS)
def test_memory_is_bounded(
    kafka: Cluster, many: Many, confined: Confined, programs: Programs, tmp_path: Path, processor: str
) -> None:
    """While it reads everything at full speed, and while it rebuilds its state.

    What it holds is sampled. Where control groups can be had (cgroup1, cgroup2), it also runs in one whose limit is 64
    MiB more, with the pages of its files counted, and is not killed; no-cgroup: that much is not shown.
    """
    state = tmp_path / "state"
    name = f"envelope-{processor}"
    arguments = (
        "--bootstrap", kafka.bootstrap, "--topic-prefix", many.prefix, "--group", many.prefix + processor,
        "--instance", "one", "--state-dir", state, "--memory", f"{many.memory}MiB", "--drain",
    )  # fmt: skip
    assert most_held_mib(confined.start(programs, name, *arguments)) <= many.memory
    stored = (state / "store" / "data.mdb").stat().st_size / MIB
    assert stored > many.memory / 2, "the state is more than the working set may hold"
    shutil.rmtree(state)
    again = confined.start(programs, name, *arguments)
    assert most_held_mib(again) <= many.memory
    (ran,) = [line for line in again.logs() if line["message"] == "partitions run"]
    assert ran["restored_records"] >= OPEN[many.memory]
    assert confined.kills() == 0


# ---- The disk.


def limited(path: Path, mib: int, *args: str | Path) -> tuple[str | Path, ...]:
    """To be run by /bin/sh: the program, whose files cannot grow beyond that. To a process it is as a full disk is,
    and it wants neither a disk nor privileges."""
    return ("-c", f'trap "" XFSZ; ulimit -S -f {mib * MIB // 512}; exec "$@"', "sh", path, *args)


def make_room(program: Program) -> None:
    _, hard = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (hard, hard))


def readiness(port: int) -> str:
    """What /readyz says; empty: ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
            return ""
    except urllib.error.HTTPError as refused:
        return refused.read().decode()


def metric(port: int, name: str, label: str = "") -> float:
    """The only series of a family that has the label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    (value,) = re.findall(rf"^envelope_{name}{{[^}}]*{label}[^}}]*}} (\S+)$", text, re.M)
    return float(value)


def stepped(port: int) -> float:
    return metric(port, "events_total", 'topic="envelope.admission.v1"')


def test_a_full_disk_stops_intake_until_there_is_room(
    kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path
) -> None:
    """With so much memory that nothing but the disk stops it: what waits for a checkpoint is far below its bound."""
    fits, fills, after = 2_000, 40_000, 2_000
    count = fits + fills + after
    common = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    programs.run("envelopectl", "topics", "apply", "--partitions", "2", *common)

    def emit(more: int) -> None:
        programs.run("envelope-emit", *common, stdin=admissions(more), deadline_s=60)

    arguments = (
        *common, "--group", prefix + "join", "--instance", "one", "--state-dir", tmp_path / "state", "--memory", "2GiB",
    )  # fmt: skip
    http = ("--http", "127.0.0.1:0")
    join = programs.start(Path("/bin/sh"), *limited(programs.path("envelope-join"), 8, *arguments, *http))
    port = join.wait_log(lambda line: line["message"].startswith("serves "), "its port")["port"]
    emit(fits)
    wait_until(lambda: stepped(port) == fits, 30, "what fits to be stepped", 0.05)
    written = metric(port, "checkpoints_total")
    wait_until(lambda: metric(port, "checkpoints_total") > written, 30, "it to be on disk", 0.05)
    assert not readiness(port)

    emit(fills)
    said = wait_until(lambda: readiness(port), 60, "the disk to be full", 0.05)
    assert "nothing is read: cannot write the state in " in said
    assert "File too large: make room" in said or "the disk is full" in said
    failed = metric(port, "checkpoints_failed_total")
    before = stepped(port)
    emit(after)
    wait_until(lambda: metric(port, "checkpoints_failed_total") >= failed + 3, 30, "it to be tried again", 0.05)
    assert stepped(port) == before <= fits + fills
    assert readiness(port)
    (error,) = [line for line in join.logs() if line["level"] == "error"]
    assert error["message"] == "state was not written to disk; nothing is read until it is"

    make_room(join)
    wait_until(lambda: stepped(port) == count, 60, "it to go on", 0.05)
    wait_until(lambda: not readiness(port), 30, "it to be ready", 0.05)
    assert join.terminate().status == 0
    # What the disk has is good, and complete.
    last = programs.run("envelope-join", *arguments, "--drain")
    (ran,) = [line for line in last.logs if line["message"] == "partitions run"]
    assert ran["restored_records"] < count / 10
    shown = programs.run("envelopectl", "cat", "envelope.lifecycle.v1", *common, deadline_s=60).stdout
    keys = [json.loads(line)["key"] for line in shown.splitlines()]
    assert len(keys) == len(set(keys)) == count
