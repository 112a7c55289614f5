# SPDX-License-Identifier: Apache-2.0
"""The demo as a stranger meets it: what it shows is there and adds up, what it says to type works."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cache import HERE, require
from process import is_alive, spawn, stop, wait, wait_until
from programs import Program, Programs, Result
from terminal import open_terminal

ROOT = HERE.parents[1]
DEMO = ROOT / "deploy" / "demo"
BIN = Path(os.environ.get("ENVELOPE_BIN") or ROOT / "build" / "bin").absolute()
BOUND_S = 60  # of a demo that takes a tenth of it on an idle machine
ENVELOPES = 20_000


class Shown:
    """What a demo has printed, by the titles of its parts."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = re.split(r"^== (.*)$", text, flags=re.MULTILINE)
        self.titles = pieces[1::2]
        self.parts = dict(zip(self.titles, pieces[2::2], strict=True))

    def part(self, begin: str) -> str:
        """The one part whose title begins so."""
        (found,) = (text for title, text in self.parts.items() if title.startswith(begin))
        return found

    def counts(self, begin: str, heading: str) -> dict[str, int]:
        """The lines `  NUMBER  NAME` below a heading of a part."""
        found = re.search(rf"^{heading}.*\n((?:  .*\n)*)", self.part(begin), re.MULTILINE)
        assert found, f"no {heading} in {begin}"
        lines = re.findall(r"^ +(\d+)  (\S+)", found[1], re.MULTILINE)
        return {name: int(number) for number, name in lines}

    @property
    def commands(self) -> list[str]:
        return re.findall(r"^  (\S.*)$", self.part("What to type next"), re.MULTILINE)


@dataclass
class Terminal:
    status: int
    text: str
    seconds: float


def read_all(terminal: int, deadline_s: float) -> str:
    """What is written to the other end until that is closed."""
    end, text = time.monotonic() + deadline_s, b""
    while select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return text.decode()
        text += piece
    raise TimeoutError(f"the terminal is still open after {deadline_s:g} s\n{text[-2000:].decode()}")


