# SPDX-License-Identifier: Apache-2.0
"""The processors as processes: what they tell of themselves, how they are configured, how they end."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from cache import HERE
from clients import Record, admin, end_offsets, group_offsets, java_partition, produce
from kafka import Cluster
from oracle.avro import read as decode
from oracle.contract import SCHEMAS
from pipeline import body
from process import wait_until
from programs import Log, Program, Programs, Result
from stub_registry import Fault, StubRegistry

ROOT = HERE.parents[1]
PROCESSORS = ("join", "governance", "accounting")
PARTITIONS = 3
INSTANCE = "one"  # a static member: one with another name would wait until this one's session ends
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
INPUTS = {
    "join": (*PHASES, "producer", "tick"),
    "governance": (*PHASES, "obligation", "tick"),
    "accounting": (*PHASES, "usage", "tick"),
}
OUTPUTS = {
    "join": ("lifecycle", "violation", "join.state"),
    "governance": ("governance", "audit", "governance.state"),
    "accounting": ("usage", "usage.tenant", "accounting.state"),
}
SERVES = "serves /metrics, /healthz and /readyz"
RUN = "partitions run"
STOPS = "stops: finishes its batch"
DONE = "done: everything is committed"
# What a processor shows, and no more: dashboards and alerts are written against these names.
METRICS = {
    "envelope_events_total": ("counter", {"topic"}),
    "envelope_outputs_total": ("counter", {"topic"}),
    "envelope_dead_letters_total": ("counter", {"reason"}),
    "envelope_transactions_total": ("counter", {"result"}),
    "envelope_rebalances_total": ("counter", set()),
    "envelope_ticks_applied_total": ("counter", set()),
    "envelope_checkpoints_total": ("counter", set()),
    "envelope_checkpoints_failed_total": ("counter", set()),
    "envelope_restored_records_total": ("counter", set()),
    "envelope_waits_total": ("counter", {"for"}),
    "envelope_state_keys": ("gauge", set()),
    "envelope_state_memory_bytes": ("gauge", set()),
    "envelope_state_disk_bytes": ("gauge", set()),
    "envelope_partition_running": ("gauge", {"partition"}),
    "envelope_consumer_lag_records": ("gauge", {"partition"}),
    "envelope_clock_seconds": ("gauge", {"partition"}),
    "envelope_tick_lag_seconds": ("gauge", {"partition"}),
    "envelope_process_memory_bytes": ("gauge", {"kind"}),
}
REASONS = {
    "truncated", "oversized", "trailing_bytes", "invalid_utf8", "non_minimal_varint", "bad_enum", "bad_boolean",
    "duplicate_key", "too_deep", "unknown_framing", "unknown_schema_id", "unknown_fingerprint", "wrong_schema",
    "key_mismatch", "wrong_partition", "extension_not_namespaced", "tenant_missing", "missing_field",
}  # fmt: skip


# ---- Events.


def event(phase: str, envelope_id: str, **members: Any) -> dict[str, Any]:
    always: dict[str, dict[str, Any]] = {
        "admission": {
            "caller": {"requester_urn": "urn:u", "request_id": "r", "initiator": "human"},
            "execution": {"kind": "inference", "service": "s", "operation": "o", "target": "t"},
            "governance": {"hints": {"review": "yes"}},
            "requested": {"gpu_count": 2, "cpu_millis": 500},
        },
        "resolved": {"granted": {"gpu_count": 1}, "resolution": {"backend": "b", "actor": "a"}},
        "finalized": {"runtime_id": "rt"},
        "failed": {"stage": "resolve", "reason": "full"},
        "released": {"reason": "done"},
        "annotation": {"annotations": {"com.example/note": '"x"'}},
    }
    return {"phase": phase, "envelope_id": envelope_id, "tenant": "acme", **always[phase], **members}


def lives(name: str, count: int) -> list[dict[str, Any]]:
    """So many envelopes: all admitted, two thirds resolved, each third of those ended in another way."""
    out = []
    for i in range(count):
        phases = ["admission"]
        if i % 3:
            phases += ["resolved", ("finalized", "failed", "released")[i // 3 % 3]]
        if i % 5 == 0:
            phases.append("annotation")
        out += [event(phase, f"{name}-{i}") for phase in phases]
    return out


def as_lines(events: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(e) + "\n" for e in events).encode()


class Eyes:
    """Reads what is committed, many topics at a time, over connections that stay: tests look often."""

    def __init__(self, bootstrap: str) -> None:
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": "reader-without-a-group",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
        self._consumer = Consumer({**settings, "isolation.level": "read_committed"})
        self._uncommitted = Consumer({**settings, "isolation.level": "read_uncommitted"})

    def __enter__(self) -> Eyes:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
        self._uncommitted.close()

    def is_closed(self, *topics: str) -> bool:
        """Whether no transaction is open in any of them."""
        known = self._consumer.list_topics(timeout=10).topics
        parts = [TopicPartition(t, p) for t in topics for p in known[t].partitions]
        ends = ([c.get_watermark_offsets(tp, timeout=10)[1] for tp in parts] for c in (self._consumer, self._uncommitted))
        return next(ends) == next(ends)

    def read(self, *topics: str) -> dict[str, list[Message]]:
        """All of the topics up to their last stable offsets, by partition and offset."""
        known = self._consumer.list_topics(timeout=10).topics
        parts = [TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in known[t].partitions]
        ends = {(tp.topic, tp.partition): self._consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in parts}
        unfinished = {of for of, end in ends.items() if end > 0}
        found: dict[str, list[Message]] = {t: [] for t in topics}

        def read_on() -> bool:
            for message in self._consumer.consume(1000, 0.02):
                of = message.topic(), message.partition()
                if (error := message.error()) is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if message.offset() >= ends[of]:
                    unfinished.discard(of)
                elif error is None:
                    found[message.topic()].append(message)
            return not unfinished

        self._consumer.assign([tp for tp in parts if (tp.topic, tp.partition) in unfinished])
        wait_until(lambda: not unfinished or read_on(), 20, f"{topics} to be read to {ends}", 0)
        self._consumer.unassign()
        return {t: sorted(records, key=lambda m: (m.partition(), m.offset())) for t, records in found.items()}


class Topics:
    """One set of topics and what runs over it."""

    def __init__(self, programs: Programs, bootstrap: str, prefix: str, directory: Path, eyes: Eyes) -> None:
        self.programs = programs
        self.eyes = eyes
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.directory = directory
        self.options = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
        programs.run("envelopectl", "topics", "apply", "--partitions", str(PARTITIONS), *self.options)

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def group(self, processor: str) -> str:
        return f"{self.prefix}{processor}"

    def state(self, processor: str) -> Path:
        return self.directory / f"{processor}-state"

    def stored_at(self, processor: str) -> int:
        """When its store was last written, in nanoseconds."""
        return (self.state(processor) / "store" / "data.mdb").stat().st_mtime_ns

    def emit(self, events: list[dict[str, Any]]) -> None:
        self.programs.run("envelope-emit", *self.options, stdin=as_lines(events))

    def arguments(self, processor: str) -> list[str | Path]:
        return [*self.options, "--group", self.group(processor), "--instance", INSTANCE, "--state-dir", self.state(processor)]

    def start(self, processor: str, *more: str | Path, env: Mapping[str, str] | None = None) -> Program:
        return self.programs.start(f"envelope-{processor}", *self.arguments(processor), *more, env=env)

    def drain(self, processor: str, *more: str | Path) -> Result:
        return self.programs.run(f"envelope-{processor}", *self.arguments(processor), "--drain", *more)

    def read(self, *names: str) -> dict[str, list[Message]]:
        found = self.eyes.read(*map(self.topic, names))
        return {name: found[self.topic(name)] for name in names}

    def count(self, *names: str) -> dict[str, int]:
        return {name: len(records) for name, records in self.read(*names).items()}


@pytest.fixture(scope="module")
def eyes(kafka: Cluster) -> Iterator[Eyes]:
    with Eyes(kafka.bootstrap) as looking:
        yield looking


@pytest.fixture
def topics(kafka: Cluster, eyes: Eyes, programs: Programs, prefix: str, tmp_path: Path) -> Topics:
    return Topics(programs, kafka.bootstrap, prefix, tmp_path, eyes)


def value_of(record: str, message: Message) -> dict[str, Any]:
    """By the oracle's decoder, which shares no code with the programs."""
    found: dict[str, Any] = decode(SCHEMAS[record], body(message.value()))
    return found


