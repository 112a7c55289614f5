# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a program is said: what happened, where, and what to do.

Nothing is left half-written, and a next start, with the cause gone, works.
"""

from __future__ import annotations

import json
import os
import struct
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, OffsetSpec

from clients import Record, admin, create_topics, end_offsets, group_offsets, java_partition, produce, topic_names
from kafka import Cluster
from oracle.contract import TOPICS
from oracle.outputs import Settings
from pipeline import INPUTS, PROCESSORS, Pipeline
from pipeline import number as decimal
from process import wait_until
from programs import Log, Program, Programs, Result
from stub_registry import Fault, StubRegistry

PARTITIONS = 2
ENVELOPES = 20
SECOND = 1_000_000
NOW = 1_760_000_000 * SECOND
DERIVED = [name for name in TOPICS if name not in INPUTS]
# Within which a program that cannot start says so and has ended.
REFUSED_S = 15.0


def events(first: int = 0, count: int = ENVELOPES) -> bytes:
    """Of each envelope all it takes to be joined, audited and billed."""
    lines = []
    for i in range(first, first + count):
        common = {"envelope_id": f"e-{i}", "tenant": f"t-{i % 3}", "source": "urn:s"}
        lines += [
            {
                "phase": "admission", "occurred_at": NOW,
                "caller": {"requester_urn": "urn:u", "request_id": "r", "initiator": "app"},
                "execution": {"kind": "inference", "service": "s", "operation": "o", "target": "t"},
                "governance": {"hints": {"review": "yes"}},
                "requested": {"gpu_count": 1, "timeout_ms": 600_000}, **common,
            },
            {
                "phase": "resolved", "occurred_at": NOW + SECOND, "granted": {"gpu_count": 1},
                "resolution": {"backend": "b"}, **common,
            },
            {"phase": "released", "occurred_at": NOW + 10 * SECOND, "reason": "done", "measured": {"tokens": 7}, **common},
        ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def make_pipeline(programs: Programs, cluster: Cluster, prefix: str, directory: Path) -> Pipeline:
    settings = Settings(PARTITIONS, prefix, grace=SECOND, orphan_grace=SECOND, policy_margin=SECOND)
    pipeline = Pipeline(programs, cluster.bootstrap, settings, directory / "state")
    pipeline.ctl("topics", "apply", "--partitions", str(PARTITIONS))
    return pipeline


def emit(pipeline: Pipeline, lines: bytes) -> None:
    pipeline.programs.run("envelope-emit", *pipeline.common, stdin=lines)


def group_of(pipeline: Pipeline, processor: str) -> str:
    return f"{pipeline.settings.prefix}{processor}"


def run(pipeline: Pipeline, processor: str, *more: str, instance: str = "one") -> Program:
    return pipeline.start(processor, group_of(pipeline, processor), instance, *more)


def refusals(pipeline: Pipeline, processors: tuple[str, ...] = PROCESSORS) -> dict[str, str]:
    started = {p: run(pipeline, p) for p in processors}
    return {p: refusal(program.wait(REFUSED_S)) for p, program in started.items()}


def refusal(result: Result) -> str:
    """What a program that could not start or go on says last."""
    assert result.status == 1 and result.noise == [] and result.stdout == b"", result.stderr.decode()
    last = next(log for log in reversed(result.logs) if "librdkafka" not in log)
    assert last["level"] == "error", result.stderr.decode()
    message = last["message"]
    assert isinstance(message, str)
    return message


def assert_empty(pipeline: Pipeline, names: Iterable[str]) -> None:
    client = admin(pipeline.bootstrap)
    counts = {t: len(m.partitions) for t, m in client.list_topics(timeout=10).topics.items()}
    full = [pipeline.settings.prefix + name for name in names]
    wanted = {TopicPartition(t, p): OffsetSpec.latest() for t in full for p in range(counts[t])}
    for tp, future in client.list_offsets(wanted, request_timeout=10).items():
        assert future.result(10).offset == 0, tp


def assert_untouched(pipeline: Pipeline) -> None:
    """No record derived, no offset committed."""
    assert_empty(pipeline, DERIVED)
    for processor in PROCESSORS:
        assert not any(o >= 0 for o in group_offsets(pipeline.bootstrap, group_of(pipeline, processor)).values())


def drain(pipeline: Pipeline) -> None:
    """A next start, with the state that is there, works."""
    running = [run(pipeline, p, "--drain") for p in PROCESSORS]
    for program in running:
        result = program.wait(60)
        assert result.status == 0, result.stderr.decode()[-3000:]


def assert_complete(pipeline: Pipeline, processors: tuple[str, ...] = PROCESSORS) -> None:
    """All that was emitted is derived, once."""
    if "join" in processors:
        joined = {v["envelope_id"]: v["status"] for _, v in pipeline.values("envelope.lifecycle.v1")}
        assert joined == {f"e-{i}": "released" for i in range(ENVELOPES)}
    if "governance" in processors:
        sources = [(v["source"], v["number"]) for _, v in pipeline.values("envelope.audit.v1")]
        audited = [(s["topic"], s["partition"], number) for s, number in sources]
        assert len(audited) == len(set(audited)) == 3 * ENVELOPES
    if "accounting" in processors:
        entries = [v for _, v in pipeline.values("envelope.usage.v1") if v["dimension"] == "amounts.tokens"]
        assert sum(decimal(v["billed"]) for v in entries) == 7 * ENVELOPES


def waits(*words: str) -> Callable[[Log], bool]:
    """A warning that is ours and holds these words."""

    def matches(log: Log) -> bool:
        text = json.dumps({k: v for k, v in log.items() if k not in ("time", "program", "instance")})
        return log["level"] == "warn" and "librdkafka" not in log and all(w in text for w in words)

    return matches


def message_is(text: str) -> Callable[[Log], bool]:
    return lambda log: log["message"] == text


def ask(program: Program, path: str) -> tuple[int, str]:
    port = program.wait_log(lambda log: "port" in log, "its port")["port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_ready(program: Program) -> None:
    def is_ready() -> bool:
        assert program.is_running, program.logs()[-1]
        return ask(program, "/readyz")[0] == 200

    wait_until(is_ready, 30, f"{program} to be ready")


# ---- Brokers.


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker of our own. The test that kills it has started it again at its end."""
    config = {"transaction.max.timeout.ms": "60000", "group.min.session.timeout.ms": "3000"}
    with Cluster(directory=tmp_path_factory.mktemp("mortal"), config=config) as cluster:
        yield cluster


