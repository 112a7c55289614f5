# SPDX-License-Identifier: Apache-2.0
"""One schedule on topics of its own: load, trouble, end of load, ticks, drain, count."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kafka import Cluster
from oracle.contract import Writers, fingerprint
from oracle.generate import OLDER_SCHEMAS, POLICIES
from oracle.outputs import Settings
from pipeline import PROCESSORS, Pipeline
from programs import Programs

from .cluster import until_settled
from .fleet import Fleet, group_of
from .load import Load
from .schedules import Schedule, World
from .verify import Count, verify

PARTITIONS = 4
MS = 1000
RATE = 120  # messages a second


@dataclass
class Report:
    name: str
    seed: int
    seconds: float
    faults: Counter[str]
    at_work: int
    exits: Counter[str]  # that nobody asked for
    takeovers: list[float]
    count: Count


def make_pipeline(cluster: Cluster, programs: Programs, directory: Path, name: str) -> Pipeline:
    schemas = directory / "schemas"
    schemas.mkdir(parents=True)
    writers = Writers()
    for phase, schema in OLDER_SCHEMAS.items():
        (schemas / f"{phase}.avsc").write_text(json.dumps(schema))
        writers.by_fingerprint[fingerprint(schema)] = schema
    settings = Settings(
        PARTITIONS, f"{name}-{uuid.uuid4().hex[:8]}.", grace=1000 * MS, orphan_grace=2000 * MS,
        policy_margin=2000 * MS, writers=writers,
    )  # fmt: skip
    pipeline = Pipeline(programs, cluster.bootstrap, settings, directory, ["--schema-dir", schemas])
    pipeline.ctl("topics", "apply", "--partitions", str(PARTITIONS))
    return pipeline


def apply_policy(pipeline: Pipeline, policy: dict) -> None:
    file = pipeline.directory / "policy.json"
    file.write_text(json.dumps({k: v for k, v in policy.items() if v is not None}))
    pipeline.ctl("policy", "apply", file, "--policy-margin", f"{pipeline.settings.policy_margin // MS}ms")


def run_trial(
    cluster: Cluster, programs: Programs, directory: Path, name: str, schedule: Schedule, seed: int, rounds: int
) -> Report:
    """Raises when something crashes, hangs or refuses; what is miscounted is in the report."""
    began = time.monotonic()
    chance = random.Random(f"{name} {seed}")
    pipeline = make_pipeline(cluster, programs, directory, name)
    fleet = Fleet(pipeline, schedule.names, more=schedule.options)
    load = Load(cluster.bootstrap, pipeline.settings.prefix, seed, PARTITIONS, RATE)
    load.start()
    try:
        if schedule.started:
            fleet.start(fleet.instances)
            fleet.until_running(fleet.instances)
        apply_policy(pipeline, POLICIES[0])
        world = World(cluster, fleet, chance, rounds)
        schedule.act(world)
        until_settled(cluster)
        apply_policy(pipeline, POLICIES[1])
        fleet.go_on(1)
    finally:
        for i in fleet.instances:
            fleet.thaw(i)
        load.stop()
    calm(fleet)
    drain(pipeline, schedule.names)
    count = verify(pipeline, load.acknowledged)
    return Report(name, seed, time.monotonic() - began, fleet.faults, fleet.at_work, fleet.exits, world.takeovers, count)


def calm(fleet: Fleet) -> None:
    """Everything runs once more and is asked to stop."""
    wanted = [i for i in fleet.instances if i.wanted]
    fleet.start(wanted)
    fleet.until_running(wanted, 90)
    asked = Counter(fleet.faults)
    fleet.stop(fleet.instances)
    fleet.faults = asked  # these stops are no faults


def drain(pipeline: Pipeline, names: tuple[str, ...]) -> None:
    """After two rounds of ticks, each beyond the graces of what came before."""
    for _ in range(2):
        pass_time(pipeline.settings.orphan_grace // MS + 200)
        pipeline.tick()
    groups = {p: group_of(pipeline, p) for p in PROCESSORS}
    for _ in range(2):  # the second reads what the others' first stages wrote after one was done
        running = [pipeline.start(p, g, n, "--drain") for p, g in groups.items() for n in names]
        for program in running:
            result = program.wait(120)
            if result.status != 0:
                raise AssertionError(f"{program} ended with {result.status}\n{result.stderr.decode(errors='replace')[-3000:]}")


def pass_time(ms: int) -> None:
    """On the brokers' clock, which is ours."""
    time.sleep(ms / 1000)
