# SPDX-License-Identifier: Apache-2.0
"""C, Python and Java clients write one envelope between them, and read what is derived of it."""

from __future__ import annotations

import base64
import datetime
import decimal
import hashlib
import io
import json
import os
import time
import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cache import HERE
from clients import Record, java_partition, produce, read_topic
from java_client import JavaClient
from kafka import Cluster
from programs import Programs
from registry import Registry

SCHEMAS = HERE.parents[1] / "schemas"
VALUES = {t["name"]: t["value"] for t in json.loads((SCHEMAS / "topics.json").read_text())}
PHASES = ("admission", "resolved", "annotation", "finalized", "released")
DERIVED = ("lifecycle", "violation", "usage", "usage.tenant", "governance", "audit", "deadletter")
PROCESSORS = ("join", "governance", "accounting")
PARTITIONS = 3
NOW = time.time_ns() // 1000
HOUR = 3600 * 1_000_000
GRANTED, RELEASED = 2_440_001, 866_040_007  # microseconds after the admission

Event = dict[str, Any]
"""A phase event in the contract's printed form, with its phase."""
Line = dict[str, Any]
"""A record as `envelopectl cat` and the Java client print it."""


# What is written


@cache
def example(phase: str) -> str:
    return (SCHEMAS / "examples" / f"{phase}.json").read_text()


def printed(micros: int) -> str:
    at = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=micros)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(phase: str, envelope_id: str, **members: Any) -> Event:
    """The contract's own example of a phase, made to hold what clients may disagree about."""
    made: Event = json.loads(example(phase))
    began = NOW - 2 * HOUR
    age = {"admission": 0, "resolved": GRANTED, "annotation": 3_000_000, "released": RELEASED}
    made |= {
        "envelope_id": envelope_id,
        "event_id": f"{phase}-é-1",
        "occurred_at": printed(began + age.get(phase, 12_300_000)),
        "source": "urn:service:Dienst-für-\U0001f680",
        "extensions": {"com.example/a": '{"z":1,"a":[]}', "com.example/b": '"Ω"', "com.example/c": "-0.5"},
    }
    if phase == "admission":
        made["caller"]["on_behalf_of"] = ["urn:acme:user:ärztin", "", "urn:acme:agent:7"]
        made["governance"]["hints"] |= {"review": "ja", "retention": "P1Y"}
        made["requested"] |= {"memory_bytes": 2**53, "priority": -7, "amounts": {"tokens": 10**12, "bytes": 0}}
    return made | members


def body(e: Event) -> dict[str, Any]:
    return {name: value for name, value in e.items() if name != "phase"}


# How it is written and read