def test_timeouts_that_the_broker_refuses(mortal: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, mortal, prefix, tmp_path)
    emit(pipeline, events())
    session = {p: run(pipeline, p, "--session-timeout", "1s") for p in PROCESSORS}
    transaction = {p: run(pipeline, p, "--transaction-timeout", "61s", instance="two") for p in PROCESSORS}
    for program in session.values():
        said = refusal(program.wait(REFUSED_S))
        assert "--session-timeout" in said and "group.min.session.timeout.ms" in said, said
    for program in transaction.values():
        said = refusal(program.wait(REFUSED_S))
        assert "--transaction-timeout" in said and "transaction.max.timeout.ms" in said, said
    assert_untouched(pipeline)
    drain(pipeline)
    assert_complete(pipeline)


def test_brokers_that_are_away(mortal: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    """For longer than a session: from the start on for some programs, in the midst of their work for others."""
    middle = make_pipeline(programs, mortal, prefix, tmp_path / "middle")
    start = make_pipeline(programs, mortal, f"start-{prefix}", tmp_path / "start")
    emit(start, events())
    more = ["--http", "127.0.0.1:0", "--session-timeout", "3s", "--transaction-timeout", "3s"]
    working = {p: run(middle, p, *more) for p in PROCESSORS}
    for program in working.values():
        program.wait_log(message_is("partitions run"), "its partitions", 30)
    emitting = programs.start("envelope-emit", *middle.common)
    emitting.stdin.write(events(0, ENVELOPES // 2))
    emitting.stdin.flush()
    lifecycle = prefix + "envelope.lifecycle.v1"
    wait_until(lambda: sum(end_offsets(mortal.bootstrap, lifecycle).values()) > 0, 20, "the first results")
    mortal.brokers[0].kill()
    emitting.stdin.write(events(ENVELOPES // 2, ENVELOPES // 2))
    emitting.stdin.close()

    starting = {p: run(start, p, *more) for p in PROCESSORS}
    leaving = run(start, "join", instance="two")
    for program in (*working.values(), *starting.values(), leaving):
        program.wait_log(waits(mortal.bootstrap, "cannot be reached", "--bootstrap"), "that the brokers are away", 10)
    for program in starting.values():
        assert ask(program, "/healthz")[0] == 200
        wait_until(lambda: mortal.bootstrap in ask(program, "/readyz")[1], 10, "the reason in /readyz")  # noqa: B023
        status, why = ask(program, "/readyz")
        assert status == 503 and "refused" in why, why
    emitting.wait_log(waits(mortal.bootstrap, "refused"), "that it waits", 10)
    for words in (["envelope-emit"], ["envelopectl", "show", "e-1"], ["envelopectl", "topics", "apply"]):
        result = programs.run(*words, *start.common, "--timeout", "2s", stdin=events(), status=1, deadline_s=10)
        said = " ".join(log["message"] for log in result.logs)
        assert f"waited 2.0 s for Kafka at {mortal.bootstrap}" in said and "refused" in said, said
        assert result.stdout == b"" and result.noise == []

    # And says so again while it lasts.
    for program in starting.values():
        program.wait_log(waits(mortal.bootstrap, "refused", "settings"), "what it could not do meanwhile", 15)

    # Asked to end meanwhile, a program does within its deadline, and says what becomes of its work.
    assert leaving.terminate(5).status == 0
    stopped = working.pop("governance").terminate(10)
    assert stopped.status == 0 or "nothing is lost" in refusal(stopped)
    for program in working.values():
        program.wait_log(lambda log: log.get("librdkafka") == "SESSTMOUT", "the end of its session", 15)

    mortal.brokers[0].start()
    assert emitting.wait(60).status == 0
    for program in (*starting.values(), *working.values()):
        wait_ready(program)
    for program in (*starting.values(), *working.values()):
        assert program.terminate(30).status == 0
    drain(start)
    assert_complete(start)
    drain(middle)
    assert_complete(middle)


# ---- Topics.


def set_topic(pipeline: Pipeline, name: str, setting: str, value: str) -> None:
    resource = ConfigResource(ConfigResource.Type.TOPIC, pipeline.settings.prefix + name)
    resource.add_incremental_config(ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET))
    client = admin(pipeline.bootstrap)
    client.incremental_alter_configs([resource])[resource].result(10)

    def is_set() -> bool:
        return bool(client.describe_configs([resource])[resource].result(10)[setting].value == value)

    wait_until(is_set, 10, f"{name} to have {setting}={value}")


def delete_topics(pipeline: Pipeline, *names: str) -> None:
    full = [pipeline.settings.prefix + name for name in names]
    client = admin(pipeline.bootstrap)
    for future in client.delete_topics(full, operation_timeout=10).values():
        future.result(10)
    wait_until(lambda: not set(full) & topic_names(pipeline.bootstrap), 10, f"{full} to be gone")


def test_topics_that_are_not_right(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    emit(pipeline, events())
    apply = "envelopectl topics apply"

    def expect(said: Mapping[str, str], name: str | Mapping[str, str], *words: str) -> None:
        assert said
        for processor, text in said.items():
            topic = prefix + (name if isinstance(name, str) else name[processor])
            assert all(w in text for w in (topic, *words)), (processor, text)

    delete_topics(pipeline, "envelope.failed.v1")
    expect(refusals(pipeline), "envelope.failed.v1", "does not exist", apply)
    pipeline.ctl("topics", "apply")

    set_topic(pipeline, "envelope.admission.v1", "message.timestamp.type", "CreateTime")
    expect(refusals(pipeline), "envelope.admission.v1", "message.timestamp.type=CreateTime", "LogAppendTime", apply)
    pipeline.ctl("topics", "apply")

    # A compacted input forgets events.
    set_topic(pipeline, "envelope.resolved.v1", "cleanup.policy", "compact")
    expect(refusals(pipeline), "envelope.resolved.v1", "cleanup.policy", apply)
    pipeline.ctl("topics", "apply")

    set_topic(pipeline, "envelope.lifecycle.v1", "cleanup.policy", "delete")
    set_topic(pipeline, "envelope.governance.state.v1", "cleanup.policy", "compact,delete")
    set_topic(pipeline, "envelope.usage.v1", "cleanup.policy", "compact,delete")
    wrong = {
        "join": "envelope.lifecycle.v1", "governance": "envelope.governance.state.v1", "accounting": "envelope.usage.v1",
    }  # fmt: skip
    expect(refusals(pipeline), wrong, "cleanup.policy", apply)
    pipeline.ctl("topics", "apply")

    wrong = {
        "join": "envelope.violation.v1", "governance": "envelope.audit.v1", "accounting": "envelope.usage.tenant.v1",
    }  # fmt: skip
    delete_topics(pipeline, *wrong.values())
    for name in wrong.values():
        config = {"cleanup.policy": TOPICS[name]["cleanup"]}
        create_topics(kafka.bootstrap, prefix + name, partitions=3, config=config)
    expect(refusals(pipeline), wrong, "3 partitions", f"{prefix}envelope.admission.v1 has 2", "--topic-prefix")
    delete_topics(pipeline, *wrong.values())
    pipeline.ctl("topics", "apply")

    delete_topics(pipeline, "envelope.policy.v1")
    create_topics(
        kafka.bootstrap, prefix + "envelope.policy.v1", partitions=2, config={"message.timestamp.type": "LogAppendTime"}
    )
    expect(refusals(pipeline, ("governance",)), "envelope.policy.v1", "2 partitions", "one")
    delete_topics(pipeline, "envelope.policy.v1")
    pipeline.ctl("topics", "apply")

    assert_untouched(pipeline)
    drain(pipeline)
    assert_complete(pipeline)


# ---- The schema registry.


def test_a_registry_that_is_away(
    kafka: Cluster, stub_registry: StubRegistry, programs: Programs, prefix: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    registry = ["--schema-registry", stub_registry.url]
    stub_registry.stop()
    running = {p: run(pipeline, p, *registry, "--http", "127.0.0.1:0") for p in PROCESSORS}
    for program in running.values():
        program.wait_log(waits("schema registry", stub_registry.url, "connect"), "that it waits for the registry", 10)
        status, why = ask(program, "/readyz")
        assert status == 503 and stub_registry.url in why, why
        assert ask(program, "/healthz")[0] == 200
    for words, what in (
        (["envelope-emit"], "waited 300 ms for the schema registry"),
        (["envelopectl", "tick"], "waited 300 ms for the schema registry"),
        (["envelopectl", "schemas", "register"], "onnect"),
    ):
        result = programs.run(
            *words, *pipeline.common, *registry, "--timeout", "300ms", stdin=events(), status=1, deadline_s=10
        )
        said = " ".join(log["message"] for log in result.logs)
        assert what in said and stub_registry.url in said, said
        assert result.noise == [] and result.stdout == b""

    # It is there, and does not know our schemas.
    stub_registry.start()
    for program in running.values():
        said = refusal(program.wait(REFUSED_S))
        assert f"{prefix}envelope." in said and "-value" in said and "envelopectl schemas register" in said, said
    assert_empty(pipeline, INPUTS)
    assert_untouched(pipeline)

    programs.run("envelopectl", "schemas", "register", *pipeline.common, *registry)
    emit(pipeline, events())
    running = {p: run(pipeline, p, *registry) for p in PROCESSORS}
    for program in running.values():
        program.wait_log(message_is("partitions run"), "its partitions", 30)

    # What only it can tell how to read, while it does not answer.
    stub_registry.on("/schemas/ids/77777", Fault.reset_connection())
    other = next(f"x-{i}" for i in range(99) if java_partition(f"x-{i}".encode(), PARTITIONS) == 1)
    unread = Record(prefix + "envelope.failed.v1", other.encode(), b"\0" + struct.pack(">i", 77_777) + b"?", partition=1)
    (placed,) = produce(kafka.bootstrap, [unread])
    for program in running.values():
        line = program.wait_log(waits("schema registry", stub_registry.url, unread.topic), "what it waits for", 15)
        assert line["partition"] == 1 and line["offset"] == placed.offset, line
    assert end_offsets(kafka.bootstrap, prefix + "envelope.deadletter.v1") == {0: 0, 1: 0}
    stub_registry.behave()
    dead = prefix + "envelope.deadletter.v1"
    wait_until(lambda: end_offsets(kafka.bootstrap, dead, committed=True)[1] >= len(PROCESSORS), 20, "the dead letters")
    for program in running.values():
        assert program.terminate().status == 0


# ---- The state directory.


def run_in(pipeline: Pipeline, directory: Path, *more: str | Path) -> Program:
    return pipeline.programs.start(
        "envelope-join", *pipeline.options("join"), "--group", group_of(pipeline, "join"), "--state-dir", directory, *more
    )


def test_a_state_directory_in_use(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    emit(pipeline, events())
    state = tmp_path / "kept"
    first = run_in(pipeline, state)
    first.wait_log(message_is("partitions run"), "its partitions")
    said = refusal(run_in(pipeline, state, "--instance", "other").wait(REFUSED_S))
    assert str(state) in said and f"process {first.pid}" in said and "--state-dir" in said, said
    assert first.is_running
    assert first.terminate().status == 0
    assert not any(log["message"] == "partitions revoked" for log in first.logs())
    assert run_in(pipeline, state, "--drain").wait(30).status == 0
    assert_complete(pipeline, ("join",))


def test_an_instance_that_is_taken_over(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    emit(pipeline, events())
    first = run_in(pipeline, tmp_path / "first", "--instance", "twin")
    first.wait_log(message_is("partitions run"), "its partitions")
    second = run_in(pipeline, tmp_path / "second", "--instance", "twin")
    said = refusal(first.wait(REFUSED_S))
    assert '"twin"' in said and group_of(pipeline, "join") in said and "--instance" in said, said
    second.wait_log(message_is("partitions run"), "its partitions")
    assert second.terminate().status == 0
    assert run_in(pipeline, tmp_path / "second", "--instance", "twin", "--drain").wait(30).status == 0
    assert_complete(pipeline, ("join",))


def crc32c(data: bytes, crc: int = 0) -> int:
    """Castagnoli's, bit by bit."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def set_layout(store: Path, layout: int) -> None:
    """As a program with another layout of its rows would have left it."""
    data = store / "data.mdb"
    content = bytearray(data.read_bytes())
    key = crc32c(b"head")
    rows = 0
    at = content.find(b"head" + struct.pack("<I", key))
    while at >= 0:
        row = at + 4
        struct.pack_into("<I", content, row + 16, layout)
        struct.pack_into("<I", content, row + 4, crc32c(bytes(content[row + 8 : row + 24]), key))
        rows += 1
        at = content.find(b"head" + struct.pack("<I", key), at + 1)
    assert rows > 0
    data.write_bytes(content)
    (store / ".session").write_text(f"closed {len(content)} {crc32c(bytes(content)):08x}")


def contents(directory: Path) -> dict[str, bytes]:
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.rglob("*") if f.is_file()}


def test_a_state_directory_of_a_newer_version(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    emit(pipeline, events())
    state = tmp_path / "kept"
    assert run_in(pipeline, state, "--drain").wait(30).status == 0
    set_layout(state / "store", 2)
    before = contents(state)
    said = refusal(run_in(pipeline, state).wait(REFUSED_S))
    assert str(state) in said and "newer version" in said and "layout 2" in said, said
    assert contents(state) | {"store/lock": b""} == before | {"store/lock": b""}

    set_layout(state / "store", 1)
    result = run_in(pipeline, state, "--drain").wait(30)
    assert result.status == 0
    assert not any("rebuilt" in log["message"] for log in result.logs), "the state was good and is still"


# As root, too, permissions count.
CONFINED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_a_state_directory_that_cannot_be_written(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(programs, kafka, prefix, tmp_path)
    emit(pipeline, events())
    state = tmp_path / "kept"

    def confined(*more: str) -> Result:
        words = [*CONFINED, programs.path("envelope-join"), *pipeline.options("join"), "--group", group_of(pipeline, "join")]
        return programs.run(
            Path("/usr/bin/env"), *words, "--state-dir", state, *more, deadline_s=REFUSED_S, status=None
        )

    state.write_text("a file")
    said = refusal(confined())
    assert str(state) in said and "Not a directory" in said and "--state-dir" in said, said
    state.unlink()

    state.mkdir(mode=0o500)
    said = refusal(confined())
    assert str(state) in said and "Permission denied" in said and "--state-dir" in said, said
    assert list(state.iterdir()) == []
    state.chmod(0o700)

    (state / "instance").touch()
    said = refusal(confined())
    assert str(state / "instance") in said and "delete it" in said, said
    (state / "instance").unlink()

    assert confined("--drain").status == 0
    (state / "store" / "data.mdb").chmod(0o400)
    before = contents(state / "store")
    said = refusal(confined())
    assert str(state / "store") in said and "Permission denied" in said, said
    assert contents(state / "store").keys() == before.keys()
    assert contents(state / "store")["data.mdb"] == before["data.mdb"]
    (state / "store" / "data.mdb").chmod(0o600)
    result = confined("--drain")
    assert result.status == 0
    assert not any("rebuilt" in log["message"] for log in result.logs)


# ---- Options.

EVERY = tuple(f"envelope-{p}" for p in PROCESSORS)
MEET_KAFKA = (*EVERY, "envelope-emit", "envelopectl tick")

WRONG_USAGE: list[tuple[tuple[str, ...], list[str], dict[str, str], str, list[str]]] = [
    # programs, command line, environment, configuration file, what the error names
    (MEET_KAFKA, ["--unknown"], {}, "", ["unknown option --unknown", "--help"]),
    (MEET_KAFKA, ["--bootstarp", "x"], {}, "", ["--bootstarp", "did you mean --bootstrap?"]),
    (MEET_KAFKA, ["--bootstrap"], {}, "", ["--bootstrap", "HOST:PORT is missing"]),
    (MEET_KAFKA, ["--bootstrap", " , "], {}, "", ["--bootstrap", "HOST:PORT"]),
    (MEET_KAFKA, ["--topic-prefix", "a b"], {}, "", ["--topic-prefix", '"a b"']),
    (MEET_KAFKA, ["--log-level", "loud"], {}, "", ["--log-level", "loud", "warn"]),
    (MEET_KAFKA, ["-X", "acks"], {}, "", ["-X", "acks", "key=value"]),
    (MEET_KAFKA, [], {"ENVELOPE_LOG_LEVEL": "loud"}, "", ["ENVELOPE_LOG_LEVEL", "loud"]),
    (MEET_KAFKA, [], {"ENVELOPE_SCHEMA_REGISTRY_TIMEOUT": "soon"}, "", ["ENVELOPE_SCHEMA_REGISTRY_TIMEOUT", "soon", "20ms"]),
    (MEET_KAFKA, [], {}, "# one\n\nlog-level = loud\n", ["FILE:3", "log-level", "loud"]),
    (MEET_KAFKA, [], {}, "bootstarp = x\n", ["FILE:1", "bootstarp", "did you mean bootstrap?"]),
    (MEET_KAFKA, [], {}, "bootstrap\n", ["FILE:1", "name = value"]),
    (MEET_KAFKA, ["--config", "/nowhere"], {}, "", ["/nowhere", "No such file"]),
    (EVERY, ["operand"], {}, "", ["operand"]),
    (EVERY, ["--memory", "1MiB"], {}, "", ["--memory", "1MiB", "64MiB to 1024GiB"]),
    (EVERY, ["--session-timeout", "1000s"], {}, "", ["--session-timeout", "1000s", "1s to 15min"]),
    (EVERY, ["--commit-interval", "-1"], {}, "", ["--commit-interval", "-1", "1ms to 5s"]),
    (EVERY, ["--group", ""], {}, "", ["--group", "1 to 127 bytes"]),
    (EVERY, ["--instance", "a/b"], {}, "", ["--instance", '"a/b"', "letters"]),
    (EVERY, ["--state-dir", ""], {}, "", ["--state-dir", "empty"]),
    (EVERY, ["--http", "nonsense"], {}, "", ["--http", '"nonsense"', "HOST:PORT"]),
    (EVERY, ["--http", "127.0.0.1:99999"], {}, "", ["--http", "99999", "0 to 65535"]),
    (EVERY, [], {"ENVELOPE_MEMORY": "lots"}, "", ["ENVELOPE_MEMORY", "lots", "64MiB"]),
    (EVERY, [], {"ENVELOPE_DRAIN": "1"}, "", ["ENVELOPE_DRAIN", "neither true nor false"]),
    (EVERY, [], {}, "memory = 1\n", ["FILE:1", "memory", "64MiB to 1024GiB"]),
    (EVERY, [], {}, "http = :x\n", ["FILE:1", "http", ":x"]),
    (EVERY[::2], ["--deadline", "x=1s"], {}, "", ["--deadline", "x is not a kind", "inference"]),
    (EVERY[::2], ["--deadline", "inference=soon"], {}, "", ["--deadline", "soon", "20ms"]),
    (("envelope-join",), ["--retire-after", "1s"], {}, "", ["--retire-after", "retention"]),
]  # fmt: skip


def test_wrong_usage(programs: Programs, tmp_path: Path) -> None:
    """Status 2, one line for a person that says which option, from where, and what is allowed; nothing is made."""
    for number, (names, words, env, file, expected) in enumerate(WRONG_USAGE):
        path = tmp_path / f"{number}.conf"
        path.write_text(file)
        for name in names:
            program, *command = name.split()
            where = tmp_path / "state"
            state: list[str | Path] = ["--state-dir", where] if name in EVERY else []
            config: list[str | Path] = ["--config", path] if file else []
            line: list[str | Path] = [*command, "--bootstrap", "127.0.0.1:1", *state, *config, *words]
            result = programs.run(program, *line, env=env, status=2, deadline_s=5)
            text = result.stderr.decode()
            assert len(text.splitlines()) == 1 and text.startswith(f"{name}: "), text
            assert all(e.replace("FILE", str(path)) in text for e in expected), (expected, text)
            assert result.stdout == b"" and not where.exists()


def test_settings_that_cannot_be_had(programs: Programs, tmp_path: Path) -> None:
    """What only shows when it is used: status 1, and a log line."""
    for processor in PROCESSORS:
        for words, expected in [
            (["-X", "nonsense=1"], ["-X nonsense", "no such property"]),
            (["-X", "acks=1"], ["-X acks", "exactly once"]),
            (["-X", "linger.ms=never"], ["-X linger.ms=never"]),
            (["--schema-dir", "/nowhere"], ["--schema-dir", "/nowhere", "No such file"]),
            (["--schema-registry", "nonsense"], ["--schema-registry", "nonsense", "http://HOST:PORT"]),
        ]:
            result = programs.run(
                f"envelope-{processor}", "--bootstrap", "127.0.0.1:1", "--state-dir", tmp_path / processor, *words,
                status=1, deadline_s=10,
            )  # fmt: skip
            said = refusal(result)
            assert all(e in said for e in expected), said
