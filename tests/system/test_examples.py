# SPDX-License-Identifier: Apache-2.0
"""The programs in examples/, each run as its reader would run it, and what the processors make of their events."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import cache
from clients import Headers, Record, create_topics, java_partition, read_topic
from kafka import QUICK_JVM, Cluster, find_java
from process import Port
from programs import Program, Programs, Result
from registry import Registry
from stub_registry import StubRegistry

EXAMPLES = cache.REPOSITORY / "examples"
SCHEMAS = cache.REPOSITORY / "schemas"
LANGUAGES = ("python", "go", "java")
PARTITIONS = 12  # so many that another partitioner is hardly ever right twice
DEPLOYMENT = ("admission", "resolved", "annotation", "finalized", "resolved", "released")
DENIAL = ("admission", "failed")
SECOND = 1_000_000

each_language = pytest.mark.parametrize("language", LANGUAGES)


def command(language: str) -> list[str | Path]:
    if language == "python":
        return [Path(sys.executable), EXAMPLES / "python" / "lifecycle.py"]
    if language == "go":
        return [cache.require("example-go") / "lifecycle"]
    home = cache.require("example-java")
    return [Path(find_java()), *QUICK_JVM, "-cp", f"{home}/classes:{home}/libs/*", "com.example.Lifecycle"]


def start(programs: Programs, language: str, bootstrap: str, prefix: str, *more: str | Path) -> Program:
    options = ["--bootstrap", bootstrap, "--topic-prefix", prefix, "--schemas", SCHEMAS, *more]
    return programs.start(*command(language), *options, stdin=b"")


@dataclass(frozen=True)
class Said:
    """A line of an example's: where an event lies."""

    topic: str
    partition: int
    offset: int
    envelope_id: str


def read_said(result: Result) -> list[Said]:
    words = (line.split() for line in result.stdout.decode().splitlines())
    return [Said(topic, int(partition), int(offset), key) for topic, partition, offset, key in words]


@dataclass
class Written:
    """What the examples wrote to one set of topics, and what came of it."""

    programs: Programs
    bootstrap: str
    prefix: str
    options: list[str]
    is_registered: bool
    said: dict[str, list[Said]]
    _values: dict[str, list[Any]] = field(default_factory=dict)

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def envelopes(self, language: str) -> tuple[str, str]:
        """The ids of the deployment and of the denial."""
        events = Counter(s.envelope_id for s in self.said[language])
        (deployment, _), (denial, _) = events.most_common()
        return deployment, denial

    @cached_property
    def records(self) -> dict[tuple[str, int, int], Record]:
        phases = {*DEPLOYMENT, *DENIAL}
        found = (r for phase in phases for r in read_topic(self.bootstrap, self.topic(phase)))
        return {(r.topic, r.partition, r.offset): r for r in found}

    def values(self, name: str) -> list[Any]:
        """All of a topic's, read once."""
        if name not in self._values:
            printed = self.programs.run("envelopectl", "cat", f"envelope.{name}.v1", *self.options)
            self._values[name] = [line["value"] for line in printed.lines]
        return self._values[name]

    @cached_property
    def lifecycles(self) -> dict[str, Any]:
        """The last of each envelope's."""
        return {v["envelope_id"]: v for v in self.values("lifecycle")}


@pytest.fixture(scope="module", params=["registry", "single-object"])
def written(
    request: pytest.FixtureRequest, kafka: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Written]:
    directory = tmp_path_factory.mktemp("examples")
    registry = request.getfixturevalue("registry") if request.param == "registry" else None
    folder = Path(os.environ.get("ENVELOPE_BIN") or cache.REPOSITORY / "build" / "bin").absolute()
    programs = Programs(folder, directory / "programs")
    try:
        yield write(programs, kafka.bootstrap, registry, directory)
    finally:
        programs.close()


def write(programs: Programs, bootstrap: str, registry: Registry | None, directory: Path) -> Written:
    prefix = f"examples-{uuid.uuid4().hex[:8]}."
    options = ["--bootstrap", bootstrap, "--topic-prefix", prefix]
    urls: dict[str, str] = {}
    if registry is not None:
        options += ["--schema-registry", registry.url]
        urls = {language: registry.url for language in LANGUAGES} | {"java": registry.native_url}
    programs.run("envelopectl", "topics", "apply", "--partitions", str(PARTITIONS), *options)
    if registry is not None:
        programs.run("envelopectl", "schemas", "register", *options)

    running = {
        language: start(programs, language, bootstrap, prefix, *(("--schema-registry", urls[language]) if urls else ()))
        for language in LANGUAGES
    }
    results = {language: program.wait(60) for language, program in running.items()}
    for language, result in results.items():
        assert result.status == 0, f"{language}: {result.stderr.decode()}"
    said = {language: read_said(result) for language, result in results.items()}

    draining = [
        programs.start(f"envelope-{p}", *options, "--drain", "--state-dir", directory / "state" / p)
        for p in ("join", "governance", "accounting")
    ]
    for program in draining:
        result = program.wait(60)
        assert result.status == 0, result.stderr.decode()
    return Written(programs, bootstrap, prefix, options, registry is not None, said)


