# SPDX-License-Identifier: Apache-2.0
"""envelope-local as a process, and `envelopectl show` over what it has written."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cache import HERE
from clients import java_partition
from programs import Programs, Result

ROOT = HERE.parents[1]
DERIVED = {"lifecycle", "violation", "governance", "audit", "usage", "usage.tenant", "deadletter"}
EXAMPLE = "01970b1c-5a00-7c3e-9b1f-0a2f6d1e4c55"
REPORT = {
    "events", "envelopes", "outcomes", "statuses", "violations", "obligations", "overdue", "audit_entries",
    "ledger_entries", "tenant_totals", "dead_letters",
}  # fmt: skip
DUE = {"name": "look", "obligation": "review", "due_after_ms": 120_000}
NOON = 1_778_241_600_000_000  # 2026-05-08T12:00:00Z
MINUTE = 60_000_000
LINE_MAX = 1 << 20
EVENT_MAX = 256 << 10

Event = dict[str, Any]


def event(phase: str, envelope_id: str = "e", at: int = NOON, **members: Any) -> Event:
    needed: dict[str, Event] = {
        "admission": {
            "caller": {"requester_urn": "urn:u", "initiator": "human"},
            "execution": {"kind": "inference", "service": "s", "operation": "o"},
            "requested": {"gpu_count": 1},
        },
        "resolved": {"granted": {"gpu_count": 1}, "resolution": {"backend": "b"}},
        "finalized": {"runtime_id": "r"},
        "failed": {"stage": "start", "reason": "full"},
    }
    return {
        "phase": phase, "envelope_id": envelope_id, "event_id": f"{phase}-{at}", "tenant": "acme",
        "occurred_at": at, "source": "urn:s", **needed[phase], **members,
    }  # fmt: skip


def as_lines(*lines: Event | str) -> bytes:
    return "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in lines).encode()


def example(*phases: str) -> bytes:
    """Phases of the worked example, a line each."""
    return as_lines(*(json.loads((ROOT / f"schemas/examples/{p}.json").read_text()) for p in phases))


def records(out: Path, topic: str) -> list[Event]:
    return [json.loads(line) for line in (out / f"envelope.{topic}.v1.jsonl").read_text().splitlines()]


def latest(out: Path, topic: str = "lifecycle") -> dict[str, Event]:
    return {r["key"]: r["value"] for r in records(out, topic)}


class Local:
    """Runs of envelope-local, and of show over their output."""

    def __init__(self, programs: Programs, root: Path) -> None:
        self.programs = programs
        self.out = root / "out"

    def run(self, lines: bytes, *args: str | Path, status: int = 0) -> Result:
        return self.programs.run("envelope-local", *args, stdin=lines, status=status)

    def report(self, lines: bytes, *args: str | Path, status: int = 0) -> Event:
        found: Event = json.loads(self.run(lines, "--json", *args, status=status).stdout)
        return found

    def written(self, lines: bytes, *args: str | Path) -> dict[str, Event]:
        """The lifecycle records of a run, the last of each envelope."""
        self.run(lines, "--out", self.out, *args)
        return latest(self.out)

    def show(self, *args: str | Path, status: int = 0, env: dict[str, str] | None = None) -> Result:
        return self.programs.run("envelopectl", "show", *args, status=status, env=env)

    def traffic(self, *args: str) -> bytes:
        return self.programs.run("envelope-traffic", *args).stdout


@pytest.fixture
def local(programs: Programs, tmp_path: Path) -> Local:
    return Local(programs, tmp_path)


# What comes out


def test_the_report_is_what_was_written(local: Local) -> None:
    lines = local.traffic("--envelopes", "600", "--seed", "7")
    report = local.report(lines, "--out", local.out)
    assert set(report) == REPORT
    assert {p.name for p in local.out.iterdir()} == {f"envelope.{t}.v1.jsonl" for t in DERIVED}
    last = latest(local.out)
    assert report["envelopes"] == len(last) == 600
    assert report["outcomes"] == Counter(v["outcome"] for v in last.values())
    assert report["statuses"] == Counter(v["status"] for v in last.values())
    assert report["violations"] == Counter(r["value"]["kind"] for r in records(local.out, "violation"))
    assert report["audit_entries"] == len(records(local.out, "audit"))
    assert report["ledger_entries"] == len(records(local.out, "usage"))
    assert report["tenant_totals"] == len(latest(local.out, "usage.tenant"))
    letters = [dict(r["headers"]) for r in records(local.out, "deadletter")]
    assert report["dead_letters"] == Counter(h["dl_reason"] for h in letters if h["dl_processor"] == "join")
    events = Counter(json.loads(line).get("phase") for line in lines.splitlines())
    assert report["events"] == {p: n for p, n in events.items() if p} and events[None] == len(letters) // 3

    people = local.run(lines).stdout.decode()
    for part in ("outcomes", "statuses", "violations", "dead_letters"):
        for name, count in report[part].items():
            assert re.search(rf"^ +{count}  {name}\b", people, re.MULTILINE), (part, name)
    assert not [line for line in people.splitlines() if line != line.rstrip() or len(line) > 100]


def test_records_lie_where_kafka_would_have_them(local: Local) -> None:
    local.run(local.traffic("--envelopes", "400"), "--out", local.out, "--partitions", "5")
    for topic in sorted(DERIVED - {"usage.tenant", "deadletter"}):
        found = records(local.out, topic)
        assert {r["topic"] for r in found} == {f"envelope.{topic}.v1"}
        assert [r["partition"] for r in found] == [java_partition(r["key"].encode(), 5) for r in found]
        places = [(r["partition"], r["offset"]) for r in found]
        assert places == sorted(set(places)) and len({p for p, _ in places}) == 5


def test_totals_are_the_sums_of_the_ledger(local: Local) -> None:
    local.run(local.traffic("--envelopes", "300"), "--out", local.out)
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for record in records(local.out, "usage"):
        v = record["value"]
        for part in ("asked", "granted", "billed"):
            sums[v["tenant"], v["window_start"], v["dimension"], part] += int(v.get(part, 0))
    totals = {
        (v["tenant"], v["window_start"], v["dimension"], part): int(v[part])
        for v in latest(local.out, "usage.tenant").values()
        for part in ("asked", "granted", "billed")
        if part in v
    }
    assert {k: n for k, n in sums.items() if n} == {k: n for k, n in totals.items() if n} and totals


def test_the_same_input_gives_the_same_bytes(local: Local, tmp_path: Path) -> None:
    lines = local.traffic("--envelopes", "500", "--seed", "3")
    assert lines == local.traffic("--envelopes", "500", "--seed", "3")
    assert lines != local.traffic("--envelopes", "500", "--seed", "4")
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines)
    first = local.run(lines, "--out", local.out)
    second = local.run(b"", path, "--out", tmp_path / "again", "--memory", "1GiB")
    assert first.stdout == second.stdout and first.stderr == second.stderr == b""
    for file in local.out.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes() != b"", file.name


def test_nothing_in_is_nothing_out(local: Local) -> None:
    for lines in (b"", b"\n  \n\t\r\n"):
        report = local.report(lines)
        assert report["envelopes"] == report["audit_entries"] == sum(report["events"].values()) == 0
    people = local.run(b"").stdout.decode()
    assert people.count("none") == 5 and "in all" in people and "pending" not in people


def test_dead_letters_are_what_was_given(local: Local) -> None:
    value = {"base64": base64.b64encode(b"\0\1junk").decode()}
    given = {"topic": "envelope.failed.v1", "key": "k", "value": value}
    assert local.written(as_lines(given, event("admission"))).keys() == {"e"}
    letters = records(local.out, "deadletter")
    assert Counter(dict(r["headers"])["dl_processor"] for r in letters) == {"join": 1, "governance": 1, "accounting": 1}
    assert all((r["key"], r["value"]) == ("k", value) for r in letters)
    assert {dict(r["headers"])["dl_partition"] for r in letters} == {str(java_partition(b"k", 12))}


def test_a_policy_in_the_input_is_applied(local: Local) -> None:
    rule = {"name": "ours", "match": {"kinds": ["inference"]}, "obligations": [DUE]}
    policy = {"phase": "policy", "name": "p", "rules": [rule]}
    receipt = {
        "phase": "receipt", "envelope_id": "e", "tenant": "acme", "state": "applied", "actor": "urn:reviewer",
        "occurred_at": NOON + MINUTE,
    }  # fmt: skip
    local.run(as_lines(policy, event("admission")), "--out", local.out)
    (due, *later) = (r["value"] for r in records(local.out, "governance"))
    assert (due["rule"], due["obligation"], due["state"], due["policy_version"]) == ("ours", "review", "due", 1)
    assert [r["overdue"] for r in later] == [True]
    answered = local.out.with_name("answered")
    told = {**receipt, "obligation_id": due["obligation_id"]}
    local.run(as_lines(policy, event("admission"), told), "--out", answered)
    assert [r["value"]["state"] for r in records(answered, "governance")] == ["due", "applied"]
    story = local.show("e", "--from", answered).stdout.decode()
    assert "review: applied" in story and "rule ours of policy version 1, answered by urn:reviewer" in story


# Time


def test_time_goes_an_hour_beyond_the_last_event(local: Local) -> None:
    asked = {"gpu_count": 1, "timeout_ms": 60_000}
    lines = as_lines(event("admission", requested=asked), event("resolved", at=NOON + 1))
    assert local.report(lines)["outcomes"] == {"incomplete": 1}
    assert local.report(lines, "--until", "2026-05-08T12:00:30Z")["outcomes"] == {"as_requested": 1}
    assert local.report(lines, "--until", "2026-05-08T14:01:30+02:00")["violations"] == {"deadline_missed": 1}
    assert local.report(lines, "--until", "2026-05-08T12:01:30Z", "--grace", "1min")["violations"] == {}


def test_a_tick_decides_once_at_its_time(local: Local) -> None:
    """A minute's ticks find the deadline missed before the late end; an hour's find the end."""
    lines = as_lines(
        event("admission", requested={"gpu_count": 1, "timeout_ms": 60_000}),
        event("resolved", at=NOON + 1),
        event("finalized", at=NOON + 10 * MINUTE),
    )
    assert local.report(lines)["violations"] == {"deadline_missed": 1}
    assert local.report(lines, "--tick", "1h")["violations"] == {}
    assert local.report(lines, "--tick", "1h")["outcomes"] == {"as_requested": 1}


def test_deadlines_and_graces_are_options(local: Local) -> None:
    lines = as_lines(event("admission"), event("resolved", at=NOON + 1), event("finalized", "o", at=NOON + 2))
    short = ("--until", "2026-05-08T12:00:40Z")
    assert local.report(lines, *short)["violations"] == {}
    assert local.report(lines, *short, "--tick", "1s", "--orphan-grace", "5s")["violations"] == {"orphan": 1}
    assert local.report(lines, *short, "--deadline", "inference=10s")["violations"] == {"deadline_missed": 1}


def test_what_is_due_has_a_grace(local: Local) -> None:
    rule = {"name": "ours", "match": {"kinds": ["inference"]}, "obligations": [DUE]}
    lines = as_lines({"phase": "policy", "name": "p", "rules": [rule]}, event("admission"))
    until = ("--until", "2026-05-08T12:02:03Z")  # three seconds beyond
    assert local.report(lines, *until)["overdue"] == 0
    assert local.report(lines, *until, "--grace", "1s")["overdue"] == 1


def test_a_policy_takes_effect_after_a_margin(local: Local) -> None:
    rule = {"name": "ours", "match": {"kinds": ["inference"]}, "obligations": [DUE]}
    policy = {"phase": "policy", "name": "p", "rules": [rule]}
    lines = as_lines(event("failed", "x"), policy, event("admission", at=NOON + 5_000_000))
    assert local.report(lines, "--out", local.out)["obligations"] == {}
    early = local.out.with_name("early")
    local.run(lines, "--policy-margin", "1s", "--out", early)
    assert {r["value"]["rule"] for r in records(early, "governance")} == {"ours"}


def test_a_time_far_off_is_said_not_waited_for(local: Local, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(as_lines(event("admission", at=1_778_241_600), event("resolved")))  # seconds for microseconds
    message = local.run(b"", path, status=1).logs[-1]["message"]
    assert message.startswith(f"{path}:2: ") and "1970-01-01T00:29:38" in message and "--tick" in message
    assert local.report(path.read_bytes(), "--tick", "24h")["envelopes"] == 1
    message = local.run(as_lines(event("admission")), "--until", "9999-01-01T00:00:00Z", status=1).logs[-1]["message"]
    assert "9999-01-01" in message and "--tick" in message


@pytest.mark.parametrize("at", [-(1 << 63), -1, 253_402_300_800_000_000, (1 << 63) - 1])
def test_a_time_that_no_log_has_is_refused(local: Local, at: int) -> None:
    result = local.run(as_lines(event("admission", at=at), event("failed")), "--json", status=1)
    assert result.logs[0]["line"] == 1 and result.logs[0]["detail"].startswith("occurred_at: ")
    assert json.loads(result.stdout)["outcomes"] == {"denied": 1}


# What cannot be read


BAD: list[tuple[Event | str, str, str]] = [
    ("{nonsense", "wrong_schema", "not JSON"),
    ("[]", "wrong_schema", "not an object"),
    (event("failed", resaon="x"), "wrong_schema", "resaon: "),
    (event("failed", stage=7), "wrong_schema", "stage: "),
    ({**event("failed"), "phase": "fialed"}, "bad_enum", "phase: "),
    ({"phase": "failed", "tenant": "acme"}, "missing_field", "envelope_id"),
    (event("failed", tenant=""), "tenant_missing", "tenant"),
    (event("failed", extensions={"bare": "1"}), "extension_not_namespaced", "extensions[bare]"),
    (event("failed", traceparent="00-x"), "wrong_schema", "traceparent: "),
    (event("failed", reason="x" * EVENT_MAX), "oversized", str(EVENT_MAX)),
    ("x" * (LINE_MAX + 1), "oversized", "longer"),
    ({"phase": "policy", "name": "p", "rules": [{"nmae": "r"}]}, "wrong_schema", "rules[0].nmae: "),
    ({"topic": "envelope.nothing.v1", "key": "k", "value": "v"}, "wrong_schema", "topic: envelope.nothing.v1"),
    ({"topic": "x.envelope.failed.v1", "key": "k", "value": "v"}, "wrong_schema", "--topic-prefix"),
    ({"topic": "envelope.lifecycle.v1", "key": "k", "value": "v"}, "wrong_schema", "lifecycle.v1 is derived"),
    ({"topic": "envelope.failed.v1", "value": "v"}, "wrong_schema", "partition: missing"),
    ({"topic": "envelope.failed.v1", "partition": 12, "value": "v"}, "wrong_schema", "partition: must be from 0 to 11"),
    ({"topic": "envelope.failed.v1", "partition": 1 << 32, "value": "v"}, "wrong_schema", "partition: "),
    ({"topic": "envelope.failed.v1", "partition": -1, "value": "v"}, "wrong_schema", "partition: "),
    ({"topic": "envelope.policy.v1", "partition": 1, "value": "v"}, "wrong_schema", "partition: must be from 0 to 0"),
    ({"topic": "envelope.failed.v1", "key": "k", "value": {"base64": "?"}}, "wrong_schema", "value: "),
]  # fmt: skip


def test_lines_that_are_wrong_are_named_and_the_rest_goes_on(local: Local, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = (event("admission"), event("resolved"), event("finalized"))
    path.write_bytes(as_lines(good[0], "", *(line for line, _, _ in BAD), *good[1:])[:-1])
    result = local.run(b"", path, "--json", status=1)
    *refused, end = result.logs
    assert [(r["file"], r["line"]) for r in refused] == [(str(path), 3 + i) for i in range(len(BAD))]
    for log, (_, reason, detail) in zip(refused, BAD, strict=True):
        assert (log["level"], log["message"], log["reason"]) == ("error", "line refused", reason), log
        assert detail in log["detail"], log
    assert refused[0]["column"] > 0 and "column" not in refused[1]
    assert (end["message"], end["lines"]) == ("some lines were passed over", len(BAD)) and result.noise == []
    assert json.loads(result.stdout)["outcomes"] == {"as_requested": 1}


def test_the_standard_input_is_called_so(local: Local) -> None:
    assert local.run(b"{", status=1).logs[0]["file"] == "standard input"
    assert local.run(b"{", "-", status=1).logs[0]["file"] == "standard input"


def test_an_input_that_is_not_there_is_named(local: Local, tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        result = local.run(b"", path, status=1)
        assert result.logs[-1]["message"].startswith(f"{path}: {why}") and result.stdout == b""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["a", "b"], "one FILE at most"),
        (["--unknown"], "unknown option --unknown"),
        (["--tick", "soon"], "--tick"),
        (["--tick", "1ms"], "--tick"),
        (["--until", "tomorrow"], "--until: tomorrow is no RFC 3339 time"),
        (["--load", "--until", "2026-05-08T12:00:00Z"], "no meaning with --load"),
        (["--deadline", "inference"], "--deadline"),
        (["--deadline", "nothing=1s"], "nothing"),
        (["--partitions", "0"], "--partitions"),
        (["--memory", "1MiB"], "--memory"),
    ],
)
def test_wrong_usage_is_status_2(local: Local, args: list[str], text: str) -> None:
    result = local.run(b"", *args, status=2)
    assert text in result.stderr.decode() and result.stdout == b""


def test_the_end_of_time_is_not_before_the_last_event(local: Local) -> None:
    message = local.run(as_lines(event("admission")), "--until", "2026-05-08T11:59:59Z", status=1).logs[-1]["message"]
    assert message.startswith("--until: 2026-05-08T11:59:59Z is before the last event, at 2026-05-08T12:00:00")


def test_a_log_that_is_full_is_said(local: Local) -> None:
    result = local.run(local.traffic("--envelopes", "10000"), "--memory", "64MiB", status=1)
    assert "memory" in result.logs[-1]["message"] and result.stdout == b""


def test_a_report_that_cannot_be_written_is_an_error(local: Local) -> None:
    for args in ([], ["--json"]):
        command = f'exec "{local.programs.path("envelope-local")}" "$@" >/dev/full'
        result = local.programs.run(Path("/bin/bash"), "-c", command, "bash", *args, status=1)
        assert result.logs[-1]["message"].startswith("the report cannot be written")


# Where it writes


def test_a_directory_in_use_is_left_alone(local: Local, tmp_path: Path) -> None:
    local.out.mkdir()
    (local.out / "mine").write_text("kept")
    result = local.run(as_lines(event("admission")), "--out", local.out, status=1)
    assert result.logs[-1]["message"] == f"--out: {local.out} is not empty; name a new directory"
    assert [p.name for p in local.out.iterdir()] == ["mine"] and result.stdout == b""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        result = local.run(b"", "--out", path, status=1)
        assert "Not a directory" in result.logs[-1]["message"]
    (local.out / "mine").unlink()
    local.run(b"", "--out", local.out)
    local.run(b"", "--out", tmp_path / "some" / "way" / "down")
    assert len(list((tmp_path / "some" / "way" / "down").iterdir())) == len(DERIVED)


# Records of another log


def loaded(topic: str, partition: int, offset: int, timestamp: int, key: str, value: bytes) -> Event:
    return {
        "topic": f"envelope.{topic}.v1", "partition": partition, "offset": offset, "timestamp": timestamp, "key": key,
        "value": {"base64": base64.b64encode(value).decode()},
    }  # fmt: skip


def test_records_are_loaded_at_their_places(local: Local) -> None:
    junk = b"\0junk"
    p = java_partition(b"k", 12)
    lines = as_lines(
        loaded("failed", p, 40, NOON // 1000, "k", junk),
        loaded("failed", p, 44, NOON // 1000 + 5, "k", junk),
        {"topic": "envelope.failed.v1", "partition": p, "end": 50},
    )
    refused = local.run(lines, "--load", status=1).logs[-1]["message"]
    assert "retention has cut" in refused and "--accept-truncated" in refused
    local.run(lines, "--load", "--accept-truncated", "--out", local.out)
    letters = [dict(r["headers"]) for r in records(local.out, "deadletter")]
    places = [(h["dl_topic"], h["dl_partition"], h["dl_offset"]) for h in letters if h["dl_processor"] == "join"]
    assert places == [("envelope.failed.v1", str(p), "40"), ("envelope.failed.v1", str(p), "44")]


def single_object(name: str, record: Event) -> bytes:
    """The record as a producer that is not ours writes it."""
    schema = json.loads((ROOT / f"schemas/{name}.avsc").read_text())
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    avro = io.BytesIO()
    fastavro.schemaless_writer(avro, fastavro.parse_schema(schema), record)
    return b"\xc3\1" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")) + avro.getvalue()


def test_ticks_of_a_load_decide_as_they_did(local: Local) -> None:
    """Also where a log's last offsets are markers of transactions, which `end` says."""
    asked = event("admission", requested={"gpu_count": 1, "timeout_ms": 60_000})
    del asked["phase"]
    at, p = NOON // 1000, java_partition(b"e", 12)
    admission = loaded("admission", p, 0, at, "e", single_object("admission", asked))
    topics = ("admission", "resolved", "finalized", "failed", "released", "annotation", "producer", "obligation")
    offsets = {f"envelope.{t}.v1": 3 if t == "admission" else 0 for t in topics}
    first, then = (
        loaded("tick", p, n, at + 300_000 * n, "", single_object("tick", {"as_of": as_of, "offsets": offsets}))
        for n, as_of in enumerate((None, NOON + 5 * MINUTE))
    )
    end = {"topic": "envelope.admission.v1", "partition": p, "end": 3}
    assert local.report(as_lines(admission, end, first), "--load")["violations"] == {}
    decided = local.report(as_lines(admission, end, first, then), "--load")
    assert decided["violations"] == {"deadline_missed": 1} and decided["outcomes"] == {"incomplete": 1}
    cut = local.run(as_lines(admission, first, then), "--load", status=1).logs[-1]["message"]
    assert "the input ends before offsets that one of its ticks speaks of" in cut and '"end"' in cut


