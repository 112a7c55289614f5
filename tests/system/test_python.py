# SPDX-License-Identifier: Apache-2.0
"""The Python package, as its wheel installs it: without a broker, and a lifecycle on a real one."""

from __future__ import annotations

import ast
import datetime
import inspect
import io
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import typing
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import fastavro
import pytest

from cache import HERE
from clients import Record, java_partition, read_topic
from kafka import Cluster
from process import wait_until
from programs import Programs

ROOT = HERE.parents[1]
BUILT = ROOT / "build" / "python"
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
SCHEMAS = {phase: json.loads((ROOT / f"schemas/{phase}.avsc").read_text()) for phase in PHASES}
VERSION = re.findall(r'EE_VERSION "(.*)"', (ROOT / "lib/base/version.h").read_text())[0]
NOWHERE = "127.0.0.1:1"  # no broker
PARTITIONS = 3
AT = datetime.datetime(2023, 11, 14, 22, 13, 20, 1, datetime.timezone.utc)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

ADMISSION: dict[str, Any] = {
    "tenant": "acme",
    "caller": {"requester_urn": "urn:user:ärztin", "initiator": "human"},
    "execution": {"kind": "deployment", "service": "serving", "operation": "deploy_model"},
    "requested": {"gpu_count": 1, "engine": "vllm"},
}
EVENT = {"phase": "admission", **ADMISSION}

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def wheel() -> Path:
    found = list(BUILT.glob("*.whl"))
    assert len(found) == 1, f"{BUILT} holds {len(found)} wheels: run make python"
    return found[0]


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-index"]
    subprocess.run([*pip, "--target", folder, wheel], check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def envelope(installed: Path) -> ModuleType:
    """The package itself, beside confluent-kafka, which brings another librdkafka."""
    sys.path.insert(0, str(installed))
    try:
        import envelope
    finally:
        sys.path.remove(str(installed))
    return envelope


@pytest.fixture
def producer(envelope: ModuleType, tmp_path: Path) -> Iterator[Open]:
    """Opens producers, without a broker unless told of one; what is left open is closed."""
    opened: list[Any] = []

    def open_one(name: str = "spool", **settings: Any) -> Any:
        given = {"bootstrap": NOWHERE, "source": "urn:service:test", **settings}
        opened.append(envelope.Producer(tmp_path / name, **given))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close(0)


def run_script(installed: Path, text: str, *arguments: Path | str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """A program of a user's, in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(installed), **env},
        capture_output=True,
        timeout=60,
    )


# What is shipped


def test_the_wheel_is_of_this_machine_and_any_python(wheel: Path, envelope: ModuleType) -> None:
    assert wheel.name == f"execution_envelope-{VERSION}-py3-none-linux_{os.uname().machine}.whl"
    assert envelope.__version__ == VERSION
    names = zipfile.ZipFile(wheel).namelist()
    assert {"envelope/libenvelope.so.0", "envelope/py.typed"} <= set(names)


def test_it_is_written_in_the_oldest_python_that_it_promises(installed: Path) -> None:
    for file in (installed / "envelope").glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))


def members(schema: dict[str, Any]) -> dict[str, Any]:
    return {field["name"]: field["type"] for field in schema["fields"]}


def record_of(kind: Any) -> dict[str, Any] | None:
    """The record that a field's type is, or may be, or is a list of."""
    for one in kind if isinstance(kind, list) else [kind]:
        if isinstance(one, dict):
            return one if one["type"] == "record" else record_of(one.get("items"))
    return None


def test_types_and_parameters_are_the_schemas(envelope: ModuleType) -> None:
    records = {}
    for schema in SCHEMAS.values():
        pending = [schema]
        while pending:
            for kind in members(pending.pop()).values():
                if found := record_of(kind):
                    records[found["name"]] = found
                    pending.append(found)
    for name in ("AuthorityRef", "Caller", "Execution", "Governance", "Resolution", "Resources", "Scope"):
        assert set(typing.get_type_hints(getattr(envelope, name))) == set(members(records[name])), name

    identity = {"envelope_id", "tenant", "source"}
    for phase in PHASES[1:]:
        method = getattr(envelope.Envelope, "annotate" if phase == "annotation" else phase)
        assert set(inspect.signature(method).parameters) - {"self"} == set(members(SCHEMAS[phase])) - identity, phase
    taken = set(inspect.signature(envelope.Producer.admit).parameters) - {"self", "traceparent", "tracestate"}
    assert taken == set(members(SCHEMAS["admission"]))
    with pytest.raises(TypeError, match="granted"):
        envelope.Envelope(None, "id", "acme").failed(stage="s", reason="r", granted={"gpu_count": 1})


def test_results_are_the_headers(envelope: ModuleType) -> None:
    header = (ROOT / "producers/client/envelope.h").read_text()
    listed = header[: header.index("} envelope_result;")].rpartition("typedef enum envelope_result {")[2]
    results = {name: int(number) for name, number in re.findall(r"ENVELOPE_(\w+) = (-?\d+),", listed)}
    known = {result.name: result.value for result in envelope.Result}
    for number, mistake in envelope._errors.MISTAKES.items():
        known[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", mistake.__name__).upper()] = number
    assert known | {"TIMED_OUT": 3, "FORKED": envelope._errors.FORKED} == results


def test_type_checkers_agree(installed: Path, tmp_path: Path) -> None:
    def check(name: str, *arguments: str | Path) -> str:
        argv = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", *arguments]
        result = subprocess.run(argv, capture_output=True, timeout=120, env={**os.environ, "MYPYPATH": str(installed)})
        assert result.stderr == b"", name
        return result.stdout.decode()

    assert check("the package", "-p", "envelope").startswith("Success")
    right = tmp_path / "right.py"
    given = ", ".join(f"{name}={value!r}" for name, value in ADMISSION.items())
    right.write_text(f"import envelope\nwith envelope.Producer('spool') as p:\n    e = p.admit({given})\n")
    assert check("right", right).startswith("Success")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import envelope\n"
        "caller: envelope.Caller = {'requester_urn': 'u', 'initiator': 'robot'}\n"
        "requested: envelope.Resources = {'gpu_cuont': 1}\n"
        "def f(e: envelope.Envelope) -> None:\n"
        "    e.failed(stage='s', reason='r', granted={})\n"
    )
    assert re.findall(r"wrong\.py:(\d): error", check("wrong", wrong)) == ["2", "3", "5"]


def test_a_library_that_cannot_be_loaded_is_named(installed: Path, tmp_path: Path) -> None:
    result = run_script(installed, "import envelope", ENVELOPE_LIBRARY=str(tmp_path / "none.so"))
    assert result.returncode == 1
    assert b"ImportError: libenvelope cannot be loaded" in result.stderr and b"none.so" in result.stderr


# Mistakes, and what is none


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**EVENT, **changes}.items() if value is not None}


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels > 0 else []


