# SPDX-License-Identifier: Apache-2.0
"""Seeded traffic for the equivalence tests: what producers write, right and wrong.

`traffic(seed, envelopes)` gives (topic, key, value, partition or None, headers) in the order of
production: every kind and outcome, duplicates, conflicts, foreign tenants, orphans, events without
end, receipts, older writers, both framings, each reason for a dead letter, and producers that number
their records, lose some, and report.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from collections import defaultdict
from dataclasses import dataclass, field

import fastavro
from .avro import zigzag
from .contract import PARSED, PHASES, SCHEMAS, fingerprint, partition_of

TOPIC = "envelope.{}.v1".format
KINDS = ("deployment", "inference", "pipeline_step", "maintenance_task", "evaluation", "data_movement", "tool_call")
SECOND = 1_000_000
HOUR = 3600 * SECOND
OLDER = {"admission": ("extensions", "governance"), "finalized": ("measured",), "released": ("measured",)}


@dataclass
class Message:
    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def older_schema(phase: str) -> dict:
    """As an earlier version might have been: without optional fields, the others turned round."""
    schema = copy.deepcopy(SCHEMAS[phase].root)
    kept = [f for f in schema["fields"] if f["name"] not in OLDER[phase]]
    schema["fields"] = kept[:5] + kept[5:][::-1]
    return schema


OLDER_SCHEMAS = {phase: older_schema(phase) for phase in OLDER}


def encoded(schema: object, value: dict) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def framed(phase: str, value: dict) -> bytes:
    return b"\xc3\x01" + fingerprint(SCHEMAS[phase].root) + encoded(PARSED[phase], value)


class Generator:
    def __init__(self, seed: int, partitions: int) -> None:
        self.random = random.Random(seed)
        self.partitions = partitions
        self.now = int(time.time() * SECOND)
        self.count = 0

    def id(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}-{self.random.getrandbits(48):012x}"

    def maybe(self, chance: float, value: object) -> object:
        return value if self.random.random() < chance else None

    def tenant(self) -> str:
        return f"tenant-{min(int(self.random.paretovariate(0.9)), 20):02}"

    # ---- Events.

    def head(self, envelope: dict, at: int, what: str) -> dict:
        return {
            "envelope_id": envelope["id"],
            "event_id": self.id(what),
            "tenant": envelope["tenant"],
            "occurred_at": at,
            "source": "urn:test:backend",
            "sensitivity": self.maybe(0.5, self.random.choice(["public", "internal", "confidential", "restricted"])),
        }

    def extensions(self) -> dict:
        return {} if self.random.random() < 0.6 else {"com.example.serving/é": json.dumps({"n": self.random.randrange(9)})}

    def resources(self, timeout_ms: int | None) -> dict:
        r = self.random
        return {
            "cpu_millis": self.maybe(0.8, r.choice([500, 1000, 4000])),
            "memory_bytes": self.maybe(0.6, r.choice([1 << 30, 8 << 30])),
            "gpu_count": self.maybe(0.5, r.randrange(0, 4)),
            "gpu_share_milli": self.maybe(0.3, r.choice([250, 500, 1000])),
            "gpu_class": self.maybe(0.3, r.choice(["a", "b"])),
            "engine": self.maybe(0.4, r.choice(["vllm", "other"])),
            "concurrency": self.maybe(0.3, r.randrange(1, 9)),
            "timeout_ms": timeout_ms,
            "priority": self.maybe(0.2, r.randrange(5)),
            "placement": {} if r.random() < 0.6 else {"zone": r.choice("ab"), "rack": r.choice("xy")},
            "amounts": {} if r.random() < 0.6 else {"tokens": r.randrange(10_000), "bytes": r.randrange(1 << 40)},
        }

    def admission(self, envelope: dict) -> dict:
        r = self.random
        hints = {name: r.choice(["yes", "ops"]) for name in ("review", "notify", "guardrail", "team") if r.random() < 0.3}
        governance = {
            "audit_level": self.maybe(0.5, r.choice(["minimal", "standard", "full"])),
            "sensitivity": self.maybe(0.6, r.choice(["public", "internal", "confidential", "restricted"])),
            "provenance": self.maybe(0.2, "urn:test:provenance"),
            "retention": self.maybe(0.3, "P30D"),
            "policy_refs": ["urn:policy:1"] if r.random() < 0.2 else [],
            "hints": hints,
        }
        return {
            **self.head(envelope, envelope["at"], "admission"),
            "caller": {
                "requester_urn": "urn:user:" + r.choice("abc"),
                "request_id": self.maybe(0.5, self.id("request")),
                "initiator": r.choice(["human", "app", "service", "agent"]),
                "on_behalf_of": ["urn:user:z"] if r.random() < 0.2 else [],
                "authority_refs": [],
            },
            "execution": {"kind": envelope["kind"], "service": "serving", "operation": "deploy", "target": None},
            "scope": self.maybe(0.3, {n: self.maybe(0.5, n) for n in ("workspace", "app", "job", "session", "thread")}
                                | {"template": None, "deployment_group": None}),
            "governance": self.maybe(0.8, governance),
            "requested": self.resources(self.maybe(0.9, r.choice([1, 500, 1500, 3_600_000]))),
            "extensions": self.extensions(),
        }  # fmt: skip

    def resolved(self, envelope: dict, at: int) -> dict:
        granted = self.resources(None)
        asked = envelope.get("requested")
        if asked and self.random.random() < 0.6:  # mostly near to what was asked for
            granted = {**asked, "cpu_millis": asked["cpu_millis"] and asked["cpu_millis"] // 2}
        resolution = {n: self.maybe(0.3, n) for n in ("backend", "actor", "routing", "target", "substrate")}
        attributes = {"node": "n1"} if self.random.random() < 0.3 else {}
        return {
            **self.head(envelope, at, "resolved"),
            "granted": granted,
            "resolution": {**resolution, "attributes": attributes},
            "extensions": self.extensions(),
        }

    def measured(self) -> dict:
        return {} if self.random.random() < 0.5 else {"tokens": self.random.randrange(20_000)}

    def finalized(self, envelope: dict, at: int) -> dict:
        facts = {n: self.maybe(0.3, "/" + n) for n in ("serve_path", "public_path", "backend_kind")}
        return {
            **self.head(envelope, at, "finalized"),
            "runtime_id": self.id("runtime"),
            **facts,
            "measured": self.measured(),
            "extensions": self.extensions(),
        }

    def failed(self, envelope: dict, at: int) -> dict:
        return {
            **self.head(envelope, at, "failed"),
            "stage": self.random.choice(["admit", "place", "run"]),
            "code": self.maybe(0.5, "E1"),
            "reason": "out of \"room\"\n\u0001\u00e9",
            "retryable": self.maybe(0.5, True),
            "extensions": {},
        }  # fmt: skip

    def released(self, envelope: dict, at: int) -> dict:
        return {
            **self.head(envelope, at, "released"),
            "reason": self.maybe(0.5, "done"),
            "measured": self.measured(),
            "extensions": self.extensions(),
        }

    def annotation(self, envelope: dict, at: int) -> dict:
        return {
            **self.head(envelope, at, "annotation"),
            "annotations": {"com.example/k": json.dumps(self.random.randrange(99))},
            "extensions": {},
        }

    # ---- One envelope.

    def events(self) -> list[tuple[str, dict]]:
        r = self.random
        envelope = {
            "id": self.id("é-envelope" if r.random() < 0.1 else "envelope"),
            "tenant": self.tenant(),
            "kind": r.choice(KINDS),
            "at": self.now - r.randrange(5 * HOUR),
        }
        if r.random() < 0.02:
            envelope["at"] = self.now - 9 * 24 * HOUR  # beyond what metering believes
        at = envelope["at"]
        out: list[tuple[str, dict]] = []
        if r.random() > 0.06:
            admission = self.admission(envelope)
            envelope["requested"] = admission["requested"]
            out.append(("admission", admission))
        moment: Callable[[], int] = lambda: at + r.choice([0, SECOND, r.randrange(3 * HOUR)])  # noqa: E731
        for phase, most in (("resolved", 3), ("finalized", 1), ("failed", 1), ("released", 1), ("annotation", 2)):
            for _ in range(r.randrange(most + 1)):
                out.append((phase, getattr(self, phase)(envelope, moment())))
        if not out:
            out.append(("finalized", self.finalized(envelope, moment())))
        return [*out, *self.trouble(envelope, out)]

    def trouble(self, envelope: dict, events: list[tuple[str, dict]]) -> list[tuple[str, dict]]:
        r = self.random
        out: list[tuple[str, dict]] = []
        for phase, event in events:
            if r.random() < 0.05:
                out.append((phase, event))  # the same again
            if r.random() < 0.03 and phase != "admission":
                out.append((phase, {**event, "occurred_at": event["occurred_at"] + 1}))  # conflict
            if r.random() < 0.03 and phase != "admission":
                out.append((phase, {**event, "event_id": self.id("foreign"), "tenant": "tenant-foreign"}))
        if events[0][0] == "admission":
            admission = events[0][1]
            if r.random() < 0.03:
                out.append(("admission", {**admission, "event_id": self.id("again"), "source": "urn:retry"}))
            if r.random() < 0.04:
                out.append(("admission", {**admission, "event_id": self.id("other"), "execution": {
                    **admission["execution"], "operation": "another"}}))  # fmt: skip
        return out

    def crowd(self, phase: str, count: int) -> list[tuple[str, dict]]:
        """More events of a phase than a record takes."""
        envelope = {"id": self.id("crowd"), "tenant": "tenant-01", "kind": "inference", "at": self.now}
        admission = self.admission(envelope)
        events = [getattr(self, phase)(envelope, self.now + self.random.randrange(SECOND)) for _ in range(count)]
        ends = [("released", self.released(envelope, self.now + SECOND))]
        return [("admission", admission), *((phase, e) for e in events), *ends]

    def receipts(self, admission: dict) -> Iterator[dict]:
        """Answers to obligations of the built-in policy and of versions 1 and 2, some of nobody's."""
        r = self.random
        for rule, name in (("hint-review", "review"), ("hint-notify", "notify"), ("everything", "look")):
            for version in (0, 1, 2):
                if r.random() < 0.25:
                    text = json.dumps([admission["envelope_id"], version, rule, name], ensure_ascii=False,
                                      separators=(",", ":"))  # fmt: skip
                    for _ in range(r.choice([1, 1, 1, 3])):  # some think again, some at the same time
                        yield {
                            "obligation_id": hashlib.sha256(text.encode()).hexdigest(),
                            "envelope_id": admission["envelope_id"],
                            "tenant": admission["tenant"] if r.random() < 0.9 else "tenant-foreign",
                            "state": r.choice(["applied", "failed", "waived", "due"]),
                            "actor": "urn:actor:" + r.choice("abc"),
                            "occurred_at": self.now + r.randrange(3),
                        }

    # ---- On the wire.

    def message(self, phase: str, value: dict) -> Message:
        key = value["envelope_id"].encode()
        if phase in OLDER and value.get("governance") is None and self.random.random() < 0.15:
            schema = OLDER_SCHEMAS[phase]
            data = encoded(fastavro.parse_schema(copy.deepcopy(schema), {}), value)
            return Message(TOPIC(phase), key, b"\xc3\x01" + fingerprint(schema) + data)
        return Message(TOPIC(phase), key, framed(phase, value))

    def malformed(self) -> Iterator[tuple[str, Message]]:
        """Each reason for a dead letter, with its name."""
        envelope = {"id": self.id("bad"), "tenant": "tenant-01", "kind": "inference", "at": self.now}
        good = self.admission(envelope) | {"governance": None, "scope": None, "sensitivity": None, "extensions": {}}
        key, topic = envelope["id"].encode(), TOPIC("admission")
        value = framed("admission", good)
        header, head = value[:10], sum(len(zigzag(len(good[n].encode()))) + len(good[n].encode())
                                       for n in ("envelope_id", "event_id", "tenant"))  # fmt: skip

        def changed(**fields: object) -> Message:
            bad = {**good, **fields}
            return Message(topic, bad["envelope_id"].encode(), framed("admission", bad))

        yield "truncated", Message(topic, key, value[:-3])
        yield "truncated", Message(topic, key, value[:6])
        yield "truncated", Message(topic, key, b"\0\0\0")
        yield "trailing_bytes", Message(topic, key, value + b"\0")
        yield "oversized", changed(extensions={"com.example/x": json.dumps("x" * (300 << 10))})
        yield "oversized", changed(event_id="x" * 129)
        yield "invalid_utf8", Message(topic, key, value.replace(b"urn:test:backend", b"urn:test:back\xff\xfe\xfd"))
        yield "invalid_utf8", changed(event_id="a\0b")
        at = 10 + head
        stamp = len(zigzag(good["occurred_at"]))
        long = bytes(b | 0x80 for b in value[at : at + stamp]) + b"\0"
        yield "non_minimal_varint", Message(topic, key, value[:at] + long + value[at + stamp :])
        source = at + stamp + 1 + len(good["source"])
        assert value[source : source + 1] == b"\0", "no sensitivity"
        yield "bad_enum", Message(topic, key, value[:source] + b"\x02\x10" + value[source + 1 :])
        failed = self.failed(envelope, self.now) | {"retryable": True}
        value_failed = framed("failed", failed)
        yield "bad_boolean", Message(TOPIC("failed"), key, value_failed[:-2] + b"\x02" + value_failed[-1:])
        twice = zigzag(2) + 2 * (zigzag(7) + b"com.x/1" + zigzag(1) + b"1") + b"\0"
        yield "duplicate_key", Message(topic, key, value[:-1] + twice)
        yield "unknown_framing", Message(topic, key, b"{" + value)
        yield "unknown_fingerprint", Message(topic, key, b"\xc3\x01" + b"12345678" + value[10:])
        released = self.released(envelope, self.now)
        yield "wrong_schema", Message(topic, key, framed("released", released))
        yield "key_mismatch", Message(topic, b"another", value)
        right = partition_of(key, self.partitions)
        yield "wrong_partition", Message(topic, key, header + value[10:], (right + 1) % self.partitions)
        yield "extension_not_namespaced", changed(extensions={"model": "1"})
        yield "tenant_missing", changed(tenant="")
        yield "missing_field", changed(source="")
        yield "missing_field", changed(envelope_id="")


