# SPDX-License-Identifier: Apache-2.0
"""The broker interface over librdkafka, tested in C (tests/system/broker) against a real Kafka."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cache import HERE
from kafka import Cluster

ROOT = HERE.parents[1]
LIMIT_S = 600


def built(*settings: str) -> Path:
    """The program; what `make check-system` has built already takes no time."""
    subprocess.run(["make", "-s", *settings, "broker-test"], cwd=ROOT, check=True)
    tree = ROOT / "build" / "san-thread" if settings else ROOT / "build"
    return tree / "obj/tests/system/broker/test_kafka_broker"


@pytest.mark.parametrize("settings", [[], ["SAN=thread"]], ids=["plain", "thread-sanitizer"])
def test_kafka_broker(settings: list[str]) -> None:
    program = built(*settings)
    # Its own, since one case stops it; and one that would make topics that are only asked for.
    with Cluster(config={"auto.create.topics.enable": "true"}) as cluster:
        environment = {
            **os.environ,
            "TSAN_OPTIONS": f"suppressions={ROOT}/tests/thread.supp",
            "ENVELOPE_TEST_BOOTSTRAP": cluster.bootstrap,
            "ENVELOPE_TEST_BROKER_PID": str(cluster.brokers[0].require_running()),
        }
        ran = subprocess.run(
            [program], env=environment, timeout=LIMIT_S, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    print(ran.stdout)
    assert ran.returncode == 0