def test_holes_in_the_numbers_of_a_load(local: Local) -> None:
    """What is no event has a number too."""
    p, at = java_partition(b"k", 12), NOON // 1000
    junk = [loaded("failed", p, n, at, "k", b"junk") for n in range(4)]
    for record, number in zip(junk, (0, 1, 5, 7), strict=True):
        value = f"urn:p:{at // 1000}:{number}"
        as64 = {"base64": base64.b64encode(value.encode()).decode()}
        record["headers"] = [["seq", value if number % 2 else as64], ["other", None]]
    offsets = {"envelope.failed.v1": 4}
    ticks = [
        loaded("tick", p, n, at, "", single_object("tick", {"as_of": as_of, "offsets": offsets}))
        for n, as_of in enumerate((None, NOON + 10 * 1_000_000))
    ]
    local.run(as_lines(*junk, *ticks), "--load", "--out", local.out)
    holes = [r["value"]["hole"] for r in records(local.out, "violation")]
    assert [(h["first"], h["last"], h["reason"]) for h in holes] == [(2, 4, "undeclared"), (6, 6, "undeclared")]


def test_a_prefix_is_that_of_the_records(local: Local) -> None:
    record = loaded("failed", java_partition(b"k", 12), 0, 1, "k", b"\0junk")
    record["topic"] = "dev." + record["topic"]
    local.run(as_lines(record), "--load", "--topic-prefix", "dev.", "--out", local.out)
    assert {p.name for p in local.out.iterdir()} == {f"dev.envelope.{t}.v1.jsonl" for t in DERIVED}
    for prefix in ("", "de", "v."):
        message = local.run(as_lines(record), "--load", "--topic-prefix", prefix, status=1).logs[-1]["message"]
        assert message.startswith("standard input:1: topic: dev.envelope.failed.v1") and f'"{prefix}"' in message


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ("{nonsense", "column"),
        ("[]", "topic: "),
        (loaded("failed", 3, 7, 1, "k", b""), "offset 7 does not come after 7"),
        (loaded("failed", 3, 6, 1, "k", b""), "offset 6 does not come after 7"),
        (loaded("failed", 3, -1, 1, "k", b""), "offset: "),
        (loaded("failed", 3, 8, -1, "k", b""), "timestamp: "),
        (loaded("failed", 12, 8, 1, "k", b""), "partition: must be from 0 to 11"),
        (loaded("policy", 1, 8, 1, "k", b""), "partition: must be from 0 to 0"),
        (loaded("lifecycle", 3, 8, 1, "k", b""), "topic: envelope.lifecycle.v1 is derived"),
        ({"topic": "envelope.failed.v1", "partition": 3, "key": "k", "value": "v", "timestamp": 1}, "offset: "),
        ({"topic": "envelope.failed.v1", "offset": 8, "key": "k", "value": "v", "timestamp": 1}, "partition: missing"),
        ({"topic": "envelope.failed.v1", "partition": 3, "end": "9"}, "end: "),
        ({**loaded("failed", 3, 8, 1, "k", b""), "value": 7}, "value: "),
        ({**loaded("failed", 3, 8, 1, "k", b""), "key": ["k"]}, "key: "),
        ({**loaded("failed", 3, 8, 1, "k", b""), "headers": {}}, "headers: not a list"),
        ({**loaded("failed", 3, 8, 1, "k", b""), "headers": [["seq"]]}, "headers: not a list of [name, value]"),
        ({**loaded("failed", 3, 8, 1, "k", b""), "headers": [["seq", 7]]}, "headers: "),
        (json.dumps(event("admission")), "topic: a text is missing"),
        ("x" * ((16 << 20) + 1), "16777216 bytes"),
    ],
)
def test_a_record_that_is_wrong_ends_the_load(local: Local, second: Event | str, text: str) -> None:
    """A log with a hole would be another log."""
    result = local.run(as_lines(loaded("failed", 3, 7, 1, "k", b""), second), "--load", "--out", local.out, status=1)
    message = result.logs[-1]["message"]
    assert message.startswith("standard input:2: ") and text in message
    assert result.stdout == b"" and not local.out.exists()


