# SPDX-License-Identifier: Apache-2.0
"""Proves the harness itself: what the other system tests rely on."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cache import HERE
from certificates import Certificates, make_certificates
from clients import (
    Record,
    create_topics,
    end_offsets,
    group_offsets,
    java_partition,
    partitions_of,
    produce,
    producer,
    read_topic,
    send,
)
from java_client import JavaClient
from kafka import Cluster
from process import Port, is_alive, wait_until
from programs import Programs
from registry import Registry
from stub_registry import CONTENT_TYPE, Fault, StubRegistry

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Probe",
    "namespace": "envelope.tests",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["tool_call", "other"]}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}},
        {"name": "blob", "type": ["null", "bytes"], "default": None},
        {"name": "labels", "type": {"type": "map", "values": "long"}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}
VALUE: dict[str, Any] = {
    "id": "é\u0000x",
    "at": "2026-02-03T04:05:06.000007Z",
    "kind": "tool_call",
    "amount": "-123456789012345678901234567890",
    "blob": "AP8=",
    "labels": {"tokens": 9007199254740993},
}
STRING = '{"type": "string"}'


# Kafka


def test_a_topic_is_made_written_and_read(kafka: Cluster, prefix: str) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic, partitions=3, config={"message.timestamp.type": "LogAppendTime"})
    keys = [f"key-{i}".encode() for i in range(30)]
    placed = produce(kafka.bootstrap, [Record(topic, k, b"v", [("h", b"\x00")]) for k in keys] + [Record(topic, b"t")])
    records = read_topic(kafka.bootstrap, topic)

    assert partitions_of(kafka.bootstrap, topic) == [0, 1, 2]
    assert {(r.partition, r.offset) for r in records} == {(r.partition, r.offset) for r in placed}
    assert {r.key: r.partition for r in records} == {k: java_partition(k, 3) for k in [*keys, b"t"]}
    assert all(r.is_append_time and r.timestamp > 0 for r in records)
    assert {(r.value, tuple(r.headers)) for r in records} == {(b"v", (("h", b"\x00"),)), (None, ())}


def test_the_partitioner_is_the_callers_choice(kafka: Cluster, prefix: str) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic, partitions=None)
    assert len(partitions_of(kafka.bootstrap, topic)) == 12
    keys = [f"key-{i}".encode() for i in range(30)]
    produce(kafka.bootstrap, [Record(topic, k, b"v") for k in keys], partitioner="consistent")
    assert any(r.partition != java_partition(r.key or b"", 12) for r in read_topic(kafka.bootstrap, topic))
    produce(kafka.bootstrap, [Record(topic, b"chosen", b"v", partition=7)])
    assert [r.partition for r in read_topic(kafka.bootstrap, topic) if r.key == b"chosen"] == [7]


def test_transactions_show_what_was_committed_and_no_more(kafka: Cluster, prefix: str) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic)

    def seen(committed: bool) -> list[bytes | None]:
        return [r.value for r in read_topic(kafka.bootstrap, topic, committed=committed)]

    client = producer(kafka.bootstrap, transactional_id=prefix)
    client.init_transactions(30)
    for value, end in ((b"kept", client.commit_transaction), (b"aborted", client.abort_transaction)):
        client.begin_transaction()
        send(client, [Record(topic, b"k", value)])
        client.flush(10)
        end(10)
    client.begin_transaction()
    send(client, [Record(topic, b"k", b"open")])
    client.flush(10)

    assert seen(committed=True) == [b"kept"]
    assert seen(committed=False) == [b"kept", b"aborted", b"open"]
    assert end_offsets(kafka.bootstrap, topic, committed=True) == {0: 4}  # two records and two markers
    assert end_offsets(kafka.bootstrap, topic) == {0: 5}
    client.commit_transaction(10)
    assert seen(committed=True) == [b"kept", b"open"]
    assert group_offsets(kafka.bootstrap, prefix) == {}


def test_a_broker_can_freeze_crash_and_come_back(tmp_path: Path, prefix: str) -> None:
    with Cluster(brokers=3, directory=tmp_path) as cluster:
        topic = prefix + "t"
        create_topics(cluster.bootstrap, topic, partitions=3)
        produce(cluster.bootstrap, [Record(topic, b"1", b"before")])

        first, second, third = cluster.brokers
        first.kill()  # two of three are in sync: writing goes on
        assert not first.is_running
        others = f"{second.address},{third.address}"
        produce(others, [Record(topic, b"1", b"meanwhile")])
        first.start()
        cluster.wait_ready()

        second.pause()
        assert second.known_brokers() == set() and second.is_running
        second.resume()
        cluster.wait_ready()
        assert [r.value for r in read_topic(cluster.bootstrap, topic)] == [b"before", b"meanwhile"]
        pids = [b.require_running() for b in cluster.brokers]
    assert not any(is_alive(pid) for pid in pids)
    assert not list(tmp_path.glob("*/data"))


def test_kafka_local_ends_with_its_broker(tmp_path: Path) -> None:
    # As a demo runs it: by the system's Python, without the virtual environment.
    command = [os.path.realpath(sys.executable), str(HERE / "kafka-local"), "--set", "num.partitions=3"]
    endings: tuple[str | signal.Signals, ...] = ("stdin", signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # a SIGKILL leaves the data behind
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) for _ in endings]
    try:
        for ending, local in zip(endings, running, strict=True):
            assert local.stdin is not None and local.stdout is not None
            word, address = local.stdout.readline().decode().split()
            (broker,) = map(int, Path(f"/proc/{local.pid}/task/{local.pid}/children").read_text().split())
            assert word == "bootstrap"
            assert is_alive(broker)
            create_topics(address, "here", partitions=None)
            assert partitions_of(address, "here") == [0, 1, 2]

            if isinstance(ending, signal.Signals):
                local.send_signal(ending)
            else:
                local.stdin.close()
            assert local.wait(20) == (-signal.SIGKILL if ending == signal.SIGKILL else 0)
            wait_until(partial(has_ended, broker), 10, f"the broker to end with kafka-local, by {ending}")
    finally:
        for local in running:
            local.kill()
            with local:  # reaps it and closes its pipes
                pass
    assert len(list(tmp_path.iterdir())) == 1  # of the one that was killed


def has_ended(pid: int) -> bool:
    return not is_alive(pid)


def test_a_held_port_is_given_to_no_other_and_can_be_listened_on() -> None:
    port = Port()
    others = [Port() for _ in range(50)]
    assert port.number not in {p.number for p in others}
    with socket.create_server(("127.0.0.1", port.number)):
        socket.create_connection(("127.0.0.1", port.number)).close()
    for held in (port, *others):
        held.release()


# Registries


@pytest.fixture(params=["real", "stub"])
def either_registry(request: pytest.FixtureRequest) -> str:
    """The address of one registry after the other: the stub is to answer as the real one does."""
    if request.param == "real":
        real: Registry = request.getfixturevalue("registry")
        return real.url
    stub: StubRegistry = request.getfixturevalue("stub_registry")
    return stub.url


def ask(
    url: str, body: Any = None, *, method: str | None = None, context: ssl.SSLContext | None = None, timeout: float = 10
) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": CONTENT_TYPE}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_schemas_are_registered_and_looked_up(either_registry: str, prefix: str) -> None:
    url, subject = either_registry, f"{prefix}t-value"
    text = json.dumps(SCHEMA)
    assert ask(f"{url}/subjects/{subject}", {"schema": text})[1]["error_code"] == 40401

    status, registered = ask(f"{url}/subjects/{subject}/versions", {"schema": text})
    number = registered["id"]
    assert status == 200 and number > 0
    assert ask(f"{url}/subjects/{subject}-2/versions", {"schema": text}) == (200, registered)
    status, found = ask(f"{url}/subjects/{subject}", {"schema": text})
    assert (status, found["id"], found["version"], found["subject"]) == (200, number, 1, subject)
    assert json.loads(ask(f"{url}/schemas/ids/{number}")[1]["schema"]) == SCHEMA
    assert ask(f"{url}/subjects/{subject}/versions/latest")[1]["id"] == number

    status, missing = ask(f"{url}/schemas/ids/987654")
    assert (status, missing["error_code"]) == (404, 40403)
    status, missing = ask(f"{url}/subjects/{subject}", {"schema": STRING})
    assert (status, missing["error_code"]) == (404, 40403)
    status, missing = ask(f"{url}/subjects/{prefix}none/versions/latest")
    assert (status, missing["error_code"]) == (404, 40401)
    status, refused = ask(f"{url}/subjects/{subject}/versions", {"schema": "{"})
    assert (status, refused["error_code"]) == (422, 42201)

    level = {"compatibility": "FULL_TRANSITIVE"}
    assert ask(f"{url}/config/{subject}", level, method="PUT")[0] == 200
    assert ask(f"{url}/config/{subject}")[1]["compatibilityLevel"] == "FULL_TRANSITIVE"
    check = f"{url}/compatibility/subjects/{subject}/versions/latest"
    assert ask(check, {"schema": text}) == (200, {"is_compatible": True})


def test_confluents_own_client_agrees(either_registry: str, prefix: str) -> None:
    client = SchemaRegistryClient({"url": either_registry})
    number = client.register_schema(f"{prefix}t-value", Schema(STRING, "AVRO"))
    assert client.lookup_schema(f"{prefix}t-value", Schema(STRING, "AVRO")).schema_id == number
    assert client.get_schema(number).schema_type == "AVRO"


def test_the_real_registry_refuses_what_is_incompatible(registry: Registry, prefix: str) -> None:
    subject = f"{registry.url}/subjects/{prefix}t-value/versions"
    ask(subject, {"schema": json.dumps(SCHEMA)})
    ask(f"{registry.url}/config/{prefix}t-value", {"compatibility": "FULL_TRANSITIVE"}, method="PUT")
    more = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "more", "type": "long"}]}
    check = f"{registry.url}/compatibility/subjects/{prefix}t-value/versions/latest"
    assert ask(check, {"schema": json.dumps(more)}) == (200, {"is_compatible": False})
    assert ask(subject, {"schema": json.dumps(more)})[0] == 409


def test_the_real_registry_goes_away_and_comes_back_with_its_ids(registry: Registry, prefix: str) -> None:
    number = ask(f"{registry.url}/subjects/{prefix}t/versions", {"schema": STRING})[1]["id"]
    registry.kill()
    with pytest.raises(urllib.error.URLError):
        ask(f"{registry.url}/subjects")
    registry.start()
    answer = ask(f"{registry.url}/schemas/ids/{number}")
    assert answer[1].get("schema") == STRING, answer


def raw_answer(stub: StubRegistry, path: str, timeout: float = 5) -> bytes:
    """All that the server sends until it closes, or ConnectionResetError."""
    host, port = stub.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := connection.recv(1 << 20):
            data += piece
        return data


def test_the_stubs_faults(stub_registry: StubRegistry) -> None:
    stub, url = stub_registry, f"{stub_registry.url}/schemas/ids/1"
    stub.register("s", STRING)

    def with_fault(fault: Fault) -> tuple[int, Any]:
        stub.behave()
        stub.on("/schemas/ids/.*", fault)
        return ask(url)

    assert with_fault(Fault.error(503))[0] == 503
    assert with_fault(Fault.no_such_schema())[1]["error_code"] == 40403
    assert with_fault(Fault.json([1])) == (200, [1])
    assert with_fault(Fault.json({"schema": 7})) == (200, {"schema": 7})
    assert with_fault(Fault.schema('syntax = "proto3";', "PROTOBUF"))[1]["schemaType"] == "PROTOBUF"
    with pytest.raises(json.JSONDecodeError):
        with_fault(Fault.invalid_json())
    with pytest.raises(json.JSONDecodeError):
        with_fault(Fault.bare_not_found())
    assert len(with_fault(Fault.huge(8 << 20))[1]["schema"]) == 8 << 20

    stub.behave()
    stub.on("/schemas/ids/.*", Fault.truncated())
    head, _, body = raw_answer(stub, "/schemas/ids/1").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body) + 10}".encode() in head
    stub.behave()
    stub.on("/schemas/ids/.*", Fault.reset_connection())
    with pytest.raises(ConnectionResetError):
        raw_answer(stub, "/schemas/ids/1")
    stub.behave()
    stub.on("/schemas/ids/.*", Fault.dripping(0.05))
    with urllib.request.urlopen(url, timeout=5) as answer:
        start = time.monotonic()
        assert answer.read(5) == b'{"sch' and time.monotonic() - start >= 0.15

    stub.behave()
    stub.on("/schemas/ids/.*", Fault.delayed(0.3), times=1)
    start = time.monotonic()
    assert ask(url)[1] == {"schema": STRING} and time.monotonic() - start >= 0.3
    start = time.monotonic()
    assert ask(url)[0] == 200 and time.monotonic() - start < 0.3


def test_the_stub_logs_what_it_was_asked(stub_registry: StubRegistry) -> None:
    ask(f"{stub_registry.url}/subjects/a-value/versions?normalize=true", {"schema": STRING})
    ask(f"{stub_registry.url}/subjects")
    (asked,) = stub_registry.asked("POST", "/subjects/[^/]+/versions")
    assert asked.json() == {"schema": STRING} and asked.query == "normalize=true"
    assert asked.headers["content-type"] == CONTENT_TYPE
    assert [r.method for r in stub_registry.requests] == ["POST", "GET"]


def test_the_stub_goes_away_and_comes_back(stub_registry: StubRegistry) -> None:
    number = stub_registry.register("s", STRING)
    stub_registry.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(f"{stub_registry.url}/subjects")
    stub_registry.start()
    assert ask(f"{stub_registry.url}/schemas/ids/{number}")[0] == 200


def test_the_stub_ends_while_it_hangs_and_while_clients_idle() -> None:
    with StubRegistry() as stub:
        stub.on("/hangs", Fault.delayed(600))
        host, port = stub.url.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2)]
        for connection, path in zip(connections, ("hangs", "none"), strict=True):
            connection.sendall(f"GET /{path} HTTP/1.1\r\n\r\n".encode())
        wait_until(lambda: len(stub.requests) == 2, 5, "the requests to arrive")
    for connection in connections:
        with connection:
            while connection.recv(4096):  # TimeoutError if the stub never closes it
                pass


def test_basic_authentication(prefix: str) -> None:
    with StubRegistry(user="reader", password="secret") as stub:
        assert ask(f"{stub.url}/subjects") == (401, {"error_code": 40101, "message": "Unauthorized"})
        client = SchemaRegistryClient({"url": stub.url, "basic.auth.user.info": "reader:secret"})
        assert client.get_subjects() == []


def test_client_certificates(certificates: Certificates, tmp_path: Path) -> None:
    stranger = make_certificates(tmp_path)
    with StubRegistry(tls=certificates, client_certificate=True) as stub:
        context = ssl.create_default_context(cafile=certificates.ca)
        context.load_cert_chain(certificates.client_cert, certificates.client_key)
        assert ask(f"{stub.url}/subjects", context=context) == (200, [])

        for other in (None, stranger):
            context = ssl.create_default_context(cafile=certificates.ca)
            if other is not None:
                context.load_cert_chain(other.client_cert, other.client_key)
            with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
                ask(f"{stub.url}/subjects", context=context)
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"{stub.url}/subjects", context=ssl.create_default_context(cafile=stranger.ca))
        assert len(stub.asked("GET", "/subjects")) == 1


# The Java client


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    file = tmp_path / "probe.avsc"
    file.write_text(json.dumps(SCHEMA))
    return file


def probes(topic: str, schema_file: Path, count: int = 20) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"topic": topic, "key": f"key-{i}", "schema": schema_file, "value": {**VALUE, "id": f"{VALUE['id']}{i}"}}
    yield {"topic": topic, "key": "gone", "value": None}


def check_round_trip(written: list[dict[str, Any]], read: list[dict[str, Any]], placed: list[dict[str, Any]]) -> None:
    assert {r["key"]: r["value"] for r in read} == {r["key"]: r["value"] for r in written}
    assert {(r["partition"], r["offset"]) for r in read} == {(p["partition"], p["offset"]) for p in placed}
    for r in read:
        assert r["partition"] == java_partition(r["key"].encode(), 5)


def test_java_writes_and_reads_single_objects(kafka: Cluster, java: JavaClient, prefix: str, schema_file: Path) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic, partitions=5)
    written = list(probes(topic, schema_file))
    placed = java.write(kafka.bootstrap, written)
    check_round_trip(written, java.read(kafka.bootstrap, topic, [schema_file]), placed)

    # another implementation of Avro finds the same bytes meaningful
    raw = {r.key: r.value for r in read_topic(kafka.bootstrap, topic)}[b"key-3"]
    assert raw is not None
    parsed = fastavro.parse_schema(SCHEMA)
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(parsed), "CRC-64-AVRO")
    assert raw[:10] == b"\xc3\x01" + bytes.fromhex(fingerprint)
    decoded: Any = fastavro.schemaless_reader(io.BytesIO(raw[10:]), parsed, None)
    assert decoded["id"] == VALUE["id"] + "3"


def test_java_writes_and_reads_confluent_framing(
    kafka: Cluster, registry: Registry, java: JavaClient, prefix: str, schema_file: Path
) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic, partitions=5)
    number = ask(f"{registry.url}/subjects/{topic}-value/versions", {"schema": schema_file.read_text()})[1]["id"]
    written = list(probes(topic, schema_file))
    placed = java.write(kafka.bootstrap, written, registry.native_url)
    check_round_trip(written, java.read(kafka.bootstrap, topic, registry=registry.native_url), placed)

    raw = {r.key: r.value for r in read_topic(kafka.bootstrap, topic)}[b"key-3"]
    assert raw is not None and raw[:5] == b"\0" + number.to_bytes(4, "big")
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry.url}))
    assert deserialize(raw, SerializationContext(topic, MessageField.VALUE))["id"] == VALUE["id"] + "3"


def test_java_says_what_it_cannot_read(kafka: Cluster, java: JavaClient, prefix: str) -> None:
    topic = prefix + "t"
    create_topics(kafka.bootstrap, topic)
    produce(kafka.bootstrap, [Record(topic, b"\xff", b"\x07nonsense", [("h", b"text"), ("n", None)])])
    (read,) = java.read(kafka.bootstrap, topic)
    assert read["key"] == {"base64": "/w=="} and read["value"] == {"base64": "B25vbnNlbnNl"}
    assert read["headers"] == [["h", "text"], ["n", None]]


# Programs


def script(tmp_path: Path, text: str) -> Path:
    """A stand-in for a program under test."""
    path = tmp_path / "stand-in"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_run_gives_output_logs_and_status(programs: Programs, tmp_path: Path) -> None:
    path = script(tmp_path, 'cat; echo \'{"level": "info", "n": 1}\' >&2; echo plain >&2; echo "$EXTRA"; exit 3')
    result = programs.run(path, stdin=b'{"a": 1}\n', env={"EXTRA": "[2]"}, status=3)
    assert result.lines == [{"a": 1}, [2]]
    assert result.logs == [{"level": "info", "n": 1}] and result.noise == ["plain"]
    with pytest.raises(AssertionError, match="ended with 3 instead of 0"):
        programs.run(path)
    with pytest.raises(FileNotFoundError, match="build it"):
        programs.run("envelope-nonesuch")


def test_a_program_that_overstays_is_killed(programs: Programs, tmp_path: Path) -> None:
    path = script(tmp_path, "exec sleep 600")
    with pytest.raises(TimeoutError, match=r"still ran after 0\.2 s"):
        programs.run(path, deadline_s=0.2)


def test_a_program_that_runs_is_watched_and_ended(programs: Programs, tmp_path: Path) -> None:
    text = """
        trap 'echo "{\\"bye\\": 1}" >&2; exit 0' TERM
        sleep 600 &
        echo "{\\"ready\\": $!}" >&2
        wait
    """
    program = programs.start(script(tmp_path, text))
    child = program.wait_log(lambda line: "ready" in line, "that it is ready")["ready"]
    result = program.terminate()
    assert result.status == 0
    assert result.logs[-1] == {"bye": 1}
    wait_until(partial(has_ended, child), 10, "what the program left behind to end")
    with pytest.raises(AssertionError, match="ended before it logged"):
        program.wait_log(lambda line: "never" in line, "the impossible")


def test_children_die_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from process import spawn\n"
        "print(spawn(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, HERE], stdout=subprocess.PIPE)
    try:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        assert is_alive(child)
        starter.kill()
        wait_until(partial(has_ended, child), 10, "the child to die with its starter")
    finally:
        starter.kill()
        starter.communicate()
