# SPDX-License-Identifier: Apache-2.0
"""The same logs give the same final outputs, whatever happens on the way, and those the oracle says."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cache import HERE
from clients import Record as Written
from clients import produce
from kafka import Cluster
from oracle.avro import read as decode
from oracle.contract import SCHEMAS, TOPICS, Record, Writers, fingerprint, open_event
from oracle.generate import OLDER_SCHEMAS, POLICIES, Message, traffic
from oracle.outputs import Outputs, Settings, final_outputs
from pipeline import PROCESSORS, Pipeline, contrast, differences, raw_line
from process import wait_until
from programs import Programs

ENVELOPES = 1000
PARTITIONS = 4
SEED = int(os.environ.get("ENVELOPE_TEST_SEED", "20260508"))
MS = 1000
SMALL_FETCHES = ["-X", "max.partition.fetch.bytes=1000", "-X", "queued.min.messages=1"]
ADMISSION = "envelope.admission.v1"
PRODUCER = "envelope.producer.v1"



def settings(prefix: str) -> Settings:
    writers = Writers()
    for schema in OLDER_SCHEMAS.values():
        writers.by_fingerprint[fingerprint(schema)] = schema
    return Settings(
        PARTITIONS, prefix, grace=300 * MS, orphan_grace=1000 * MS, policy_margin=400 * MS, writers=writers
    )  # fmt: skip


@dataclass
class Day:
    """What was produced, what lies in the logs, and what the oracle makes of it."""

    pipeline: Pipeline
    messages: list[Message]
    admissions: list[Record]  # as they lay before any processor ran
    records: list[Record]
    expected: Outputs
    lifecycle: dict[str, bytes]  # of the first run


def write(pipeline: Pipeline, messages: list[Message]) -> None:
    """Reports last: what they settle is in the logs before them."""
    prefix = pipeline.settings.prefix
    for reports in (False, True):
        some = [m for m in messages if (m.topic == PRODUCER) == reports]
        records = (
            Written(prefix + m.topic, m.key, m.value, m.headers, -1 if m.partition is None else m.partition) for m in some
        )
        produce(pipeline.bootstrap, records)


def pass_time(ms: int) -> None:
    """Until the broker's clock, which is ours, has moved on."""
    until = time.time() + ms / 1000
    wait_until(lambda: time.time() >= until, 10 + ms / 1000, "time to pass")


def write_day(pipeline: Pipeline, messages: list[Message], directory: Path) -> None:
    """In three parts with two policies between them, ticks in the midst and after every grace."""
    third = len(messages) // 3
    write(pipeline, messages[:third])
    for policy, part in zip(POLICIES, (messages[third : 2 * third], messages[2 * third :]), strict=True):
        file = directory / "policy.json"
        file.write_text(json.dumps({k: v for k, v in policy.items() if v is not None}))
        pipeline.ctl("policy", "apply", file, "--policy-margin", "400ms")
        quarter, half = len(part) // 4, len(part) // 2
        write(pipeline, part[:quarter])  # within the margin, unless the machine is slow
        pipeline.tick()
        write(pipeline, part[quarter:half])
        pass_time(600)
        pipeline.tick()
        write(pipeline, part[half:])
    for _ in range(4):
        pass_time(700)
        pipeline.tick()


def make_pipeline(programs: Programs, kafka: Cluster, directory: Path, name: str) -> Pipeline:
    schemas = directory / "schemas"
    schemas.mkdir(parents=True)
    for phase, schema in OLDER_SCHEMAS.items():
        (schemas / f"{phase}.avsc").write_text(json.dumps(copy.deepcopy(schema)))
    prefix = f"{name}-{uuid.uuid4().hex[:8]}."
    pipeline = Pipeline(programs, kafka.bootstrap, settings(prefix), directory, ["--schema-dir", schemas])
    pipeline.ctl("topics", "apply", "--partitions", str(PARTITIONS))
    return pipeline


def records_of(pipeline: Pipeline, name: str) -> list[Record]:
    found = pipeline.read(name)
    return [Record(name, r.partition, r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in found]


def assert_same(found: Outputs, expected: Outputs) -> None:
    wrong = differences(found, expected)
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:6])


