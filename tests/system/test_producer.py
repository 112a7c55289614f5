# SPDX-License-Identifier: Apache-2.0
"""The client library killed on a small disk, in brief; `tests/faults/run-producer` is longer (docs/faults.md)."""

from __future__ import annotations

import os
from pathlib import Path

from faults.producer import judge, run_trial
from kafka import Cluster
from programs import Programs

SEED = int(os.environ.get("ENVELOPE_TEST_SEED", "20261121"))
KINDS = ("kill", "full", "missing", "away", "restart", "torn", "kill")


def test_readers_miss_what_did_not_arrive_and_no_more(programs: Programs, tmp_path: Path) -> None:
    with Cluster(directory=tmp_path / "kafka") as cluster:
        trial, found = run_trial(cluster, programs, tmp_path / "trial", SEED, KINDS)
    counts = judge(trial, found)
    assert counts["accepted"] > 1000 and counts["dropped"] > 0 and counts["destroyed"] > 0, counts
    assert counts["declared"] == counts["missing"]