def on_a_terminal(directory: Path) -> Terminal:
    ours, theirs = open_terminal()
    env = {"ENVELOPE_BIN": str(BIN), "NO_COLOR": "", "KAFKA": ""}
    begin = time.monotonic()
    process = spawn([DEMO, directory], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    try:
        text = read_all(ours, BOUND_S)
        return Terminal(wait(process, 10), text, time.monotonic() - begin)
    finally:
        stop(process)
        os.close(ours)


@dataclass
class Demos:
    directory: Path
    result: Result
    shown: Shown
    terminal: Terminal
    seconds: float

    def day(self, topic: str) -> Iterator[dict[str, Any]]:
        """The records of the day's run."""
        with (self.directory / "day" / f"envelope.{topic}.v1.jsonl").open() as file:
            yield from map(json.loads, file)

    def count_of_day(self, topic: str) -> int:
        with (self.directory / "day" / f"envelope.{topic}.v1.jsonl").open("rb") as file:
            return sum(1 for _ in file)


@dataclass
class Kept:
    """A demo on Kafka, under way: it stays up until it is told to end."""

    program: Program
    out: Path

    @property
    def text(self) -> str:
        return self.out.read_text()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    require("kafka")
    root = tmp_path_factory.mktemp("kept")
    programs = Programs(BIN, root / "programs", {"ENVELOPE_BIN": str(BIN), "KAFKA": "keep"})
    yield Kept(programs.start(DEMO, root / "kafka"), root / "programs" / "00-demo" / "stdout")
    programs.close()


@pytest.fixture(scope="module")
def demos(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    """One demo into files and one on a terminal, side by side; the one on Kafka waits most of its time."""
    assert kept.program.is_running
    root = tmp_path_factory.mktemp("demo")
    programs = Programs(BIN, root / "programs", {"ENVELOPE_BIN": str(BIN), "KAFKA": ""})
    begin = time.monotonic()
    piped = programs.start(DEMO, root / "piped", stdin=b"")
    terminal = on_a_terminal(root / "terminal")
    result = piped.wait(BOUND_S)
    yield Demos(root / "piped", result, Shown(result.stdout.decode()), terminal, time.monotonic() - begin)
    programs.close()


def test_the_demo_shows_what_it_promises(demos: Demos) -> None:
    assert demos.result.status == 0
    begins = [
        "The worked example",
        "The same request, but",
        "A day of mixed traffic",
        "One envelope of that day",
        "A tenant's usage",
        "The audit trail",
        "Dead letters",
        "What to type next",
    ]
    assert [t[: len(b)] for t, b in zip(demos.shown.titles, begins, strict=True)] == begins
    for title, text in demos.shown.parts.items():
        assert text.strip(), title
    assert demos.seconds < BOUND_S


def test_the_worked_example_is_told(demos: Demos) -> None:
    story = demos.shown.part("The worked example")
    assert "outcome   narrowed" in story and "status    released" in story
    assert re.search(r"^  gpu +1000 +500 +< narrowed$", story, re.MULTILINE)
    assert re.search(r"amounts.tokens +- +- +48211$", story, re.MULTILINE)
    phase = "admission|resolved|finalized|annotation|released|failed"
    phases = re.findall(rf"^ +(?:\d{{4}}-|\+)\S.*?  ({phase})\b", story, re.MULTILINE)
    assert phases == ["admission", "resolved", "finalized", "annotation", "released"]
    failure = demos.shown.part("The same request, but")
    assert "outcome   unhealthy" in failure and "image_pull_backoff" in failure


def test_the_numbers_of_the_day_add_up(demos: Demos) -> None:
    day = "A day of mixed traffic"
    shown = demos.shown
    outcomes = shown.counts(day, "Outcome")
    statuses = shown.counts(day, "Status")
    assert shown.counts(day, "Envelopes") == {"in": ENVELOPES}
    assert sum(outcomes.values()) == sum(statuses.values()) == ENVELOPES
    assert set(outcomes) == {
        "pending", "denied", "unhealthy", "incomplete", "rebound", "narrowed", "widened", "as_requested"
    }  # fmt: skip

    last = {r["key"]: r["value"] for r in demos.day("lifecycle")}
    assert len(last) == ENVELOPES
    assert Counter(v["outcome"] for v in last.values()) == outcomes
    assert Counter(v["status"] for v in last.values()) == statuses
    tenants = {v["tenant"] for v in last.values()}
    kinds = {v["admission"]["execution"]["kind"] for v in last.values() if v.get("admission")}
    assert f"{len(tenants)} tenants" in next(t for t in shown.titles if t.startswith(day)) and len(kinds) == 9

    assert Counter(r["value"]["kind"] for r in demos.day("violation")) == shown.counts(day, "Violations")
    assert Counter(r["value"]["state"] for r in demos.day("governance"))["due"] > 0
    events = shown.counts(day, "Events")
    records = re.findall(r"^ +(\d+)  (audit|ledger|tenant) ", shown.part(day), re.MULTILINE)
    assert {name: int(number) for number, name in records} == {
        "audit": demos.count_of_day("audit"),
        "ledger": demos.count_of_day("usage"),
        "tenant": len({r["key"] for r in demos.day("usage.tenant")}),
    }
    # Every event that is not a dead letter has its audit entry.
    assert sum(events.values()) == demos.count_of_day("audit")


def test_dead_letters_are_counted_alike_in_both_places(demos: Demos) -> None:
    counted = demos.shown.counts("A day of mixed traffic", "Dead letters")
    listed = re.findall(r"^ +(\d+)  ([a-z0-9_]+): \S", demos.shown.part("Dead letters"), re.MULTILINE)
    assert {reason: int(number) for number, reason in listed} == counted and len(listed) == len(counted)
    letters = [dict(r["headers"]) for r in demos.day("deadletter")]
    for processor in ("join", "governance", "accounting"):
        assert Counter(h["dl_reason"] for h in letters if h["dl_processor"] == processor) == counted
    # Each way of breaking the contract that the traffic has is found for what it is.
    assert counted == dict.fromkeys(
        [
            "tenant_missing", "extension_not_namespaced", "invalid_utf8", "bad_enum", "truncated", "trailing_bytes",
            "unknown_framing", "unknown_fingerprint", "non_minimal_varint", "key_mismatch",
        ],
        8,
    )  # fmt: skip


def test_the_tenants_usage_is_the_ledgers(demos: Demos) -> None:
    part = demos.shown.part("A tenant's usage")
    hours: Counter[str] = Counter()
    for record in demos.day("usage"):
        value = record["value"]
        if (value["tenant"], value["dimension"]) == ("tenant-00", "gpu"):
            hours[value["window_start"]] += int(value.get("granted", "0"))
    rows = re.findall(r"^  (\S+) (\d\d:00) +(\S+) +(\S+)$", part, re.MULTILINE)
    assert len(rows) >= 3
    for day, hour, asked, granted in rows:
        assert float(granted) == pytest.approx(hours[f"{day}T{hour}:00.000000Z"] / 3.6e12, abs=1e-4)
        assert float(granted) <= float(asked) * 1.0001
    (more,) = re.findall(r"^  and (\d+) hours more$", part, re.MULTILINE)
    assert len(rows) + int(more) == len(hours)
    ((_, granted),) = re.findall(r"^  in all +(\S+) +(\S+)$", part, re.MULTILINE)
    assert float(granted) == pytest.approx(sum(hours.values()) / 3.6e12, abs=1e-2)


def test_the_audit_trail_is_that_of_the_envelope(demos: Demos) -> None:
    story = demos.shown.part("One envelope of that day")
    places = re.findall(r"^ +at (\S+) partition (\d+) offset (\d+)$", story, re.MULTILINE)
    shown = demos.shown.part("The audit trail")
    trail = re.findall(r"^  (\S+) (\d+)/(\d+)  number \d+  \w+  [A-Za-z0-9+/]{43}=$", shown, re.MULTILINE)
    assert sorted(trail) == sorted(places) and len(trail) >= 4


def test_a_terminal_sees_progress_and_a_file_does_not(demos: Demos) -> None:
    assert demos.result.stderr == b"" and b"\r" not in demos.result.stdout and b"\x1b" not in demos.result.stdout
    terminal = demos.terminal
    assert terminal.status == 0 and terminal.seconds < BOUND_S
    day = terminal.text[terminal.text.index("== A day of mixed traffic") :]
    steps = [tuple(map(int, s)) for s in re.findall(r"\r +(\d+) %  (\d+) of (\d+) steps", day)]
    assert len(steps) >= 3 and steps == sorted(steps)
    assert all(percent == done * 100 // of for percent, done, of in steps)
    # The line is wiped out before what follows, and the rest is what a file gets.
    plain = re.sub(r"\r +\d+ %  \d+ of \d+ steps", "", terminal.text)
    plain = re.sub(r"\r {60}\r", "", plain).replace("\r\n", "\n")
    plain = re.sub("\x1b\\[1m(.*)\x1b\\[0m", r"\1", plain)
    directory = demos.directory
    assert plain == demos.shown.text.replace(str(directory), str(directory.with_name("terminal")))
    assert "\x1b[1m== What to type next\x1b[0m" in terminal.text


def test_no_line_is_wider_than_a_terminal(demos: Demos) -> None:
    """But for commands, which are copied."""
    parts = demos.shown.parts.items()
    assert [s for t, text in parts if t != "What to type next" for s in text.splitlines() if len(s) > 100] == []


def type_in(command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_what_it_says_to_type_works(demos: Demos) -> None:
    commands = demos.shown.commands
    assert len(commands) >= 5 and commands[-1] == "make demo KAFKA=1"
    said = {}
    for command in commands[:-1]:
        done = type_in(command)
        assert done.returncode == 0 and done.stdout and done.stderr == "", command
        said[command] = done.stdout
    story = json.loads(said[commands[0]])
    assert f"Envelope {story['lifecycle']['envelope_id']}\n" in demos.shown.part("One envelope of that day")
    assert story["lifecycle"]["outcome"] == "narrowed" and story["usage"]
    # The last one is the test on Kafka below, but for this line.
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:\n(?:\t.*\n)*?\tKAFKA=\$\(KAFKA\) deploy/demo$", makefile, re.MULTILINE)


def test_a_directory_in_use_is_left_alone(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    refused = programs.run(DEMO, tmp_path, env={"KAFKA": ""}, status=1)
    assert f"{tmp_path} is not empty" in refused.stderr.decode() and refused.stdout == b""
    assert [p.name for p in tmp_path.iterdir() if p.name != "programs"] == ["mine"]


def numbered(part: str) -> dict[str, int]:
    return {name: int(number) for number, name in re.findall(r"^ +(\d+) +(\w+)$", part, re.MULTILINE)}


def descendants(pid: int) -> list[int]:
    found = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [below for child in found for below in descendants(child)]


def test_on_kafka_it_stays_to_be_looked_into(kept: Kept) -> None:
    demo = kept.program

    def invited() -> bool:
        ended = not demo.is_running
        assert "until you press Enter" in kept.text or not ended, kept.text[-2000:]
        return "until you press Enter" in kept.text

    wait_until(invited, BOUND_S, "the demo on Kafka to have shown everything")
    shown = Shown(kept.text)
    assert "outcome   narrowed" in shown.part("The worked example")
    outcomes = numbered(shown.part("2,000 envelopes"))
    violations = numbered(shown.part("Violations"))
    assert sum(outcomes.values()) == 2000 + 1  # and the worked example's
    assert {"as_requested", "narrowed", "denied"} <= set(outcomes)
    # All is quiet, and the traffic leaves no envelope pending that has an admission.
    assert outcomes["incomplete"] == violations["deadline_missed"] > 0
    assert outcomes["pending"] == violations["orphan"] > 0

    first, *commands = shown.commands
    assert first.startswith("export ENVELOPE_BOOTSTRAP=")
    name, _, value = first.removeprefix("export ").partition("=")
    assert len(commands) >= 4
    for command in commands:
        done = type_in(command, {name: value})
        assert done.returncode == 0 and done.stdout and done.stderr == "", command

    started = descendants(demo.pid)
    assert len(started) >= 5  # Kafka and its starter, three processors
    demo.stdin.write(b"\n")
    demo.stdin.flush()
    wait_until(lambda: not demo.is_running, 30, "the demo to end")
    assert not any(map(is_alive, started))  # before wait() ends what is left
    result = demo.wait(1)
    assert result.status == 0 and result.noise == []
