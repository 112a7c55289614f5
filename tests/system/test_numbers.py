# SPDX-License-Identifier: Apache-2.0
"""Producers' numbers on real Kafka: what a client that is not ours numbers and reports, and the join tells."""

from __future__ import annotations

import shutil
import time
import uuid
from pathlib import Path

import pytest

from clients import Record, produce
from kafka import Cluster
from oracle.contract import partition_of
from oracle.generate import Generator, framed
from oracle.outputs import Settings
from pipeline import Pipeline
from process import wait_until
from programs import Programs

PARTITIONS = 2
GRACE_MS = 1500  # longer than what it takes to write the story
FAILED = "envelope.failed.v1"
REPORTS = "envelope.producer.v1"
PRODUCER = "urn:test:é"


class Story:
    """One producer, one epoch, one envelope's failures."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.prefix = pipeline, pipeline.settings.prefix
        self.epoch = int(time.time())
        self.key = b"envelope"
        self.partition = partition_of(self.key, PARTITIONS)
        self.generator = Generator(1, PARTITIONS)

    def send(self, *numbers: int, value: bytes | None = None) -> None:
        envelope = {"id": self.key.decode(), "tenant": "acme"}
        records = [
            Record(
                self.prefix + FAILED,
                self.key,
                value or framed("failed", self.generator.failed(envelope, self.epoch * 1_000_000)),
                [("ce_id", b"any"), ("seq", f"{PRODUCER}:{self.epoch}:{n}".encode())],
            )
            for n in numbers
        ]
        produce(self.pipeline.bootstrap, records)

    def report(self, settled: int, *holes: tuple[int, int, str]) -> None:
        at = {"topic": self.prefix + FAILED, "partition": self.partition}
        value = {
            "producer": PRODUCER,
            "epoch": self.epoch,
            "occurred_at": self.epoch * 1_000_000,
            "closing": False,
            "sequences": [{**at, "number": settled}],
            "holes": [{**at, "first": first, "last": last, "reason": reason} for first, last, reason in holes],
        }
        produce(self.pipeline.bootstrap, [Record(self.prefix + REPORTS, None, framed("producer", value), partition=self.partition)])

    def judge(self) -> None:
        """Ticks that come two graces later, and a join that applies them."""
        until = time.time() + 2 * GRACE_MS / 1000 + 0.05
        wait_until(lambda: time.time() >= until, 10, "two graces to pass")
        self.pipeline.tick()
        result = self.pipeline.start("join", "numbers", "one", "--drain").wait(60)
        assert result.status == 0, result.stderr.decode()

    def told(self) -> list[tuple]:
        out = []
        for record, v in self.pipeline.values("envelope.violation.v1"):
            if v["kind"] != "producer_hole":
                continue
            hole = v["hole"]
            assert (record.key, v["envelope_id"], v["tenant"]) == (PRODUCER.encode(), PRODUCER, "")
            assert (record.partition, hole["partition"]) == (self.partition,) * 2
            assert (hole["epoch"], hole["topic"], hole["coarse"]) == (self.epoch, self.prefix + FAILED, False)
            evidence = [(e["topic"].removeprefix(self.prefix), e["offset"]) for e in v["evidence"]]
            out.append((hole["first"], hole["last"], hole["reason"], evidence))
        return out


@pytest.fixture
def story(programs: Programs, kafka: Cluster, tmp_path: Path) -> Story:
    prefix = f"numbers-{uuid.uuid4().hex[:8]}."
    settings = Settings(PARTITIONS, prefix, grace=GRACE_MS * 1000)
    pipeline = Pipeline(programs, kafka.bootstrap, settings, tmp_path)
    pipeline.ctl("topics", "apply", "--partitions", str(PARTITIONS))
    return Story(pipeline)


def test_holes_are_told_once(story: Story) -> None:
    story.send(0, 1, 3)
    story.send(6, value=b"no event at all")  # a dead letter has arrived
    story.report(7, (4, 4, "torn"))
    story.judge()
    expected = [
        (2, 2, "undeclared", [(FAILED, 2)]),
        (4, 4, "torn", [(FAILED, 3), (REPORTS, 0)]),
        (5, 5, "undeclared", [(FAILED, 3)]),
        (7, 7, "undeclared", [(REPORTS, 0)]),
    ]
    assert story.told() == expected

    shutil.rmtree(story.pipeline.state("numbers", "one"))  # what is known comes back from the changelog
    story.send(2, 9)
    story.judge()
    assert story.told() == [*expected, (8, 8, "undeclared", [(FAILED, 5)])]