# show


@pytest.fixture
def story(local: Local) -> Local:
    """The worked example, run."""
    local.run(example("admission", "resolved", "finalized", "annotation", "released"), "--out", local.out)
    return local


def test_a_story_is_told_to_people(story: Local) -> None:
    text = story.show(EXAMPLE, "--from", story.out).stdout.decode()
    assert text.startswith(f"Envelope {EXAMPLE}\n  tenant    acme\n")
    for piece in (
        r"  asked     deployment: serving\.deploy_model of llama-3-8b-instruct/prod",
        r"  by        urn:acme:user:tenant-admin \(human\)",
        r"  status    released",
        r"  outcome   narrowed: ",
        r"  2026-05-08 12:00:00\.000  admission",
        r" +\+2\.4 s  resolved  ray-serve, pool-gpu-a",
        r" +\+13 min 28 s  released  undeployed by its owner",
        r"  deadline 2026-05-08 12:10:00\.000",
        r"  gpu +1000 +500 +< narrowed",
        r"  gpu_class +- +a100-40g +unstated",
        r"  engine +vllm +vllm +equal",
        r"  audit_disclosure: due, due 2026-05-09 12:00:00\.000",
        r"  2026-05-08 12:00  gpu +0\.2399 +0\.1199 +-  GPU h",
        r"  2026-05-08 12:00  amounts\.tokens +- +- +48211",
    ):
        assert re.search(f"^{piece}", text, re.MULTILINE), piece
    assert len(re.findall(r"^ +at envelope\.\w+\.v1 partition \d+ offset \d+$", text, re.MULTILINE)) == 5
    assert not [line for line in text.splitlines() if line != line.rstrip() or len(line) > 100]
    assert "\x1b" not in text


