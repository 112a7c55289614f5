# SPDX-License-Identifier: Apache-2.0
"""Counts what a run has lost, doubled or got wrong, read committed and against the oracle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from oracle.contract import Record
from oracle.outputs import Outputs, final_outputs
from pipeline import Pipeline, contrast, read_events

MISSING = object()


@dataclass
class Count:
    events: int = 0  # records of the input topics, ticks and policies not counted
    unwritten: int = 0  # acknowledged to the load and not in the log: then nothing else can be right
    outputs: int = 0  # final ones that the oracle expects
    lost: int = 0
    duplicated: int = 0
    differing: int = 0
    words: list[str] = field(default_factory=list)  # about each of them

    @property
    def is_right(self) -> bool:
        return not (self.unwritten or self.lost or self.duplicated or self.differing)


def verify(pipeline: Pipeline, acknowledged: Counter[tuple[str, int]]) -> Count:
    """`acknowledged`: how many records of each input partition its writer knows of. There may be more:
    a broker that was killed forgets what it had from an idempotent producer, which then repeats itself."""
    records = pipeline.inputs()
    count = Count()
    _inputs(count, records, acknowledged)
    expected = final_outputs(pipeline.settings, records)
    _compare(count, pipeline.outputs(), expected)
    _doubles(count, pipeline)
    return count


def _inputs(count: Count, records: list[Record], acknowledged: Counter[tuple[str, int]]) -> None:
    held = Counter((r.topic, r.partition) for r in records if r.topic not in ("envelope.tick.v1", "envelope.policy.v1"))
    count.events = sum(held.values())
    for where, wanted in acknowledged.items():
        if held[where] < wanted:
            count.unwritten += wanted - held[where]
            count.words.append(f"input {where}: {wanted} were acknowledged, {held[where]} are there")


def _compare(count: Count, found: Outputs, expected: Outputs) -> None:
    def pair(what: str, left: dict, right: dict) -> None:
        count.outputs += len(right)
        for key in sorted({*left, *right}, key=repr):
            has, wants = left.get(key, MISSING), right.get(key, MISSING)
            if has == wants:
                continue
            if has is MISSING:
                count.lost += 1
            else:
                count.differing += 1
            word = "lost" if has is MISSING else "not expected" if wants is MISSING else "differs"
            count.words.append(f"{what} {key} {word}:" + contrast(left.get(key), right.get(key)))

    pair("lifecycle", found.lifecycle, expected.lifecycle)
    pair("usage", found.usage, expected.usage)
    pair("total", found.totals, expected.totals)
    pair("obligation", found.obligations, expected.obligations)
    # A repeated entry is one of a number too high as well; whose number repeats differs here.
    pair("audit", read_events(found.audit), read_events(expected.audit))
    pair("violation", dict.fromkeys(found.violations), dict.fromkeys(expected.violations))
    pair("dead letter", dict.fromkeys(found.dead), dict.fromkeys(expected.dead))


def _doubles(count: Count, pipeline: Pipeline) -> None:
    """Of what is appended once and never replaced."""
    seen: Counter[tuple] = Counter()
    for r in pipeline.read("envelope.deadletter.v1"):
        named = dict(r.headers)
        seen[("dead letter", *(named["dl_" + n] for n in ("processor", "topic", "partition", "offset")))] += 1
    for _, v in pipeline.values("envelope.violation.v1"):
        seen[("violation", v["violation_id"])] += 1
    for _, v in pipeline.values("envelope.audit.v1"):
        s = v["source"]
        seen[("audit", s["topic"], s["partition"], s["offset"])] += 1
    last: dict[str, dict] = {}
    for _, v in pipeline.values("envelope.governance.v1"):  # one record for each change
        seen[("obligation", v["obligation_id"])] += last.get(v["obligation_id"]) == v
        last[v["obligation_id"]] = v
    for what, times in seen.items():
        allowed = 0 if what[0] == "obligation" else 1
        if times > allowed:
            count.duplicated += times - allowed
            count.words.append(f"{what} was written {times - allowed} times too often")
