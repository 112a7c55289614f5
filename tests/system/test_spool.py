# SPDX-License-Identifier: Apache-2.0
"""`envelopectl spool` over spools as a service leaves them: whole, in use, and damaged in every way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cache import HERE
from kafka import Cluster
from programs import Program, Programs, Result

ROOT = HERE.parents[1]
WRITER = ROOT / "build/obj/tests/system/spool/write_spool"
UNIT = 64
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")

Event = dict[str, Any]


class Spool:
    """A directory with a spool, and the commands over it."""

    def __init__(self, programs: Programs, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.lines = directory.parent / "lines"

    def start(self, events: list[Event], numbered: int = 0, settled: int = 0) -> Program:
        """Writes the events and has the spool open until its input is closed."""
        self.lines.write_text("".join(json.dumps(e) + "\n" for e in events))
        writer = self.programs.start(WRITER, self.directory, self.lines, str(numbered), str(settled))
        writer.wait_log(lambda log: log["message"] == "ready", "that the spool is written")
        return writer

    def write(self, events: list[Event], numbered: int = 0, settled: int = 0) -> None:
        writer = self.start(events, numbered, settled)
        writer.stdin.close()
        assert writer.wait().status == 0

    def ctl(self, command: str, *args: str, status: int | None = 0) -> Result:
        return self.programs.run("envelopectl", "spool", command, *args, self.directory, status=status)

    def inspect(self) -> Any:
        return json.loads(self.ctl("inspect", "--json").stdout)

    def findings(self) -> list[str]:
        """Of verify; which says by its status whether there are any."""
        result = self.ctl("verify", status=None)
        found = result.stdout.decode().splitlines()
        assert result.status == (1 if found else 0)
        return found

    def exported(self, *args: str, status: int = 0) -> list[Event]:
        lines: list[Event] = self.ctl("export", *args, status=status).lines
        return lines

    def repair(self, *args: str) -> list[str]:
        return self.ctl("repair", *args).stdout.decode().splitlines()

    def segment(self, number: int) -> Path:
        return self.directory / f"{number:016x}.segment"

    @property
    def control(self) -> Path:
        return self.directory / "control"

    def files(self) -> dict[str, bytes]:
        """What is there, but for the lock."""
        found = sorted(p for p in self.directory.rglob("*") if p.is_file() and p.name != "lock")
        return {str(p.relative_to(self.directory)): p.read_bytes() for p in found}


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.fixture(scope="session", autouse=True)
def writer() -> None:
    """What `make check-system` has built already takes no time."""
    subprocess.run(["make", "-s", "spool-writer"], cwd=ROOT, check=True)


@pytest.fixture
def spool(programs: Programs, tmp_path: Path) -> Spool:
    return Spool(programs, tmp_path / "spool")


@pytest.fixture
def events(programs: Programs) -> list[Event]:
    """Some of each phase, in the order in which they are sent."""
    lines = programs.run("envelope-traffic", "--envelopes", "60", "--seed", "11").lines
    found = [line for line in lines if "phase" in line]
    assert {e["phase"] for e in found} == set(PHASES)
    return found


def large(count: int) -> list[Event]:
    """Admissions of 100 kB, ten of which fill a segment."""
    return [
        {
            "phase": "admission", "envelope_id": f"e-{i}", "event_id": f"v-{i}", "tenant": "acme",
            "occurred_at": 1_778_241_600_000_000 + i, "source": "urn:s",
            "caller": {"requester_urn": "urn:u", "initiator": "human"},
            "execution": {"kind": "inference", "service": "s", "operation": "o"},
            "requested": {}, "extensions": {"com.example/pad": json.dumps("x" * 100_000)},
        }
        for i in range(count)
    ]  # fmt: skip


def ids(events: list[Event]) -> list[str]:
    return [e["event_id"] for e in events]


# A sound spool


def test_inspect_tells_what_is_there(spool: Spool, events: list[Event]) -> None:
    spool.write(events, numbered=9, settled=5)
    seen = spool.inspect()
    assert seen["control"] == "sound" and "process" not in seen
    assert len(bytes.fromhex(seen["id"])) == 16
    assert seen["epoch"] >= 1000 and seen["settled"]["segment"] == 1
    unsettled = seen["unsettled"]
    assert unsettled["records"] == len(events) - 5 and unsettled["numbered"] == 4
    topics = [f"envelope.{e['phase']}.v1" for e in events[5:]]
    assert unsettled["topics"] == {t: topics.count(t) for t in topics}
    first, *rest = seen["segments"]
    assert (first["file"], first["is"], first["size"]) == (spool.segment(1).name, "sound", 1 << 20)
    assert first["records"] == len(events) and first["torn"] == 0
    assert all(s["records"] == 0 for s in rest)
    told = spool.ctl("inspect").stdout.decode()
    for text in (seen["id"], unsettled["oldest"], f"{len(events) - 5} records (4 numbered)", "envelope.annotation.v1"):
        assert text in told


def test_a_sound_spool_has_no_findings_and_is_left_as_it_is(spool: Spool, events: list[Event]) -> None:
    spool.write(events, settled=5)
    before = spool.files()
    assert spool.findings() == []
    assert spool.repair() == ["nothing to repair"]
    spool.inspect()
    spool.exported()
    assert spool.files() == before


def test_one_in_use_is_looked_into(spool: Spool, events: list[Event]) -> None:
    writer = spool.start(events)
    assert spool.inspect()["process"] == writer.pid
    assert f"by process {writer.pid}" in spool.ctl("inspect").stdout.decode()
    assert spool.findings() == []
    assert ids(spool.exported()) == ids(events)
    refused = spool.ctl("repair", status=1)
    assert f"process {writer.pid} holds the lock" in refused.logs[-1]["message"]
    writer.stdin.close()
    assert writer.wait().status == 0


def test_where_no_spool_is_nothing_is_made(spool: Spool) -> None:
    spool.directory.mkdir()
    for command in ("inspect", "verify", "export", "repair"):
        assert "there is no spool" in spool.ctl(command, status=1).logs[-1]["message"]
    assert list(spool.directory.iterdir()) == []


# Export


def test_what_is_not_settled_is_exported(spool: Spool, events: list[Event]) -> None:
    spool.write(events, settled=40)
    assert ids(spool.exported()) == ids(events[40:])
    assert ids(spool.exported("--all")) == ids(events)


def test_over_several_segments(spool: Spool) -> None:
    sent = large(35)
    spool.write(sent, settled=12)
    assert not spool.segment(1).exists() and spool.segment(4).exists()
    assert ids(spool.exported()) == ids(sent[12:])
    assert ids(spool.exported("--all")) == ids(sent[spool.inspect()["segments"][0]["number"] * 10 - 10 :])


def test_a_round_trip_through_local(spool: Spool, events: list[Event], tmp_path: Path) -> None:
    spool.write(events)
    exported = spool.ctl("export").stdout
    for name, lines in (("sent", spool.lines.read_bytes()), ("exported", exported)):
        spool.programs.run("envelope-local", "--out", tmp_path / name, stdin=lines)
    for file in (tmp_path / "sent").iterdir():
        assert (tmp_path / "exported" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_round_trip_through_emit(spool: Spool, events: list[Event], kafka: Cluster, prefix: str) -> None:
    spool.write(events)
    options = ("--bootstrap", kafka.bootstrap)
    read = []
    for name, lines in (("sent.", spool.lines.read_bytes()), ("exported.", spool.ctl("export").stdout)):
        topics = (*options, "--topic-prefix", prefix + name)
        spool.programs.run("envelopectl", "topics", "apply", "--partitions", "3", *topics)
        spool.programs.run("envelope-emit", *topics, stdin=lines)
        read.append([
            (r["partition"], r["key"], r["value"])
            for phase in PHASES
            for r in spool.programs.run("envelopectl", "cat", *topics, f"envelope.{phase}.v1").lines
        ])  # fmt: skip
    assert len(read[0]) == len(events) and read[0] == read[1]


def test_a_trace_goes_along(spool: Spool, events: list[Event]) -> None:
    traced = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
    spool.write([{**events[0], **traced}, events[1]])
    first, second = spool.exported()
    assert {name: first[name] for name in traced} == traced
    assert not traced.keys() & second.keys()


def test_what_cannot_be_exported_is_said(spool: Spool, events: list[Event]) -> None:
    spool.write(events, settled=3)
    at = spool.inspect()["settled"]["offset"]
    overwrite(spool.segment(1), UNIT + UNIT + 10, b"??")  # settled: no concern of the export
    assert ids(spool.exported()) == ids(events[3:])
    overwrite(spool.segment(1), at + UNIT + 10, b"??")
    result = spool.ctl("export", status=1)
    assert ids(result.lines) == ids(events[4:])
    said = result.logs[0]
    assert (said["level"], said["file"], said["offset"]) == ("error", spool.segment(1).name, at)
    assert "1 places could not be exported" in result.logs[-1]["message"]


# Damage


def test_a_torn_record_is_found(spool: Spool, events: list[Event]) -> None:
    spool.write(events, settled=3)
    at = spool.inspect()["settled"]["offset"]
    overwrite(spool.segment(1), UNIT + 10, b"??")
    overwrite(spool.segment(1), at + UNIT + 10, b"??")
    settled, lost = spool.findings()
    assert settled.startswith(f"{spool.segment(1).name}: at {UNIT}: ") and "nothing is lost" in settled
    assert lost.startswith(f"{spool.segment(1).name}: at {at}: ") and lost.endswith("what was there is lost")
    assert spool.repair() == ["nothing to repair"]


def test_a_file_that_was_cut_is_read_as_far_as_it_goes(spool: Spool, events: list[Event]) -> None:
    spool.write(events)
    whole = spool.inspect()["segments"][0]["bytes"]
    os.truncate(spool.segment(1), UNIT + whole - UNIT)
    assert ids(spool.exported(status=1)) == ids(events[:-1])
    assert len(spool.findings()) == 1


@pytest.mark.parametrize("damage", ["removed", "cut", "overwritten", "a directory"])
def test_a_control_file_is_made_again(spool: Spool, events: list[Event], damage: str) -> None:
    spool.write(events, settled=5)
    whose = spool.inspect()["id"]
    if damage == "removed":
        spool.control.unlink()
    elif damage == "cut":
        os.truncate(spool.control, 700)
    elif damage == "overwritten":
        overwrite(spool.control, 0, os.urandom(1536))
    else:
        spool.control.unlink()
        spool.control.mkdir()
    (finding,) = spool.findings()
    assert finding.startswith("control: at 0: ") and finding.endswith("will be delivered")
    assert ids(spool.exported()) == ids(events)
    assert spool.repair("--dry-run") == spool.repair()
    assert spool.findings() == [] and spool.inspect()["id"] == whose
    assert (spool.directory / "unusable" / "control").exists() == (damage != "removed")
    more = [{**e, "event_id": f"more-{i}"} for i, e in enumerate(events[:3])]
    spool.write(more)
    assert ids(spool.exported()) == ids([*events, *more])


def test_a_head_is_made_again(spool: Spool) -> None:
    sent = large(25)
    spool.write(sent)
    overwrite(spool.segment(2), 0, bytes(UNIT))
    assert spool.inspect()["segments"][1]["is"] == "headless"
    (finding,) = spool.findings()
    assert finding.startswith(f"{spool.segment(2).name}: at 0: ") and "spool repair" in finding
    assert ids(spool.exported()) == ids(sent)
    assert spool.repair() == [f"{spool.segment(2).name}: its head made anew"]
    assert spool.findings() == []
    spool.write(large(1))
    assert ids(spool.exported()) == ids([*sent, *large(1)])


def test_foreign_files_are_moved_and_kept(spool: Spool, programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Spool(programs, tmp_path / "other" / "spool")
    sent = large(15)
    spool.write(sent)
    other.write(large(3))
    shutil.copy(other.segment(1), spool.segment(8))
    spool.segment(9).write_bytes(b"not a segment")
    (spool.directory / "notes.txt").write_text("no segment's name: none of our business")
    kinds = {s["number"]: s["is"] for s in spool.inspect()["segments"]}
    assert (kinds[1], kinds[8], kinds[9]) == ("sound", "foreign", "useless")
    assert len(spool.findings()) == 2
    before = spool.files()
    assert spool.repair() == [f"{spool.segment(n).name}: moved to unusable/" for n in (8, 9)]
    moved = {str(Path(name).name): content for name, content in spool.files().items()}
    assert moved == before and (spool.directory / "notes.txt").exists()
    assert spool.findings() == [] and ids(spool.exported()) == ids(sent)


def test_segments_that_are_gone_are_said(spool: Spool) -> None:
    sent = large(35)
    spool.write(sent)
    spool.segment(2).unlink()
    (finding,) = spool.findings()
    assert finding == f"{spool.segment(2).name}: at 0: 1 segments, from this one on, are not there: what was there is lost"
    assert len(spool.exported(status=1)) == 25


@pytest.mark.parametrize("file", ["control", "0000000000000002.segment"])
def test_a_later_version_is_left_alone(spool: Spool, file: str) -> None:
    spool.write(large(25))
    overwrite(spool.directory / file, 8, (2).to_bytes(4, "little"))
    overwrite(spool.segment(1), 0, bytes(UNIT))
    before = spool.files()
    assert any(f.startswith(file) and "later version" in f for f in spool.findings())
    refused = spool.ctl("repair", status=1).logs[-1]["message"]
    assert file in refused and "later version" in refused
    assert spool.files() == before


def crc32c(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def give_schema(segment: Path, at: int, fingerprint: bytes) -> None:
    """Writes the head of the record as if it had been written under another schema."""
    data = bytearray(segment.read_bytes())
    salt = crc32c(data[32:40], crc32c(data[16:32]))
    data[at + 8 : at + 16] = fingerprint
    crc = crc32c(data[at + 8 : at + 40], crc32c(data[at : at + 4], crc32c(at.to_bytes(8, "little"), salt)))
    data[at + 4 : at + 8] = crc.to_bytes(4, "little")
    segment.write_bytes(data)


def test_a_schema_that_is_not_known_is_said(spool: Spool, events: list[Event], tmp_path: Path) -> None:
    """Records of a newer program: delivered all the same, and decoded where its schemas are given."""
    newer = json.loads((ROOT / "schemas/admission.avsc").read_text())
    caller = next(f for f in newer["fields"] if f["name"] == "caller")["type"]
    next(f for f in caller["fields"] if f["name"] == "initiator")["type"]["symbols"].append("later")
    canonical = fastavro.schema.to_parsing_canonical_form(newer)
    fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "admission.avsc").write_text(json.dumps(newer))
    spool.write(events)
    assert events[0]["phase"] == "admission"
    give_schema(spool.segment(1), UNIT, fingerprint)
    unknown = spool.ctl("verify")  # said, and no fault
    assert unknown.stdout.startswith(f"{spool.segment(1).name}: at {UNIT}: unknown_fingerprint".encode())
    assert ids(spool.exported(status=1)) == ids(events[1:])
    assert spool.ctl("verify", "--schema-dir", str(tmp_path / "schemas")).stdout == b""
    assert ids(spool.exported("--schema-dir", str(tmp_path / "schemas"))) == ids(events)