MISTAKES = [
    ("MissingField", changed(caller={"initiator": "human"}), "caller.requester_urn"),
    ("MissingField", changed(caller=None), "caller"),
    ("TenantMissing", changed(tenant=""), "tenant"),
    ("Oversized", changed(extensions={"a.b/c": '"' + "x" * 300_000 + '"'}), ""),
    ("InvalidUtf8", changed(tenant="\ud800"), ""),
    ("ExtensionNotNamespaced", changed(extensions={"plain": "1"}), "extensions[plain]"),
    ("BadEnum", changed(caller={"requester_urn": "u", "initiator": "robot"}), "caller.initiator"),
    ("TooDeep", changed(extensions={"a.b/c": nested(100)}), ""),
    ("WrongSchema", changed(granted={"gpu_count": 1}), None),
    ("WrongSchema", changed(requested={"gpu_count": 2**70}), ""),
]


@pytest.mark.parametrize("name, event, field", MISTAKES, ids=[f"{m[0]}-{i}" for i, m in enumerate(MISTAKES)])
def test_a_mistake_has_a_name_and_a_field(
    envelope: ModuleType, producer: Open, name: str, event: dict[str, Any], field: str | None
) -> None:
    one = producer()
    with pytest.raises(getattr(envelope, name)) as raised:
        one.emit(event)
    assert isinstance(raised.value, (envelope.Mistake, ValueError)) and str(raised.value)
    assert field is None or raised.value.field == field
    assert one.counts().accepted == 0


def test_settings_and_spools_that_cannot_be(envelope: ModuleType, producer: Open) -> None:
    for setting, value in [("when_full", "wait"), ("no_such", "x"), ("producer", "a\0b")]:
        with pytest.raises(envelope.BadSetting) as raised:
            producer(**{setting: value})
        assert raised.value.field == setting.replace("_", "-")
    producer()
    with pytest.raises(envelope.Unavailable, match="spool"):
        producer()


def test_a_full_spool_is_no_exception(envelope: ModuleType, producer: Open) -> None:
    event = changed(envelope_id="e", extensions={"a.b/c": '"' + "x" * 200_000 + '"'})
    small = {"spool_bytes": "16MiB", "segment_bytes": "4MiB"}
    for when_full, wanted in (("refuse", envelope.Result.FULL), ("drop", envelope.Result.DROPPED)):
        one = producer(when_full, when_full=when_full, **small)
        results = [one.emit(event) for _ in range(200)]
        counts = one.counts()
        assert set(results) == {envelope.Result.OK, wanted}
        assert counts.accepted == sum(map(bool, results)) > 0
        assert counts.dropped == (results.count(wanted) if when_full == "drop" else 0)
        admitted = one.admit(**{**ADMISSION, "extensions": event["extensions"]})
        assert admitted.result is wanted and admitted.envelope_id


