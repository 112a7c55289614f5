# SPDX-License-Identifier: Apache-2.0
"""What is due for one envelope, over all its events at once, and tenants' totals."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from .contract import PHASES, Event
from .join import candidates

if TYPE_CHECKING:
    from .outputs import Settings

HOUR = 3_600_000_000
CLAMP = 7 * 24 * HOUR
MOST = 1 << 53


def metered(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= MOST else None


def rates(resources: dict) -> dict[str, int]:
    count, share = metered(resources["gpu_count"]), resources["gpu_share_milli"]
    share = 1000 if share is None else metered(share)
    stated = {name: metered(resources[name]) for name in ("cpu_millis", "memory_bytes", "concurrency")}
    stated["gpu"] = None if count is None or share is None else metered(count * share)
    return {name: value for name, value in stated.items() if value is not None}


def amounts(values: dict) -> dict[str, int]:
    return {f"amounts.{name}": value for name, value in values.items() if metered(value) is not None}


def hour_of(time: int) -> int:
    return time - time % HOUR


class Facts:
    def __init__(self, settings: Settings, events: list[Event]) -> None:
        self.admission = next(iter(candidates("admission", events).events), None)
        if self.admission is None:
            return
        self.deadline = settings.deadline(self.admission)
        self.by_phase = {
            phase: sorted(
                (e for e in candidates(phase, events).events if e.tenant == self.admission.tenant),
                key=lambda e: (self.time(e), e.event_id.encode()),
            )
            for phase in PHASES
        }

    @staticmethod
    def time(event: Event) -> int:
        appended = event.record.appended
        return min(max(event.value["occurred_at"], appended - CLAMP), appended + CLAMP)

    def end(self) -> tuple[int | None, bool]:
        """Where metering ends, and whether an event ends it."""
        if self.by_phase["released"]:
            return self.time(self.by_phase["released"][0]), True
        if self.admission.value["execution"]["kind"] == "deployment":
            return None, False
        if self.by_phase["finalized"] and self.time(self.by_phase["finalized"][0]) <= self.deadline:
            return self.time(self.by_phase["finalized"][0]), True
        return self.deadline, False

    def intervals(self) -> list[tuple[Event, int, int | None, bool]]:
        """Grant, from, to, and whether an event ends it."""
        end, by_event = self.end()
        grants = self.by_phase["resolved"]
        out = []
        for i, grant in enumerate(grants):
            start = self.time(grant)
            if end is not None and start >= end:
                continue
            ends = [] if end is None else [(end, by_event)]
            ends += [(self.time(e), True) for e in grants[i + 1 : i + 2]]
            ends += [(self.time(e), True) for e in self.by_phase["failed"] if self.time(e) >= start][:1]
            last = min(ends, key=lambda x: (x[0], not x[1]), default=(None, False))
            out.append((grant, start, *last))
        return out

    def denied_at(self) -> Event | None:
        ends = [*self.by_phase["finalized"], *self.by_phase["failed"]]
        last = max(ends, key=lambda e: (self.time(e), e.phase == "failed", e.event_id.encode()), default=None)
        if last is None or last.phase != "failed":
            return None
        granted = any(self.time(e) <= self.time(last) for e in self.by_phase["resolved"])
        return None if granted else last


def booked(settings: Settings, events: list[Event], clock: int | None) -> dict[tuple, dict[str, int]]:
    """(dimension, window) to the sums that are due, zeros left out."""
    facts = Facts(settings, events)
    due: dict[tuple, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    if facts.admission is None:
        return {}
    requested = facts.admission.value["requested"]
    until = None if clock is None else hour_of(clock)

    def meter(quantity: str, name: str, rate: int, start: int, end: int) -> None:
        while start < end:
            stop = min(end, hour_of(start) + HOUR)
            due[(name, hour_of(start))][quantity] += rate * (stop - start)
            start = stop

    intervals, denied = facts.intervals(), facts.denied_at()
    for grant, start, end, by_event in intervals:
        if not by_event:
            end = min((x for x in (end, until) if x is not None), default=start) if until is not None else start
        for name, rate in rates(requested).items():
            meter("asked", name, rate, start, end)
        for name, rate in rates(grant.value["granted"]).items():
            meter("granted", name, rate, start, end)
    if intervals:
        grant, start, _, by_event = intervals[-1]
        if by_event or (until is not None and hour_of(start) + HOUR <= until):
            if denied is None:  # else asked once, where it failed
                for name, value in amounts(requested["amounts"]).items():
                    due[(name, hour_of(start))]["asked"] += value
            for name, value in amounts(grant.value["granted"]["amounts"]).items():
                due[(name, hour_of(start))]["granted"] += value
    if denied is not None:
        at = facts.time(denied)
        for name, rate in rates(requested).items():
            meter("asked", name, rate, facts.time(facts.admission), at)
        for name, value in amounts(requested["amounts"]).items():
            due[(name, hour_of(at))]["asked"] += value
    billed: dict[str, tuple[int, int]] = {}
    for phase in ("finalized", "released"):
        for event in facts.by_phase[phase]:
            for name, value in amounts(event.value["measured"]).items():
                billed[name] = (hour_of(facts.time(event)), value)
    for name, (window, value) in billed.items():
        due[(name, window)]["billed"] += value
    sums = {key: {q: v for q, v in quantities.items() if v} for key, quantities in due.items()}
    return {key: quantities for key, quantities in sums.items() if quantities}


def totals(tenants: dict[str, str], usage: dict[tuple, dict[str, int]]) -> dict[tuple, dict[str, int]]:
    """(tenant, window, dimension) to sums, from those of each envelope."""
    out: dict[tuple, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (envelope_id, dimension, window), quantities in usage.items():
        for quantity, value in quantities.items():
            out[(tenants[envelope_id], window, dimension)][quantity] += value
    return {key: dict(quantities) for key, quantities in out.items()}


def total_key(tenant: str, window: int, dimension: str) -> bytes:
    start = datetime.fromtimestamp(window // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    return json.dumps([tenant, start, dimension], ensure_ascii=False, separators=(",", ":")).encode()
