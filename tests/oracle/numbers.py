# SPDX-License-Identifier: Apache-2.0
"""Producers' numbers: the holes of one sequence, over all records and reports at once."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from .contract import KEY_JSON_MAX, TOPICS, Record, phase_of

if TYPE_CHECKING:
    from .outputs import Settings, Tick

SECOND = 1_000_000
WEEK = 7 * 24 * 3600 * SECOND
NUMBER_END = 2**63 - 1
REASON_MAX = 64
PRODUCER = "envelope.producer.v1"


@dataclass(frozen=True)
class Hole:
    id: str
    producer: str
    value: tuple  # (epoch, topic by its full name, partition, first, last, reason)
    evidence: tuple[tuple[str, int], ...]  # (topic, offset)


def number(header: bytes | None) -> tuple[str, int, int] | None:
    """PRODUCER:EPOCH:NUMBER, or nothing."""
    parts = (header or b"").rsplit(b":", 2)
    if len(parts) != 3 or not parts[0] or len(parts[0]) > 128 or b"\0" in parts[0]:
        return None
    for text in parts[1:]:
        if not text or text.strip(b"0123456789") or (text[:1] == b"0" and text != b"0") or int(text) > NUMBER_END:
            return None
    try:
        producer = parts[0].decode()
    except UnicodeDecodeError:
        return None
    if len(json.dumps(producer, ensure_ascii=False).encode()) > KEY_JSON_MAX or int(parts[2]) == NUMBER_END:
        return None
    return producer, int(parts[1]), int(parts[2])


def header(record: Record, name: str) -> bytes | None:
    return next((value for n, value in reversed(record.headers) if n == name), None)


@dataclass
class Sequence:
    arrivals: list[tuple[int, bool, Record]] = field(default_factory=list)  # number, its own, record
    settled: list[tuple[int, Record]] = field(default_factory=list)
    declared: list[tuple[int, int, str, Record]] = field(default_factory=list)  # first, last, reason, report

    def borders(self) -> list[int]:
        """From one to the next all numbers are alike; above the last nothing is shown."""
        points = {0}
        for n, *_ in self.arrivals:
            points |= {n, n + 1}
        points |= {n + 1 for n, _ in self.settled}
        for first, last, *_ in self.declared:
            points |= {first, last + 1}
        return sorted(points)

    def shown(self, n: int) -> tuple | None:
        """What first shows it to be missing: (append time, is a report, offset)."""
        shows = [(r.appended, False, r.offset) for seq, own, r in self.arrivals if own and seq > n]
        shows += [(r.appended, True, r.offset) for last, r in self.settled if last >= n]
        shows += [(r.appended, True, r.offset) for first, last, _, r in self.declared if first <= n <= last]
        return min(shows, default=None)

    def declaration(self, n: int, limit: int) -> tuple[int, str] | None:
        held = [(r, reason) for first, last, reason, r in self.declared if first <= n <= last]
        if not held or held[0][0].appended >= limit:
            return None
        return held[0][0].offset, held[0][1]

    def floor(self, epoch: int) -> int:
        seen = [r.appended for *_, r in (*self.arrivals, *self.settled, *self.declared)]
        if min(seen) < epoch * SECOND + WEEK:
            return 0
        return self.arrivals[0][0] if self.arrivals else NUMBER_END

    def hole(self, n: int, grace: int, clock: int, floor: int) -> tuple | None:
        """What shows it, and what declares it; None where it is none."""
        shown = self.shown(n)
        if shown is None or clock < shown[0] + 2 * grace:
            return None
        limit = shown[0] + grace
        if any(number == n and r.appended < limit for number, _, r in self.arrivals):
            return None
        declared = self.declaration(n, limit)
        if (n < floor) if declared is None else (declared[1] == "sent_again"):
            return None
        return shown, declared

    def runs(self, grace: int, clock: int, epoch: int) -> list[list]:
        """[first, last, what shows it, what declares it] of each run of holes."""
        out: list[list] = []
        floor = self.floor(epoch)
        for first, following in pairwise(self.borders()):
            hole = self.hole(first, grace, clock, floor)
            if hole is None:
                continue
            if out and out[-1][1] + 1 == first and out[-1][2:] == [*hole]:
                out[-1][1] = following - 1
            else:
                out.append([first, following - 1, *hole])
        return out


def sequences(settings: Settings, records: list[Record], reports: list[tuple[Record, dict]]) -> dict[tuple, Sequence]:
    """By (partition, producer, epoch, topic); both lists are in the order of offsets."""
    found: dict[tuple, Sequence] = defaultdict(Sequence)
    for record in records:
        for name, own in (("seq", True), ("was", False)):
            parsed = number(header(record, name))
            if parsed is not None:
                producer, epoch, n = parsed
                found[(record.partition, producer, epoch, record.topic)].arrivals.append((n, own, record))
    for record, report in reports:
        for entry in (*report["holes"], *report["sequences"]):
            topic = entry["topic"].removeprefix(settings.prefix)
            first, last = (entry["number"],) * 2 if "number" in entry else (entry["first"], entry["last"])
            known = entry["topic"].startswith(settings.prefix) and topic in TOPICS and phase_of(topic)
            if not known or entry["partition"] != record.partition or not 0 <= first <= last < NUMBER_END:
                continue
            if report["epoch"] < 0:
                continue
            of = found[(record.partition, report["producer"], report["epoch"], topic)]
            if "number" in entry:
                of.settled.append((last, record))
            else:
                of.declared.append((first, last, entry["reason"], record))
    return found


def cut(text: str) -> str:
    return text.encode()[:REASON_MAX].decode(errors="ignore")


def holes(
    settings: Settings, records: list[Record], reports: list[tuple[Record, dict]], ticks: dict[int, list[Tick]]
) -> list[Hole]:
    out = []
    for (partition, producer, epoch, topic), sequence in sequences(settings, records, reports).items():
        if not ticks.get(partition):
            continue
        for first, last, shown, declared in sequence.runs(settings.grace, ticks[partition][-1].clock, epoch):
            name = f"{epoch}:{settings.prefix}{topic}:{partition}:{first}-{last}"
            text = json.dumps(["producer_hole", producer, [name]], ensure_ascii=False, separators=(",", ":"))
            evidence = [(PRODUCER if shown[1] else topic, shown[2])]
            if declared is not None and evidence != [(PRODUCER, declared[0])]:
                evidence.append((PRODUCER, declared[0]))
            reason = "undeclared" if declared is None else cut(declared[1])
            value = (epoch, settings.prefix + topic, partition, first, last, reason)
            out.append(Hole(hashlib.sha256(text.encode()).hexdigest(), producer, value, tuple(evidence)))
    return out