def test_a_story_is_told_to_programs(story: Local) -> None:
    (told,) = story.show(EXAMPLE, "--from", story.out, "--json").lines
    assert set(told) == {"lifecycle", "obligations", "violations", "usage"}
    assert told["lifecycle"] == latest(story.out)[EXAMPLE]
    assert told["usage"] == [r["value"] for r in records(story.out, "usage")]
    assert [o["obligation"] for o in told["obligations"]] == ["audit_disclosure"] and told["violations"] == []


def test_only_what_belongs_to_it_is_told(local: Local) -> None:
    """Ids that begin alike, and another tenant's event under the same identity."""
    events = [
        event("admission", "e-1"), event("admission", "e-10", tenant="other"), event("resolved", "e-1", at=NOON + 1),
        event("admission", "e-11"), event("resolved", "e-11", at=NOON + 2), event("finalized", "e-11", at=NOON + 6),
        event("resolved", "e-10", at=NOON + 2, tenant="other", granted={"gpu_count": 2}),
        event("finalized", "e-1", at=NOON + 3, tenant="intruder"), event("finalized", "e-1", at=NOON + 4),
        event("finalized", "e-10", at=NOON + 5, tenant="other"),
    ]  # fmt: skip
    local.run(as_lines(*events), "--out", local.out)
    (one,) = local.show("e-1", "--from", local.out, "--json").lines
    (ten,) = local.show("e-10", "--from", local.out, "--json").lines
    assert {u["envelope_id"] for u in one["usage"]} == {"e-1"} and {u["envelope_id"] for u in ten["usage"]} == {"e-10"}
    assert (one["lifecycle"]["outcome"], ten["lifecycle"]["outcome"]) == ("as_requested", "widened")
    assert [v["kind"] for v in one["violations"]] == ["tenant_mismatch"] and ten["violations"] == []
    text = local.show("e-1", "--from", local.out).stdout.decode()
    assert "finalized  (another tenant's; counts for nothing)" in text
    assert re.search(r"^  tenant_mismatch, on the evidence of envelope\.admission\.v1 \d+/0 and", text, re.MULTILINE)


