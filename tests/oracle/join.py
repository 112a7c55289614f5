# SPDX-License-Identifier: Apache-2.0
"""The join, over all events of one envelope at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .avro import Spliced, write
from .contract import PHASES, SCHEMAS, Event

if TYPE_CHECKING:
    from .outputs import Settings, Tick

EVENTS_MAX = 512
ENDING_MAX = 64
BYTES_MAX = 512 * 1024
ENDINGS = ("finalized", "failed", "released")
# In which the record takes its events.
CHOICE = ("admission", "released", "failed", "finalized", "resolved", "annotation")
KINDS = (
    "admission_conflict",
    "event_id_conflict",
    "tenant_mismatch",
    "orphan",
    "deadline_missed",
    "too_many_events",
)
LISTS = {
    "resolved": "grants",
    "finalized": "finalized",
    "failed": "failed",
    "released": "released",
    "annotation": "annotations",
}
FOREIGN = {**LISTS, "resolved": "resolved"}


@dataclass(frozen=True)
class Violation:
    kind: str
    id: str


def violation(kind: str, envelope_id: str, events: list[Event]) -> Violation:
    ids = [] if kind == "too_many_events" else sorted({e.event_id for e in events}, key=str.encode)
    text = json.dumps([kind, envelope_id, ids], ensure_ascii=False, separators=(",", ":"))
    return Violation(kind, hashlib.sha256(text.encode()).hexdigest())


def content(event: Event) -> dict:
    left_out = {"event_id", "occurred_at", "source"} if event.phase == "admission" else set()
    return {name: value for name, value in event.value.items() if name not in left_out}


@dataclass
class Candidates:
    """Of one phase: the longest prefix, by offset and without repeats, that the limits admit."""

    events: list[Event]
    conflicts: list[tuple[Event, Event]]  # standing, other; in the order of offsets
    overflow: Event | None = None


def candidates(phase: str, events: list[Event]) -> Candidates:
    out = Candidates([], [])
    most = 1 if phase == "admission" else ENDING_MAX if phase in ENDINGS else EVENTS_MAX
    size = 0
    for event in sorted((e for e in events if e.phase == phase), key=lambda e: e.record.offset):
        same = [e for e in out.events if phase == "admission" or e.event_id == event.event_id]
        if same:
            if content(same[0]) != content(event):
                out.conflicts.append((same[0], event))
            continue
        if len(out.events) == most or size + len(event.spliced) > BYTES_MAX:
            out.overflow = event
            break
        out.events.append(event)
        size += len(event.spliced)
    return out


def choose(phases: dict[str, Candidates]) -> tuple[list[Event], bool]:
    """The record's events, and whether a candidate has no room in it."""
    chosen: list[Event] = []
    size, left_out = 0, False
    for phase in CHOICE:
        for event in phases[phase].events:
            if len(chosen) == EVENTS_MAX or size + len(event.spliced) > BYTES_MAX:
                left_out = True
                break
            chosen.append(event)
            size += len(event.spliced)
    return chosen, left_out


def terminal(event: Event) -> tuple:
    return event.value["occurred_at"], ("finalized", "failed", "released").index(event.phase), event.event_id.encode()


def number(name: str) -> Callable[[dict], int | None]:
    return lambda resources: resources[name]


def gpu(resources: dict) -> int | None:
    if resources["gpu_count"] is None:
        return None
    share = resources["gpu_share_milli"]
    return resources["gpu_count"] * (1000 if share is None else share)


NUMBERS = (("cpu_millis", number("cpu_millis")), ("memory_bytes", number("memory_bytes")), ("gpu", gpu))


def compare(asked: int, granted: int) -> str:
    return "equal" if asked == granted else "narrowed" if granted < asked else "widened"


def drift(requested: dict, granted: dict) -> list[dict]:
    lines: list[dict] = []

    def line(dimension: str, asked: object, given: object, change: Callable[[], str]) -> None:
        if asked is None and given is None:
            return
        said = {
            "dimension": dimension,
            "requested": None if asked is None else str(asked),
            "granted": None if given is None else str(given),
            "change": "unstated" if asked is None or given is None else change(),
        }
        lines.append(said)

    def numbers(name: str, of: Callable[[dict], int | None]) -> None:
        line(name, of(requested), of(granted), lambda: compare(of(requested), of(granted)))

    def texts(name: str) -> None:
        asked, given = requested[name], granted[name]
        line(name, asked, given, lambda: "equal" if asked == given else "rebound")

    for name, of in NUMBERS:
        numbers(name, of)
    texts("gpu_class")
    texts("engine")
    for name in ("concurrency", "timeout_ms", "priority"):
        numbers(name, number(name))
    for key in sorted({*requested["placement"], *granted["placement"]}, key=str.encode):
        asked, given = requested["placement"].get(key), granted["placement"].get(key)
        line(f"placement.{key}", asked, given, lambda a=asked, g=given: "equal" if a == g else "rebound")
        if asked is None:
            lines[-1]["change"] = "equal"
    for key in sorted({*requested["amounts"], *granted["amounts"]}, key=str.encode):
        asked, given = requested["amounts"].get(key), granted["amounts"].get(key)
        line(f"amounts.{key}", asked, given, lambda a=asked, g=given: compare(a, g))
    return lines