@dataclass
class Numbering:
    """Of one epoch, on one topic and partition."""

    next: int = 0
    owed: list[int] = field(default_factory=list)  # not acknowledged, ascending: sent again later
    holes: list[tuple[int, str]] = field(default_factory=list)  # to be declared

    @property
    def settled(self) -> int:
        return (self.owed[0] if self.owed else self.next) - 1


class Producers:
    """What they say is so, but for numbers that are lost without a word."""

    def __init__(self, g: Generator, prefix: str) -> None:
        self.random, self.now, self.prefix, self.partitions = g.random, g.now, prefix, g.partitions
        began = self.now // SECOND
        self.epochs = {"urn:test:eu": [began], "p": [began - 60], "old": [1]}  # the newest last
        self.given: dict[tuple, Numbering] = defaultdict(Numbering)  # by (producer, epoch, topic, partition)

    def lose(self, of: Numbering) -> None:
        while self.random.random() < 0.03:
            of.next += 1
        while self.random.random() < 0.05:
            of.owed.append(of.next)
            of.next += 1
        while self.random.random() < 0.05:
            of.holes.append((of.next, self.random.choice(["refused", "torn", "disk_full", "sent_again"])))
            of.next += 1

    def number(self, message: Message) -> None:
        if self.random.random() < 0.1:
            return
        partition = partition_of(message.key, self.partitions) if message.partition is None else message.partition
        producer = self.random.choice([*self.epochs])
        epoch = self.epochs[producer][-1]
        of = self.given[(producer, epoch, message.topic, partition)]
        self.lose(of)
        message.headers.append(("seq", f"{producer}:{epoch}:{of.next}".encode()))
        of.next += 1
        again = self.random.choice(self.epochs[producer])
        owed = self.given[(producer, again, message.topic, partition)].owed
        if owed and self.random.random() < 0.4:
            n = owed.pop(self.random.randrange(len(owed)))
            message.headers.append(("was", f"{producer}:{again}:{n}".encode()))

    def report(self, producer: str, epoch: int, partition: int) -> Message:
        sequences, holes = [], []
        closing = epoch != self.epochs[producer][-1]
        for phase in PHASES:
            of = self.given[(producer, epoch, TOPIC(phase), partition)]
            at = {"topic": self.prefix + TOPIC(phase), "partition": partition}
            closing &= not of.owed
            holes += [{**at, "first": n, "last": n, "reason": reason} for n, reason in of.holes]
            of.holes.clear()
            if of.settled >= 0:
                sequences.append({**at, "number": of.settled})
        value = {
            "producer": producer,
            "epoch": epoch,
            "occurred_at": self.now,
            "closing": closing,
            "sequences": sequences,
            "holes": holes,
        }
        return Message(TOPIC("producer"), None, framed("producer", value), partition)

    def among(self, messages: list[Message]) -> list[Message]:
        """Numbers them, and puts reports between them."""
        out = []
        for message in messages:
            if message.topic != TOPIC("obligation"):
                self.number(message)
            out.append(message)
            if self.random.random() < 0.03:
                producer = self.random.choice([*self.epochs])
                epoch = self.random.choice(self.epochs[producer])
                out.append(self.report(producer, epoch, self.random.randrange(self.partitions)))
            if self.random.random() < 0.002:
                epochs = self.random.choice([*self.epochs.values()])
                epochs.append(epochs[-1] + 1)
        return out


