# SPDX-License-Identifier: Apache-2.0
"""The oracle: final outputs as a function of the set of records in the logs.

`final_outputs` takes every record of the input topics at once, in any order, and knows nothing
of reading, transactions or restarts. Written from the design, the contract and ARCHITECTURE.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import accounting, governance, join, numbers
from .avro import Refused
from .contract import PHASES, TOPICS, Event, Record, Writers, open_event, open_record, phase_of

READS = {
    "join": {*PHASES, "producer", "tick"},
    "governance": {*PHASES, "obligation", "tick"},
    "accounting": {*PHASES, "tick"},
}
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

DEADLINES = {
    "deployment": 15 * MINUTE,
    "inference": 2 * MINUTE,
    "pipeline_step": HOUR,
    "maintenance_task": HOUR,
    "evaluation": 6 * HOUR,
    "data_movement": 6 * HOUR,
    "tool_call": 5 * MINUTE,
    "agent_run": HOUR,
    "other": HOUR,
}


@dataclass
class Settings:
    partitions: int
    prefix: str = ""
    grace: int = 5 * SECOND
    orphan_grace: int = 60 * SECOND
    policy_margin: int = 10 * SECOND
    deadlines: dict[str, int] = field(default_factory=lambda: dict(DEADLINES))
    writers: Writers = field(default_factory=Writers)

    def deadline(self, admission: Event) -> int:
        asked = admission.value["requested"]["timeout_ms"]
        if asked is None or asked < 0:
            span = self.deadlines[admission.value["execution"]["kind"]]
        else:
            span = asked * 1000
        return admission.record.appended + span

    def name(self, record: Record) -> str:
        return self.prefix + record.topic

    def evidence(self, event: Event) -> dict:
        return {
            "topic": self.name(event.record),
            "partition": event.record.partition,
            "offset": event.record.offset,
            "timestamp": event.record.appended,
            "phase": event.phase,
            "event_id": event.event_id,
        }


@dataclass
class Tick:
    """One that moved its partition's clock."""

    clock: int
    offsets: dict[str, int]  # by topic without prefix

    def has(self, record: Record) -> bool:
        return record.offset < self.offsets.get(record.topic, 0)


@dataclass
class Outputs:
    lifecycle: dict[str, bytes] = field(default_factory=dict)  # by envelope_id
    violations: set[tuple[str, str, str]] = field(default_factory=set)  # id, kind, envelope_id
    holes: dict[str, tuple] = field(default_factory=dict)  # of producer_hole, by id: as numbers.Hole
    usage: dict[tuple, dict[str, int]] = field(default_factory=dict)  # (envelope, dimension, window)
    totals: dict[tuple, dict[str, int]] = field(default_factory=dict)  # (tenant, window, dimension)
    obligations: dict[str, dict] = field(default_factory=dict)  # by obligation_id
    audit: dict[tuple[str, int], list[dict]] = field(default_factory=dict)  # by (topic, partition)
    dead: set[tuple] = field(default_factory=set)  # (processor, topic, partition, offset, reason)


def by_offset(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.topic, r.partition, r.offset))


def moving_ticks(settings: Settings, records: Iterable[Record]) -> dict[int, list[Tick]]:
    """By partition, in offset order, those whose as_of is above all before."""
    ticks: dict[int, list[Tick]] = defaultdict(list)
    for record in by_offset(records):
        value = open_record(settings.writers, record, settings.partitions)[0]
        moved = ticks[record.partition]
        if value["as_of"] is not None and (not moved or value["as_of"] > moved[-1].clock):
            offsets = {name.removeprefix(settings.prefix): offset for name, offset in value["offsets"].items()}
            moved.append(Tick(value["as_of"], offsets))
    return ticks


def final_outputs(settings: Settings, records: Iterable[Record]) -> Outputs:
    out = Outputs()
    events: dict[str, list[Event]] = defaultdict(list)
    receipts: dict[str, list[tuple[Record, dict]]] = defaultdict(list)
    reports: list[tuple[Record, dict]] = []
    audited: list[Event] = []
    records = by_offset(records)
    ticks = moving_ticks(settings, (r for r in records if TOPICS[r.topic]["value"] == "tick"))
    for record in records:
        name = TOPICS[record.topic]["value"]
        try:
            if phase_of(record.topic):
                event = open_event(settings.writers, record, settings.partitions)
                events[event.envelope_id].append(event)
                audited.append(event)
            elif name in ("obligation", "producer"):
                value = open_record(settings.writers, record, settings.partitions)[0]
                if name == "obligation":
                    receipts[value["envelope_id"]].append((record, value))
                else:
                    reports.append((record, value))
        except Refused as refused:
            for processor, inputs in READS.items():
                if name in inputs:
                    out.dead.add((processor, *record.where, refused.reason))
    numbered = [r for r in records if phase_of(r.topic)]  # dead letters as well
    for hole in numbers.holes(settings, numbered, reports, ticks):
        out.violations.add((hole.id, "producer_hole", hole.producer))
        out.holes[hole.id] = (hole.value, hole.evidence)
    policies = governance.policy_versions(settings, (r for r in records if TOPICS[r.topic]["value"] == "policy"))
    for envelope_id, held in events.items():
        partition_ticks = ticks.get(held[0].record.partition, [])
        joined = join.Envelope(settings, envelope_id, held, partition_ticks)
        out.violations |= {(v.id, v.kind, envelope_id) for v in joined.violations}
        out.lifecycle[envelope_id] = joined.lifecycle()
        clock = partition_ticks[-1].clock if partition_ticks else None
        for key, quantities in accounting.booked(settings, held, clock).items():
            out.usage[(envelope_id, *key)] = quantities
        out.obligations |= governance.obligations(
            settings, policies, held, receipts.get(envelope_id, []), partition_ticks
        )
    tenants = {e.envelope_id: e.tenant for e in reversed(audited) if e.phase == "admission"}
    out.totals = accounting.totals(tenants, out.usage)
    out.audit = governance.audit(settings, policies, audited)
    return out