@pytest.fixture(scope="module")
def module_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    folder = Path(os.environ.get("ENVELOPE_BIN") or HERE.parents[1] / "build" / "bin").absolute()
    running = Programs(folder, tmp_path_factory.mktemp("programs"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def day(module_programs: Programs, kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Day:
    directory = tmp_path_factory.mktemp("day")
    pipeline = make_pipeline(module_programs, kafka, directory, "day")
    messages = traffic(SEED, ENVELOPES, PARTITIONS, pipeline.settings.prefix)
    write_day(pipeline, messages, directory)
    admissions = records_of(pipeline, ADMISSION)
    pipeline.drain("first")
    records = pipeline.inputs()
    expected = final_outputs(pipeline.settings, records)
    found = pipeline.outputs()
    assert_same(found, expected)
    return Day(pipeline, messages, admissions, records, expected, found.lifecycle)


def test_the_oracle_agrees(day: Day) -> None:
    """The fixture has compared; here, that the day had something of everything."""
    lifecycles = [decode(SCHEMAS["lifecycle"], value) for value in day.lifecycle.values()]
    assert len(lifecycles) >= ENVELOPES
    assert {x["status"] for x in lifecycles} == {"orphaned", "admitted", "resolved", "finalized", "failed", "released"}
    assert {x["outcome"] for x in lifecycles} >= {
        "denied", "unhealthy", "incomplete", "rebound", "narrowed", "widened", "as_requested", "unstated", "pending",
    }  # fmt: skip
    assert {kind for _, kind, _ in day.expected.violations} == {
        "admission_conflict", "event_id_conflict", "tenant_mismatch", "orphan", "deadline_missed", "too_many_events",
        "producer_hole",
    }  # fmt: skip
    assert {value[-1] for value, _ in day.expected.holes.values()} == {"undeclared", "refused", "torn", "disk_full"}
    assert {x["policy_version"] for x in day.expected.obligations.values()} == {0, 1, 2}
    assert {x["state"] for x in day.expected.obligations.values()} == {"due", "applied", "failed", "waived"}
    assert {x["overdue"] for x in day.expected.obligations.values()} == {True, False}
    assert {e["level"] for log in day.expected.audit.values() for e in log} == {"minimal", "standard", "full"}
    assert {q for sums in day.expected.usage.values() for q in sums} == {"asked", "granted", "billed"}
    assert len({reason for *_, reason in day.expected.dead}) == 16


def test_admissions_are_untouched(day: Day) -> None:
    """Byte for byte what they were, and what lifecycle records carry of them."""
    assert records_of(day.pipeline, ADMISSION) == day.admissions
    first: dict[str, Record] = {}
    for record in day.admissions:
        if record.key is not None and (ADMISSION, record.partition, record.offset) not in {d[1:4] for d in day.expected.dead}:
            first.setdefault(record.key.decode(), record)
    joined = 0
    for envelope_id, value in day.lifecycle.items():
        lifecycle = decode(SCHEMAS["lifecycle"], value)
        if lifecycle["admission"] is None:
            assert envelope_id not in first
            continue
        event = open_event(day.pipeline.settings.writers, first[envelope_id], PARTITIONS)
        assert lifecycle["admission_sha256"] == hashlib.sha256(event.avro).digest()
        assert event.spliced in value
        joined += event.avro == event.spliced
    assert joined > ENVELOPES / 2


@pytest.mark.parametrize(
    "more",
    [
        SMALL_FETCHES,
        ["-X", "fetch.wait.max.ms=1", "--commit-interval", "1ms"],
    ],
    ids=["small-fetches", "small-transactions"],
)
def test_reading_otherwise(day: Day, more: list[str]) -> None:
    day.pipeline.reset()
    day.pipeline.drain("otherwise-" + uuid.uuid4().hex[:6], *more)
    found = day.pipeline.outputs()
    assert_same(found, day.expected)
    assert found.lifecycle == day.lifecycle


def test_killed_and_restarted(day: Day) -> None:
    """Also with its state thrown away, with two instances, and with partitions moving between them."""
    day.pipeline.reset()
    hits = day.pipeline.drain_disturbed("disturbed", SEED, 9, *SMALL_FETCHES)
    found = day.pipeline.outputs()
    assert_same(found, day.expected)
    assert found.lifecycle == day.lifecycle
    assert hits >= 6, "most blows must hit a program at work"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_another_group_does_not_derive_twice(day: Day, processor: str) -> None:
    before = day.pipeline.outputs()
    result = day.pipeline.start(processor, f"another-{processor}", "one", "--drain").wait(60)
    assert result.status == 1
    assert "was derived by another group" in result.logs[-1]["message"], result.logs[-1]
    assert day.pipeline.outputs() == before


def test_on_the_embedded_log(day: Day, programs: Programs, tmp_path: Path) -> None:
    """Loaded with the same records at their offsets and append times."""
    s = day.pipeline.settings
    out = tmp_path / "out"
    loaded = b"".join(raw_line(r, s.prefix) for r in day.records)
    programs.run(
        "envelope-local", "--load", "--out", out, "--partitions", str(PARTITIONS), "--topic-prefix", s.prefix,
        *day.pipeline.writers, "--policy-margin", f"{s.policy_margin // MS}ms", "--grace", f"{s.grace // MS}ms",
        "--orphan-grace", f"{s.orphan_grace // MS}ms", stdin=loaded, deadline_s=120,
    )  # fmt: skip
    printed = printed_outputs(out)
    mine = {name: b"".join(day.pipeline.programs.run("envelopectl", "cat", name, *day.pipeline.common).stdout.splitlines(True))
            for name in printed}  # fmt: skip
    for name, lines in printed.items():
        assert final_lines(name, lines, s.prefix) == final_lines(name, mine[name].splitlines(), s.prefix), name


def printed_outputs(directory: Path) -> dict[str, list[bytes]]:
    found = {}
    for name, topic in TOPICS.items():
        if not topic["append_time"] and topic["value"] not in ("audit_checkpoint", "join_state", "governance_state", "accounting_state"):
            files = [f for f in directory.iterdir() if f.name.endswith(f"{name}.jsonl")]
            assert len(files) == 1, (name, sorted(directory.iterdir()))
            found[name] = files[0].read_bytes().splitlines()
    return found


def final_lines(name: str, lines: list[bytes], prefix: str) -> object:
    """Final outputs of one topic as the design defines them, out of printed lines."""
    records = [json.loads(line) for line in lines]
    value = TOPICS[name]["value"]
    if TOPICS[name]["cleanup"] == "compact":
        last = {r["key"]: r["value"] for r in records}
        return {k: v for k, v in last.items() if v is not None}
    if value == "violation":
        return {r["value"]["violation_id"] for r in records}
    if value == "governance":
        return {r["value"]["obligation_id"]: r["value"] for r in records}
    if value == "usage":
        sums: dict[tuple, int] = {}
        for r in records:
            v = r["value"]
            for q in ("asked", "granted", "billed"):
                key = (v["envelope_id"], v["dimension"], v["window_start"], q)
                sums[key] = sums.get(key, 0) + int(v.get(q, "0"))
        return {k: v for k, v in sums.items() if v}
    if value == "audit":
        logs: dict[tuple, list] = {}
        for r in records:
            logs.setdefault((r["value"]["source"]["topic"], r["value"]["source"]["partition"]), []).append(r["value"])
        return logs
    headers = [dict((n, v) for n, v in r["headers"]) for r in records]
    return {tuple(h[f"dl_{n}"] for n in ("processor", "topic", "partition", "offset", "reason")) for h in headers}


# ---- The production order permuted, and events produced twice.

TIMELY = {"orphan", "deadline_missed"}  # depend on append times
UNSTABLE = {"admission_conflict", "event_id_conflict", "too_many_events"}  # on the lower offset


FAR = (time.time() - 6 * 24 * 3600) * 1_000_000


def comparable(outputs: Outputs) -> dict[str, dict]:
    """What does not depend on coordinates and append times, of envelopes without conflicts."""
    kinds: dict[str, set[str]] = {}
    for _, kind, envelope_id in outputs.violations:
        kinds.setdefault(envelope_id, set()).add(kind)
    out = {}
    for envelope_id, value in outputs.lifecycle.items():
        if kinds.get(envelope_id, set()) & UNSTABLE:
            continue
        v = decode(SCHEMAS["lifecycle"], value)
        v["evidence"] = [(e["phase"], e["event_id"]) for e in v["evidence"] if e["phase"] != "admission"]
        if v["admission"] is not None:  # of two that say the same the lower offset stands
            v["admission"] |= {"event_id": None, "source": None}
            v["admission_sha256"] = None
        v["violations"] = [x["kind"] for x in v["violations"] if x["kind"] not in TIMELY]
        v["deadline"] = None
        settled = v["outcome"] not in ("pending", "incomplete")
        v["outcome"] = v["outcome"] if settled or v["admission"] is None else None
        believed = all(e["occurred_at"] > FAR for e in (*v["grants"], *v["released"]))
        if v["released"] and believed:  # an event ends metering, not the deadline
            v["usage"] = {k[1:]: s for k, s in outputs.usage.items() if k[0] == envelope_id}
        out[envelope_id] = v
    return out


def test_permuted_production(day: Day, module_programs: Programs, kafka: Cluster, tmp_path: Path) -> None:
    pipeline = make_pipeline(module_programs, kafka, tmp_path, "permuted")
    events = [m for m in day.messages if m.topic != PRODUCER]  # a report before its records would be a lie
    order = sorted(range(len(events)), key=lambda i: hashlib.sha256(f"{SEED} {i}".encode()).digest())
    permuted = [events[i] for i in order]
    again = [m for i, m in enumerate(permuted) if i % 7 == 0 and m.topic != ADMISSION]
    write_day(pipeline, permuted + again, tmp_path)
    running = [pipeline.start(p, f"live-{p}", "one") for p in PROCESSORS]  # and these write ticks
    for program in running:
        program.wait_log(lambda line: line["message"] == "partitions run", "its partitions")
    pass_time(1500)
    for program in running:
        assert program.terminate().status == 0
    pipeline.tick()
    drained = [pipeline.start(p, f"live-{p}", "one", "--drain") for p in PROCESSORS]
    for program in drained:
        assert program.wait(120).status == 0
    found = pipeline.outputs()
    assert_same(found, final_outputs(pipeline.settings, pipeline.inputs()))
    mine, theirs = comparable(day.expected), comparable(found)
    assert len(mine) > ENVELOPES * 3 / 4
    wrong = [f"{k}: {contrast(theirs.get(k), mine.get(k))}" for k in {**mine, **theirs} if theirs.get(k) != mine.get(k)]
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:6])
