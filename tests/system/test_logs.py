# SPDX-License-Identifier: Apache-2.0
"""Logs that retention has cut, and topics deleted and made anew: recognised, never read on from by mistake."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from cache import HERE
from clients import admin, end_offsets, read_topic
from kafka import Cluster
from process import wait_until
from programs import Program, Programs, Result

# Of the join, which has two changelogs: the last two of four ends are not used.
_BOOKMARK = re.compile(r"1 -?\d+ \d+ \d+ \d+ \d+ 0 0")
EXAMPLE = json.loads((HERE.parents[1] / "schemas/examples/admission.json").read_text())


@dataclass
class Scene:
    """One set of topics with one partition each, and the join over it."""

    programs: Programs
    bootstrap: str
    prefix: str
    state: Path
    client: AdminClient

    @property
    def common(self) -> tuple[str, ...]:
        return ("--bootstrap", self.bootstrap, "--topic-prefix", self.prefix)

    @property
    def group(self) -> str:
        return f"{self.prefix}join"

    def topic(self, name: str) -> str:
        return f"{self.prefix}envelope.{name}.v1"

    def admit(self, count: int) -> None:
        events = ({**EXAMPLE, "envelope_id": str(uuid.uuid4()), "event_id": str(uuid.uuid4())} for _ in range(count))
        self.programs.run("envelope-emit", *self.common, stdin="".join(json.dumps(e) + "\n" for e in events).encode())
        self.programs.run("envelopectl", "tick", *self.common)

    def apply(self) -> None:
        self.programs.run("envelopectl", "topics", "apply", "--partitions", "1", *self.common)

    def start(self, *more: str) -> Program:
        where = ("--group", self.group, "--instance", "one", "--state-dir", self.state)
        return self.programs.start("envelope-join", *self.common, *where, *more, "--tick-interval", "100ms", "--session-timeout", "6s")

    def drain(self, *more: str, status: int = 0) -> Result:
        result = self.start("--drain", *more).wait(60)
        assert result.status == status, result.stderr.decode()[-3000:]
        return result

    def joined(self) -> int:
        return len(read_topic(self.bootstrap, self.topic("lifecycle")))

    def make_anew(self, name: str) -> None:
        """Deletes a topic and makes it again, as an operator may who means well."""
        topic = self.topic(name)
        self.client.delete_topics([topic], operation_timeout=30)[topic].result(30)
        wait_until(lambda: topic not in self.client.list_topics(timeout=10).topics, 30, f"{topic} to be gone")
        self.apply()

    def cut(self, name: str, offset: int) -> None:
        """What retention does."""
        tp = TopicPartition(self.topic(name), 0, offset)
        (future,) = self.client.delete_records([tp]).values()
        future.result(30)

    def offsets(self) -> list[TopicPartition]:
        """What the group has committed; of metadata see `bookmarks`."""
        asked = self.client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)])
        found: list[TopicPartition] = asked[self.group].result(10).topic_partitions
        return found

    def bookmarks(self) -> list[TopicPartition]:
        """The same with metadata, which the client reads beyond its end now and then: that is cut off again."""

        def read() -> list[TopicPartition] | None:
            try:
                found = [(tp, _BOOKMARK.match(tp.metadata or "")) for tp in self.offsets()]
            except UnicodeDecodeError:
                return None
            return [TopicPartition(tp.topic, tp.partition, tp.offset, m[0] if m else None) for tp, m in found]

        return wait_until(read, 30, "metadata that is text")

    def commit(self, offsets: list[TopicPartition]) -> None:
        """In the place of the group, once that is empty: a static member leaves with its session."""
        group = ConsumerGroupTopicPartitions(self.group, offsets)

        def is_done() -> bool:
            done = self.client.alter_consumer_group_offsets([group])[self.group].result(30)
            return all(tp.error is None for tp in done.topic_partitions)

        wait_until(is_done, 30, "the offsets to be committed")

    def committed(self, name: str) -> int | None:
        return {tp.topic: tp.offset for tp in self.offsets()}.get(self.topic(name))

    def bookmark(self, name: str) -> str:
        return {tp.topic: tp.metadata or "" for tp in self.bookmarks()}.get(self.topic(name), "")


@pytest.fixture
def scene(kafka: Cluster, programs: Programs, prefix: str, tmp_path: Path) -> Scene:
    made = Scene(programs, kafka.bootstrap, prefix, tmp_path / "state", admin(kafka.bootstrap))
    made.apply()
    return made


def refused(result: Result, *words: str) -> None:
    """It has ended and said why, in one line that names the words."""
    errors = [log["message"] + json.dumps(log) for log in result.logs if log["level"] == "error"]
    assert any(all(word in error for word in words) for error in errors), errors


def test_what_goes_on_is_not_refused(scene: Scene) -> None:
    """Retention up to what was read, and the store with it or without."""
    scene.admit(10)
    scene.drain()
    scene.cut("admission", 10)
    scene.admit(5)
    scene.drain()
    assert scene.joined() == 15


def test_retention_beyond_what_was_read(scene: Scene) -> None:
    scene.admit(10)
    scene.drain()
    scene.admit(5)
    scene.cut("admission", 12)
    refused(scene.drain(status=1), scene.topic("admission"), "--accept-truncated")
    assert scene.joined() == 10
    scene.drain("--accept-truncated")
    scene.admit(1)
    scene.drain()
    assert scene.joined() == 14


@pytest.mark.parametrize("records", [0, 30])
def test_input_made_anew(scene: Scene, records: int) -> None:
    """Shorter than it was, and longer: Kafka has dropped the group's offsets of it."""
    scene.admit(10)
    scene.drain()
    scene.make_anew("admission")
    scene.admit(records)
    refused(scene.drain(status=1), scene.topic("admission"), "docs/reset.md")
    assert scene.joined() == 10


