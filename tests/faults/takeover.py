# SPDX-License-Identifier: Apache-2.0
"""How long a dead instance's partitions stand still: until the other's first committed output."""

from __future__ import annotations

import time

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from clients import admin
from pipeline import PROCESSORS, Pipeline

from .fleet import Fleet, Instance, group_of

OUTPUTS = {  # at the partition of the input
    "join": "envelope.lifecycle.v1",
    "governance": "envelope.audit.v1",
    "accounting": "envelope.usage.tenant.v1",
}


def partitions_of(pipeline: Pipeline, i: Instance) -> set[int]:
    """Those that the group has given to an instance."""
    group = group_of(pipeline, i.processor)
    client = admin(pipeline.bootstrap)
    members = client.describe_consumer_groups([group])[group].result(10).members
    return {tp.partition for m in members if m.group_instance_id == i.name for tp in m.assignment.topic_partitions}


def take_over(fleet: Fleet, name: str) -> dict[str, float]:
    """Kills the instances of that name and returns, by processor, the seconds until another has
    committed something where they would have. They stay dead."""
    pipeline = fleet.pipeline
    wanted = {
        (pipeline.settings.prefix + OUTPUTS[i.processor], p): i.processor
        for i in fleet.of(name)
        for p in partitions_of(pipeline, i)
    }
    assert set(wanted.values()) == set(PROCESSORS), f"{name} must have partitions: {wanted}"
    reader = Consumer({
        "bootstrap.servers": pipeline.bootstrap, "group.id": "reader-without-a-group", "enable.auto.commit": False,
        "isolation.level": "read_committed", "fetch.wait.max.ms": 20, "auto.offset.reset": "latest",
    })  # fmt: skip
    try:
        reader.assign([TopicPartition(topic, p, OFFSET_END) for topic, p in wanted])
        found: dict[str, float] = {}
        until = time.monotonic() + 10
        while reader.poll(0.1) is None:  # it reads
            fleet.tend()
            assert time.monotonic() < until, f"nothing is written to {wanted}"
        fleet.kill(fleet.of(name))
        killed_ms, killed = time.time() * 1000, time.monotonic()
        while len(found) < len(PROCESSORS):
            fleet.tend()
            message = reader.poll(0.02)
            waited = time.monotonic() - killed
            assert waited < 60, f"only {found} of {PROCESSORS} have been taken over in {waited:.0f} s"
            # What the dead one wrote has its time, whenever it is seen.
            if message is None or message.error() is not None or message.timestamp()[1] <= killed_ms:
                continue
            found.setdefault(wanted[(message.topic(), message.partition())], waited)
        return found
    finally:
        reader.close()