def test_an_orphan_has_a_story_too(local: Local) -> None:
    local.run(as_lines(event("finalized", "o")), "--out", local.out)
    text = local.show("o", "--from", local.out).stdout.decode()
    assert "asked     not known" in text and "status    orphaned" in text and "  orphan, on the evidence of" in text


def test_odd_ids_are_shown_safely(local: Local) -> None:
    ids = ["--from", "a b\x1b[31m", "ü" * 64, "../x"]
    local.run(as_lines(*(event("admission", i, at=NOON + n) for n, i in enumerate(ids))), "--out", local.out)
    for name in ids:
        result = local.show("--from", local.out, "--", name)
        assert result.stdout.decode().startswith(f"Envelope {name.replace(chr(27), '.')}\n"), name
        (told,) = local.show("--from", local.out, "--json", "--", name).lines
        assert told["lifecycle"]["envelope_id"] == name


def test_an_id_that_is_not_there_is_said(story: Local) -> None:
    for name in ("nobody", EXAMPLE[:8], EXAMPLE.upper(), EXAMPLE + "0", ""):
        for args in ([], ["--json"]):
            result = story.show("--from", story.out, *args, "--", name, status=1)
            assert result.logs[-1]["message"] == f"no envelope {name} in {story.out}" and result.stdout == b""


