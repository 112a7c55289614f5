# SPDX-License-Identifier: Apache-2.0
"""The oracle itself: small cases worked out by hand, and that it does not look at the order."""

from __future__ import annotations

import io
import random

import fastavro
import pytest

from oracle import accounting, join, numbers
from oracle.avro import Refused, write
from oracle.contract import PARSED, SCHEMAS, Event, Record, Writers, fingerprint, murmur2, open_event, partition_of
from oracle.generate import OLDER_SCHEMAS, Generator, Message, traffic
from oracle.outputs import HOUR, Settings, Tick, final_outputs

PARTITIONS = 4
DAY = 1_790_000_000_000 - 1_790_000_000_000 % 3_600_000  # milliseconds, on the hour


def settings() -> Settings:
    writers = Writers()
    for schema in OLDER_SCHEMAS.values():
        writers.by_fingerprint[fingerprint(schema)] = schema
    return Settings(PARTITIONS, writers=writers)


def placed(messages: list[Message]) -> list[Record]:
    ends: dict[tuple[str, int], int] = {}
    out = []
    for i, m in enumerate(messages):
        partition = partition_of(m.key or b"", PARTITIONS) if m.partition is None else m.partition
        offset = ends.get((m.topic, partition), 0)
        ends[(m.topic, partition)] = offset + 1
        out.append(Record(m.topic, partition, offset, DAY + i, m.key, m.value, m.headers))
    return out


@pytest.mark.parametrize(("text", "hash"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)])
def test_murmur2(text: bytes, hash: int) -> None:
    """Values of Kafka's own UtilsTest."""
    assert murmur2(text) == hash & 0xFFFFFFFF


def test_each_malformed_message_has_its_reason() -> None:
    for reason, message in Generator(7, PARTITIONS).malformed():
        (record,) = placed([message])
        with pytest.raises(Refused) as refused:
            open_event(settings().writers, record, PARTITIONS)
        assert refused.value.reason == reason


def test_order_of_arrival_is_not_looked_at() -> None:
    records = placed(traffic(3, 60, PARTITIONS))
    first = final_outputs(settings(), records)
    for seed in range(3):
        random.Random(seed).shuffle(records)
        assert final_outputs(settings(), records) == first
    for value in first.lifecycle.values():
        lifecycle = fastavro.schemaless_reader(io.BytesIO(value), PARSED["lifecycle"])
        assert write(SCHEMAS["lifecycle"], SCHEMAS["lifecycle"].root, lifecycle_plain(lifecycle)) == value


def lifecycle_plain(value: object) -> object:
    """fastavro gives times as datetimes; ours are microseconds."""
    if isinstance(value, dict):
        return {k: lifecycle_plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [lifecycle_plain(v) for v in value]
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1_000_000)
    return value


# ---- A whole GPU is asked for, half of one is granted and used for an hour and a half.


