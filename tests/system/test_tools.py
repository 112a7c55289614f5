# SPDX-License-Identifier: Apache-2.0
"""envelope-emit and envelopectl on a real broker, seen by clients that are not ours."""

from __future__ import annotations

import base64
import io
import json
import signal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from cache import HERE
from clients import (
    Record,
    admin,
    create_topics,
    end_offsets,
    java_partition,
    partitions_of,
    produce,
    producer,
    read_topic,
    send,
    topic_names,
)
from kafka import Cluster
from process import wait_until
from programs import Programs, Result
from registry import Registry

SCHEMAS = HERE.parents[1] / "schemas"
CATALOGUE: list[dict[str, Any]] = json.loads((SCHEMAS / "topics.json").read_text())
TOPICS = {t["name"]: t for t in CATALOGUE}
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
COMMANDS = (
    "topics apply", "topics list", "schemas check", "schemas register", "schemas show", "policy apply", "policy show",
    "tick", "cat",
)  # fmt: skip
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def admission(**members: Any) -> dict[str, Any]:
    return {
        "phase": "admission",
        "tenant": "acme",
        "caller": {"requester_urn": "urn:u", "request_id": "r-1", "initiator": "human"},
        "execution": {"kind": "inference", "service": "s", "operation": "o", "target": "t"},
        "requested": {"gpu_count": 1},
        **members,
    }


def failed(envelope_id: str, **members: Any) -> dict[str, Any]:
    failure = {"phase": "failed", "envelope_id": envelope_id, "tenant": "acme", "stage": "resolve", "reason": "full"}
    return {**failure, **members}


def as_lines(*events: dict[str, Any] | str) -> bytes:
    return "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events).encode()


class Tools:
    """The programs, against one set of topics."""

    def __init__(self, programs: Programs, bootstrap: str, prefix: str) -> None:
        self.programs = programs
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.options = ("--bootstrap", bootstrap, "--topic-prefix", prefix)

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def ctl(self, command: str, *args: str | Path, status: int | None = 0) -> Result:
        return self.programs.run("envelopectl", *command.split(), *self.options, *args, status=status)

    def emit(self, lines: bytes, *args: str, status: int | None = 0, env: dict[str, str] | None = None) -> Result:
        return self.programs.run("envelope-emit", *self.options, *args, stdin=lines, status=status, env=env)

    def cat(self, name: str, *args: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ctl("cat", f"envelope.{name}.v1", *args).lines
        return found


@pytest.fixture
def tools(kafka: Cluster, programs: Programs, prefix: str) -> Tools:
    """A set of three partitions, made by the tool itself."""
    made = Tools(programs, kafka.bootstrap, prefix)
    made.ctl("topics apply", "--partitions", "3")
    return made


def single_object(schema: str, value: bytes | None) -> dict[str, Any]:
    """The record in single-object encoded bytes, by a decoder that is not ours."""
    assert value is not None and value[:2] == b"\xc3\x01"
    parsed = json.loads((SCHEMAS / f"{schema}.avsc").read_text())
    print_of = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(parsed), "CRC-64-AVRO")
    assert int.from_bytes(value[2:10], "little") == int.from_bytes(bytes.fromhex(print_of), "little")
    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed, None)
    assert isinstance(record, dict)
    return record


