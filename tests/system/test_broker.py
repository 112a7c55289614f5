# SPDX-License-Identifier: Apache-2.0
"""The broker interface over librdkafka, tested in C (tests/system/broker) against a real Kafka."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from cache import HERE
from kafka import Cluster

ROOT = HERE.parents[1]
LAYERS = ("stream", "wire", "contract", "base")
LIBRARIES = ("rdkafka", "avro-c", "jansson", "libcurl", "libmicrohttpd", "libsodium", "cmocka")
LIMIT_S = 600


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def build(program: Path) -> None:
    sources = sorted(path.relative_to(ROOT) for path in (HERE / "broker").glob("*.c"))
    objects = [f"build/obj/{source.with_suffix('.o')}" for source in sources]
    archives = [f"build/obj/lib{layer}.a" for layer in LAYERS]
    run("make", "-s", *objects, *archives)
    libraries = shlex.split(run("pkg-config", "--libs", *LIBRARIES))
    run("cc", "-o", str(program), *objects, *archives, "-Wl,--as-needed", *libraries, "-llmdb", "-lpthread")


def test_kafka_broker(tmp_path: Path) -> None:
    program = tmp_path / "test_kafka_broker"
    build(program)
    # Its own, since one case stops it; and one that would make topics that are only asked for.
    with Cluster(config={"auto.create.topics.enable": "true"}) as cluster:
        environment = {
            **os.environ,
            "ENVELOPE_TEST_BOOTSTRAP": cluster.bootstrap,
            "ENVELOPE_TEST_BROKER_PID": str(cluster.brokers[0].require_running()),
        }
        ran = subprocess.run(
            [program], env=environment, timeout=LIMIT_S, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    print(ran.stdout)
    assert ran.returncode == 0