def test_each_event_lies_where_its_writer_said_and_java_would_put_it(written: Written) -> None:
    said = [s for language in LANGUAGES for s in written.said[language]]
    assert len(said) == len(LANGUAGES) * len(DEPLOYMENT + DENIAL)
    assert {(s.topic, s.partition, s.offset): s.envelope_id.encode() for s in said} == {
        at: record.key for at, record in written.records.items()
    }
    for s in said:
        assert s.partition == java_partition(s.envelope_id.encode(), PARTITIONS), s
        assert uuid.UUID(s.envelope_id).version == 7


def test_values_are_framed_as_configured(written: Written) -> None:
    frame = b"\x00" if written.is_registered else b"\xc3\x01"
    for record in written.records.values():
        assert record.value is not None and record.value.startswith(frame), record


@each_language
def test_headers_repeat_the_event(written: Written, language: str) -> None:
    values = {(phase, v["event_id"]): v for phase in {*DEPLOYMENT, *DENIAL} for v in written.values(phase)}
    traces: dict[str, set[bytes]] = {}
    spans: list[bytes] = []
    for s in written.said[language]:
        headers: Headers = written.records[(s.topic, s.partition, s.offset)].headers
        found = {name: value or b"" for name, value in headers}
        assert len(found) == len(headers)
        name = s.topic.removeprefix(written.prefix)
        phase = name.split(".")[1]
        event = values[(phase, found["ce_id"].decode())]
        assert event["envelope_id"] == s.envelope_id
        parent = re.fullmatch(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-01", found.pop("traceparent"))
        assert parent is not None
        traces.setdefault(s.envelope_id, set()).add(parent[1])
        spans.append(parent[2])
        assert {name: value.decode() for name, value in found.items()} == {
            "ce_specversion": "1.0",
            "ce_id": event["event_id"],
            "ce_type": name,
            "ce_source": event["source"],
            "ce_time": event["occurred_at"],
            "ce_dataschema": f"urn:avro:envelope.v1.{phase.capitalize()}",
            "content-type": "application/avro",
        }
    assert [len(ids) for ids in traces.values()] == [1, 1] and len(set(spans)) == len(spans)


@each_language
def test_the_deployment_is_one_envelope(written: Written, language: str) -> None:
    found = written.lifecycles[written.envelopes(language)[0]]
    phases = sorted(e["phase"] for e in found["evidence"])
    assert phases == sorted(DEPLOYMENT)
    assert (found["status"], found["outcome"], found["tenant"]) == ("released", "narrowed", "acme")
    assert [g["granted"]["cpu_millis"] for g in found["grants"]] == [4000, 8000]
    assert [g["resolution"]["target"] for g in found["grants"]] == ["pool-gpu-a", "pool-gpu-b"]
    assert {line["dimension"]: line["change"] for line in found["drift"]} == {
        "cpu_millis": "equal",
        "memory_bytes": "narrowed",
        "gpu": "equal",
        "engine": "equal",
        "timeout_ms": "unstated",
        "placement.region": "unstated",
    }
    assert [a["annotations"] for a in found["annotations"]] == [{"com.example.review/ticket": '"GOV-1412"'}]
    assert found["finalized"][0]["runtime_id"] == "deployment-8841"
    assert found["released"][0]["measured"] == {"tokens": 48211}
    assert found["admission"]["requested"] == {
        "cpu_millis": 8000,
        "memory_bytes": 32 << 30,
        "gpu_count": 1,
        "engine": "vllm",
        "timeout_ms": 3_600_000,
        "placement": {"region": "eu-west"},
        "amounts": {},
    }


@each_language
def test_the_denial_was_granted_nothing(written: Written, language: str) -> None:
    found = written.lifecycles[written.envelopes(language)[1]]
    assert (found["status"], found["outcome"], found["grants"]) == ("failed", "denied", [])
    (failed,) = found["failed"]
    assert (failed["stage"], failed["code"], failed["retryable"]) == ("resolution", "no_capacity", True)


def test_languages_write_the_same(written: Written) -> None:
    """But for ids and times."""

    def told(lifecycle: dict[str, Any]) -> Any:
        def strip(value: Any) -> Any:
            if isinstance(value, list):
                return [strip(v) for v in value]
            left_out = ("envelope_id", "event_id", "occurred_at")
            return {k: strip(v) for k, v in value.items() if k not in left_out} if isinstance(value, dict) else value

        own = ("evidence", "deadline", "admission_sha256")
        return strip({name: value for name, value in lifecycle.items() if name not in own})

    for which in (0, 1):
        first, *others = (told(written.lifecycles[written.envelopes(language)[which]]) for language in LANGUAGES)
        assert all(other == first for other in others)


@each_language
def test_the_ledger_follows_the_grants(written: Written, language: str) -> None:
    deployment, denial = written.envelopes(language)
    sums: Counter[tuple[str, str, str]] = Counter()
    for v in written.values("usage"):
        for quantity in ("asked", "granted", "billed"):
            sums[(v["envelope_id"], v["dimension"], quantity)] += int(v.get(quantity, "0"))
    assert sums[(deployment, "cpu_millis", "asked")] == 8000 * 900 * SECOND
    assert sums[(deployment, "cpu_millis", "granted")] == (4000 * 300 + 8000 * 600) * SECOND
    assert sums[(deployment, "gpu", "granted")] == (500 * 300 + 1000 * 600) * SECOND
    assert sums[(deployment, "amounts.tokens", "billed")] == 48211
    assert sums[(denial, "cpu_millis", "asked")] == 8000 * SECOND
    assert sums[(denial, "cpu_millis", "granted")] == 0


def test_nothing_is_wrong_with_any_event(written: Written) -> None:
    assert written.values("deadletter") == [] == written.values("violation")
    owed = Counter(v["envelope_id"] for v in written.values("governance"))
    envelopes = {i for language in LANGUAGES for i in written.envelopes(language)}
    assert owed == dict.fromkeys(envelopes, 1) and set(written.lifecycles) == envelopes
    assert len(written.values("audit")) == len(written.records)


# What goes wrong is said


@pytest.fixture(scope="module")
def refusing(kafka: Cluster) -> str:
    """The prefix of a set of topics of which one takes no record."""
    prefix = f"refusing-{uuid.uuid4().hex[:8]}."
    names = [f"{prefix}envelope.{phase}.v1" for phase in {*DEPLOYMENT, *DENIAL} - {"released"}]
    create_topics(kafka.bootstrap, *names)
    create_topics(kafka.bootstrap, f"{prefix}envelope.released.v1", config={"max.message.bytes": "60"})
    return prefix


@each_language
def test_an_event_that_is_not_delivered_is_named(
    kafka: Cluster, programs: Programs, refusing: str, language: str
) -> None:
    result = start(programs, language, kafka.bootstrap, refusing).wait(60)
    told = result.stderr.decode()
    assert result.status == 1
    assert told.count("not delivered: ") == 1
    assert re.search(f"not delivered: {re.escape(refusing)}envelope.released.v1 [0-9a-f-]{{36}}: .*large", told), told
    assert f"{refusing}envelope.resolved.v1" in result.stdout.decode()
    assert "released" not in result.stdout.decode()


@each_language
def test_trouble_with_the_registry_is_said(
    kafka: Cluster, programs: Programs, stub_registry: StubRegistry, refusing: str, language: str
) -> None:
    port = Port()
    away = start(programs, language, kafka.bootstrap, refusing, "--schema-registry", f"http://127.0.0.1:{port.number}")
    empty = start(programs, language, kafka.bootstrap, refusing, "--schema-registry", stub_registry.url)
    for program, why in ((away, "refused"), (empty, "404|not found")):
        result = program.wait(60)
        assert result.status == 1 and result.stdout == b""
        told = result.stderr.decode()
        assert re.search(f"not sent: {re.escape(refusing)}envelope.admission.v1: .*({why})", told), told
        assert "Traceback" not in told and "Exception in thread" not in told, told
    port.release()


@each_language
def test_errors_of_use_are_said(programs: Programs, tmp_path: Path, language: str) -> None:
    usage = programs.start(*command(language), "--topic-prefix", "x", stdin=b"")
    with_port = Port()
    schemas = ("--schemas", tmp_path / "nowhere")
    missing = start(programs, language, f"127.0.0.1:{with_port.number}", "x.", *schemas)
    unknown = programs.start(*command(language), "--bootstrap", "x:1", "--what", "x", stdin=b"")
    result = usage.wait(30)
    assert (result.status, result.stdout) == (2, b"")
    assert "bootstrap" in result.stderr.decode() and "schema-registry" in result.stderr.decode()
    result = unknown.wait(30)
    assert (result.status, result.stdout) == (2, b"")
    assert result.stderr.decode().lower().count("usage") == 1
    result = missing.wait(60)
    with_port.release()
    assert (result.status, result.stdout) == (1, b"")
    assert str(tmp_path / "nowhere" / "admission.avsc") in result.stderr.decode()


def test_the_python_example_names_the_versions_that_were_tested() -> None:
    pinned = (cache.HERE / "requirements.txt").read_text().splitlines()
    named = [line for line in (EXAMPLES / "python/requirements.txt").read_text().splitlines() if "==" in line]
    assert len(named) == 2 and set(named) <= set(pinned)