@pytest.mark.parametrize("records", [5, 30])
def test_log_with_other_records(scene: Scene, records: int) -> None:
    """Its committed offset is there still, as after an election of a leader that had not all records."""
    scene.admit(10)
    scene.drain()
    before, bookmark = scene.bookmarks(), scene.bookmark("admission")
    assert bookmark.startswith("1 9 ")
    scene.make_anew("admission")
    scene.admit(records)
    wait_until(lambda: scene.committed("admission") is None, 30, "the group's offset to be dropped")
    scene.commit(before)
    assert (scene.committed("admission"), scene.bookmark("admission")) == (10, bookmark)
    refused(scene.drain(status=1), scene.topic("admission"), "docs/reset.md")
    assert scene.joined() == 10


def test_input_made_anew_under_way(scene: Scene) -> None:
    """The processor ends, whatever it sees first, and does so until somebody looks, however long the log is then."""
    scene.admit(10)
    running = scene.start()
    wait_until(lambda: scene.committed("admission") == 10, 30, "the events to be joined")
    scene.make_anew("admission")
    assert running.wait(60).status == 1
    scene.admit(12)
    refused(scene.drain(status=1), scene.topic("admission"), "docs/reset.md")
    assert scene.joined() == 10


@pytest.mark.parametrize("lost", [False, True], ids=["store", "no-store"])
def test_changelog_made_anew(scene: Scene, lost: bool) -> None:
    """The state in it is gone: what the store still has is a part of it."""
    scene.admit(10)
    running = scene.start()
    # Ticks are joined, and so committed, after ends of the changelogs were seen.
    wait_until(lambda: (scene.committed("tick") or 0) >= 30, 30, "some ticks to be applied")
    assert running.terminate().status == 0
    assert end_offsets(scene.bootstrap, scene.topic("lifecycle"))[0] > 10
    scene.make_anew("lifecycle")
    state = scene.state
    if lost:
        scene.state = state.with_name("another")
    refused(scene.drain(status=1), scene.topic("lifecycle"), "docs/reset.md")
    assert scene.joined() == 0


def test_changelog_made_anew_under_way(scene: Scene) -> None:
    scene.admit(10)
    running = scene.start()
    wait_until(lambda: (scene.committed("tick") or 0) >= 30, 30, "some ticks to be applied")
    scene.make_anew("join.state")
    assert running.wait(60).status == 1
    refused(scene.drain(status=1), scene.topic("join.state"), "docs/reset.md")


def test_ticks_of_a_log_that_is_gone(scene: Scene) -> None:
    """They name offsets that are never reached: the clock stands still, and that is said."""
    scene.admit(10)
    scene.make_anew("admission")
    running = scene.start()
    waits = running.wait_log(lambda log: log["message"].startswith("a tick waits"), "the tick that holds up the clock")
    assert waits["topic"] == scene.topic("tick")
    assert waits["why"] == "envelope.admission.v1"
    assert running.terminate().status == 0
