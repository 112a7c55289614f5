# SPDX-License-Identifier: Apache-2.0
"""What every system test is given. See each module for what it offers beside."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache import HERE
from certificates import Certificates, make_certificates
from java_client import JavaClient
from kafka import Cluster
from programs import Programs
from registry import Registry
from stub_registry import StubRegistry


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker for all tests. A test that stops brokers makes a Cluster of its own."""
    with Cluster(directory=tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def registry(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real schema registry for all tests; `.url` speaks the Confluent protocol."""
    with Registry(tmp_path_factory.mktemp("registry"), kafka.bootstrap) as real:
        yield real


@pytest.fixture
def stub_registry() -> Iterator[StubRegistry]:
    """A registry inside the test, empty, which can be made to misbehave."""
    with StubRegistry() as stub:
        yield stub


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> JavaClient:
    """A Java team's client, with Kafka's, Avro's and a registry's own libraries."""
    return JavaClient(tmp_path_factory.mktemp("java"))


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """The programs under test, in $ENVELOPE_BIN (default build/bin)."""
    folder = Path(os.environ.get("ENVELOPE_BIN") or HERE.parents[1] / "build" / "bin").absolute()
    running = Programs(folder, tmp_path / "programs")
    yield running
    running.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A topic prefix that no other test has."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{name}-{uuid.uuid4().hex[:8]}."
