# SPDX-License-Identifier: Apache-2.0
"""The fault suite in brief; `make faults` runs all of it (docs/faults.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.cluster import make_cluster
from faults.schedules import SHORT_TRANSACTIONS, TAKEOVER_S, Schedule, World, kill_brokers, sigkill, stall, takeover
from faults.trial import run_trial
from kafka import Cluster
from programs import Programs

SEED = int(os.environ.get("ENVELOPE_TEST_SEED", "20260508"))
ROUNDS = 20
STALLS = 3


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with make_cluster(tmp_path_factory.mktemp("three")) as cluster:
        yield cluster


def in_brief(world: World) -> None:
    """Instances killed, all stopped in the middle of their transactions, one of each processor
    killed for good, and a broker."""
    sigkill(world)
    world.rounds = STALLS
    stall(world)
    world.rounds = 1
    takeover(world)
    kill_brokers(world)


def test_nothing_is_lost_nor_doubled(three: Cluster, programs: Programs, tmp_path: Path) -> None:
    report = run_trial(three, programs, tmp_path / "trial", "brief", Schedule(in_brief, options=SHORT_TRANSACTIONS), SEED, ROUNDS)
    count = report.count
    assert count.is_right, f"lost {count.lost}, duplicated {count.duplicated}, differing {count.differing}\n" + "\n".join(
        count.words[:6]
    )
    assert report.faults["SIGKILL"] >= ROUNDS
    assert report.at_work >= ROUNDS / 3, "kills must hit programs at work"
    assert report.faults["rewound"] >= STALLS, "those that stood still must have had something to throw away"
    assert report.faults["broker SIGKILL"] == 1
    assert count.events > 1000
    assert max(report.takeovers) <= TAKEOVER_S, report.takeovers
    assert not report.exits, "nothing ends by itself"