@cache
def schema(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((SCHEMAS / f"{name}.avsc").read_text())
    return parsed


@cache
def fingerprint(name: str) -> bytes:
    canonical = fastavro.schema.to_parsing_canonical_form(schema(name))
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@cache
def by_fingerprint() -> dict[bytes, dict[str, Any]]:
    return {fingerprint(name): schema(name) for name in VALUES.values() if name is not None}


def single_object(e: Event) -> bytes:
    """Avro's single-object encoding, by hand: all that a team without a registry needs."""
    out = io.BytesIO(b"\xc3\x01" + fingerprint(e["phase"]))
    out.seek(10)
    fastavro.schemaless_writer(out, schema(e["phase"]), native(e))
    return out.getvalue()


def native(e: Event) -> dict[str, Any]:
    """As a Python team holds it: times are datetimes; and maps in another order, which means nothing."""

    def turned(value: Any) -> Any:
        return {k: turned(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value

    return turned(body(e)) | {"occurred_at": datetime.datetime.fromisoformat(e["occurred_at"])}


def plain(value: Any) -> Any:
    """What a Python decoder returns, in the contract's printed form."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items() if v is not None}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, decimal.Decimal):
        return str(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@dataclass
class House:
    """A set of topics, with a registry or without, and the clients of three languages around it."""

    programs: Programs
    java: JavaClient
    bootstrap: str
    directory: Path
    registry: Registry | None
    prefix: str = field(default_factory=lambda: f"clients-{uuid.uuid4().hex[:8]}.")

    @property
    def options(self) -> list[str]:
        found = ["--bootstrap", self.bootstrap, "--topic-prefix", self.prefix]
        return [*found, "--schema-registry", self.registry.url] if self.registry else found

    @property
    def native_url(self) -> str | None:
        return self.registry.native_url if self.registry else None

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def make(self) -> None:
        self.programs.run("envelopectl", "topics", "apply", "--partitions", str(PARTITIONS), *self.options)
        if self.registry:
            self.programs.run("envelopectl", "schemas", "register", *self.options)

    @property
    def writers(self) -> dict[str, Callable[[Iterable[Event]], object]]:
        found = {"c": self.write_c, "python": self.write_python, "java": self.write_java}
        return {**found, "by-hand": self.write_by_hand} if self.registry else found

    def write_c(self, events: Iterable[Event]) -> None:
        lines = b"".join(json.dumps(e).encode() + b"\n" for e in events)
        self.programs.run("envelope-emit", *self.options, stdin=lines)

    def write_java(self, events: Iterable[Event]) -> None:
        lines = [
            {
                "topic": self.topic(e["phase"]),
                "key": e["envelope_id"],
                "schema": SCHEMAS / f"{e['phase']}.avsc",
                "value": body(e),
            }
            for e in events
        ]
        self.java.write(self.bootstrap, lines, self.native_url)

    def write_python(self, events: Iterable[Event], partitioner: str = "murmur2_random") -> list[Record]:
        if self.registry is None:
            return self.write_by_hand(events, partitioner)
        client = SchemaRegistryClient({"url": self.registry.url})
        # normalized: white space is part of a schema to this registry, and the serializer strips it
        settings = {"auto.register.schemas": False, "normalize.schemas": True}
        serializers = {
            phase: AvroSerializer(client, (SCHEMAS / f"{phase}.avsc").read_text(), conf=settings)
            for phase in (*PHASES, "failed")
        }

        def serialize(e: Event) -> bytes:
            context = SerializationContext(self.topic(e["phase"]), MessageField.VALUE)
            value = serializers[e["phase"]](native(e), context)
            assert value is not None
            return value

        return self._produce(events, serialize, partitioner)

    def write_by_hand(self, events: Iterable[Event], partitioner: str = "murmur2_random") -> list[Record]:
        return self._produce(events, single_object, partitioner)

    def _produce(self, events: Iterable[Event], encode: Callable[[Event], bytes], partitioner: str) -> list[Record]:
        records = [Record(self.topic(e["phase"]), e["envelope_id"].encode(), encode(e)) for e in events]
        return produce(self.bootstrap, records, partitioner)

    def process(self) -> None:
        """All three processors, to their end."""
        state = self.directory / "state"
        running = [
            self.programs.start(f"envelope-{p}", *self.options, "--drain", "--state-dir", state / p) for p in PROCESSORS
        ]
        for program in running:
            result = program.wait(60)
            assert result.status == 0, result.stderr.decode()[-3000:]

    def read_c(self, names: Iterable[str]) -> list[Line]:
        return [
            line
            for name in names
            for line in self.programs.run("envelopectl", "cat", f"envelope.{name}.v1", *self.options).lines
        ]

    def read_java(self, names: Iterable[str]) -> list[Line]:
        files = [SCHEMAS / f"{name}.avsc" for name in VALUES.values() if name is not None]
        return self.java.read(self.bootstrap, ",".join(map(self.topic, names)), files, self.native_url)

    def read_python(self, names: Iterable[str]) -> list[Line]:
        registered = self._decode_registered() if self.registry else decode_single_object

        def decode(name: str, r: Record) -> Any:
            """As its writer framed it; those of ours in one way only."""
            by_hand = name not in DERIVED and (r.value or b"")[0] != 0
            return (decode_single_object if by_hand else registered)(r)

        return [
            {
                "topic": r.topic,
                "partition": r.partition,
                "offset": r.offset,
                "timestamp": r.timestamp,
                "key": None if r.key is None else r.key.decode(),
                "headers": [[name, None if value is None else value.decode()] for name, value in r.headers],
                "value": plain(decode(name, r)),
            }
            for name in names
            for r in read_topic(self.bootstrap, self.topic(name))
        ]

    def _decode_registered(self) -> Callable[[Record], Any]:
        assert self.registry is not None
        deserialize = AvroDeserializer(SchemaRegistryClient({"url": self.registry.url}))
        return lambda r: deserialize(r.value, SerializationContext(r.topic, MessageField.VALUE))


def decode_single_object(r: Record) -> Any:
    assert r.value is not None and r.value[:2] == b"\xc3\x01", r
    rest = io.BytesIO(r.value[10:])
    value = fastavro.schemaless_reader(rest, by_fingerprint()[r.value[2:10]], None)
    assert rest.read() == b""
    return value


# One set of topics with everything in it


def stray_key() -> str:
    """A key that librdkafka's own partitioner, a CRC-32, puts elsewhere than Java's."""
    keys = (f"stray-{i}" for i in range(100))
    return next(k for k in keys if zlib.crc32(k.encode()) % PARTITIONS != java_partition(k.encode(), PARTITIONS))


STRAY = stray_key()


@dataclass
class Life:
    """Who writes which phase of an envelope."""

    envelope_id: str
    parts: list[tuple[str, Event]]

    def event(self, phase: str) -> Event | None:
        return next((e for _, e in self.parts if e["phase"] == phase), None)


def lives(writers: list[str]) -> Iterator[Life]:
    def life(name: str, *parts: tuple[str, str]) -> Life:
        return Life(name, [(writer, event(phase, name)) for phase, writer in parts])

    turns = writers * 3
    for i, writer in enumerate(writers):
        yield life(f"mixed-{i}", *zip(PHASES, turns[i:], strict=False))
        yield life(f"alone-{writer}", *((phase, writer) for phase in PHASES))
        yield life(f"denied-{i}", ("admission", writer), ("failed", turns[i + 1]))
    yield life("repeated", *((phase, writer) for phase in PHASES for writer in writers))
    yield life("contradicted", ("admission", writers[0]))
    yield life(STRAY, ("admission", "java"), ("resolved", "c"))


CONTRADICTION = event("admission", "contradicted", event_id="other", requested={"gpu_count": 9})


@dataclass
class Lived:
    house: House
    lives: dict[str, Life]
    stray: Record
    read: dict[str, dict[str, list[Line]]]  # by client and short name of the topic

    def last(self, name: str) -> dict[str, Any]:
        """Values by key, as a compacted topic holds them."""
        return {line["key"]: line["value"] for line in self.read["python"][name]}

    def values(self, name: str) -> list[Any]:
        return [line["value"] for line in self.read["python"][name]]


@pytest.fixture(scope="module", params=["registry", "single-object"])
def lived(
    request: pytest.FixtureRequest, kafka: Cluster, java: JavaClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lived]:
    directory = tmp_path_factory.mktemp("clients")
    registry = request.getfixturevalue("registry") if request.param == "registry" else None
    folder = Path(os.environ.get("ENVELOPE_BIN") or HERE.parents[1] / "build" / "bin").absolute()
    programs = Programs(folder, directory / "programs")
    try:
        yield live(House(programs, java, kafka.bootstrap, directory, registry))
    finally:
        programs.close()


def live(house: House) -> Lived:
    house.make()
    all_lives = {life.envelope_id: life for life in lives(list(house.writers))}
    work: dict[str, list[Event]] = defaultdict(list)
    for life in all_lives.values():
        for writer, e in life.parts:
            work[writer].append(e)
    work["java"].append(CONTRADICTION)
    for name, write in house.writers.items():
        write(work[name])
    (stray,) = house.write_python([event("finalized", STRAY)], partitioner="consistent_random")
    house.process()
    names = (*PHASES, "failed", *DERIVED)
    readers = {"c": house.read_c, "python": house.read_python, "java": house.read_java}
    read = {client: sort_out(house, reader(names)) for client, reader in readers.items()}
    return Lived(house, all_lives, stray, read)


def sort_out(house: House, lines: list[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda r: (r["topic"], r["partition"], r["offset"])):
        found[line["topic"].removeprefix(f"{house.prefix}envelope.").removesuffix(".v1")].append(line)
    return found



# What comes of it


def whole(e: Event) -> dict[str, Any]:
    """An event as it is read: with what it leaves out."""
    found: dict[str, Any] = plain(decode_single_object(Record("", value=single_object(e))))
    return found


def test_clients_read_the_same(lived: Lived) -> None:
    c, python, java = (lived.read[client] for client in ("c", "python", "java"))
    assert set(python) == {*PHASES, "failed", *DERIVED}
    for name, lines in python.items():
        assert java[name] == lines, name
        if name != "deadletter":  # these are of any schema: ours prints the bytes that could not be processed
            assert c[name] == lines, name


def test_what_was_written_is_what_is_read(lived: Lived) -> None:
    """Whoever wrote it. The clients read the same, says the test above; so one of them will do."""
    written = [e for life in lived.lives.values() for _, e in life.parts] + [CONTRADICTION, event("finalized", STRAY)]
    expected: dict[str, list[Event]] = defaultdict(list)
    for e in written:
        expected[e["phase"]].append(whole(e))
    for phase in (*PHASES, "failed"):
        order = lambda value: (value["envelope_id"], value["event_id"])  # noqa: E731
        assert sorted(lived.values(phase), key=order) == sorted(expected[phase], key=order)
        for line in lived.read["python"][phase]:
            assert line["key"] == line["value"]["envelope_id"]
            is_right = line["partition"] == java_partition(line["key"].encode(), PARTITIONS)
            assert is_right == ((phase, line["key"]) != ("finalized", STRAY)), line


def test_derived_records_lie_where_java_puts_their_keys(lived: Lived) -> None:
    """Totals with their tenant's ledger; dead letters beside their originals."""
    for name in DERIVED[:-1]:
        for line in lived.read["java"][name]:
            key = line["value"]["tenant"] if name == "usage.tenant" else line["key"]
            assert line["partition"] == java_partition(key.encode(), PARTITIONS), line


def test_phases_by_several_clients_are_one_envelope(lived: Lived) -> None:
    joined = lived.last("lifecycle")
    assert set(joined) == set(lived.lives)
    for envelope_id, life in lived.lives.items():
        found = joined[envelope_id]
        assert found["envelope_id"] == envelope_id
        for phase in (*PHASES[1:], "failed"):
            e = life.event(phase)
            name = {"resolved": "grants", "annotation": "annotations"}.get(phase, phase)
            assert found[name] == ([] if e is None else [whole(e)]), (envelope_id, phase)
        admission = life.event("admission")
        assert admission is not None and found["admission"] == whole(admission), envelope_id
        assert found["foreign"] == {"resolved": [], "finalized": [], "failed": [], "released": [], "annotations": []}
        kinds = ["admission_conflict"] if envelope_id == "contradicted" else []
        assert [v["kind"] for v in found["violations"]] == kinds, envelope_id
        status, outcome = expected_end(envelope_id)
        assert (found["status"], found["outcome"]) == (status, outcome), envelope_id


def expected_end(envelope_id: str) -> tuple[str, str]:
    ends = {"denied": ("failed", "denied"), "contradicted": ("admitted", "pending"), "stray": ("resolved", "narrowed")}
    return ends.get(envelope_id.split("-")[0], ("released", "narrowed"))


def test_evidence_names_the_first_of_equal_events(lived: Lived) -> None:
    """And the digest is that of the admission's Avro bytes, in whatever frame its writer put them."""
    at: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for phase in (*PHASES, "failed"):
        for line in lived.read["python"][phase]:
            if (phase, line["key"]) != ("finalized", STRAY):
                at[(phase, line["key"])].append((line["partition"], line["offset"]))
    admissions = {(r.partition, r.offset): r for r in read_topic(lived.house.bootstrap, lived.house.topic("admission"))}
    for envelope_id, found in lived.last("lifecycle").items():
        for e in found["evidence"]:
            assert e["topic"] == lived.house.topic(e["phase"])
            assert (e["partition"], e["offset"]) == min(at[(e["phase"], envelope_id)])
        phases = {e["phase"] for _, e in lived.lives[envelope_id].parts}
        assert sorted(e["phase"] for e in found["evidence"]) == sorted(phases)
        value = admissions[min(at[("admission", envelope_id)])].value or b""
        avro = value[5:] if value[0] == 0 else value[10:]
        assert base64.b64decode(found["admission_sha256"]) == hashlib.sha256(avro).digest()


def test_the_same_content_by_any_client_is_the_same_lifecycle(lived: Lived) -> None:
    alone = [found for key, found in lived.last("lifecycle").items() if key.startswith("alone-")]
    assert len(alone) == len(lived.house.writers)
    first, *others = (without_identity(found) for found in [*alone, lived.last("lifecycle")["repeated"]])
    for other in others:
        assert other == first


def without_identity(lifecycle: dict[str, Any]) -> Any:
    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(v) for v in value]
        return {k: strip(v) for k, v in value.items() if k != "envelope_id"} if isinstance(value, dict) else value

    return strip({k: v for k, v in lifecycle.items() if k not in ("evidence", "deadline", "admission_sha256")})


def test_the_wrong_partitioner_is_named_and_the_right_partition(lived: Lived) -> None:
    stray = lived.stray
    right = java_partition(STRAY.encode(), PARTITIONS)
    assert stray.partition == zlib.crc32(STRAY.encode()) % PARTITIONS != right
    letters = lived.read["python"]["deadletter"]
    assert {dict(line["headers"])["dl_processor"] for line in letters} == set(PROCESSORS)
    for line in letters:
        headers = dict(line["headers"])
        assert (headers["dl_topic"], headers["dl_reason"]) == (lived.house.topic("finalized"), "wrong_partition")
        assert (headers["dl_partition"], headers["dl_offset"]) == (str(stray.partition), str(stray.offset))
        assert f"partition {right} of {PARTITIONS}" in headers["dl_detail"]
        assert (line["key"], line["partition"]) == (STRAY, stray.partition)
        assert line["value"] == whole(event("finalized", STRAY))
    assert stray.value is not None
    raw = {"base64": base64.b64encode(stray.value).decode()}
    assert [{**line, "value": raw} for line in letters] == lived.read["c"]["deadletter"]
    assert len(letters) == len(PROCESSORS)


def test_ledger_and_totals(lived: Lived) -> None:
    """Numbers beyond 64 bits, as any client's decimals."""
    sums: Counter[tuple[str, str, str]] = Counter()
    totals: Counter[tuple[str, str, str]] = Counter()
    for v in lived.values("usage"):
        for quantity in ("asked", "granted", "billed"):
            sums[(v["envelope_id"], v["dimension"], quantity)] += int(v.get(quantity, "0"))
            totals[(v["window_start"], v["dimension"], quantity)] += int(v.get(quantity, "0"))
    metered = RELEASED - GRANTED
    ended = [key for key, life in lived.lives.items() if life.event("released")]
    assert len(ended) == 2 * len(lived.house.writers) + 1
    for key in ended:
        assert sums[(key, "memory_bytes", "asked")] == 2**53 * metered > 2**64
        assert sums[(key, "memory_bytes", "granted")] == 2**34 * metered
        assert sums[(key, "amounts.tokens", "asked")] == 10**12
        assert sums[(key, "amounts.tokens", "billed")] == 48211
    found: Counter[tuple[str, str, str]] = Counter()
    for name, v in lived.last("usage.tenant").items():
        assert json.loads(name) == ["acme", v["window_start"], v["dimension"]]
        for quantity in ("asked", "granted", "billed"):
            found[(v["window_start"], v["dimension"], quantity)] = int(v.get(quantity, "0"))
    assert +found == +totals


def test_obligations_and_audit(lived: Lived) -> None:
    owed: dict[str, list[str]] = defaultdict(list)
    for line in lived.read["python"]["governance"]:
        assert line["key"] == line["value"]["envelope_id"] and line["value"]["state"] == "due"
        owed[line["key"]].append(line["value"]["obligation"])
    assert set(owed) == set(lived.lives)
    assert {tuple(sorted(kinds)) for kinds in owed.values()} == {("audit_disclosure", "retention", "review")}

    entries = {tuple(v["source"].values()): json.loads(v["event"]) for v in lived.values("audit")}
    lines = [line for phase in (*PHASES, "failed") for line in lived.read["python"][phase]]
    events = {(line["topic"], line["partition"], line["offset"]): line["value"] for line in lines}
    del events[(lived.stray.topic, lived.stray.partition, lived.stray.offset)]
    assert set(entries) == set(events) and len(lived.values("audit")) == len(events)
    for at, entry in entries.items():
        for name in ("envelope_id", "event_id", "tenant", "occurred_at", "source"):
            assert entry[name] == events[at][name]

    (violation,) = lived.values("violation")
    assert (violation["kind"], violation["envelope_id"]) == ("admission_conflict", "contradicted")
    assert [e["event_id"] for e in violation["evidence"]] == ["admission-é-1", "other"]