def test_a_directory_without_an_output_is_said(story: Local, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    message = story.show(EXAMPLE, "--from", missing, status=1).logs[-1]["message"]
    assert message == f"{missing}/envelope.lifecycle.v1.jsonl: No such file or directory"
    message = story.show(EXAMPLE, "--from", story.out, "--topic-prefix", "p.", status=1).logs[-1]["message"]
    assert message == f"{story.out}/p.envelope.lifecycle.v1.jsonl: No such file or directory"


@pytest.mark.parametrize(
    ("line", "text"), [("{", "column"), ('{"key": "KEY", "value": {"tenant": 7}}', "envelope_id: "), ("\0", "column")]
)
def test_an_output_that_was_damaged_is_said(story: Local, line: str, text: str) -> None:
    path = story.out / "envelope.lifecycle.v1.jsonl"
    count = len(path.read_text().splitlines())
    with path.open("a") as file:
        file.write(line.replace("KEY", EXAMPLE) + "\n")
    message = story.show(EXAMPLE, "--from", story.out, status=1).logs[-1]["message"]
    assert message.startswith(f"{path} line {count + 1}: ") and text in message


@pytest.mark.parametrize(
    ("args", "text"),
    [([], "an operand is missing"), (["a", "b"], "too many operands"), (["a", "--from"], "DIR is missing")],
)
def test_show_wrong_usage_is_status_2(local: Local, args: list[str], text: str) -> None:
    result = local.show(*args, status=2)
    assert text in result.stderr.decode() and result.stdout == b""


def test_the_environment_names_the_directory(story: Local) -> None:
    told = story.show(EXAMPLE, env={"ENVELOPE_FROM": str(story.out)}).stdout
    assert told == story.show(EXAMPLE, "--from", story.out).stdout


# Options of all programs


def test_a_variable_means_one_thing() -> None:
    """One name in the environment is one kind of value, whichever program or command reads it."""
    meanings: dict[str, set[str]] = {}
    reference = (ROOT / "docs" / "options.md").read_text()
    row = re.compile(r"^\| `(?:-X, )?--([a-z-]+) ?([^`]*)` \|.*\| (ENVELOPE_\w+) \|$", re.MULTILINE)
    for option, argument, variable in row.findall(reference):
        assert variable == "ENVELOPE_" + option.upper().replace("-", "_")
        meanings.setdefault(variable, set()).add(argument)
    assert len(meanings) > 30
    assert {v: a for v, a in meanings.items() if len(a) > 1} == {}