def test_notices_are_logged(producer: Open) -> None:
    said: list[logging.LogRecord] = []
    logger = logging.Logger("a service's own")
    logger.addHandler(handler := logging.Handler())
    handler.emit = said.append  # type: ignore[method-assign]
    one = producer(logger=logger)
    one.emit(EVENT)
    wait_until(lambda: said, 20, "a notice that Kafka is not there")
    assert said[0].levelno == logging.WARNING and NOWHERE in said[0].getMessage()
    assert said[0].threadName != threading.current_thread().name
    assert NOWHERE in wait_until(one.trouble, 20, "the trouble")


# Threads, processes and ends


def test_threads_emit_while_another_closes(envelope: ModuleType, producer: Open) -> None:
    one = producer()
    accepted: list[int] = []
    started = threading.Barrier(9, timeout=20)

    def emit_until_closed() -> None:
        started.wait()
        count = 0
        try:
            while True:
                count += bool(one.emit(EVENT))
        except envelope.Closed:
            accepted.append(count)

    threads = [threading.Thread(target=emit_until_closed) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.wait()
    wait_until(lambda: one.counts().accepted > 500, 20, "events of the threads")
    before = one.counts().accepted
    assert one.close(0) is False
    for thread in threads:
        thread.join(20)
    assert len(accepted) == 8 and sum(accepted) >= before
    for call in (lambda: one.emit(EVENT), lambda: one.flush(1), one.counts, one.trouble):
        with pytest.raises(envelope.Closed):
            call()
    assert one.close() is False


def test_closing_waits_for_calls_under_way(
    envelope: ModuleType, producer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = producer()
    one.emit(EVENT)
    close = envelope._producer.LIB.envelope_producer_close
    under_way: list[int] = []

    def watched(*arguments: Any) -> Any:
        under_way.append(one._busy)
        return close(*arguments)

    monkeypatch.setattr(envelope._producer.LIB, "envelope_producer_close", watched)
    waits = threading.Thread(target=one.flush, args=(1.0,))
    waits.start()
    wait_until(lambda: one._busy == 1, 20, "a call under way")
    one.close(0)
    waits.join(20)
    assert under_way == [0]


FORK = """
    import os, sys, envelope, json
    event = json.loads(sys.argv[2])
    parent = envelope.Producer(sys.argv[1] + "/parent", bootstrap="127.0.0.1:1", source="urn:s")
    held = parent.admit(**{name: value for name, value in event.items() if name != "phase"})
    parent._lock.acquire()  # as another thread may at the moment of a fork
    child = os.fork()
    if child == 0:
        for call in (lambda: parent.emit(event), lambda: held.finalized(runtime_id="r"), parent.counts):
            try:
                call()
                os._exit(1)
            except envelope.Forked:
                pass
        assert parent.close(60) is False
        with envelope.Producer(sys.argv[1] + "/child", bootstrap="127.0.0.1:1", source="urn:s") as own:
            assert own.emit(event) and own.counts().accepted == 1
            own.close(0)
        os._exit(0)
    parent._lock.release()
    assert os.waitpid(child, 0)[1] == 0, "the child"
    assert held.finalized(runtime_id="r") and parent.counts().accepted == 2
    parent.close(0)
"""


def test_a_child_of_fork_opens_its_own(installed: Path, tmp_path: Path) -> None:
    result = run_script(installed, FORK, tmp_path, json.dumps(EVENT))
    assert result.returncode == 0, result.stderr.decode()


LEFT_OPEN = """
    import atexit, json, sys

    @atexit.register  # before the package's own: runs after it
    def say() -> None:
        try:
            producer.counts()
        except envelope.Closed:
            print("closed")

    import envelope
    producer = envelope.Producer(sys.argv[1], bootstrap="127.0.0.1:1", source="urn:s")
    assert producer.emit(json.loads(sys.argv[2]))
"""


def test_an_end_without_close_loses_nothing(installed: Path, tmp_path: Path, producer: Open) -> None:
    result = run_script(installed, LEFT_OPEN, tmp_path / "spool", json.dumps(EVENT))
    assert (result.returncode, result.stdout) == (0, b"closed\n"), result.stderr.decode()
    assert producer("empty").flush(20) is True
    assert producer().flush(0.2) is False  # what was left waits for a broker


# On a real broker


def decoded(record: Record, phase: str) -> dict[str, Any]:
    assert record.value is not None and record.value[:2] == b"\xc3\x01"
    value = fastavro.schemaless_reader(io.BytesIO(record.value[10:]), SCHEMAS[phase], None)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def topics(kafka: Cluster, programs: Programs, prefix: str) -> dict[str, str]:
    settings = {"bootstrap": kafka.bootstrap, "topic_prefix": prefix}
    options = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    programs.run("envelopectl", "topics", "apply", "--partitions", str(PARTITIONS), *options)
    return settings


def read(topics: dict[str, str], phase: str) -> list[Record]:
    return read_topic(topics["bootstrap"], f"{topics['topic_prefix']}envelope.{phase}.v1")


def test_a_lifecycle(producer: Open, topics: dict[str, str]) -> None:
    one = producer(**topics, properties={"client.id": "test"})
    e = one.admit(
        **ADMISSION,
        scope={"workspace": "research"},
        governance={"audit_level": "full", "hints": {"review": "ja"}},
        sensitivity="internal",
        extensions={"com.example/model": '{"a":1}'},
        occurred_at=AT,
        traceparent=TRACE,
        tracestate="a=b",
    )
    assert e.result and uuid.UUID(e.envelope_id).version == 7
    grant = {"gpu_count": 1, "amounts": {"tokens": 10**12}}
    assert e.resolved(granted=grant, resolution={"backend": "k8s"}, occurred_at=1_700_000_000_000_001)
    with pytest.raises(ValueError, match="time zone"):
        e.resolved(granted=grant, occurred_at=AT.replace(tzinfo=None))
    assert e.annotate({"com.example/note": '"Ω"'}, event_id="note-1")
    assert e.finalized(runtime_id="pod-7", measured={"tokens": 5})
    assert e.released(reason="done", occurred_at="2026-05-08T12:00:00Z")
    other = one.envelope("admitted-elsewhere", "acme", source="urn:service:other")
    assert other.failed(stage="placement", reason="no GPU", retryable=True)
    assert one.flush(30) is True
    assert one.counts().acknowledged >= 6
    wait_until(lambda: one.trouble() is None, 20, "no trouble")
    assert one.close(10) is True

    found = {phase: read(topics, phase) for phase in PHASES}
    assert {phase: len(records) for phase, records in found.items()} == dict.fromkeys(PHASES, 1)
    values = {phase: decoded(records[0], phase) for phase, records in found.items()}
    for phase, (record,) in found.items():
        identity = other.envelope_id if phase == "failed" else e.envelope_id
        assert record.key == identity.encode() and values[phase]["envelope_id"] == identity
        assert record.partition == java_partition(record.key, PARTITIONS)
        assert values[phase]["tenant"] == "acme" and values[phase]["event_id"]
        headers = dict(record.headers)
        assert headers.get("traceparent") == (None if phase == "failed" else TRACE.encode())
        assert values[phase]["source"] == ("urn:service:other" if phase == "failed" else "urn:service:test")
    assert {name: values["admission"]["caller"][name] for name in ADMISSION["caller"]} == ADMISSION["caller"]
    assert values["admission"]["requested"]["gpu_count"] == 1
    assert values["admission"]["scope"]["workspace"] == "research"
    assert values["admission"]["occurred_at"] == AT == values["resolved"]["occurred_at"]
    assert values["resolved"]["granted"]["amounts"] == {"tokens": 10**12}
    assert values["annotation"]["event_id"] == "note-1"
    assert values["annotation"]["annotations"] == {"com.example/note": '"Ω"'}
    assert (values["failed"]["stage"], values["failed"]["retryable"]) == ("placement", True)
    assert values["released"]["occurred_at"].isoformat() == "2026-05-08T12:00:00+00:00"


KILLED = """
    import json, os, signal, sys, threading, envelope
    event, count = json.loads(sys.argv[2]), 250
    producer = envelope.Producer(sys.argv[1], bootstrap="127.0.0.1:1", source="urn:s")
    threads = [threading.Thread(target=lambda: [producer.emit(event) for _ in range(count)]) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert producer.counts().accepted == 4 * count
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_emitted_arrives_once(
    installed: Path, tmp_path: Path, producer: Open, topics: dict[str, str]
) -> None:
    result = run_script(installed, KILLED, tmp_path / "spool", json.dumps(EVENT))
    assert result.returncode == -9, result.stderr.decode()
    with producer(**topics) as one:
        assert one.flush(30) is True
        assert one.counts().accepted == 0
    ids = [decoded(record, "admission")["event_id"] for record in read(topics, "admission")]
    assert len(ids) == len(set(ids)) == 1000