class Envelope:
    def __init__(self, settings: Settings, envelope_id: str, events: list[Event], ticks: list[Tick]) -> None:
        self.settings, self.envelope_id, self.ticks = settings, envelope_id, ticks
        self.events = events
        self.phases = {phase: candidates(phase, events) for phase in PHASES}
        self.record, self.crowded = choose(self.phases)
        admissions = self.phases["admission"].events
        self.admission = admissions[0] if admissions else None

    def foreign(self, event: Event) -> bool:
        return self.admission is not None and event.tenant != self.admission.tenant

    def candidate_events(self) -> list[Event]:
        return [e for phase in self.phases.values() for e in phase.events]

    @property
    def clock(self) -> int | None:
        return self.ticks[-1].clock if self.ticks else None

    def found_by_ticks(self) -> list[Violation]:
        """orphan and deadline_missed, each by the first tick that has reason to."""
        found: dict[str, Violation] = {}
        for tick in self.ticks:
            below = Envelope(self.settings, self.envelope_id, [e for e in self.events if tick.has(e.record)], [])
            held = below.candidate_events()
            if not held:
                continue
            first = min(e.record.appended for e in held)
            if below.admission is None:
                if tick.clock >= first + self.settings.orphan_grace:
                    found.setdefault("orphan", violation("orphan", self.envelope_id, held))
                continue
            ended = any(e.phase in ENDINGS and not below.foreign(e) for e in held)
            due = self.settings.deadline(below.admission) + self.settings.grace
            if not ended and tick.clock >= due:
                found.setdefault(
                    "deadline_missed", violation("deadline_missed", self.envelope_id, [below.admission])
                )
        return list(found.values())

    @cached_property
    def violations(self) -> set[Violation]:
        found = set(self.found_by_ticks())
        for phase, held in self.phases.items():
            kind = "admission_conflict" if phase == "admission" else "event_id_conflict"
            found |= {violation(kind, self.envelope_id, [*pair]) for pair in held.conflicts}
        for event in self.candidate_events():
            if self.foreign(event):
                found.add(violation("tenant_mismatch", self.envelope_id, [self.admission, event]))
        if self.crowded or any(held.overflow for held in self.phases.values()):
            found.add(violation("too_many_events", self.envelope_id, []))
        return found

    def own(self, phase: str) -> list[Event]:
        return sorted((e for e in self.record if e.phase == phase and not self.foreign(e)), key=lambda e: e.order)

    def outcome(self, lines: list[dict], ended: bool, deadline: int | None) -> str:
        judged = max(self.own("finalized") + self.own("failed"), key=terminal, default=None)
        if judged is not None and judged.phase == "failed":
            at = judged.value["occurred_at"]
            granted = any(e.value["occurred_at"] <= at for e in self.own("resolved"))
            return "unhealthy" if granted else "denied"
        if self.admission is None:
            return "pending"
        if not ended and self.clock is not None and self.clock >= deadline + self.settings.grace:
            return "incomplete"
        counted = {x["change"] for x in lines if x["dimension"] not in ("timeout_ms", "priority")}
        for change, outcome in (
            ("rebound", "rebound"),
            ("narrowed", "narrowed"),
            ("widened", "widened"),
            ("equal", "as_requested"),
        ):
            if change in counted:
                return outcome
        return "unstated" if ended else "pending"

    def status(self, last: Event | None) -> str:
        if self.admission is None:
            return "orphaned"
        if last is not None:
            return last.phase
        return "resolved" if self.own("resolved") else "admitted"

    def lifecycle(self) -> bytes:
        schema = SCHEMAS["lifecycle"]
        own = {phase: self.own(phase) for phase in LISTS}
        last = max(own["finalized"] + own["failed"] + own["released"], key=terminal, default=None)
        everything = sorted(self.record, key=lambda e: (PHASES.index(e.phase), *e.order))
        lines = []
        if self.admission is not None and own["resolved"]:
            lines = drift(self.admission.value["requested"], own["resolved"][-1].value["granted"])
        deadline = None if self.admission is None else self.settings.deadline(self.admission)
        foreign = {
            FOREIGN[phase]: [Spliced(e.spliced) for e in everything if e.phase == phase and self.foreign(e)]
            for phase in LISTS
        }
        value = {
            "envelope_id": self.envelope_id,
            "tenant": everything[0].tenant,
            "status": self.status(last),
            "outcome": self.outcome(lines, last is not None, deadline),
            "admission": None if self.admission is None else Spliced(self.admission.spliced),
            "admission_sha256": None if self.admission is None else hashlib.sha256(self.admission.avro).digest(),
            **{LISTS[phase]: [Spliced(e.spliced) for e in events] for phase, events in own.items()},
            "foreign": foreign,
            "drift": lines,
            "violations": [
                {"violation_id": v.id, "kind": v.kind}
                for v in sorted(self.violations, key=lambda v: (KINDS.index(v.kind), v.id))
            ],
            "deadline": deadline,
            "evidence": [self.settings.evidence(e) for e in everything],
            "closed_at": None,
        }
        return write(schema, schema.root, value)