def event(phase: str, at: int, offset: int = 0, appended: int | None = None, **members: object) -> Event:
    generator = Generator(1, PARTITIONS)
    envelope = {"id": "e", "tenant": "t", "kind": "deployment", "at": at}
    made = generator.admission(envelope) if phase == "admission" else getattr(generator, phase)(envelope, at)
    value = {**made, "occurred_at": at, "event_id": f"{phase}-{offset}", **members}
    data = write(SCHEMAS[phase], SCHEMAS[phase].root, value)
    record = Record(f"envelope.{phase}.v1", 0, offset, (appended if appended is not None else at) // 1000, b"e", b"")
    return Event(record, phase, value, data, data)


def resources(**stated: object) -> dict:
    empty = {name: None for name in (f["name"] for f in SCHEMAS["resolved"].named["Resources"]["fields"])}
    return {**empty, "placement": {}, "amounts": {}, **stated}


def half_a_gpu() -> list[Event]:
    start = DAY * 1000 + HOUR // 2
    return [
        event("admission", start, requested=resources(gpu_count=1, amounts={"tokens": 7})),
        event("resolved", start, granted=resources(gpu_count=1, gpu_share_milli=500)),
        event("released", start + 3 * HOUR // 2, measured={"tokens": 5}),
    ]


def test_drift_and_outcome() -> None:
    joined = join.Envelope(settings(), "e", half_a_gpu(), [])
    lines = join.drift(half_a_gpu()[0].value["requested"], half_a_gpu()[1].value["granted"])
    assert lines == [
        {"dimension": "gpu", "requested": "1000", "granted": "500", "change": "narrowed"},
        {"dimension": "amounts.tokens", "requested": "7", "granted": None, "change": "unstated"},
    ]
    assert joined.outcome(lines, True, None) == "narrowed"
    assert joined.violations == set()


def test_metering_over_hours() -> None:
    day = DAY * 1000
    assert accounting.booked(settings(), half_a_gpu(), None) == {
        ("gpu", day): {"asked": 1000 * HOUR // 2, "granted": 500 * HOUR // 2},
        ("gpu", day + HOUR): {"asked": 1000 * HOUR, "granted": 500 * HOUR},
        ("amounts.tokens", day): {"asked": 7},
        ("amounts.tokens", day + 2 * HOUR): {"billed": 5},
    }
    running = half_a_gpu()[:2]
    assert accounting.booked(settings(), running, None) == {}
    assert accounting.booked(settings(), running, day + HOUR)[("gpu", day)] == {"asked": 1000 * HOUR // 2, "granted": 500 * HOUR // 2}


def test_denied_asks_once() -> None:
    at = DAY * 1000
    denied = [event("admission", at, requested=resources(cpu_millis=2)), event("failed", at + 10)]
    assert accounting.booked(settings(), denied, None) == {("cpu_millis", at): {"asked": 20}}


def test_ticks_judge_what_lies_below_them() -> None:
    at = DAY * 1000
    s = settings()
    admission = event("admission", at, requested=resources(timeout_ms=1000))
    finalized = event("finalized", at, appended=at + 500)
    due = at + 1_000_000 + s.grace
    topics = {"envelope.admission.v1": 1, "envelope.finalized.v1": 1}
    kinds = lambda events, *ticks: {v.kind for v in join.Envelope(s, "e", events, list(ticks)).violations}  # noqa: E731
    assert kinds([admission], Tick(due, topics)) == {"deadline_missed"}
    assert kinds([admission], Tick(due - 1, topics)) == set()
    assert kinds([admission, finalized], Tick(due, topics)) == set()
    assert kinds([admission, finalized], Tick(due, {"envelope.admission.v1": 1})) == {"deadline_missed"}
    orphan_due = at + 500 + s.orphan_grace
    assert kinds([finalized], Tick(orphan_due, topics)) == {"orphan"}
    assert kinds([finalized, admission], Tick(orphan_due, {"envelope.finalized.v1": 1})) == {"orphan"}


# ---- Numbers: the grace is 5 s.


EPOCH = DAY // 1000


def test_numbers_are_read_from_the_right() -> None:
    assert numbers.number(b"urn:a:b:17:3") == ("urn:a:b", 17, 3)
    for wrong in (None, b"", b"p:1", b":1:2", b"p:1:02", b"p:-1:2", b"p:1:", b"p:1:9223372036854775807", b"\xff:1:2"):
        assert numbers.number(wrong) is None, wrong


def numbered(offset: int, at: int, seq: int | None = None, was: int | None = None) -> Record:
    headers = [(name, f"p:{EPOCH}:{n}".encode()) for name, n in (("seq", seq), ("was", was)) if n is not None]
    return Record("envelope.failed.v1", 0, offset, DAY + at, b"e", b"", headers)


def report(offset: int, at: int, settled: int, *holes: tuple[int, int, str]) -> tuple[Record, dict]:
    place = {"topic": "envelope.failed.v1", "partition": 0}
    value = {
        "producer": "p",
        "epoch": EPOCH,
        "sequences": [{**place, "number": settled}],
        "holes": [{**place, "first": first, "last": last, "reason": reason} for first, last, reason in holes],
    }
    return Record("envelope.producer.v1", 0, offset, DAY + at, None, b""), value


def found(records: list[Record], reports: list[tuple[Record, dict]], clock: int) -> list[tuple]:
    ticks = {0: [Tick((DAY + clock) * 1000, {})]}
    return [hole.value[3:] for hole in numbers.holes(settings(), records, reports, ticks)]


def test_a_higher_number_shows_lower_ones() -> None:
    records = [numbered(0, 0, 0), numbered(1, 1000, 4), numbered(2, 5999, 2), numbered(3, 6000, 3)]
    assert found(records, [], 10_999) == []
    assert found(records, [], 11_000) == [(1, 1, "undeclared"), (3, 3, "undeclared")]


def test_was_shows_nothing() -> None:
    assert found([numbered(0, 0, None, 4), numbered(1, 0, 0)], [], 60_000) == []


def test_reports_show_and_declare() -> None:
    records = [numbered(0, 0, 0)]
    said = [report(0, 1000, 6, (2, 3, "torn"), (5, 5, "sent_again")), report(1, 1000, 6, (3, 4, "refused"))]
    assert found(records, said, 11_000) == [(1, 1, "undeclared"), (2, 3, "torn"), (4, 4, "refused"), (6, 6, "undeclared")]
    assert found(records, [said[0], report(1, 6000, 6, (4, 4, "late"))], 11_000)[-2:] == [(4, 4, "undeclared"), (6, 6, "undeclared")]
