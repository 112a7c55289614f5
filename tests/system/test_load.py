# SPDX-License-Identifier: Apache-2.0
"""envelope-load: what it says it emitted is what lies in Kafka, and the stories come out of the join as they are told."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import end_offsets, read_topic
from kafka import Cluster
from process import Port, wait_until
from programs import Program, Programs, Result
from terminal import open_terminal

PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
ENVELOPES = 2000
OUTCOMES = {"as_requested", "narrowed", "widened", "rebound", "denied", "unhealthy", "incomplete", "pending"}
KINDS = (
    "deployment", "inference", "pipeline_step", "maintenance_task", "evaluation", "data_movement", "tool_call",
    "agent_run", "other",
)  # fmt: skip
Json = dict[str, Any]


class Bed:
    """A set of topics of its own, and the programs over it."""

    def __init__(self, programs: Programs, bootstrap: str, prefix: str) -> None:
        self.programs = programs
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.options = ("--bootstrap", bootstrap, "--topic-prefix", prefix)
        programs.run("envelopectl", "topics", "apply", "--partitions", "3", *self.options)

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def load(self, *args: str | Path, status: int = 0) -> Json:
        result = self.programs.run("envelope-load", "--summary", *self.options, *args, status=status, deadline_s=60)
        return summary_of(result)

    def start(self, *args: str | Path) -> Program:
        return self.programs.start("envelope-load", "--summary", *self.options, *args)

    def values(self, name: str) -> Iterator[tuple[str, Json]]:
        topic = f"envelope.{name}.v1"
        for line in self.programs.run("envelopectl", "cat", topic, *self.options).lines:
            yield line["key"], line["value"]

    def count(self, name: str) -> int:
        return sum(end_offsets(self.bootstrap, self.topic(name)).values())

    def records(self) -> dict[tuple[str, bytes | None], list[bytes | None]]:
        """The values of each topic and key, in their order."""
        found: dict[tuple[str, bytes | None], list[bytes | None]] = defaultdict(list)
        for phase in PHASES:
            for record in read_topic(self.bootstrap, self.topic(phase)):
                found[phase, record.key].append(record.value)
        return found


@pytest.fixture
def bed(kafka: Cluster, programs: Programs, prefix: str) -> Bed:
    return Bed(programs, kafka.bootstrap, prefix)


def summary_of(result: Result) -> Json:
    assert result.noise == []
    (found,) = result.lines
    assert isinstance(found, dict)
    return found


def only_info(result: Result) -> bool:
    return {line["level"] for line in result.logs} == {"info"}


def adds_up(summary: Json) -> bool:
    return (
        summary["ok"] is True
        and summary["acknowledged"] == summary["events"] == sum(summary["phases"].values()) > 0
        and summary["call_ns"]["count"] == summary["events"]
        and not any(summary[name] for name in ("not_acknowledged", "refused", "dropped", "mistakes"))
    )


# What lies in Kafka


def test_flat_out_all_is_acknowledged_and_comes_out_of_the_join(bed: Bed, tmp_path: Path) -> None:
    deadlines = [x for kind in KINDS for x in ("--deadline", f"{kind}=8s")]
    join = bed.programs.start(
        "envelope-join", *bed.options, "--state-dir", tmp_path / "join", "--grace", "200ms", "--orphan-grace", "1s", *deadlines
    )
    options = ("--envelopes", str(ENVELOPES), "--rate", "0", "--threads", "2", "--when-full", "refuse")
    result = bed.start(*options).wait(60)
    summary = summary_of(result)
    assert result.status == 0 and adds_up(summary) and only_info(result), summary
    assert (summary["envelopes"], summary["unfinished"]) == (ENVELOPES, 0)
    assert "from_due_ns" not in summary, "nothing is paced"
    assert {phase: bed.count(phase) for phase in PHASES} == summary["phases"]

    admitted = {key for key, _ in bed.values("admission")}
    seen = {(key, value["tenant"]): phase for phase in PHASES for key, value in bed.values(phase)}
    ids = {key for key, _ in seen}
    ended = {
        key for phase in ("finalized", "failed", "released") for key, v in bed.values(phase) if v["tenant"] != "intruder"
    }
    assert len(ids) == ENVELOPES
    expected = {"orphan": len(ids - admitted), "deadline_missed": len(admitted - ended)}
    assert all(expected.values())

    def judged() -> bool:
        found = Counter(value["kind"] for _, value in bed.values("violation"))
        assert set(found) <= {"admission_conflict", "tenant_mismatch", *expected}, "what the stories do not intend"
        return all(found[kind] == count for kind, count in expected.items())

    wait_until(judged, 60, f"the join to find {expected}", poll_s=0.2)
    last = dict(bed.values("lifecycle"))
    assert set(last) == ids
    outcomes = Counter(value["outcome"] for value in last.values())
    assert set(outcomes) == OUTCOMES
    assert (outcomes["pending"], outcomes["incomplete"]) == (expected["orphan"], expected["deadline_missed"])
    assert {v["admission"]["execution"]["kind"] for v in last.values() if v.get("admission")} == set(KINDS)
    assert any(v["status"] == "released" for v in last.values()) and any(v["annotations"] for v in last.values())
    assert join.terminate().status == 0


def test_a_seed_gives_the_same_events(bed: Bed, kafka: Cluster, programs: Programs, prefix: str) -> None:
    beds = [bed, *(Bed(programs, kafka.bootstrap, f"{prefix}{n}.") for n in (2, 3))]
    options = ("--envelopes", "300", "--start", "2026-05-08T00:00:00Z", "--threads", "2", "--rate", "0")
    for one, seed in zip(beds, ("7", "7", "8"), strict=True):
        assert adds_up(one.load(*options, "--seed", seed))
    first, same, other = (one.records() for one in beds)
    assert first == same and len(first) > 900
    assert not set(first) & set(other)


def test_what_begins_now_has_ids_of_its_own(bed: Bed) -> None:
    for _ in range(2):
        bed.load("--envelopes", "100", "--rate", "0")
    ids = {key for phase in PHASES for key, _ in bed.values(phase)}
    assert len(ids) == 200


# Pace


def test_paced_it_keeps_its_rate_and_measures_from_when_events_were_due(bed: Bed) -> None:
    summary = bed.load("--envelopes", "600", "--rate", "300", "--time-scale", "0")
    assert adds_up(summary)
    # 600 arrivals are 2 s, give or take a twelfth.
    assert 1500 < summary["emitting_ms"] < 4000
    late, calls = summary["from_due_ns"], summary["call_ns"]
    assert late["count"] == calls["count"] and late["p50"] > calls["p50"]
    assert calls["p50"] <= calls["p90"] <= calls["p99"] <= calls["p999"] <= calls["most"]


def test_what_is_late_is_measured_from_when_it_was_due(bed: Bed) -> None:
    """More than any machine can do: calls are short as ever, and each waits for those before it."""
    summary = bed.load("--rate", "10000000", "--time-scale", "0", "--duration", "1s", "--when-full", "refuse")
    assert adds_up(summary)
    assert summary["call_ns"]["p99"] < 10_000_000 < 200_000_000 < summary["from_due_ns"]["p99"]
    assert summary["behind_most_ms"] > 200


def test_it_says_that_it_is_behind(bed: Bed, tmp_path: Path) -> None:
    """Kafka is away and the spool is full."""
    away = Port()
    options = ("--bootstrap", f"127.0.0.1:{away.number}", "--spool", tmp_path / "spool", "--spool-bytes", "4MiB")
    small = ("--segment-bytes", "1MiB", "--when-full", "refuse", "--rate", "5000", "--time-scale", "0", "--duration", "4s")
    result = bed.start(*options, *small, "--timeout", "1s").wait(60)
    away.release()
    summary = summary_of(result)
    assert result.status == 1 and summary["ok"] is False
    assert summary["waits_for_room"] > 0 and summary["behind_most_ms"] > 1000
    said = [line for line in result.logs if "cannot keep up" in line["message"]]
    assert said and said[0]["behind_ms"] >= 100
    assert summary["events"] == summary["not_acknowledged"] > 0

    # Nothing is lost: the next one that opens the spool sends it.
    bed.programs.run("envelope-emit", *bed.options, "--spool", tmp_path / "spool", stdin=b"")
    assert sum(bed.count(phase) for phase in PHASES) == summary["events"]


def test_a_person_is_told_each_second(bed: Bed) -> None:
    options = (*bed.options, "--rate", "200", "--duration", "3500ms")
    command = " ".join(str(x) for x in (bed.programs.path("envelope-load"), *options))
    for end in open_terminal():  # so that there are some
        os.close(end)
    terminal = bed.programs.run(Path("/usr/bin/script"), "-qec", command, "/dev/null").stdout.decode()
    told = re.findall(
        r"^ +(\d) s +(\d+) events/s  emitted (\d+)  dropped 0  acknowledged (\d+)  backlog \d+"
        r"  call p50 [\d.]+ us, p99 [\d.]+ us\r$",
        terminal, re.MULTILINE,
    )  # fmt: skip
    assert [int(line[0]) for line in told] == [1, 2, 3], terminal
    emitted = [int(line[2]) for line in told]
    assert emitted == sorted(emitted) and all(int(line[1]) > 100 for line in told)
    assert 0 < int(told[-1][3]) <= emitted[-1]


# Its end


def test_a_signal_ends_it_and_what_was_emitted_is_delivered(bed: Bed) -> None:
    running = bed.start("--rate", "500")
    wait_until(lambda: bed.count("resolved") > 20, 30, "events in Kafka")
    result = running.terminate()
    summary = summary_of(result)
    assert result.status == 0 and adds_up(summary), summary
    assert summary["unfinished"] > 0
    assert {phase: bed.count(phase) for phase in PHASES} == summary["phases"]


def test_a_duration_ends_it(bed: Bed) -> None:
    summary = bed.load("--rate", "200", "--duration", "1s")
    assert adds_up(summary) and summary["unfinished"] > 0
    assert 1000 <= summary["emitting_ms"] < 3000


def test_what_is_dropped_makes_it_fail(bed: Bed, tmp_path: Path) -> None:
    """Flat out it is faster than Kafka, and the spool is small: all that had room in it is delivered."""
    small = ("--spool", tmp_path / "spool", "--spool-bytes", "4MiB", "--segment-bytes", "1MiB")
    summary = bed.load("--rate", "0", "--envelopes", "60000", "--threads", "2", *small, status=1)
    assert summary["ok"] is False
    assert summary["dropped"] > 0 and summary["not_acknowledged"] == summary["refused"] == 0
    assert summary["call_ns"]["count"] == summary["events"] + summary["dropped"]
    assert {phase: bed.count(phase) for phase in PHASES} == summary["phases"]


def test_topics_that_are_not_there_are_said_at_once(kafka: Cluster, programs: Programs, prefix: str) -> None:
    result = programs.run("envelope-load", "--bootstrap", kafka.bootstrap, "--topic-prefix", prefix, status=1)
    assert any("envelopectl topics apply" in line["message"] for line in result.logs if line["level"] == "error")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--arrivals", "never"), ("--time-scale", "-1"), ("--tenant-exponent", "x"), ("--start", "soon"), ("--threads", "0")],
)
def test_wrong_usage(programs: Programs, option: str, value: str) -> None:
    result = programs.run("envelope-load", option, value, status=2)
    assert option in result.stderr.decode() and result.stdout == b""


def test_there_is_a_summary_only_where_it_is_asked_for(bed: Bed) -> None:
    assert bed.programs.run("envelope-load", *bed.options, "--envelopes", "5", "--rate", "0").stdout == b""