def traffic(seed: int, envelopes: int, partitions: int, prefix: str = "") -> list[Message]:
    """prefix: of the topics that reports name."""
    g = Generator(seed, partitions)
    messages: list[Message] = []
    for _ in range(envelopes):
        events = g.events()
        messages += [g.message(phase, value) for phase, value in events]
        if events[0][0] == "admission":
            messages += [
                Message(TOPIC("obligation"), r["envelope_id"].encode(), framed("obligation", r))
                for r in g.receipts(events[0][1])
            ]
    for phase, count in (("annotation", 520), ("failed", 66), ("resolved", 514)):
        messages += [g.message(phase, value) for phase, value in g.crowd(phase, count)]
    for _ in range(3):
        messages += [message for _, message in g.malformed()]
    g.random.shuffle(messages)
    return Producers(g, prefix).among(messages)


POLICIES = (
    {
        "name": "handling",
        "effective_from": None,
        "rules": [
            {
                "name": "everything",
                "match": {"kinds": [], "tenants": [], "sensitivities": [], "audit_levels": [], "hints": {}},
                "disclosure": None,
                "redact": ["caller.requester_urn", "extensions.*"],
                "obligations": [
                    {"name": "look", "obligation": "review", "due_after_ms": 1000, "parameters": {"who": "ops"}}
                ],
            },
            {
                "name": "team",
                "match": {"kinds": [], "tenants": [], "sensitivities": [], "audit_levels": [], "hints": {"team": "ops"}},
                "disclosure": "minimal",
                "redact": ["governance.hints.team"],
                "obligations": [
                    {"name": "tell", "obligation": "notification", "due_after_ms": None, "parameters": {}}
                ],
            },
        ],
    },
    {
        "name": "handling",
        "effective_from": None,
        "rules": [
            {
                "name": "everything",
                "match": {
                    "kinds": ["inference", "deployment"],
                    "tenants": ["tenant-01", "tenant-02"],
                    "sensitivities": ["public", "restricted"],
                    "audit_levels": [],
                    "hints": {"review": "*"},
                },
                "disclosure": "full",
                "redact": ["reason", "granted"],
                "obligations": [
                    {"name": "look", "obligation": "other", "due_after_ms": 500, "parameters": {"hint.review": "mine"}}
                ],
            },
            {
                "name": "quiet",
                "match": {"kinds": [], "tenants": ["tenant-03"], "sensitivities": [], "audit_levels": ["full"], "hints": {}},
                "disclosure": "minimal",
                "redact": [],
                "obligations": [],
            },
        ],
    },
)
