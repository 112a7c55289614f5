# SPDX-License-Identifier: Apache-2.0
"""The three processors over one set of topics, run, disturbed and read back as the oracle says outputs."""

from __future__ import annotations

import base64
import json
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from clients import admin, read_topic
from clients import Record as Read
from oracle.avro import read as decode
from oracle.contract import SCHEMAS, TOPICS, Record
from oracle.governance import leaf_hash
from oracle.outputs import Outputs, Settings
from process import wait_until
from programs import Program, Programs

PROCESSORS = ("join", "governance", "accounting")
INPUTS = tuple(name for name, t in TOPICS.items() if t["append_time"])
FRAME = 10  # of single-object encoding


def body(value: bytes) -> bytes:
    assert value[:2] == b"\xc3\x01"
    return value[FRAME:]


def number(value: bytes | None) -> int:
    return 0 if value is None else int.from_bytes(value, "big", signed=True)


@dataclass
class Pipeline:
    programs: Programs
    bootstrap: str
    settings: Settings
    directory: Path
    writers: list[str | Path] = field(default_factory=list)  # options: schemas of other writers

    @property
    def common(self) -> list[str | Path]:
        return ["--bootstrap", self.bootstrap, "--topic-prefix", self.settings.prefix]

    def options(self, processor: str) -> list[str | Path]:
        s = self.settings
        out = [*self.common, *self.writers, "--policy-margin", f"{s.policy_margin // 1000}ms"]
        # Those of a killed instance soon go to another.
        out += ["--session-timeout", "6s", "--transaction-timeout", "6s"]
        if processor != "accounting":
            out += ["--grace", f"{s.grace // 1000}ms"]
        if processor == "join":
            out += ["--orphan-grace", f"{s.orphan_grace // 1000}ms"]
        return out

    def start(self, processor: str, group: str, instance: str, *more: str) -> Program:
        where = ["--group", group, "--instance", instance, "--state-dir", self.state(group, instance)]
        return self.programs.start(f"envelope-{processor}", *self.options(processor), *where, *more)

    def state(self, group: str, instance: str) -> Path:
        return self.directory / f"{group}-{instance}"

    def ctl(self, *args: str | Path) -> bytes:
        return self.programs.run("envelopectl", *args, *self.common).stdout

    def tick(self) -> None:
        self.ctl("tick")

    # ---- Reading.

    def read(self, name: str) -> list[Read]:
        return read_topic(self.bootstrap, self.settings.prefix + name, deadline_s=60)

    def inputs(self) -> list[Record]:
        return [
            Record(name, r.partition, r.offset, r.timestamp, r.key, r.value, list(r.headers))
            for name in INPUTS
            for r in self.read(name)
        ]

    def values(self, name: str) -> Iterable[tuple[Read, dict]]:
        for r in self.read(name):
            if r.value is not None:
                yield r, decode(SCHEMAS[TOPICS[name]["value"]], body(r.value))

    def outputs(self) -> Outputs:
        out = Outputs()
        for r in self.read("envelope.lifecycle.v1"):
            assert r.key is not None and r.value is not None, "retirement is off: no tombstones"
            out.lifecycle[r.key.decode()] = body(r.value)
        for _, v in self.values("envelope.violation.v1"):
            out.violations.add((v["violation_id"], v["kind"], v["envelope_id"]))
            if v["hole"] is not None:
                out.holes[v["violation_id"]] = self._hole(v)
        for r, v in self.values("envelope.governance.v1"):
            assert r.key == v["envelope_id"].encode()
            out.obligations[v["obligation_id"]] = {n: x for n, x in v.items() if n not in ("obligation_id", "evidence")}
        self._usage(out)
        self._audit(out)
        for r in self.read("envelope.deadletter.v1"):
            h = {name: value.decode() for name, value in r.headers}
            topic = h["dl_topic"].removeprefix(self.settings.prefix)
            out.dead.add((h["dl_processor"], topic, int(h["dl_partition"]), int(h["dl_offset"]), h["dl_reason"]))
        return out

    def _hole(self, violation: dict) -> tuple:
        hole = violation["hole"]
        assert not hole["coarse"], "there are not that many"
        value = tuple(hole[n] for n in ("epoch", "topic", "partition", "first", "last", "reason"))
        evidence = tuple((e["topic"].removeprefix(self.settings.prefix), e["offset"]) for e in violation["evidence"])
        return value, evidence

    def _usage(self, out: Outputs) -> None:
        sums: dict[tuple, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for r, v in self.values("envelope.usage.v1"):
            assert r.key == v["tenant"].encode()
            for quantity in ("asked", "granted", "billed"):
                sums[(v["envelope_id"], v["dimension"], v["window_start"])][quantity] += number(v[quantity])
        out.usage = nonzero(sums)
        totals: dict[bytes, bytes | None] = {r.key: r.value for r in self.read("envelope.usage.tenant.v1")}
        for key, value in totals.items():
            if value is None:
                continue
            v = decode(SCHEMAS["usage_tenant"], body(value))
            name = (v["tenant"], v["window_start"], v["dimension"])
            assert json.loads(key)[::2] == [v["tenant"], v["dimension"]]
            out.totals[name] = {q: number(v[q]) for q in ("asked", "granted", "billed") if v[q] is not None}
            assert all(out.totals[name].values()), "zeros are left out"

    def _audit(self, out: Outputs) -> None:
        for _, v in self.values("envelope.audit.v1"):
            source = v["source"]
            assert v["leaf_hash"] == leaf_hash(source, v["number"], v["level"], v["event"])
            entry = {"offset": source["offset"], "number": v["number"], "level": v["level"], "event": v["event"]}
            log = (source["topic"].removeprefix(self.settings.prefix), source["partition"])
            out.audit.setdefault(log, []).append(entry)

    # ---- The same logs once more.

    def reset(self) -> None:
        """Derived topics and state topics made anew: what a reprocessing begins with."""
        derived = [name for name in TOPICS if name not in INPUTS]
        client = admin(self.bootstrap)
        for future in client.delete_topics([self.settings.prefix + n for n in derived], operation_timeout=30).values():
            future.result(30)
        gone = lambda: not {self.settings.prefix + n for n in derived} & set(client.list_topics(timeout=10).topics)  # noqa: E731
        wait_until(gone, 30, "derived topics to be gone")
        self.ctl("topics", "apply")

    def drain(self, group: str, *more: str, instances: tuple[str, ...] = ("one",)) -> None:
        """All three at once, each to its end."""
        running = [self.start(p, f"{group}-{p}", i, "--drain", *more) for p in PROCESSORS for i in instances]
        for program in running:
            result = program.wait(120)
            assert result.status == 0, result.stderr.decode()[-3000:]

    def drain_disturbed(self, group: str, seed: int, blows: int, *more: str) -> int:
        """Two instances of each in turn, killed or asked to end at some moment, their state thrown away every
        other time; at last drained. Returns how many were hit at work."""
        chance = random.Random(seed)
        hits = 0
        for blow in range(blows):
            processor = PROCESSORS[blow % len(PROCESSORS)]
            name = f"{group}-{processor}"
            running = [self.start(processor, name, instance, "--drain", *more) for instance in ("one", "two")]
            running[0].wait_log(lambda line: line["message"] == "partitions run", "its partitions")
            until = time.monotonic() + chance.random() * 0.4
            wait_until(lambda: time.monotonic() >= until or not running[0].is_running, 60, "the moment")  # noqa: B023
            hits += running[0].is_running
            for program in running:
                if chance.random() < 0.7:
                    program.kill()
                else:
                    assert program.terminate().status == 0
            if blow % 2 == 1:
                shutil.rmtree(self.state(name, chance.choice(("one", "two"))), ignore_errors=True)
        for _ in range(2):  # the second reads what the others' first stages wrote after one was done
            self.drain(group, instances=("one", "two"))
        return hits


def nonzero(sums: dict[tuple, dict[str, int]]) -> dict[tuple, dict[str, int]]:
    kept = {key: {q: v for q, v in quantities.items() if v} for key, quantities in sums.items()}
    return {key: quantities for key, quantities in kept.items() if quantities}


def differences(found: Outputs, expected: Outputs) -> list[str]:
    """What differs, a line each; audit events are compared as JSON."""
    out: list[str] = []

    def compare(what: str, left: dict, right: dict) -> None:
        for key in sorted({*left, *right}, key=repr):
            if left.get(key) != right.get(key):
                out.append(f"{what} {key}:" + contrast(left.get(key), right.get(key)))

    compare("lifecycle", found.lifecycle, expected.lifecycle)
    compare("hole", found.holes, expected.holes)
    compare("usage", found.usage, expected.usage)
    compare("total", found.totals, expected.totals)
    compare("obligation", found.obligations, expected.obligations)
    compare("audit", read_events(found.audit), read_events(expected.audit))
    for what, left, right in (("violation", found.violations, expected.violations), ("dead letter", found.dead, expected.dead)):
        out += [f"{what} {x}: only found" for x in sorted(left - right)]
        out += [f"{what} {x}: only expected" for x in sorted(right - left)]
    return out


def read_events(logs: dict) -> dict:
    """By (topic, partition, number): a duplicate or a gap shows as well."""
    entries: dict[tuple, list] = defaultdict(list)
    for log, held in logs.items():
        for e in held:
            event = json.loads(e["event"]) if isinstance(e["event"], str) else e["event"]
            entries[(*log, e["number"])].append((e["offset"], e["level"], json.dumps(event, ensure_ascii=False)))
    return entries


def contrast(found: object, expected: object) -> str:
    """The two, or of two records the fields that differ."""
    if isinstance(found, bytes) and isinstance(expected, bytes):
        found, expected = decode(SCHEMAS["lifecycle"], found), decode(SCHEMAS["lifecycle"], expected)
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [n for n in {**found, **expected} if found.get(n) != expected.get(n)]
        found, expected = {n: found.get(n) for n in names}, {n: expected.get(n) for n in names}
    return f"\n  found    {str(found)[:2000]}\n  expected {str(expected)[:2000]}"


def raw_line(record: Record, prefix: str) -> bytes:
    """As `envelopectl cat --raw` prints it."""
    as64 = lambda data: None if data is None else {"base64": base64.b64encode(data).decode()}  # noqa: E731
    line = {
        "topic": prefix + record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": as64(record.key),
        "headers": [[name, as64(value)] for name, value in record.headers],
        "value": as64(record.value),
    }
    return json.dumps(line).encode() + b"\n"