def dead_letters(messages: list[Message], processor: str) -> Counter[str]:
    """Those of one processor, by reason."""
    heads = [{name: value.decode() for name, value in m.headers()} for m in messages]
    return Counter(head["dl_reason"] for head in heads if head["dl_processor"] == processor)


def says(message: str) -> Any:
    return lambda log: log["message"] == message


def line_of(logs: list[Log], message: str) -> Log:
    (found,) = filter(says(message), logs)
    return found


# ---- HTTP.


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(port: int, path: str, method: str = "GET", content: bytes | None = None, host: str = "127.0.0.1") -> Answer:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, content)
        response = connection.getresponse()
        return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def port_of(program: Program) -> int:
    port: int = program.wait_log(says(SERVES), "its port")["port"]
    return port


def stepped(port: int, processor: str) -> int:
    """How many admissions."""
    return int(metrics_of(port, processor).value("events_total", topic="envelope.admission.v1"))


def is_ready(port: int) -> bool:
    return ask(port, "/readyz").status == 200


@dataclass
class Metrics:
    """One answer of /metrics, parsed and found well formed."""

    text: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        return self.samples["envelope_" + name, frozenset({k.rstrip("_"): v for k, v in labels.items()}.items())]

    def by(self, name: str, label: str) -> dict[str, float]:
        """The series of a family that are not 0, by one label."""
        found = {dict(labels)[label]: v for (n, labels), v in self.samples.items() if n == "envelope_" + name}
        return {k: v for k, v in found.items() if v}


