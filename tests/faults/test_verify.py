# SPDX-License-Identifier: Apache-2.0
"""That the verifier sees what is wrong: logs as they should be, then one record gone, doubled or changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from clients import Record as Read
from oracle.accounting import total_key
from oracle.avro import Schema, read, write
from oracle.contract import SCHEMAS, TOPICS, Writers, fingerprint, partition_of
from oracle.generate import OLDER_SCHEMAS, framed
from oracle.governance import leaf_hash
from oracle.outputs import Outputs, Settings, final_outputs
from pipeline import FRAME, INPUTS, Pipeline, body
from programs import Programs

from .load import stream
from .verify import Count, verify

PARTITIONS = 4
MESSAGES = 400
NOON = 1_790_000_000_000
QUANTITIES = ("asked", "granted", "billed")

Logs = dict[str, list[Read]]


class Shelf(Pipeline):
    """A pipeline of which only the logs are there."""

    logs: Logs

    def read(self, name: str) -> list[Read]:
        return self.logs.get(name, [])


def blank(schema: Schema, node: Any) -> Any:
    """The least value of a type."""
    kind, node = schema.kind(node)
    match kind:
        case "record":
            return {f["name"]: blank(schema, f["type"]) for f in node["fields"]}
        case "enum":
            return node["symbols"][0]
        case "fixed":
            return bytes(node["size"])
        case "array":
            return []
        case "map":
            return {}
        case "string":
            return ""
        case "bytes":
            return b""
        case "boolean":
            return False
        case "int" | "long":
            return 0
    return None


def derived(topic: str, key: bytes, **members: Any) -> Read:
    name = TOPICS[topic]["value"]
    return Read(topic, key, framed(name, {**blank(SCHEMAS[name], SCHEMAS[name].root), **members}))


def as_bytes(quantities: dict[str, int]) -> dict[str, bytes]:
    return {q: n.to_bytes(17, "big", signed=True) for q, n in quantities.items()}


def shelve(settings: Settings, out: Outputs) -> Logs:
    """Derived logs that hold these outputs, each once."""
    tenant = {e: read(SCHEMAS["lifecycle"], v)["tenant"] for e, v in out.lifecycle.items()}
    logs: Logs = {
        "envelope.lifecycle.v1": [Read("", e.encode(), b"\xc3\x01" + bytes(FRAME - 2) + v) for e, v in out.lifecycle.items()],
        "envelope.violation.v1": [
            derived("envelope.violation.v1", e.encode(), violation_id=v, kind=kind, envelope_id=e) for v, kind, e in out.violations
        ],
        "envelope.governance.v1": [
            derived("envelope.governance.v1", o["envelope_id"].encode(), obligation_id=name, **o) for name, o in out.obligations.items()
        ],
        "envelope.usage.v1": [
            derived("envelope.usage.v1", tenant[e].encode(), envelope_id=e, tenant=tenant[e], window_start=w, dimension=d, **as_bytes(q))
            for (e, d, w), q in out.usage.items()
        ],
        "envelope.usage.tenant.v1": [
            derived("envelope.usage.tenant.v1", total_key(t, w, d), tenant=t, window_start=w, dimension=d, **as_bytes(q))
            for (t, w, d), q in out.totals.items()
        ],
        "envelope.audit.v1": [],
        "envelope.deadletter.v1": [],
    }
    source = blank(SCHEMAS["audit"], "AuditSource")
    for (topic, partition), entries in out.audit.items():
        for e in entries:
            text = e["event"] if isinstance(e["event"], str) else json.dumps(e["event"], ensure_ascii=False)
            at = {**source, "topic": settings.prefix + topic, "partition": partition, "offset": e["offset"]}
            leaf = leaf_hash(at, e["number"], e["level"], text)
            logs["envelope.audit.v1"].append(
                derived("envelope.audit.v1", b"", source=at, number=e["number"], leaf_hash=leaf, level=e["level"], event=text)
            )
    for values in out.dead:
        words = map(str, (values[0], settings.prefix + values[1], *values[2:]))
        names = ("dl_processor", "dl_topic", "dl_partition", "dl_offset", "dl_reason")
        headers = [(n, w.encode()) for n, w in zip(names, words, strict=True)]
        logs["envelope.deadletter.v1"].append(Read("", None, b"?", list(headers)))
    return logs


def inputs(settings: Settings) -> Logs:
    logs: Logs = {}
    ends: Counter[tuple[str, int]] = Counter()
    for i, m in enumerate(islice(stream(5, PARTITIONS), MESSAGES)):
        where = partition_of(m.key, PARTITIONS) if m.partition is None else m.partition
        read = Read(m.topic, m.key, m.value, partition=where, timestamp=NOON + i, offset=ends[(m.topic, where)])
        logs.setdefault(m.topic, []).append(read)
        ends[(m.topic, where)] += 1
    return logs


@pytest.fixture(scope="module")
def right() -> Shelf:
    writers = Writers()
    for schema in OLDER_SCHEMAS.values():
        writers.by_fingerprint[fingerprint(schema)] = schema
    settings = Settings(PARTITIONS, "set.", writers=writers)
    shelf = Shelf(Programs(Path(), Path()), "", settings, Path())
    shelf.logs = inputs(settings)
    shelf.logs |= shelve(settings, final_outputs(settings, shelf.inputs()))
    return shelf


def count_with(right: Shelf, logs: Logs) -> Count:
    shelf = Shelf(right.programs, "", right.settings, right.directory)
    shelf.logs = {**right.logs, **logs}
    return verify(shelf, written(right))


def written(right: Shelf) -> Counter[tuple[str, int]]:
    return Counter((name, r.partition) for name in INPUTS for r in right.logs.get(name, ()))


def changed(topic: str, record: Read, **members: Any) -> Read:
    """With other values of these fields."""
    assert record.value is not None
    name = TOPICS[topic]["value"]
    value = read(SCHEMAS[name], body(record.value))
    return replace(record, value=framed(name, {**value, **members}))


def test_logs_as_they_should_be(right: Shelf) -> None:
    count = count_with(right, {})
    assert count.is_right, count.words[:5]
    assert count.events == MESSAGES < count.outputs


DERIVED = (
    "envelope.lifecycle.v1", "envelope.violation.v1", "envelope.governance.v1", "envelope.usage.v1",
    "envelope.usage.tenant.v1", "envelope.audit.v1", "envelope.deadletter.v1",
)  # fmt: skip


def test_every_derived_topic_has_something_to_lose(right: Shelf) -> None:
    assert set(DERIVED) == {n for n in TOPICS if n not in INPUTS and ".state." not in n} - {"envelope.audit.checkpoint.v1"}
    assert all(len(right.logs[topic]) > 3 for topic in DERIVED)


@pytest.mark.parametrize("topic", DERIVED)
@pytest.mark.parametrize("at", [0, -1])
def test_one_record_is_gone(right: Shelf, topic: str, at: int) -> None:
    records = list(right.logs[topic])
    del records[at]
    count = count_with(right, {topic: records})
    # Of a sum, the other entries may be left.
    assert count.lost == 1 or (topic == "envelope.usage.v1" and count.differing == 1)
    assert not count.duplicated and len(count.words) == 1


@pytest.mark.parametrize("topic", ["envelope.violation.v1", "envelope.governance.v1", "envelope.audit.v1", "envelope.deadletter.v1"])
def test_one_record_is_there_twice(right: Shelf, topic: str) -> None:
    records = right.logs[topic]
    count = count_with(right, {topic: [*records, records[1]]})
    assert count.duplicated == 1 and not count.lost


def test_an_entry_is_booked_twice(right: Shelf) -> None:
    records = right.logs["envelope.usage.v1"]
    count = count_with(right, {"envelope.usage.v1": [*records, records[1]]})
    assert count.differing == 1 and not count.lost


def test_a_total_is_taken_back(right: Shelf) -> None:
    records = right.logs["envelope.usage.tenant.v1"]
    count = count_with(right, {"envelope.usage.tenant.v1": [*records, replace(records[0], value=None)]})
    assert count.lost == 1 and not count.differing


def more(value: bytes | None) -> dict[str, bytes]:
    return as_bytes({"asked": int.from_bytes(value or b"\0", "big", signed=True) + 1})


CHANGES: dict[str, Callable[[dict], dict]] = {
    "envelope.lifecycle.v1": lambda v: {"status": "failed" if v["status"] != "failed" else "admitted"},
    "envelope.violation.v1": lambda v: {"kind": "producer_hole"},
    "envelope.governance.v1": lambda v: {"overdue": not v["overdue"]},
    "envelope.usage.v1": lambda v: more(v["asked"]),
    "envelope.usage.tenant.v1": lambda v: more(v["asked"]),
    "envelope.audit.v1": lambda v: {
        "number": v["number"] + 1,
        "leaf_hash": leaf_hash(v["source"], v["number"] + 1, v["level"], v["event"]),
    },
}


@pytest.mark.parametrize("topic", CHANGES)
def test_one_value_is_wrong(right: Shelf, topic: str) -> None:
    first, *others = right.logs[topic]
    value = read(SCHEMAS[TOPICS[topic]["value"]], body(first.value or b""))
    count = count_with(right, {topic: [changed(topic, first, **CHANGES[topic](value)), *others]})
    assert count.differing >= 1 and not count.duplicated


def test_a_refusal_has_the_wrong_reason(right: Shelf) -> None:
    first, *others = right.logs["envelope.deadletter.v1"]
    headers = [(n, b"oversize" if n == "dl_reason" else v) for n, v in first.headers]
    count = count_with(right, {"envelope.deadletter.v1": [replace(first, headers=headers), *others]})
    assert (count.lost, count.differing) == (1, 1)


def test_something_is_there_that_nobody_expects(right: Shelf) -> None:
    records = right.logs["envelope.lifecycle.v1"]
    count = count_with(right, {"envelope.lifecycle.v1": [*records, replace(records[0], key=b"stranger")]})
    assert count.differing == 1 and "not expected" in count.words[0]


def test_an_acknowledged_input_is_not_in_the_log(right: Shelf) -> None:
    name = "envelope.annotation.v1"
    acknowledged = written(right)
    acknowledged[(name, 0)] += 1
    count = verify(right, acknowledged)
    assert (count.unwritten, count.is_right) == (1, False)


def test_an_input_that_nothing_came_of(right: Shelf) -> None:
    """As when a partition's first record is passed over: in the log, and in no output."""
    name = "envelope.admission.v1"
    last = right.logs[name][-1]
    count = count_with(right, {name: [*right.logs[name], replace(last, offset=last.offset + 1)]})
    assert count.lost >= 1 and not count.is_right  # at least its audit entry
