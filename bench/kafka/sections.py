# SPDX-License-Identifier: Apache-2.0
"""The measurements: at full speed, paced, recovery, growth. Each is a table and some bars."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bed import LIFECYCLE, PARTITIONS, Bed, BenchError, Running, Usage, with_random_ids
from figures import Bars, Figure, Table, figure, mib
from process import has_exited, wait_until
from systems import Copy, Drained, Processor, Streams, System, wait_for_log

RATE = 5000  # events a second, paced
BARRED = 1_000_000  # open envelopes, of which the bars speak
_FEED = 200  # events a second while instances are killed


@dataclass
class Plan:
    """How much of it. Seconds are those measured, after as many seconds of `paced_warm_up_s`."""

    envelopes: int = 60_000
    rounds: int = 3
    warm_ups: int = 6  # of Kafka Streams, on all events, at most
    paced_rounds: int = 3
    paced_warm_up_s: int = 2
    paced_s: int = 5
    open_envelopes: tuple[int, ...] = (1_000_000, 10_000_000)
    kills: int = 3
    restores: int = 3
    streams_restores: bool = False
    growth: tuple[int, ...] = (1, 2, 4)
    growth_rounds: int = 1


FULL = Plan(
    envelopes=100_000, rounds=5, warm_ups=8, paced_rounds=5, paced_s=10, kills=5, streams_restores=True, growth_rounds=3
)


@dataclass
class Bench:
    """The bed with what all measurements share."""

    bed: Bed
    plan: Plan
    events: Path
    count: int
    copies: list[Copy]
    streams: list[Streams]
    say: Callable[[str], None]
    bars: Bars = field(default_factory=Bars)

    @property
    def systems(self) -> list[System]:
        """The copies and the joins, then the other two processors."""
        return [
            *self.copies,
            Processor(self.bed, "join"),
            *self.streams,
            Processor(self.bed, "governance", "envelope.audit.v1"),
            Processor(self.bed, "accounting", "envelope.usage.v1"),
        ]


def rotated(items: Sequence[System], by: int) -> list[System]:
    """Another begins each round."""
    by %= len(items)
    return [*items[by:], *items[:by]]


# ---- At full speed.


def full_speed(bench: Bench) -> Table:
    bed = bench.bed
    random_ids = with_random_ids(bench.events)
    by_random = Processor(bed, "join", label="join-v4-ids")
    systems = [*bench.systems, by_random]
    found: dict[str, list[Drained]] = defaultdict(list)
    for number in range(bench.plan.rounds):
        bed.load(f"full{number}.", bench.events)
        bed.load(f"random{number}.", random_ids)
        for system in rotated(systems, number):
            prefix = f"random{number}." if system is by_random else f"full{number}."
            found[system.name].append(system.drain(prefix))
            last = found[system.name][-1]
            if isinstance(system, Copy) and last.outputs != bench.count:
                raise BenchError(f"{system.name} made {last.outputs} of {bench.count} records")
            cost = last.usage.cpu_s / bench.count * 1e6
            bench.say(f"{system.name}: {bench.count / last.seconds:.0f}/s, {cost:.2f} us")
    return _full_speed_table(bench, systems, found)


def _full_speed_table(bench: Bench, systems: Sequence[System], found: dict[str, list[Drained]]) -> Table:
    table = Table(
        "Full speed",
        ("system", "events/s", "to copy", "CPU us/event", "to copy", "peak MiB", "private MiB", "bytes out/event"),
        f"{bench.count:,} events of {bench.plan.envelopes:,} envelopes, {PARTITIONS} partitions, one thread of work"
        f" each, {bench.plan.rounds} rounds.\nEvents a second between the first and the last output, by their times;"
        f" memory is resident (with mapped files),\nprivate without them (anonymous and shared: what `--memory` bounds).",
    )
    speeds = {name: figure((bench.count / d.seconds for d in runs), 0) for name, runs in found.items()}
    costs = {name: figure(d.usage.cpu_s / bench.count * 1e6 for d in runs) for name, runs in found.items()}
    private = {name: mib(d.usage.private for d in runs) for name, runs in found.items()}
    resident = {name: mib(d.usage.resident for d in runs) for name, runs in found.items()}
    for system in systems:
        name = system.name
        runs = found[name]
        table.add(
            name, speeds[name], speeds[name].over(speeds["copy"]), costs[name], costs[name].over(costs["copy"]),
            resident[name], private[name], f"{runs[0].bytes / bench.count:.0f}",
        )  # fmt: skip
    bench.bars.at_least("join throughput against the naive copy", 0.8, speeds["join"].over(speeds["copy"]))
    bench.bars.at_most("join CPU per event against the naive copy, v7 ids", 1.5, costs["join"].over(costs["copy"]))
    best = min((s.name for s in bench.streams), key=lambda name: costs[name].middle)
    bench.bars.at_least(f"join events per CPU second against {best}", 3, costs[best].over(costs["join"]))
    # `--memory` bounds the first; pages of LMDB's file, in the second, are the kernel's to take back.
    memory = f"peak anonymous and shared memory of {best} against the join's"
    bench.bars.at_least(memory, 6, private[best].over(private["join"]))
    bench.bars.at_least(f"peak resident memory of {best} against the join's", 6, resident[best].over(resident["join"]))
    return table


# ---- Paced.


def paced(bench: Bench) -> Table:
    """Every system on topics of its own, which get events in turns; the others are idle meanwhile."""
    bed, plan = bench.bed, bench.plan
    running: dict[str, Running] = {}
    for system in bench.systems:
        bed.make_topics(f"paced.{system.name}.")
        running[system.name] = system.follow(f"paced.{system.name}.")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(plan.paced_rounds):
        for system in rotated(bench.systems, number):
            found[system.name].append(_pace(bench, system, number, running[system.name]))
    for process in running.values():
        process.look()
    for system in bench.systems:
        if isinstance(system, Streams):
            system.tell("stop")
        else:
            running[system.name].end()
    return _paced_table(bench, found, running)


def _pace(bench: Bench, system: System, number: int, running: Running) -> dict[str, Any]:
    plan, prefix = bench.plan, f"paced.{system.name}."
    first = number * (plan.paced_warm_up_s + plan.paced_s) * RATE
    told = bench.bed.peer(
        "meter", bench.bed.bootstrap, "warm-up.", first, prefix, prefix + system.output, RATE, plan.paced_warm_up_s,
        plan.paced_s, running.process.pid,
    )  # fmt: skip
    told["cpu_us"] /= told["events"]
    bench.say(f"{system.name}, paced: {told}")
    return told


def _paced_table(bench: Bench, found: dict[str, list[dict[str, Any]]], running: dict[str, Running]) -> Table:
    table = Table(
        f"Paced at {RATE:,} events a second",
        ("system", "p50 ms", "to copy", "p99 ms", "to copy", "CPU us/event", "to copy", "peak MiB"),
        f"From the producer's call to a read_committed consumer, {bench.plan.paced_rounds} rounds of"
        f" {bench.plan.paced_s} s after {bench.plan.paced_warm_up_s} s.\nPeaks of Kafka Streams are of its whole run.",
    )
    figures = {name: {k: figure(told[k] for told in rounds) for k in rounds[0]} for name, rounds in found.items()}
    for name, told in figures.items():
        cells: list[object] = [name]
        for key in ("p50_ms", "p99_ms", "cpu_us"):
            cells += [told[key], told[key].over(figures["copy"][key])]
        table.add(*cells, mib([running[name].usage.resident]))
    join, copy = figures["join"], figures["copy"]
    bench.bars.at_most("p50 latency against the naive copy's", 1.5, join["p50_ms"].over(copy["p50_ms"]))
    bench.bars.at_most("p99 latency against the naive copy's", 1.5, join["p99_ms"].over(copy["p99_ms"]))
    bench.bars.at_most("p50 latency (goal)", 40, join["p50_ms"], " ms")
    return table


# ---- Recovery.


def recovery(bench: Bench) -> Table:
    table = Table(
        "Recovery",
        ("open envelopes", "what", "found", "spread or detail"),
        "The changelogs are lifecycle and join state; reading them is a bare read_committed consumer. v7 ids.",
    )
    for count in bench.plan.open_envelopes:
        _recover(bench, table, count)
    return table


def _recover(bench: Bench, table: Table, count: int) -> None:
    bed, prefix = bench.bed, f"open{count}."
    join = Processor(bed, "join")
    state = bed.folder("state")

    def add(what: str, found: object, detail: object = None) -> None:
        table.add(f"{count:,}", what, found, detail)

    bed.fill(prefix, count)
    drained = bed.run(*join.command(prefix, state), "--drain", deadline_s=1800)
    peak = f"peak {mib([drained.usage.resident])} MiB, private {mib([drained.usage.private])}"
    add("join of one admission each, us/event", f"{drained.usage.cpu_s / count * 1e6:.2f}", peak)
    bench.say(f"{count} open envelopes joined")
    running = join.begin(prefix, state)
    restarts, running = _kill(bench, join, prefix, state, running)
    running.end()
    add("SIGKILL, store kept: ms from assignment to first committed output", restarts)
    reads, restores, used = _restore(bench, join, prefix, state)
    shutil.rmtree(state)
    add("merely reading the changelogs, records/s", reads)
    add("store deleted: restored records/s", restores, f"{restores.over(reads)} of reading")
    add("peak MiB meanwhile", mib(u.resident for u in used), f"private {mib(u.private for u in used)}")
    if count == BARRED:
        bench.bars.never_above("restart with a million open envelopes", 1000, restarts, " ms")
        bench.bars.at_least("restore with a million open envelopes against reading", 0.5, restores.over(reads))
        for streams in bench.streams if bench.plan.streams_restores else ():
            _restore_streams(bench, add, streams, prefix, count)


def _logged_ms(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp() * 1e3


def _kill(bench: Bench, join: Processor, prefix: str, state: Path, running: Running) -> tuple[Figure, Running]:
    """SIGKILL under a steady feed: milliseconds from the next assignment to the first output received after it."""
    bed = bench.bed
    feed = bed.start(
        [bed.program("meter"), bed.bootstrap, "warm-up.", "0", prefix, prefix + LIFECYCLE, str(_FEED), "0", "3600"]
    )

    def received_after(time_ms: float) -> float:
        """The first time after that one, 0 if there is none yet."""
        if has_exited(feed.process):
            raise BenchError(f"the feed ended\n{feed.err.read_text()}")
        times = (int(t) / 1e3 for t in feed.out.read_text().split("\n")[:-1])
        return next((t for t in times if t > time_ms), 0)

    wait_until(lambda: received_after(0), 60, "the first output")
    gaps = []
    for _ in range(bench.plan.kills):
        running.kill()
        running = bed.start(join.command(prefix, state))
        assigned_ms = _logged_ms(wait_for_log(running, "partitions assigned", 60))
        first_ms = wait_until(lambda: received_after(assigned_ms), 120, "an output after the restart")  # noqa: B023
        wait_until(lambda: received_after(first_ms + 1000), 60, "a second's work")  # noqa: B023
        gaps.append(first_ms - assigned_ms)
        bench.say(f"first output {gaps[-1]:.0f} ms after the assignment")
    feed.kill()
    return figure(gaps, 0), running


def _restore(bench: Bench, join: Processor, prefix: str, state: Path) -> tuple[Figure, Figure, list[Usage]]:
    reads, restores, used = [], [], []
    for _ in range(bench.plan.restores):
        told = bench.bed.read(prefix + LIFECYCLE, prefix + "envelope.join.state.v1")
        reads.append(told["records"] / told["seconds"])
        shutil.rmtree(state)
        running = join.begin(prefix, state)
        ran = wait_for_log(running, "partitions run", 1)
        took_ms = _logged_ms(ran) - _logged_ms(wait_for_log(running, "partitions assigned", 1))
        restores.append(ran["restored_records"] / took_ms * 1e3)
        running.end()
        used.append(running.usage)
        bench.say(f"read {reads[-1]:.0f} records/s, restored {restores[-1]:.0f}/s in {took_ms:.0f} ms")
    return figure(reads, 0), figure(restores, 0), used


def _restore_streams(
    bench: Bench, add: Callable[[str, object, object], None], warm: Streams, prefix: str, count: int
) -> None:
    """In a JVM of its own, so that its memory is of this alone."""
    streams = Streams(bench.bed, warm.store)
    state, name, out = bench.bed.folder("streams"), f"{streams.name}-{prefix}restore", streams.out_of(prefix)
    told = streams.tell("drain", name, prefix, out, state)
    add(f"{streams.name}: join of one admission each, us/event", f"{told['cpu_seconds'] / count * 1e6:.2f}", "cold")
    shutil.rmtree(state, ignore_errors=True)  # the store in memory has none
    told = streams.tell("start", name, prefix, out, state)
    seconds = told["restore_seconds"]
    add(
        f"{streams.name}: store deleted: restored records/s",
        f"{told['restored'] / seconds:,.0f}",
        f"in {seconds:.1f} s",
    )
    streams.close()
    used = streams.jvm.usage
    add(f"{streams.name}: peak MiB meanwhile", mib([used.resident]), f"private {mib([used.private])}")
    bench.say(json.dumps(told))


# ---- Growth.


def growth(bench: Bench, cores: int) -> Table:
    table = Table(
        "Growth",
        ("partitions and instances", "events/s", "to one", "CPU us/event", "to one"),
        f"The join on {cores} cores, which Kafka and the instances share: none is left when instances are as many.",
    )
    speeds: dict[int, Figure] = {}
    costs: dict[int, Figure] = {}
    found: dict[int, list[Drained]] = defaultdict(list)
    for number in range(bench.plan.growth_rounds):
        for n in bench.plan.growth:
            prefix = f"growth{n}.{number}."
            bench.bed.load(prefix, bench.events, n)
            found[n].append(Processor(bench.bed, "join", instances=n).drain(prefix))
    for n, runs in found.items():
        speeds[n] = figure((bench.count / d.seconds for d in runs), 0)
        costs[n] = figure(d.usage.cpu_s / bench.count * 1e6 for d in runs)
        table.add(n, speeds[n], speeds[n].over(speeds[1]), costs[n], costs[n].over(costs[1]))
    return table