def set_setting(bootstrap: str, topic: str, **settings: str) -> None:
    """Changes a topic's settings, named with _ for the dots, and waits until the broker says so, too."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    for name, value in wanted.items():
        resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    client = admin(bootstrap)
    client.incremental_alter_configs([resource])[resource].result(10)

    def is_set() -> bool:
        found = settings_of(bootstrap, topic)
        return all(found[name].value == value for name, value in wanted.items())

    wait_until(is_set, 10, f"{topic} to have {wanted}")


def settings_of(bootstrap: str, topic: str) -> dict[str, ConfigEntry]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    client = admin(bootstrap)
    found: dict[str, ConfigEntry] = client.describe_configs([resource])[resource].result(10)
    return found


# topics


def test_the_topics_are_those_of_the_catalogue(kafka: Cluster, programs: Programs, prefix: str) -> None:
    tools = Tools(programs, kafka.bootstrap, prefix)
    planned = tools.ctl("topics apply", "--dry-run", "--json").lines
    assert {t["topic"] for t in planned} == {prefix + name for name in TOPICS}
    assert {t["action"] for t in planned} == {"would create"}
    assert not any(name.startswith(prefix) for name in topic_names(kafka.bootstrap))

    made = tools.ctl("topics apply", "--json").lines
    assert {t["action"] for t in made} == {"created"}
    for name, topic in TOPICS.items():
        full = prefix + name
        assert len(partitions_of(kafka.bootstrap, full)) == (1 if topic["partitioning"] == "single" else 12), name
        settings = settings_of(kafka.bootstrap, full)
        assert settings["cleanup.policy"].value == topic["cleanup"]
        assert settings["retention.ms"].value == str(topic["retention_ms"])
        assert settings["max.message.bytes"].value == str(topic["max_message_bytes"])
        assert settings["message.timestamp.type"].value == ("LogAppendTime" if topic["append_time"] else "CreateTime")
    assert {t["action"] for t in tools.ctl("topics apply", "--json").lines} == {"unchanged"}


def test_settings_that_differ_are_set_right_and_others_kept(tools: Tools) -> None:
    topic = tools.topic("usage")
    set_setting(tools.bootstrap, topic, retention_ms="1000", segment_bytes="1048577", cleanup_policy="compact")
    changed = [t for t in tools.ctl("topics apply", "--json").lines if t["action"] != "unchanged"]
    assert [(t["topic"], t["action"]) for t in changed] == [(topic, "changed")]
    assert changed[0]["settings"] == {
        "cleanup.policy": {"from": "compact", "to": "delete"},
        "retention.ms": {"from": "1000", "to": "34560000000"},
    }

    def is_set_right() -> bool:
        return settings_of(tools.bootstrap, topic)["retention.ms"].value == "34560000000"

    wait_until(is_set_right, 10, "the setting to reach the broker")
    assert settings_of(tools.bootstrap, topic)["segment.bytes"].value == "1048577"
    assert settings_of(tools.bootstrap, topic)["cleanup.policy"].value == "delete"


def test_a_set_keeps_its_number_of_partitions(tools: Tools) -> None:
    admin_client = admin(tools.bootstrap)
    refused = tools.ctl("topics apply", "--partitions", "4", status=1)
    assert "the topics have 3" in refused.logs[-1]["message"]

    gone = tools.topic("violation")
    admin_client.delete_topics([gone])[gone].result(10)
    wait_until(lambda: gone not in topic_names(tools.bootstrap), 10, "the topic to be gone")
    create_topics(tools.bootstrap, gone, partitions=2)
    refused = tools.ctl("topics apply", status=1)
    assert "envelope.violation.v1 2" in refused.logs[-1]["message"]
    assert refused.stdout == b""

    admin_client.delete_topics([gone])[gone].result(10)
    wait_until(lambda: gone not in topic_names(tools.bootstrap), 10, "the topic to be gone")
    made = {t["topic"]: t for t in tools.ctl("topics apply", "--json").lines}
    assert (made[gone]["action"], made[gone]["partitions"]) == ("created", 3)


def test_a_topic_that_cannot_be_made_is_said(kafka: Cluster, programs: Programs, prefix: str) -> None:
    tools = Tools(programs, kafka.bootstrap, prefix)
    result = tools.ctl("topics apply", "--replication-factor", "3", "--json", status=1)
    assert {t["action"] for t in result.lines} == {"failed"}
    assert "replication factor" in result.lines[0]["error"].lower()
    assert "21 topics" in result.logs[-1]["message"]


def test_the_catalogue_is_listed_without_asking(programs: Programs) -> None:
    tools = Tools(programs, "127.0.0.1:1", "p.")
    listed = tools.ctl("topics list", "--json").lines
    assert [t["topic"] for t in listed] == ["p." + t["name"] for t in CATALOGUE]
    assert [t["doc"] for t in listed] == [t["doc"] for t in CATALOGUE]
    assert len(tools.ctl("topics list").stdout.splitlines()) == len(CATALOGUE) + 1


# envelope-emit


def test_events_are_what_any_client_expects(tools: Tools) -> None:
    events = [
        admission(envelope_id=f"e-{i}", extensions={"com.example/x": '{"a":1}'}, occurred_at=1_700_000_000_000_000 + i)
        for i in range(20)
    ]
    result = tools.emit(as_lines(*events), "--source", "urn:here", "--print")
    assert result.noise == [] and len(result.lines) == 20

    records = read_topic(tools.bootstrap, tools.topic("admission"))
    printed = {p["envelope_id"]: p for p in result.lines}
    numbers: list[tuple[int, str, str, str]] = []
    for r in records:
        value = single_object("admission", r.value)
        told = printed[value["envelope_id"]]
        assert r.key == value["envelope_id"].encode()
        assert (r.topic, r.partition, r.offset) == (told["topic"], told["partition"], told["offset"])
        assert r.partition == java_partition(r.key, 3)
        assert value["event_id"] == told["event_id"]
        assert value["source"] == "urn:here"
        assert value["requested"]["gpu_count"] == 1 and value["requested"]["timeout_ms"] is None
        headers = {name: (v or b"").decode() for name, v in r.headers}
        numbers.append((r.partition, *headers.pop("seq").rsplit(":", 2)))
        assert headers == {
            "ce_specversion": "1.0",
            "ce_id": value["event_id"],
            "ce_type": "envelope.admission.v1",
            "ce_source": "urn:here",
            "ce_dataschema": "urn:avro:envelope.v1.Admission",
            "ce_time": value["occurred_at"].isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "content-type": "application/avro",
        }
    assert len(records) == 20 and {r.is_append_time for r in records} == {True}
    assert len({(name, epoch) for _, name, epoch, _ in numbers}) == 1
    for partition in range(3):
        mine = [int(number) for p, _, _, number in numbers if p == partition]
        assert mine == list(range(len(mine)))
    assert len({p["event_id"] for p in result.lines}) == 20
    assert sorted(p["line"] for p in result.lines) == list(range(1, 21))


def test_a_bad_line_is_said_and_the_rest_goes_on(tools: Tools) -> None:
    result = tools.emit(
        as_lines(
            failed("a"),
            "",
            "{nonsense",
            failed("b", resaon="x"),
            {"phase": "failed", "tenant": "acme"},
            failed("c" * 129),
            failed("x" * (1 << 20)),
            failed("d", extensions={"bare": "1"}),
            failed("e", reason="x" * (1 << 18)),
            failed("f"),
        )[:-1],  # the last line may lack its newline
        status=1,
    )
    refused = {log["line"]: log for log in result.logs if log["message"] == "line refused"}
    assert {number: log["reason"] for number, log in refused.items()} == {
        3: "wrong_schema",
        4: "wrong_schema",
        5: "missing_field",
        6: refused[6]["reason"],
        7: "oversized",
        8: "extension_not_namespaced",
        9: "oversized",
    }
    assert refused[3]["column"] > 0 and refused[4]["detail"].startswith("resaon")
    assert refused[6]["detail"].startswith("envelope_id")
    assert {r.key for r in read_topic(tools.bootstrap, tools.topic("failed"))} == {b"a", b"f"}
    end = result.logs[-1]
    assert (end["lines"], end["delivered"], end["refused"], end["not_delivered"]) == (9, 2, 7, 0)


def test_an_event_may_have_256_kib_and_not_a_byte_more(tools: Tools) -> None:
    def event(reason: int) -> dict[str, Any]:
        return failed("e", event_id="ev", source="urn:s", occurred_at=1_700_000_000_000_000, reason="x" * reason)

    tools.emit(as_lines(event(200_000)))
    (record,) = read_topic(tools.bootstrap, tools.topic("failed"))
    room = (256 << 10) - (len(record.value or b"") - 10)
    result = tools.emit(as_lines(event(200_000 + room), event(200_000 + room + 1)), status=1)
    assert [(log["line"], log["reason"]) for log in result.logs if "line" in log] == [(2, "oversized")]
    assert len(read_topic(tools.bootstrap, tools.topic("failed"))[1].value or b"") == (256 << 10) + 10


def test_what_is_left_out_is_made(tools: Tools) -> None:
    told = tools.emit(as_lines(admission(), admission()), "--print").lines
    records = [single_object("admission", r.value) for r in read_topic(tools.bootstrap, tools.topic("admission"))]
    assert {r["envelope_id"] for r in records} == {t["envelope_id"] for t in told}
    assert len({r["envelope_id"] for r in records} | {r["event_id"] for r in records}) == 4
    assert all(r["envelope_id"][14] == "7" and r["source"].startswith("urn:envelope-emit:") for r in records)


def test_receipts_go_to_the_obligation_topic(tools: Tools) -> None:
    receipt = {"phase": "receipt", "obligation_id": "o", "envelope_id": "e", "tenant": "acme", "actor": "urn:a"}
    tools.emit(as_lines({**receipt, "state": "applied"}))
    (record,) = read_topic(tools.bootstrap, tools.topic("obligation"))
    assert record.key == b"e" and record.headers == [] and record.partition == java_partition(b"e", 3)
    assert single_object("obligation", record.value)["state"] == "applied"


def test_traces_are_passed_on(tools: Tools) -> None:
    other = TRACE.replace("4bf9", "0000")
    lines = as_lines(failed("given", traceparent=other, tracestate="v=1"), failed("around"))
    tools.emit(lines, env={"TRACEPARENT": TRACE, "TRACESTATE": "w=2"})
    refused = tools.emit(as_lines(failed("bad", traceparent="00-x")), env={"TRACEPARENT": "nonsense"}, status=1)
    assert any("TRACEPARENT" in log["message"] for log in refused.logs)
    tools.emit(as_lines(failed("none")), env={"TRACEPARENT": "nonsense"})

    def trace(key: bytes) -> list[tuple[str, bytes | None]]:
        (found,) = (r for r in read_topic(tools.bootstrap, tools.topic("failed")) if r.key == key)
        return [h for h in found.headers if h[0].startswith("trace")]

    assert trace(b"given") == [("traceparent", other.encode()), ("tracestate", b"v=1")]
    assert trace(b"around") == [("traceparent", TRACE.encode()), ("tracestate", b"w=2")]
    assert trace(b"none") == []


def test_events_are_sent_as_lines_arrive_until_a_signal(tools: Tools) -> None:
    program = tools.programs.start("envelope-emit", *tools.options)
    for i in range(3):
        program.stdin.write(as_lines(failed(f"e-{i}")))
        program.stdin.flush()
        wait_until(
            lambda: sum(end_offsets(tools.bootstrap, tools.topic("failed")).values()) == i + 1,  # noqa: B023
            20,
            "the event to be written while the input is open",
        )
    program.stdin.write(b'{"phase": "failed", "half a line')
    program.stdin.flush()
    program.signal(signal.SIGTERM)
    result = program.wait(10)
    assert result.status == 0
    assert (result.logs[-1]["delivered"], result.logs[-1]["refused"]) == (3, 0)


def test_a_file_is_read_and_a_missing_one_said(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(as_lines(failed("a"), failed("b")))
    tools.emit(b"", str(tmp_path / "events.jsonl"))
    assert len(read_topic(tools.bootstrap, tools.topic("failed"))) == 2
    result = tools.emit(b"", str(tmp_path / "nothing"), status=1)
    assert "nothing" in result.logs[-1]["message"]


def test_topics_that_are_missing_are_not_made(kafka: Cluster, programs: Programs, prefix: str) -> None:
    result = Tools(programs, kafka.bootstrap, prefix).emit(as_lines(failed("a")), status=1)
    assert any("envelopectl topics apply" in log["message"] for log in result.logs)
    assert result.logs[-1]["not_delivered"] == 1
    assert not any(name.startswith(prefix) for name in topic_names(kafka.bootstrap))


def test_emit_waits_for_kafka_or_gives_up_by_the_clock(programs: Programs, prefix: str, tmp_path: Path) -> None:
    with Cluster(directory=tmp_path) as cluster:
        tools = Tools(programs, cluster.bootstrap, prefix)
        tools.ctl("topics apply", "--partitions", "2")
        patient = programs.start("envelope-emit", *tools.options)
        hasty = programs.start("envelope-emit", *tools.options, "--timeout", "1s")
        for program in (patient, hasty):
            program.stdin.write(as_lines(failed("before")))
            program.stdin.flush()
        written = tools.topic("failed")
        wait_until(lambda: sum(end_offsets(cluster.bootstrap, written).values()) == 2, 20, "the first events")

        cluster.brokers[0].kill()
        for program in (patient, hasty):
            program.stdin.write(as_lines(*(failed(f"after-{i}") for i in range(5))))
            program.stdin.close()
        gave_up = hasty.wait(20)
        assert gave_up.status == 1
        # The first event lies in the log; whether its acknowledgement came before the kill is open.
        counted = (gave_up.logs[-1]["delivered"], gave_up.logs[-1]["not_delivered"])
        assert counted in ((1, 5), (0, 6))
        assert any(log["message"].startswith("waited 1.0 s for Kafka") for log in gave_up.logs)
        patient.wait_log(lambda log: log["message"] == "waits", "that it waits")
        assert patient.is_running

        cluster.brokers[0].start()
        assert patient.wait(60).status == 0
        cluster.wait_ready()
        ids = sorted((r.key or b"").decode() for r in read_topic(cluster.bootstrap, written))
        assert ids == sorted(["before"] * 2 + [f"after-{i}" for i in range(5)])


def test_what_kafka_refuses_is_said_by_its_line(tools: Tools) -> None:
    set_setting(tools.bootstrap, tools.topic("failed"), max_message_bytes="2000")
    noise = base64.b64encode(bytes(range(256)) * 20).decode()
    result = tools.emit(as_lines(failed("a"), failed("b", reason=noise)), "-X", "linger.ms=0", status=1)
    (log,) = (log for log in result.logs if log["message"] == "event not written")
    assert log["line"] == 2 and log["topic"] == tools.topic("failed")
    assert (result.logs[-1]["delivered"], result.logs[-1]["failed"]) == (1, 1)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_topic_that_may_not_be_written_to_stops_no_other(
    programs: Programs, prefix: str, tmp_path: Path, hidden: bool
) -> None:
    config = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    lines = [failed("a", event_id="one"), admission(envelope_id="b"), failed("c"), admission(envelope_id="d")]
    with Cluster(directory=tmp_path / "kafka", config=config) as cluster:
        tools = Tools(programs, cluster.bootstrap, prefix)
        tools.ctl("topics apply", "--partitions", "1")
        client, place = admin(cluster.bootstrap), (ResourceType.TOPIC, tools.topic("failed"), ResourcePatternType.LITERAL)
        rules = [(AclOperation.ALL if hidden else AclOperation.WRITE, AclPermissionType.DENY)]
        rules += [] if hidden else [(AclOperation.DESCRIBE, AclPermissionType.ALLOW)]
        for made in client.create_acls([AclBinding(*place, "User:ANONYMOUS", "*", *rule) for rule in rules]).values():
            made.result(10)
        spool = tmp_path / "spool"
        result = tools.emit(as_lines(*lines), "--spool", str(spool), status=1)
        not_written = [log for log in result.logs if log["message"] == "event not written"]
        assert [log["line"] for log in not_written] == [1, 3]
        assert all("authorization" in log["reason"] for log in not_written), not_written
        assert (result.logs[-1]["delivered"], result.logs[-1]["failed"]) == (2, 2)
        assert [r.key for r in read_topic(cluster.bootstrap, tools.topic("admission"))] == [b"b", b"d"]

        kept = [json.loads(line) for line in (spool / "refused.jsonl").read_text().splitlines()]
        assert [(k["topic"], k["event"]["envelope_id"]) for k in kept] == [(tools.topic("failed"), e) for e in "ac"]
        holes = [
            {name: hole[name] for name in ("topic", "partition", "first", "last", "reason")}
            for report in tools.cat("producer")
            for hole in report["value"]["holes"]
        ]
        assert {"topic": tools.topic("failed"), "partition": 0, "first": 0, "last": 1, "reason": "refused"} in holes

        every_rule = AclBindingFilter(*place, None, None, AclOperation.ANY, AclPermissionType.ANY)
        for gone in client.delete_acls([every_rule]).values():
            gone.result(10)
        tools.emit(as_lines(*(k["event"] for k in kept)), "--spool", str(spool))
        found = tools.cat("failed")
        assert [r["key"] for r in found] == ["a", "c"] and found[0]["value"]["event_id"] == "one"


# cat


def test_cat_prints_the_exact_form(tools: Tools) -> None:
    tools.emit(as_lines(failed("e", event_id="ev", source="urn:s", occurred_at=1_700_000_000_000_000)))
    (record,) = read_topic(tools.bootstrap, tools.topic("failed"))
    (line,) = tools.ctl("cat", "envelope.failed.v1").stdout.splitlines()
    expected = {
        "topic": tools.topic("failed"),
        "partition": record.partition,
        "offset": 0,
        "timestamp": record.timestamp,
        "key": "e",
        "headers": [
            ["ce_specversion", "1.0"],
            ["ce_type", "envelope.failed.v1"],
            ["ce_dataschema", "urn:avro:envelope.v1.Failed"],
            ["content-type", "application/avro"],
            ["ce_source", "urn:s"],
            ["ce_id", "ev"],
            ["ce_time", "2023-11-14T22:13:20.000000Z"],
            ["seq", dict(record.headers)["seq"].decode()],
        ],
        "value": {
            "envelope_id": "e",
            "event_id": "ev",
            "tenant": "acme",
            "occurred_at": "2023-11-14T22:13:20.000000Z",
            "source": "urn:s",
            "stage": "resolve",
            "reason": "full",
            "extensions": {},
        },
    }
    assert line.decode() == json.dumps(expected, separators=(",", ":"))


def test_cat_reads_what_is_committed_and_no_more(tools: Tools) -> None:
    topic = tools.topic("lifecycle")
    client = producer(tools.bootstrap, transactional_id=tools.prefix)
    client.init_transactions(30)
    for value, commits in ((b"one", True), (b"gone", False), (b"two", True), (None, True)):
        client.begin_transaction()
        send(client, [Record(topic, b"k", value, [("h", None), ("x", b"\xff")], partition=1)])
        client.flush(10)
        client.commit_transaction(10) if commits else client.abort_transaction(10)
    client.begin_transaction()
    send(client, [Record(topic, b"k", b"open", partition=1), Record(topic, b"k", b"open", partition=0)])
    client.flush(10)

    found = tools.cat("lifecycle")
    assert [(r["partition"], r["offset"], r["value"]) for r in found] == [
        (1, 0, {"base64": base64.b64encode(b"one").decode()}),
        (1, 4, {"base64": base64.b64encode(b"two").decode()}),
        (1, 6, None),
    ]
    assert found[0]["headers"] == [["h", None], ["x", {"base64": "/w=="}]]
    assert [r["offset"] for r in tools.cat("lifecycle", "--offset", "1")] == [4, 6]
    assert tools.cat("lifecycle", "--offset", "7") == tools.cat("lifecycle", "--offset", "100") == []
    client.abort_transaction(10)


def test_cat_orders_by_partition_and_offset(tools: Tools) -> None:
    tools.emit(as_lines(*(failed(f"e-{i}") for i in range(200))))
    tools.emit(as_lines(*(failed(f"e-{i}") for i in range(200))))
    found = tools.cat("failed")
    assert [(r["partition"], r["offset"]) for r in found] == [
        (p, o) for p, end in sorted(end_offsets(tools.bootstrap, tools.topic("failed")).items()) for o in range(end)
    ]
    assert len(found) == 400
    only = tools.cat("failed", "--partition", "1")
    assert only == [r for r in found if r["partition"] == 1]
    assert "partitions 0 to 2" in tools.ctl("cat", "envelope.failed.v1", "--partition", "3", status=1).logs[-1]["message"]


def test_cat_passes_over_what_retention_has_cut(tools: Tools) -> None:
    topic = tools.topic("failed")
    produce(tools.bootstrap, [Record(topic, b"k", str(i).encode(), partition=0) for i in range(5)])
    client = admin(tools.bootstrap)
    (cut,) = client.delete_records([TopicPartition(topic, 0, 3)]).values()
    cut.result(10)
    assert [r["offset"] for r in tools.cat("failed")] == [3, 4]


def test_cat_of_topics_that_are_not_ours(kafka: Cluster, programs: Programs, prefix: str) -> None:
    tools = Tools(programs, kafka.bootstrap, prefix)
    topic = f"other-{prefix}x"
    create_topics(kafka.bootstrap, topic)
    odd = b"\xff\x00\xfe"
    produce(kafka.bootstrap, [Record(topic, odd, b"text"), Record(topic, None, odd), Record(topic, b"", b"")])
    first, second, third = tools.ctl("cat", topic).lines
    assert (first["key"], first["value"]) == ({"base64": "/wD+"}, {"base64": "dGV4dA=="})
    assert (second["key"], second["value"]) == (None, {"base64": "/wD+"})
    assert (third["key"], third["value"]) == ("", {"base64": ""})
    assert "does not exist" in tools.ctl("cat", "nowhere", status=1).logs[-1]["message"]


def test_cat_raw_gives_the_bytes_back(tools: Tools) -> None:
    tools.emit(as_lines(failed("é", traceparent=TRACE)))
    (record,) = read_topic(tools.bootstrap, tools.topic("failed"))
    (raw,) = tools.cat("failed", "--raw")

    def decode(member: dict[str, str]) -> bytes:
        assert set(member) == {"base64"}
        return base64.b64decode(member["base64"], validate=True)

    assert decode(raw["key"]) == record.key and decode(raw["value"]) == record.value
    assert [(name, decode(v)) for name, v in raw["headers"]] == record.headers
    assert raw["timestamp"] == record.timestamp


def test_cat_reads_other_writers_schemas(tools: Tools, tmp_path: Path) -> None:
    older = json.loads((SCHEMAS / "tick.avsc").read_text())
    older["fields"] = [f for f in older["fields"] if f["name"] == "offsets"]
    (tmp_path / "tick-0.avsc").write_text(json.dumps(older))
    print_of = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(older), "CRC-64-AVRO")
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(older), {"offsets": {"t": 7}})
    value = b"\xc3\x01" + bytes.fromhex(print_of) + out.getvalue()
    produce(tools.bootstrap, [Record(tools.topic("tick"), None, value, partition=0)])
    (unknown,) = tools.cat("tick")
    assert unknown["value"] == {"base64": base64.b64encode(value).decode()}
    (known,) = tools.cat("tick", "--schema-dir", str(tmp_path))
    assert known["value"] == {"offsets": {"t": 7}}


def test_cat_ends_when_its_reader_does(tools: Tools) -> None:
    tools.emit(as_lines(*(failed(f"e-{i}", reason="x" * 1000) for i in range(500))))
    ctl = tools.programs.path("envelopectl")
    command = f"{ctl} cat envelope.failed.v1 {' '.join(tools.options)} | head -n 1"
    result = tools.programs.run(Path("/bin/sh"), "-c", command)
    assert len(result.lines) == 1 and result.noise == []


# tick


def test_tick_writes_two_rounds(tools: Tools) -> None:
    tools.emit(as_lines(*(failed(f"e-{i}") for i in range(20))))
    client = producer(tools.bootstrap, transactional_id=tools.prefix)
    client.init_transactions(30)
    client.begin_transaction()
    for p in range(3):  # open: the last stable offset stays before it
        send(client, [Record(tools.topic("resolved"), b"k", b"v", partition=p)])
    client.flush(10)
    told = tools.ctl("tick", "--json").lines
    ticks = tools.cat("tick")
    client.abort_transaction(10)

    inputs = [tools.topic(name) for name in (*PHASES, "producer", "obligation")]
    ends = {t: end_offsets(tools.bootstrap, t) for t in inputs}
    for p in range(3):
        first, second = (t for t in ticks if t["partition"] == p)
        assert "as_of" not in first["value"]
        appended = f"{first['timestamp'] // 1000 % 60:02}.{first['timestamp'] % 1000:03}000Z"
        assert second["value"]["as_of"].endswith(appended)
        for tick in (first, second):
            offsets = tick["value"]["offsets"]
            assert set(offsets) == set(inputs)
            assert offsets[tools.topic("failed")] == ends[tools.topic("failed")][p]
            assert offsets[tools.topic("resolved")] == 0
        assert [t for t in told if t["partition"] == p] == [
            {"partition": p, "offset": 1, "as_of": second["value"]["as_of"]}
        ]
    assert sum(ends[tools.topic("failed")].values()) == 20

    tools.ctl("tick")
    for p in range(3):
        before, third, fourth = [t for t in tools.cat("tick") if t["partition"] == p][1:]
        assert before["timestamp"] <= third["timestamp"] <= fourth["timestamp"]
        assert third["value"]["as_of"].endswith(f".{before['timestamp'] % 1000:03}000Z")
        assert fourth["value"]["as_of"].endswith(f".{third['timestamp'] % 1000:03}000Z")
        assert third["value"]["offsets"][tools.topic("resolved")] == 2  # the record and its marker


def test_tick_wants_append_time_and_all_topics(kafka: Cluster, programs: Programs, prefix: str) -> None:
    tools = Tools(programs, kafka.bootstrap, prefix)
    assert "envelopectl topics apply" in tools.ctl("tick", status=1).logs[-1]["message"]
    create_topics(kafka.bootstrap, tools.topic("tick"), partitions=1)
    for name in (*PHASES, "producer", "obligation"):
        create_topics(kafka.bootstrap, tools.topic(name), partitions=1)
    assert "LogAppendTime" in tools.ctl("tick", status=1).logs[-1]["message"]


# policy


def test_policy_versions(tools: Tools, tmp_path: Path) -> None:
    (builtin,) = tools.ctl("policy show", "--json").lines
    assert builtin["version"] == 0 and builtin["in_force"] and builtin["policy"]["name"] == "built-in"

    rules = [{"name": "all", "match": {}, "disclosure": "minimal"}]
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"name": "ours", "rules": rules}))
    applied = tools.ctl("policy apply", "--json", path).lines[0]
    assert (applied["version"], applied["name"]) == (1, "ours")
    (record,) = read_topic(tools.bootstrap, tools.topic("policy"))
    assert (record.key, record.partition, record.is_append_time) == (b"ours", 0, True)
    assert single_object("policy", record.value)["rules"][0]["disclosure"] == "minimal"

    path.write_text(json.dumps({"name": "later", "effective_from": "2999-01-01T00:00:00Z", "rules": []}))
    text = tools.ctl("policy apply", path).stdout.decode()
    assert "version 2 of policy later" in text and "2999-01-01T00:00:00.000000Z" in text
    produce(tools.bootstrap, [Record(tools.topic("policy"), b"bad", b"nonsense", partition=0)])

    def shown(margin: str) -> dict[int, dict[str, Any]]:
        return {v["version"]: v for v in tools.ctl("policy show", "--json", "--policy-margin", margin).lines}

    wait_until(lambda: shown("100ms")[1]["in_force"], 10, "the version to take effect")
    far = shown("10min")
    assert far[0]["in_force"] and not far[1]["in_force"] and not far[2]["in_force"]
    assert "unknown_framing" in far[3]["unreadable"]
    people = tools.ctl("policy show", "--policy-margin", "100ms").stdout.decode()
    assert json.loads(people[people.index("{") :])["name"] == "ours"  # as a policy file
    assert "1  " in people and "<- in force now" in people


def test_a_policy_that_is_wrong_is_not_written(tools: Tools, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"name": "ours", "rules": [{"name": "r", "match": {}, "redact": ["caller.nme"]}]}')
    message = tools.ctl("policy apply", path, status=1).logs[-1]["message"]
    assert str(path) in message and "rules[0].redact[0]" in message
    assert read_topic(tools.bootstrap, tools.topic("policy")) == []


# schemas


def test_schemas_are_registered_and_written_by_id(tools: Tools, registry: Registry) -> None:
    refused = tools.emit(as_lines(failed("a")), "--schema-registry", registry.url, status=1)
    assert any("envelopectl schemas register" in log["message"] for log in refused.logs)

    registered = {s["subject"]: s["id"] for s in tools.ctl("schemas register", "--schema-registry", registry.url, "--json").lines}
    subjects = {f"{tools.prefix}{t['name']}-value": t["value"] for t in CATALOGUE if t["value"] is not None}
    assert set(registered) == set(subjects)
    client = SchemaRegistryClient({"url": registry.url})
    for subject, name in subjects.items():
        found = client.get_latest_version(subject)
        assert found.schema_id == registered[subject]
        assert json.loads(found.schema.schema_str or "") == json.loads((SCHEMAS / f"{name}.avsc").read_text())
        assert client.get_config(subject).compatibility_level == "FULL_TRANSITIVE"

    tools.emit(as_lines(failed("a")), "--schema-registry", registry.url)
    (record,) = read_topic(tools.bootstrap, tools.topic("failed"))
    assert (record.value or b"")[:5] == b"\0" + registered[tools.topic("failed") + "-value"].to_bytes(4, "big")
    (line,) = tools.cat("failed", "--schema-registry", registry.url)
    assert line["value"]["envelope_id"] == "a"
    tools.ctl("tick", "--schema-registry", registry.url)
    checked = tools.ctl("schemas check", "--schema-registry", registry.url, "--json").lines
    assert all(c["compatible"] and c["registry"] for c in checked)


def test_a_schema_that_the_registry_holds_against_is_named(tools: Tools, registry: Registry) -> None:
    other = json.loads((SCHEMAS / "tick.avsc").read_text())
    other["fields"].append({"name": "needed", "type": "string"})
    subject = tools.topic("tick") + "-value"
    client = SchemaRegistryClient({"url": registry.url})
    client.set_compatibility(subject, level="FULL_TRANSITIVE")
    client.register_schema(subject, Schema(json.dumps(other), "AVRO"))
    result = tools.ctl("schemas check", "--schema-registry", registry.url, "--json", status=1)
    bad = [c for c in result.lines if not c["compatible"]]
    assert [c["record"] for c in bad] == ["envelope.v1.Tick"]
    assert bad[0]["incompatible_with"] == "schema registry" and subject in bad[0]["why"]
    assert "1 schemas are incompatible" in result.logs[-1]["message"]
    assert subject in tools.ctl("schemas register", "--schema-registry", registry.url, status=1).logs[-1]["message"]


def test_schemas_are_checked_against_earlier_versions(programs: Programs, tmp_path: Path) -> None:
    for name in ("tick", "admission"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.avsc").write_bytes((SCHEMAS / f"{name}.avsc").read_bytes())
    older = json.loads((SCHEMAS / "admission.avsc").read_text())
    older["fields"] = [f for f in older["fields"] if f["name"] != "extensions"]
    (tmp_path / "admission" / "0.avsc").write_text(json.dumps(older))
    fine = programs.run("envelopectl", "schemas", "check", tmp_path, "--json").lines
    assert {c["record"]: c["earlier_versions"] for c in fine if c["earlier_versions"]} == {
        "envelope.v1.Admission": 2,
        "envelope.v1.Tick": 1,
    }
    for found in fine:
        assert fastavro.schema.fingerprint(found["canonical"], "CRC-64-AVRO") in (
            found["fingerprint"],
            bytes.fromhex(found["fingerprint"])[::-1].hex(),
        )

    older["fields"].append({"name": "ticket", "type": "string", "doc": "no default"})
    (tmp_path / "admission" / "0.avsc").write_text(json.dumps(older))
    bad = programs.run("envelopectl", "schemas", "check", tmp_path, status=1)
    (line,) = (text for text in bad.stdout.decode().splitlines() if "INCOMPATIBLE" in text)
    assert line.startswith("Admission") and "0.avsc" in line and "no field ticket" in line


def test_schemas_are_shown_as_they_are(programs: Programs) -> None:
    for name in ("Admission", "envelope.v1.Admission", "envelope.admission.v1", "admission"):
        shown = programs.run("envelopectl", "schemas", "show", name).stdout
        assert json.loads(shown) == json.loads((SCHEMAS / "admission.avsc").read_text())
    assert "Admission" in programs.run("envelopectl", "schemas", "show", "x", status=1).logs[-1]["message"]


# What every command does


@pytest.mark.parametrize(
    "command", ["topics apply", "policy show", "tick", "cat envelope.tick.v1", "policy apply POLICY"]
)
def test_a_broker_that_is_away_is_said_within_the_deadline(
    programs: Programs, command: str, tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text('{"name": "p", "rules": []}')
    words = [str(tmp_path / "p.json") if w == "POLICY" else w for w in command.split()]
    result = programs.run(
        "envelopectl", *words, "--bootstrap", "127.0.0.1:1", "--timeout", "300ms", status=1, deadline_s=10
    )
    message = result.logs[-1]["message"]
    assert message.startswith("waited 300 ms for Kafka at 127.0.0.1:1") and "refused" in message
    assert result.stdout == b"" and result.noise == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(programs: Programs, command: str) -> None:
    shown = programs.run("envelopectl", *command.split(), "--help").stdout.decode()
    assert shown.startswith(f"envelopectl {command}:") and "--bootstrap" in shown and "--timeout" in shown
    assert command in programs.run("envelopectl", "--help").stdout.decode()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "COMMAND"),
        (["topics"], "no such command"),
        (["nonsense"], "nonsense"),
        (["--bootstrap", "x", "tick"], "the command comes first"),
        (["cat"], "an operand is missing"),
        (["cat", "a", "b"], "too many operands"),
        (["tick", "now"], "unexpected argument now"),
        (["tick", "--tiemout", "1s"], "did you mean --timeout"),
        (["cat", "x", "--partition", "-2"], "out of bounds"),
        (["topics", "apply", "--partitions", "0"], "out of bounds"),
    ],
)
def test_wrong_usage_is_status_2(programs: Programs, words: list[str], text: str) -> None:
    result = programs.run("envelopectl", *words, status=2)
    assert text in result.stderr.decode() and result.stdout == b""


@pytest.mark.parametrize("words", [["--unknown"], ["a", "b"], ["--timeout", "soon"]])
def test_emit_wrong_usage_is_status_2(programs: Programs, words: list[str]) -> None:
    assert programs.run("envelope-emit", *words, status=2).stdout == b""


@pytest.mark.parametrize("property_", ["acks=1", "nonsense=1", "linger.ms=never"])
def test_properties_that_are_wrong_are_named(programs: Programs, property_: str) -> None:
    name = property_.split("=")[0]
    for words in (["envelopectl", "tick"], ["envelope-emit"]):
        assert name in programs.run(*words, "-X", property_, status=1).logs[-1 if "tick" in words else 0]["message"]
