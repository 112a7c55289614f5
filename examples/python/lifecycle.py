#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes two execution envelopes to Kafka: a whole lifecycle, and a request that is denied.

What is general is above `deployment`; what follows stands for your service.
"""

from __future__ import annotations

import argparse
import io
import json
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fastavro
import httpx  # the registry client lets its errors through
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

PHASES = ("admission", "resolved", "annotation", "finalized", "failed", "released")

Record = dict[str, Any]
Encoder = Callable[[str, Record], bytes]
"""Turns a record for a topic into the bytes of its value."""


def registered(schema: str, registry: SchemaRegistryClient) -> Encoder:
    """Confluent framing. The schema is looked up, never registered: that is for `envelopectl` alone.

    Normalized, because the serializer sends a text without white space, and a registry compares texts.
    """
    settings = {"auto.register.schemas": False, "normalize.schemas": True}
    serializer = AvroSerializer(registry, schema, conf=settings)
    return lambda topic, record: serializer(record, SerializationContext(topic, MessageField.VALUE))


def single_object(schema: str) -> Encoder:
    """Avro single-object encoding: two bytes, the schema's fingerprint, the record."""
    parsed = fastavro.parse_schema(json.loads(schema))
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(schema))
    prefix = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))

    def encode(_topic: str, record: Record) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, record)
        return prefix + out.getvalue()

    return encode


def uuid7() -> str:
    """Ordered by time, so that envelopes made together lie together; `uuid.uuid7` from Python 3.14 on."""
    bits = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return str(uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


class Envelopes:
    """Sends events of envelopes and remembers what was not delivered."""

    def __init__(self, bootstrap: str, prefix: str, encoders: dict[str, Encoder]) -> None:
        self._prefix = prefix
        self._encoders = encoders
        self.undelivered = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                # The partition that Java computes; librdkafka's own default is another, and the
                # phases of an envelope would not meet.
                "partitioner": "murmur2_random",
                "enable.idempotence": True,  # with acks=all
                "message.timeout.ms": 30_000,
            }
        )

    def send(self, phase: str, event: Record, trace_id: str) -> None:
        """Hands an event to the producer, under its envelope's id."""
        name = f"envelope.{phase}.v1"
        topic = self._prefix + name
        value = self._encoders[phase](topic, event)
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event["event_id"],
            "ce_type": name,
            "ce_source": event["source"],
            "ce_time": event["occurred_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "ce_dataschema": f"urn:avro:envelope.v1.{phase.capitalize()}",
            "content-type": "application/avro",
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",  # your tracer's, in a service
        }
        self._producer.produce(
            topic, value, key=event["envelope_id"], headers=headers, on_delivery=self._on_delivery
        )
        self._producer.poll(0)  # serves callbacks; a service does so in its loop

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        key = message.key().decode()
        if error is None:
            print(message.topic(), message.partition(), message.offset(), key)
        else:
            self.undelivered += 1
            print(f"lifecycle.py: not delivered: {message.topic()} {key}: {error.str()}", file=sys.stderr)

    def flush(self) -> None:
        """Waits until each event was delivered or given up."""
        self._producer.flush()


def common(envelope_id: str, at: datetime) -> Record:
    """What each event states, whatever its phase."""
    return {
        "envelope_id": envelope_id,
        "event_id": uuid7(),
        "tenant": "acme",
        "occurred_at": at,
        "source": "urn:service:serving",
        "sensitivity": "internal",
    }


def admission(envelope_id: str, at: datetime) -> Record:
    """Who asks for what. What is not known is left out: absent is not zero."""
    return common(envelope_id, at) | {
        "caller": {"requester_urn": "urn:acme:user:ada", "initiator": "human", "request_id": "req-7f3a"},
        "execution": {"kind": "deployment", "service": "serving", "operation": "deploy_model"},
        "governance": {"audit_level": "full", "hints": {"audit_event": "model.deploy"}},
        "requested": {
            "cpu_millis": 8000, "memory_bytes": 32 << 30, "gpu_count": 1, "engine": "vllm",
            "timeout_ms": 3_600_000, "placement": {"region": "eu-west"},
        },
    }  # fmt: skip


def deployment(began: datetime) -> Iterator[tuple[str, Record]]:
    """A model is deployed with less than was asked for, is given more, and is undeployed."""
    envelope_id = uuid7()

    def event(seconds: int, **members: Any) -> Record:
        return common(envelope_id, began + timedelta(seconds=seconds)) | members

    yield "admission", admission(envelope_id, began)
    less = {"cpu_millis": 4000, "memory_bytes": 16 << 30, "gpu_count": 1, "gpu_share_milli": 500, "engine": "vllm"}
    yield "resolved", event(2, granted=less, resolution={"backend": "ray-serve", "target": "pool-gpu-a"})
    yield "annotation", event(5, annotations={"com.example.review/ticket": json.dumps("GOV-1412")})
    yield "finalized", event(12, runtime_id="deployment-8841", backend_kind="vllm")
    # A grant is added; the one before it stays.
    more = less | {"cpu_millis": 8000, "gpu_share_milli": 1000}
    yield "resolved", event(302, granted=more, resolution={"backend": "ray-serve", "target": "pool-gpu-b"})
    yield "released", event(902, reason="undeployed by its owner", measured={"tokens": 48211})


def denial(began: datetime) -> Iterator[tuple[str, Record]]:
    """A request that fails before anything was granted: a failed event cannot even say otherwise."""
    envelope_id = uuid7()
    yield "admission", admission(envelope_id, began)
    why = {"stage": "resolution", "code": "no_capacity", "reason": "no GPU is free in eu-west", "retryable": True}
    yield "failed", common(envelope_id, began + timedelta(seconds=1)) | why


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--bootstrap", required=True, metavar="HOST:PORT,...", help="Kafka brokers")
    options.add_argument("--schema-registry", metavar="URL", help="without: Avro single-object encoding")
    options.add_argument("--topic-prefix", default="", metavar="TEXT", help="before each topic's name")
    options.add_argument("--schemas", type=Path, default=Path("schemas"), metavar="DIR", help="the project's *.avsc")
    given = options.parse_args()
    try:
        schemas = {phase: (given.schemas / f"{phase}.avsc").read_text() for phase in PHASES}
    except OSError as error:
        sys.exit(f"lifecycle.py: --schemas: {error}")

    registry = SchemaRegistryClient({"url": given.schema_registry}) if given.schema_registry else None
    encoders = {p: registered(text, registry) if registry else single_object(text) for p, text in schemas.items()}
    # A service stamps each event when it happens; these are as if the deployment had just ended.
    began = datetime.now(timezone.utc) - timedelta(seconds=902)
    envelopes = Envelopes(given.bootstrap, given.topic_prefix, encoders)
    try:
        for envelope in (deployment(began), denial(began)):
            trace_id = secrets.token_hex(16)
            for phase, event in envelope:
                envelopes.send(phase, event, trace_id)
    except (KafkaException, SchemaRegistryError, SerializationError, httpx.HTTPError) as error:
        print(f"lifecycle.py: not sent: {given.topic_prefix}envelope.{phase}.v1: {error}", file=sys.stderr)
        return 1
    finally:
        envelopes.flush()
    return 1 if envelopes.undelivered else 0


if __name__ == "__main__":
    sys.exit(main())
