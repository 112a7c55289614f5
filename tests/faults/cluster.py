# SPDX-License-Identifier: Apache-2.0
"""The cluster of the fault suite, and what its administrator does to it."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException

from clients import admin
from kafka import Cluster
from process import spawn, tail, wait, wait_until

INTERNAL = {"__consumer_offsets", "__transaction_state"}


def make_cluster(directory: Path) -> Cluster:
    """Three brokers, everything on all three, two of which have to know what is acknowledged."""
    return Cluster(3, directory=directory, heap="400m", config={"unclean.leader.election.enable": "false"})


def keep_logs(cluster: Cluster, prefix: str, into: Path) -> None:
    """Every segment of a set of topics and of Kafka's own, of each broker, for DumpLogSegments."""
    for broker in cluster.brokers:
        for folder in (broker.directory / "data").iterdir():
            if folder.name.startswith((prefix, *INTERNAL)):
                ignored = shutil.ignore_patterns("*.index", "*.timeindex")
                shutil.copytree(folder, into / f"broker-{broker.id}" / folder.name, ignore=ignored)


def leaders(bootstrap: str) -> dict[tuple[str, int], tuple[int, list[int], list[int]]]:
    """(leader, replicas, in sync) of each partition of each topic, Kafka's own included."""
    found = admin(bootstrap).list_topics(timeout=10)
    return {(name, p.id): (p.leader, p.replicas, p.isrs) for name, t in found.topics.items() for p in t.partitions.values()}


def is_settled(cluster: Cluster) -> bool:
    try:
        return all(leader >= 0 and len(isr) == len(replicas) for leader, replicas, isr in leaders(cluster.bootstrap).values())
    except KafkaException:
        return False


def until_settled(cluster: Cluster, deadline_s: float = 90) -> None:
    """Until every replica is in sync: another broker may go now, and writes go on."""
    wait_until(partial(is_settled, cluster), deadline_s, "all replicas to be in sync", 0.2)


def run_tool(cluster: Cluster, main_class: str, *args: str | Path, deadline_s: float = 60) -> None:
    """One of Kafka's own commands."""
    log = cluster.directory / "tools.log"
    with log.open("ab") as out:
        process = spawn(cluster.java(main_class, "--bootstrap-server", cluster.bootstrap, *args), stdout=out, stderr=out)
    if (status := wait(process, deadline_s)) != 0:
        raise AssertionError(f"{main_class} ended with {status}\n{tail(log)}")


def move_leaders(cluster: Cluster, chance: random.Random, topics: set[str]) -> Counter[str]:
    """Each partition gets another preferred leader, and that one leads. Returns how many have moved."""
    before = leaders(cluster.bootstrap)
    chosen = {tp: x for tp, x in before.items() if tp[0] in topics | INTERNAL}
    order = {}
    for tp, (leader, replicas, _) in chosen.items():
        others = [r for r in replicas if r != leader]
        chance.shuffle(others)
        order[tp] = [*others, leader]
    plan = cluster.directory / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": t, "partition": p, "replicas": replicas} for (t, p), replicas in order.items()
    ]}))  # fmt: skip
    run_tool(cluster, "org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--reassignment-json-file", plan, "--execute")
    run_tool(cluster, "org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    moved = lambda: all(leaders(cluster.bootstrap)[tp][0] == replicas[0] for tp, replicas in order.items())  # noqa: E731
    wait_until(moved, 30, "the preferred leaders to lead", 0.2)
    return Counter({"leaders moved": len(order)})