def parse_metrics(text: str, processor: str) -> Metrics:
    """Stricter than the parser, which takes what has no type or help, comes twice, or lacks its _total."""
    assert text.endswith("\n") and "\r" not in text and "\n\n" not in text
    out = Metrics(text)
    heads = [line.split(" ", 3) for line in text.splitlines() if line.startswith("#")]
    assert [head[1] for head in heads] == ["HELP", "TYPE"] * (len(heads) // 2)
    assert Counter(head[2] for head in heads) == Counter({head[2]: 2 for head in heads}), "one head a family"
    for family in text_string_to_metric_families(text):
        name = family.name + "_total" if family.type == "counter" else family.name
        assert family.documentation.strip().endswith("."), name
        out.types[name] = family.type
        for sample in family.samples:
            assert sample.name == name, f"{sample.name} among those of {name}"
            assert sample.timestamp is None
            labels = dict(sample.labels)
            assert labels.pop("processor") == processor
            key = (sample.name, frozenset(labels.items()))
            assert key not in out.samples, f"{key} is there twice"
            out.samples[key] = sample.value
    assert {head[2] for head in heads} == set(out.types)
    assert len([line for line in text.splitlines() if not line.startswith("#")]) == len(out.samples)
    return out


def metrics_of(port: int, processor: str) -> Metrics:
    answer = ask(port, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse_metrics(answer.body.decode(), processor)


# ---- Three that run, over topics with a past.


FIRST, SECOND = 30, 45
# Each made of one good admission: reason -> how many
BAD = {
    "truncated": 2,
    "trailing_bytes": 1,
    "key_mismatch": 3,
    "wrong_partition": 1,
    "unknown_fingerprint": 4,
    "unknown_framing": 2,
}


@dataclass
class Scene:
    topics: Topics
    running: dict[str, Program]
    ports: dict[str, int]
    before: dict[str, int]  # records in each derived topic when they started
    events: list[dict[str, Any]]  # produced while they run, the bad ones left out


def spoil(topics: Topics) -> None:
    good = topics.read("admission")["admission"][0]
    key, value, home = good.key(), good.value(), good.partition()
    forms = {
        "truncated": (key, value[:-3], home),
        "trailing_bytes": (key, value + b"\0", home),
        "key_mismatch": (b"another", value, java_partition(b"another", PARTITIONS)),
        "wrong_partition": (key, value, (home + 1) % PARTITIONS),
        "unknown_fingerprint": (key, value[:2] + b"\x01" * 8 + value[10:], home),
        "unknown_framing": (key, b"\x7f" + value[1:], home),
    }
    bad = [forms[reason] for reason, times in BAD.items() for _ in range(times)]
    produce(topics.bootstrap, [Record(topics.topic("admission"), k, v, partition=p) for k, v, p in bad])


@pytest.fixture(scope="module")
def scene(kafka: Cluster, eyes: Eyes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Drained once, then all three live; what follows only looks at them."""
    folder = Path(os.environ.get("ENVELOPE_BIN") or ROOT / "build" / "bin").absolute()
    directory = tmp_path_factory.mktemp("processors")
    programs = Programs(folder, directory / "programs")
    try:
        topics = Topics(programs, kafka.bootstrap, f"scene-{uuid.uuid4().hex[:8]}.", directory, eyes)
        topics.emit(lives("first", FIRST))
        for drained in [topics.start(p, "--drain") for p in PROCESSORS]:
            assert drained.wait(60).status == 0
        before = topics.count(*{name for p in PROCESSORS for name in OUTPUTS[p]})
        more = ("--http", "127.0.0.1:0", "--policy-margin", "300ms")
        running = {p: topics.start(p, *more) for p in PROCESSORS}
        for program in running.values():
            program.wait_log(says(RUN), "its partitions")
        events = lives("second", SECOND)
        topics.emit(events)
        spoil(topics)
        yield Scene(topics, running, {p: port_of(program) for p, program in running.items()}, before, events)
    finally:
        programs.close()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_metrics_are_well_formed(scene: Scene, processor: str) -> None:
    metrics = metrics_of(scene.ports[processor], processor)
    assert metrics.types == {name: kind for name, (kind, _) in METRICS.items()}
    for name, labels in metrics.samples:
        assert {label for label, _ in labels} == METRICS[name][1], name
    # All series of a counter are there before the first is counted.
    catalogue = json.loads((ROOT / "schemas" / "topics.json").read_text())
    assert {dict(ls)["topic"] for n, ls in metrics.samples if n == "envelope_events_total"} == {t["name"] for t in catalogue}
    assert {dict(ls)["reason"] for n, ls in metrics.samples if n == "envelope_dead_letters_total"} == REASONS
    assert {dict(ls)["result"] for n, ls in metrics.samples if n == "envelope_transactions_total"} == {"committed", "aborted"}
    assert {dict(ls)["for"] for n, ls in metrics.samples if n == "envelope_waits_total"} == {"registry", "policy"}


def short(series: Mapping[str, float]) -> Counter[str]:
    """Counts by name, a topic's without what all topics have in common."""
    return Counter({name.removeprefix("envelope.").removesuffix(".v1"): int(v) for name, v in series.items()})


@pytest.mark.parametrize("processor", PROCESSORS)
def test_metrics_agree_with_the_logs(scene: Scene, processor: str) -> None:
    topics, port = scene.topics, scene.ports[processor]
    produced = Counter(e["phase"] for e in scene.events)

    def settled() -> tuple[Metrics, Counter[str]] | None:
        """Two answers that say the same, and what was derived between them."""
        one = metrics_of(port, processor)
        found = topics.read(*OUTPUTS[processor], "deadletter")
        two = metrics_of(port, processor)
        dead = dead_letters(found.pop("deadletter"), processor)
        grown = Counter({name: len(records) - scene.before[name] for name, records in found.items()})
        grown["deadletter"] = dead.total()
        same = short(one.by("outputs_total", "topic")) == short(two.by("outputs_total", "topic"))
        counted = short(two.by("outputs_total", "topic"))
        counted.pop("tick", None)
        return (two, dead) if same and dead == Counter(BAD) and counted == +grown else None

    agreed = wait_until(settled, 20, f"{processor} to have written what it counts")
    assert agreed is not None
    metrics, dead = agreed
    events = short(metrics.by("events_total", "topic"))
    assert {phase: events[phase] for phase in PHASES} == {phase: produced[phase] for phase in PHASES}
    assert set(events) <= set(INPUTS[processor])
    if processor == "accounting":
        assert events["usage"] == short(metrics.by("outputs_total", "topic"))["usage"] > 0
    assert short(metrics.by("dead_letters_total", "reason")) == dead

    transactions = short(metrics.by("transactions_total", "result"))
    assert set(transactions) == {"committed"}
    assert 1 <= transactions["committed"] <= events.total() + dead.total()
    assert metrics.value("rebalances_total") == 1
    restored = line_of(scene.running[processor].logs(), RUN)["restored_records"]
    assert metrics.value("restored_records_total") == restored <= sum(scene.before.values())
    assert metrics.value("waits_total", for_="registry") == 0


@pytest.mark.parametrize("processor", PROCESSORS)
def test_gauges_tell_where_it_is(scene: Scene, processor: str) -> None:
    topics, port = scene.topics, scene.ports[processor]
    everything = {str(p) for p in range(PARTITIONS)}

    def caught_up() -> Metrics | None:
        metrics = metrics_of(port, processor)
        lags = metrics.by("consumer_lag_records", "partition")
        clocks = metrics.by("clock_seconds", "partition")
        return metrics if set(clocks) == everything and not lags and metrics.value("checkpoints_total") >= 1 else None

    metrics = wait_until(caught_up, 20, f"{processor} to have read everything")
    assert metrics is not None
    assert metrics.by("partition_running", "partition") == dict.fromkeys(everything, 1)
    assert metrics.value("ticks_applied_total") == metrics.value("events_total", topic="envelope.tick.v1") > 0

    ticks = [(m.partition(), value_of("tick", m)["as_of"]) for m in topics.read("tick")["tick"]]
    for partition, clock in metrics.by("clock_seconds", "partition").items():
        assert (int(partition), round(clock * 1_000_000)) in ticks, "the clock is what a tick said"
        assert 0 <= metrics.value("tick_lag_seconds", partition=partition) < 10
        assert abs(time.time() - clock) < 30

    assert SECOND <= metrics.value("state_keys") <= 2 * (FIRST + SECOND) + PARTITIONS
    assert 0 < metrics.value("state_memory_bytes") < 1 << 20
    on_disk = sum(f.stat().st_size for f in (topics.state(processor) / "store").rglob("*") if f.is_file())
    assert 0 < metrics.value("state_disk_bytes") <= on_disk
    status = Path(f"/proc/{scene.running[processor].pid}/status").read_text()
    anonymous = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.M)
    assert anonymous is not None
    assert metrics.value("process_memory_bytes", kind="anonymous") == pytest.approx(int(anonymous[1]) * 1024, rel=0.5)
    assert metrics.value("process_memory_bytes", kind="shared") == 0


@pytest.mark.parametrize("processor", PROCESSORS)
def test_what_it_answers(scene: Scene, processor: str) -> None:
    port = scene.ports[processor]
    for path, text in (("/healthz", b"alive\n"), ("/readyz", b"ready\n")):
        answer = ask(port, path)
        assert (answer.status, answer.body) == (200, text)
    assert ask(port, "/metrics?x=1").status == 200
    head = ask(port, "/metrics", "HEAD")
    assert (head.status, head.body) == (200, b"") and int(head.headers["content-length"]) > 1000
    for path in ("/", "/metrics/", "/metricsx", "/../etc/passwd", "/READYZ"):
        answer = ask(port, path)
        assert (answer.status, answer.body) == (404, b"try /metrics, /healthz or /readyz\n"), path
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/metrics", "/healthz", "/nothing"):
            refused = ask(port, path, method, b"x=1" if method == "POST" else None)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD"), (method, path)
    assert is_ready(port)


def test_ticks_are_counted(scene: Scene) -> None:
    def counted() -> bool:
        told = sum(metrics_of(port, p).value("outputs_total", topic="envelope.tick.v1") for p, port in scene.ports.items())
        return told == scene.topics.count("tick")["tick"] > 0

    wait_until(counted, 20, "the three to have written all ticks that are there")


# ---- Logs.


def assert_logs(result: Result, processor: str, instance: str = INSTANCE) -> None:
    """Every line is one JSON object with the members that all have."""
    assert result.stdout == b"" and result.noise == []
    assert result.logs and result.stderr.count(b"\n") == len(result.logs)
    for log in result.logs:
        assert list(log)[:5] == ["time", "level", "program", "instance", "message"], log
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", log["time"]), log
        assert abs((datetime.now(UTC) - datetime.fromisoformat(log["time"])).total_seconds()) < 300, log
        assert log["level"] in ("debug", "info", "warn", "error") and log["message"], log
        assert (log["program"], log["instance"]) == (f"envelope-{processor}", instance), log


def last_word(result: Result) -> str:
    """Why a program says it has failed; librdkafka may have something to say after that."""
    message: str = [log for log in result.logs if log["level"] == "error" and "librdkafka" not in log][-1]["message"]
    return message


def test_logs_at_each_level(topics: Topics) -> None:
    debug = topics.drain("join", "--log-level", "debug", "-X", "debug=generic")
    assert_logs(debug, "join")
    assert {"debug", "info"} <= {log["level"] for log in debug.logs}
    error = topics.drain("join", "--log-level", "error")
    assert (error.logs, error.noise) == ([], [])


# ---- Draining.


def test_a_drain_leaves_nothing(topics: Topics) -> None:
    topics.emit(lives("drained", 40))
    slowly = ("--drain", "--tick-interval", "100ms", "--commit-interval", "500ms")  # there would be time for ticks
    draining = {p: topics.start(p, *slowly) for p in PROCESSORS}
    for p, program in draining.items():
        result = program.wait(30)
        assert result.status == 0
        assert_logs(result, p)
        assert result.logs[-1]["message"] == DONE
    # A commit is answered before its markers are written.
    outputs = [name for p in PROCESSORS for name in OUTPUTS[p]]
    wait_until(lambda: topics.eyes.is_closed(*map(topics.topic, outputs)), 10, "all transactions to have ended")
    written = topics.count(*outputs)
    assert all(written[name] for name in outputs if name not in ("violation", "join.state"))
    for p in PROCESSORS:
        records = [m for of in topics.read(*INPUTS[p]).values() for m in of]
        ends = {(m.topic(), m.partition()): m.offset() + 1 for m in records}

        def is_committed() -> bool:
            """Behind the last record, or behind the markers that follow it."""
            found = group_offsets(topics.bootstrap, topics.group(p))  # noqa: B023
            return all(end <= found.get(tp, -1) <= logs[tp] for tp, end in ends.items())  # noqa: B023

        logs = {(t, n): end for t in {t for t, _ in ends} for n, end in end_offsets(topics.bootstrap, t).items()}
        wait_until(is_committed, 10, f"{p} to have committed {ends}")
    assert topics.count("tick") == {"tick": 0}, "a drain writes none"

    for again in [topics.start(p, "--drain") for p in PROCESSORS]:
        assert again.wait(30).status == 0
    assert topics.count(*outputs) == written


def test_a_drain_of_nothing(topics: Topics) -> None:
    result = topics.drain("join")
    assert result.logs[-1]["message"] == DONE
    assert topics.count(*OUTPUTS["join"]) == dict.fromkeys(OUTPUTS["join"], 0)


# ---- Ending.


def test_a_signal_ends_it_cleanly(topics: Topics) -> None:
    """What is in hand is committed, and the state is on disk: the next start has next to nothing to read."""
    many, few = 300, 5
    numbers = {"join": signal.SIGTERM, "governance": signal.SIGINT, "accounting": signal.SIGTERM}
    written = {"join": "lifecycle", "governance": "audit", "accounting": "accounting.state"}

    def envelopes() -> dict[str, int]:
        found = topics.read(*written.values())
        return {p: len({m.key() for m in found[name] if not m.key().startswith(b'["p"')}) for p, name in written.items()}

    def emit(name: str, count: int) -> None:
        topics.emit([event("admission", f"{name}-{i}") for i in range(count)])

    slowly = ("--commit-interval", "1s", "--tick-interval", "1min", "--http", "127.0.0.1:0")
    running = {p: topics.start(p, *slowly) for p in PROCESSORS}
    ports = {p: port_of(program) for p, program in running.items()}
    emit("first", many)
    wait_until(lambda: set(envelopes().values()) == {many}, 20, "the first outputs")
    emit("second", few)  # whose commit proves the checkpoint of the first
    wait_until(lambda: set(envelopes().values()) == {many + few}, 20, "the second outputs")
    emit("last", few)
    wait_until(lambda: all(stepped(port, p) == many + 2 * few for p, port in ports.items()), 20, "the last to be in hand")
    before = {p: topics.stored_at(p) for p in PROCESSORS}
    for p, program in running.items():
        program.signal(numbers[p])
    for p, program in running.items():
        result = program.wait(10)
        assert result.status == 0
        assert_logs(result, p)
        assert [log["message"] for log in result.logs][-2:] == [STOPS, DONE]
        assert topics.stored_at(p) > before[p], "the state is put on disk"
    wait_until(lambda: set(envelopes().values()) == {many + 2 * few}, 5, "the last outputs")

    for p in PROCESSORS:
        # A checkpoint may lack the last transactions, whose markers come after their answers.
        kept = line_of(topics.drain(p).logs, RUN)["restored_records"]
        shutil.rmtree(topics.state(p))
        rebuilt = line_of(topics.drain(p).logs, RUN)["restored_records"]
        assert kept <= 5 * few and rebuilt >= many + 2 * few
    assert set(envelopes().values()) == {many + 2 * few}


def test_a_second_signal_ends_it_at_once(programs: Programs, tmp_path: Path) -> None:
    """With the broker frozen a batch cannot be finished: it ends by its deadline, or at once if asked again."""
    settings = {"group.min.session.timeout.ms": "1000"}
    with Cluster(directory=tmp_path / "kafka", config=settings) as cluster, Eyes(cluster.bootstrap) as eyes:
        topics = Topics(programs, cluster.bootstrap, "frozen.", tmp_path, eyes)
        session = ("--session-timeout", "4s", "--transaction-timeout", "4s")
        # The batch stays open, and no tick opens one before.
        batch = ("--commit-interval", "5s", "--tick-interval", "1min", "--policy-margin", "1min")
        started = {p: topics.start(p, *session, *batch, "--http", "127.0.0.1:0") for p in PROCESSORS}
        ports = {p: port_of(program) for p, program in started.items()}
        for program in started.values():
            program.wait_log(says(RUN), "its partitions")
        events = lives("e", 9)
        topics.emit(events)
        for p in PROCESSORS:
            wait_until(lambda: stepped(ports[p], p) == 9, 20, f"{p} to have stepped them")  # noqa: B023

        cluster.brokers[0].pause()
        begun = time.monotonic()
        for p, program in started.items():
            program.signal(signal.SIGTERM)
            program.wait_log(says(STOPS), "that it stops")
            assert ask(ports[p], "/healthz").status == 200
            answer = ask(ports[p], "/readyz")
            assert (answer.status, answer.body) == (503, b"stopping\n")
        for p, number in (("governance", signal.SIGTERM), ("accounting", signal.SIGINT)):
            at = time.monotonic()
            started[p].signal(number)
            assert started[p].wait(5).status == -number
            assert time.monotonic() - at < 1
        patient = started["join"].wait(10)
        assert patient.status == 1
        assert time.monotonic() - begun < 4, "a stop ends before the session does"
        assert "took longer than its deadline" in patient.logs[-1]["message"]

        cluster.brokers[0].resume()
        for again in [topics.start(p, *session, "--drain") for p in PROCESSORS]:
            assert again.wait(30).status == 0
        found = topics.read("lifecycle", "audit")
        assert len({m.key() for m in found["lifecycle"]}) == 9
        sources = [tuple(value_of("audit", m)["source"].values()) for m in found["audit"]]
        assert len(sources) == len(set(sources)) == len(events)


# ---- Readiness and lag.


def test_it_is_ready_when_its_partitions_run(topics: Topics, stub_registry: StubRegistry) -> None:
    with_registry = ("--schema-registry", stub_registry.url)
    topics.programs.run("envelopectl", "schemas", "register", *topics.options, *with_registry)
    stub_registry.on(".*", Fault.error(503, 50301, "not now"))
    program = topics.start("join", *with_registry, "--http", "127.0.0.1:0")
    port = port_of(program)
    program.wait_log(lambda log: log["level"] == "warn", "what it waits for")
    assert ask(port, "/healthz").status == 200
    answer = ask(port, "/readyz")
    assert answer.status == 503
    assert b"registry" in answer.body and answer.body.count(b"\n") == 1
    waiting = metrics_of(port, "join")
    assert waiting.by("partition_running", "partition") == {}
    assert set(waiting.types) == set(METRICS), "families are there without series"

    stub_registry.behave()
    wait_until(lambda: is_ready(port), 20, "it to be ready")
    program.wait_log(says(RUN), "its partitions")

    # A record whose schema cannot be asked for holds up its partition's topic, visibly.
    stub_registry.on("/schemas/ids/.*", Fault.error(503, 50301, "not now"))
    strange = Record(topics.topic("admission"), b"k", b"\0\0\0\x03\xe7\x02k", partition=1)
    placed = produce(topics.bootstrap, [strange] * 5)

    def lag() -> dict[str, float]:
        return metrics_of(port, "join").by("consumer_lag_records", "partition")

    wait_until(lambda: lag().get("1", 0) >= len(placed), 20, "the lag to show")
    assert set(lag()) == {"1"}
    assert metrics_of(port, "join").value("waits_total", for_="registry") > 0
    assert is_ready(port), "the others go on"

    stub_registry.behave()
    stub_registry.on("/schemas/ids/999.*", Fault.no_such_schema())
    wait_until(lambda: not lag(), 20, "the lag to go")
    assert metrics_of(port, "join").by("dead_letters_total", "reason") == {"unknown_schema_id": 5}
    result = program.terminate()
    assert result.status == 0
    assert_logs(result, "join")


# ---- Configuration.


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that is in use: a program that is to serve there starts and ends, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_where_an_option_comes_from(programs: Programs, tmp_path: Path, taken: str) -> None:
    """Default, file, environment, command line: the later one counts."""
    config, other = tmp_path / "join.conf", tmp_path / "other.conf"
    config.write_text(
        f"# a comment, and an empty line\n\n  http={taken}  \ninstance = from-file\nstate-dir = {tmp_path}/a file's\n"
    )
    other.write_text(f"http = {taken}\ninstance = from-other\nstate-dir = {tmp_path}/other's\nlog-level = error\n")
    in_env = {"ENVELOPE_INSTANCE": "from-env", "ENVELOPE_STATE_DIR": f"{tmp_path}/environment's"}

    def instance(*args: str | Path, made: str, env: Mapping[str, str] | None = None) -> str:
        result = programs.run("envelope-join", *args, env=env, status=1)
        found: str = result.logs[-1]["instance"]
        assert "in use" in last_word(result)
        assert_logs(result, "join", found)
        assert (tmp_path / made).is_dir()
        shutil.rmtree(tmp_path / made)
        assert not list(tmp_path.glob("*'s")), "one place and no other"
        return found

    assert instance("--config", config, made="a file's") == "from-file"
    assert instance(env={"ENVELOPE_CONFIG": str(config)}, made="a file's") == "from-file"
    assert instance("--config", other, env={"ENVELOPE_CONFIG": str(config)}, made="other's") == "from-other"
    assert instance("--config", config, env=in_env, made="environment's") == "from-env"
    assert instance("--instance=arg", "--config", config, env=in_env, made="environment's") == "arg"
    assert instance("--state-dir", tmp_path / "arg's", "--instance", "arg", "--config", config, env=in_env, made="arg's") == "arg"
    assert instance("--instance", "first", "--instance", "last", "--config", config, made="a file's") == "last"


def test_properties_are_joined_key_by_key(programs: Programs, tmp_path: Path, taken: str) -> None:
    """Seen by librdkafka's refusal, which names the value."""
    config = tmp_path / "c"
    config.write_text("property = socket.timeout.ms=file\nproperty = client.rack=file\n")

    def refused(*args: str, env: str | None = None) -> str:
        environment = {} if env is None else {"ENVELOPE_PROPERTY": env}
        where = ("--bootstrap", "127.0.0.1:1", "--state-dir", tmp_path / "state", "--http", taken)
        result = programs.run("envelope-join", "--config", config, *where, *args, env=environment, status=1)
        return last_word(result)

    assert "socket.timeout.ms=file:" in refused()
    assert "socket.timeout.ms=file:" in refused(env="client.rack=x\nlinger.ms=3\n")
    assert "socket.timeout.ms=env:" in refused(env="client.rack=x\nsocket.timeout.ms=env")
    assert "socket.timeout.ms=arg:" in refused("-Xsocket.timeout.ms=arg", env="socket.timeout.ms=env")
    assert "in use" in refused("-X", "socket.timeout.ms=bad", "--property", "socket.timeout.ms=1000")


def test_all_from_a_file(topics: Topics, tmp_path: Path) -> None:
    topics.emit(lives("x", 3))
    config = tmp_path / "join.conf"
    settings = {
        "bootstrap": topics.bootstrap,
        "topic-prefix": topics.prefix,
        "group": topics.group("join"),
        "instance": INSTANCE,
        "state-dir": topics.state("join"),
        "http": "127.0.0.1:0",
        "log-level": "info",
        "commit-interval": "10ms",
        "memory": "64MiB",
        "property": "client.id=mine",
        "deadline": "inference=1h",
        "drain": "true",
    }
    config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    assert_logs(topics.programs.run("envelope-join", "--config", config), "join")
    assert len(topics.read("lifecycle")["lifecycle"]) >= 3
    client = admin(topics.bootstrap)
    described = client.describe_consumer_groups([topics.group("join")])[topics.group("join")]
    assert [(m.client_id, m.group_instance_id) for m in described.result(10).members] == [("mine", INSTANCE)]

    # And a flag taken back.
    live = topics.programs.start("envelope-join", "--config", config, env={"ENVELOPE_DRAIN": "false"})
    live.wait_log(says(RUN), "its partitions")
    wait_until(lambda: topics.count("tick")["tick"] >= 2 * PARTITIONS, 20, "ticks, which no drain writes")
    assert live.terminate().status == 0


def test_what_holds_without_options(topics: Topics, tmp_path: Path) -> None:
    """Group and state directory are named after the program; the instance's name is made once."""
    work = tmp_path / "work"
    work.mkdir()
    here = (Path("/usr/bin/env"), "-C", work, topics.programs.path("envelope-governance"))
    first = topics.programs.run(*here, *topics.options, "--drain")
    state = work / "envelope-state" / "envelope-governance"
    name = (state / "instance").read_text()
    assert re.fullmatch(r"[0-9a-f-]{36}", name)
    assert_logs(first, "governance", name)
    assert sorted(p.name for p in work.iterdir()) == ["envelope-state"]
    again = topics.programs.run(*here, *topics.options, "--drain")
    assert_logs(again, "governance", name)
    assert (state / "instance").read_text() == name


def knows(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except socket.gaierror:
        return False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "", "[::1]"])
def test_port_0_takes_a_free_one_and_tells_it(programs: Programs, tmp_path: Path, host: str) -> None:
    """Also before any broker has answered."""
    if host == "[::1]" and not Path("/proc/net/if_inet6").exists():
        host = "127.0.0.2"  # a machine without IPv6
    if host == "localhost" and not knows(host):
        host = "127.0.0.3"  # a bare container knows no names at all
    options = ("--bootstrap", "127.0.0.1:1", "--state-dir", tmp_path / "state")
    program = programs.start("envelope-join", *options, "--http", f"{host}:0")
    log = program.wait_log(says(SERVES), "its port")
    assert 0 < log["port"] < 65536 and log["level"] == "info"
    assert ask(log["port"], "/healthz", host=host.strip("[]") or "127.0.0.1").status == 200
    assert ask(log["port"], "/readyz", host=host.strip("[]") or "127.0.0.1").status == 503


def test_a_port_in_use_is_said(programs: Programs, tmp_path: Path, taken: str) -> None:
    result = programs.run("envelope-join", "--state-dir", tmp_path / "state", "--instance", INSTANCE, "--http", taken, status=1)
    assert_logs(result, "join")
    assert taken in last_word(result) and "in use" in last_word(result)


# ---- What it says of itself.


def section(processor: str) -> str:
    """Its part of docs/options.md."""
    text = (ROOT / "docs" / "options.md").read_text()
    found = re.search(rf"^## envelope-{processor}\n.*?(?=^## |\Z)", text, re.M | re.S)
    assert found is not None
    return found.group(0)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_help_version_and_reference(programs: Programs, tmp_path: Path, processor: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    here = (Path("/usr/bin/env"), "-C", work, programs.path(f"envelope-{processor}"))
    said = {
        flag: programs.run(*here, flag, "--bootstrap", "nowhere.invalid:1") for flag in ("--help", "--version", "--reference")
    }
    assert all(result.stderr == b"" and result.stdout.endswith(b"\n") for result in said.values())
    assert list(work.iterdir()) == [], "nothing is made"
    assert re.fullmatch(rf"envelope-{processor} \d+\.\d+\.\d+\S*\n", said["--version"].stdout.decode())
    assert said["--reference"].stdout.decode().strip() == section(processor).strip()
    text = said["--help"].stdout.decode()
    options = re.findall(r"^\| `(?:-\w, )?(--[a-z-]+)[ `]", section(processor), re.M)
    assert len(options) > 25 and {"--http", "--drain", "--state-dir", "--config"} <= set(options)
    for option in options:
        assert re.search(rf"^ +(?:-\w, )?{option}\b", text, re.M), option
    assert max(map(len, text.splitlines())) <= 100
