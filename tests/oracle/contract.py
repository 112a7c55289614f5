# SPDX-License-Identifier: Apache-2.0
"""What a record on a topic is, or why it is refused: framing, key, partition, fields."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import fastavro
from .avro import Refused, Schema, read, write

ROOT = Path(__file__).resolve().parents[2]
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
EVENT_MAX = 256 * 1024
KEY_JSON_MAX = 384
MICROS_PER_MS = 1000

SCHEMAS = {path.stem: Schema.load(path) for path in sorted((ROOT / "schemas").glob("*.avsc"))}
PARSED = {name: fastavro.parse_schema(json.loads(json.dumps(s.root)), {}) for name, s in SCHEMAS.items()}
TOPICS = {entry["name"]: entry for entry in json.loads((ROOT / "schemas" / "topics.json").read_text())}


@dataclass
class Record:
    """As it lies in the log. topic is without prefix, timestamp the append time in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def appended(self) -> int:
        return self.timestamp * MICROS_PER_MS

    @property
    def where(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


@dataclass
class Event:
    """A phase event that is not refused."""

    record: Record
    phase: str
    value: dict
    avro: bytes  # as the producer wrote it, without framing
    spliced: bytes  # as it stands in a lifecycle record

    @property
    def envelope_id(self) -> str:
        return self.value["envelope_id"]

    @property
    def event_id(self) -> str:
        return self.value["event_id"]

    @property
    def tenant(self) -> str:
        return self.value["tenant"]

    @property
    def order(self) -> tuple[int, bytes]:
        return self.value["occurred_at"], self.event_id.encode()


def murmur2(data: bytes) -> int:
    """As org.apache.kafka.common.utils.Utils.murmur2."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def fingerprint(schema: dict) -> bytes:
    """CRC-64-AVRO of the parsing canonical form, as it stands on the wire: little-endian."""
    return fingerprint_of(json.dumps(schema))


@cache
def fingerprint_of(text: str) -> bytes:
    """Asked for with each record; to work one out takes a millisecond."""
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@dataclass
class Writers:
    """The schemas that are known by fingerprint and by registry id, beside our own."""

    by_fingerprint: dict[bytes, dict] = field(default_factory=dict)
    by_id: dict[int, dict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for schema in SCHEMAS.values():
            self.by_fingerprint[fingerprint(schema.root)] = schema.root

    def of(self, value: bytes) -> tuple[dict, bytes]:
        """The writer's schema, and the Avro data."""
        if value[:2] == b"\xc3\x01":
            if len(value) < 10:
                raise Refused("truncated")
            known, reason = self.by_fingerprint.get(value[2:10]), "unknown_fingerprint"
            data = value[10:]
        elif value[:1] == b"\0":
            if len(value) < 5:
                raise Refused("truncated")
            known, reason = self.by_id.get(int.from_bytes(value[1:5], "big")), "unknown_schema_id"
            data = value[5:]
        else:
            raise Refused("truncated" if value in (b"", b"\xc3") else "unknown_framing")
        if known is None:
            raise Refused(reason)
        return known, data


def decode(writers: Writers, name: str, value: bytes) -> tuple[dict, bytes, bool]:
    """The value as our schema has it, the writer's Avro data, and whether its schema is ours."""
    schema, data = writers.of(value)
    if schema["name"] != SCHEMAS[name].root["name"]:
        raise Refused("wrong_schema", schema["name"])
    if fingerprint(schema) == fingerprint(SCHEMAS[name].root):
        return read(SCHEMAS[name], data), data, True
    written = read(Schema.of(schema), data)
    encoded = write(Schema.of(schema), schema, written)
    resolved = fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(schema, {}), PARSED[name])
    again = io.BytesIO()
    fastavro.schemaless_writer(again, PARSED[name], resolved)
    return read(SCHEMAS[name], again.getvalue()), data, False


def phase_of(topic: str) -> str | None:
    name = TOPICS[topic]["value"]
    return name if name in PHASES else None


def check_size(name: str) -> None:
    if len(json.dumps(name, ensure_ascii=False).encode()) > KEY_JSON_MAX:
        raise Refused("oversized")


def check_place(record: Record, envelope_id: str, partitions: int) -> None:
    check_size(envelope_id)
    if record.key != envelope_id.encode():
        raise Refused("key_mismatch")
    if partition_of(record.key, partitions) != record.partition:
        raise Refused("wrong_partition")


def open_record(writers: Writers, record: Record, partitions: int) -> tuple[dict, bytes, bool]:
    """Raises Refused, with the reason of its dead letter."""
    if len(record.value or b"") > EVENT_MAX:
        raise Refused("oversized")
    name = TOPICS[record.topic]["value"]
    value, data, ours = decode(writers, name, record.value or b"")
    if TOPICS[record.topic]["key"] == "envelope_id":
        check_place(record, value["envelope_id"], partitions)
    if name == "producer":
        check_size(value["producer"])
    return value, data, ours


def open_event(writers: Writers, record: Record, partitions: int) -> Event:
    phase = phase_of(record.topic)
    value, data, ours = open_record(writers, record, partitions)
    spliced = data if ours else write(SCHEMAS[phase], SCHEMAS[phase].root, value)
    return Event(record, phase, value, data, spliced)
