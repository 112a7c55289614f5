# SPDX-License-Identifier: Apache-2.0
"""A real schema registry with the Confluent REST protocol, for tests.

It is Apicurio Registry: Confluent's own is not on Maven Central, Karapace not
on PyPI. The quick and the hostile one is in stub_registry.py. Standard
library only; it comes from `prepare registry`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import cache
from kafka import QUICK_JVM, find_java
from process import Port, has_exited, spawn, stop, tail, wait_until


class RegistryError(Exception):
    """The registry did not come up; the text has the end of its log."""


class Registry:
    """A registry that keeps its schemas in the Kafka at `bootstrap`, so they survive its restart."""

    def __init__(self, directory: Path, bootstrap: str) -> None:
        self._home = cache.require("registry")
        self._port = Port()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "registry.log"
        directory.mkdir(parents=True, exist_ok=True)
        base = f"http://127.0.0.1:{self._port.number}/apis"
        self.url = f"{base}/ccompat/v7"
        """The Confluent protocol: what --schema-registry takes."""
        self.native_url = f"{base}/registry/v3"
        """Its own protocol: what its Java serializers take."""
        self._ready_url = f"http://127.0.0.1:{self._port.number}/health/ready"
        topic = f"registry-{uuid.uuid4().hex[:8]}"
        self._env = {
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port.number),
            "QUARKUS_LOG_CONSOLE_COLOR": "false",
            "APICURIO_STORAGE_KIND": "kafkasql",
            "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": bootstrap,
            "APICURIO_KAFKASQL_TOPIC": topic,
            "APICURIO_KAFKASQL_SNAPSHOTS_TOPIC": f"{topic}-snapshots",
            "APICURIO_EVENTS_KAFKA_TOPIC": f"{topic}-events",
        }
        self._was_started = False

    def __enter__(self) -> Registry:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, deadline_s: float = 90) -> None:
        """Starts it and waits until it has read what it has kept: before, it answers as if that were nothing."""
        jars = sorted(self._home.glob("*-runner.jar"))
        if len(jars) != 1:
            raise RegistryError(f"no registry in {self._home}: remove it and run tests/system/prepare registry")
        # It takes a poll that brings nothing for the end of its topic, and answers from there: as short as
        # it likes over an empty topic, its own default where schemas must be read again.
        patience_ms = "5000" if self._was_started else "100"
        environment = {**self._env, "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": patience_ms}
        self._was_started = True
        with self.log.open("ab") as log:
            command = [find_java(), "-Xmx384m", *QUICK_JVM, f"-Djava.io.tmpdir={self.log.parent}", "-jar", str(jars[0])]
            self._process = spawn(command, env=environment, cwd=self.log.parent, stdout=log, stderr=subprocess.STDOUT)
        wait_until(self._is_ready, deadline_s, f"the registry ready, see {self.log}", 0.05)

    def _is_ready(self) -> bool:
        self._require_running()
        try:
            with urllib.request.urlopen(self._ready_url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _require_running(self) -> int:
        if self._process is None or has_exited(self._process):
            raise RegistryError(f"the registry is not running\n{tail(self.log)}")
        return self._process.pid

    def kill(self) -> None:
        """Ends it at once; start() brings it back with its schemas and ids."""
        if self._process is not None:
            stop(self._process)

    def pause(self) -> None:
        """SIGSTOP: it accepts connections and does not answer."""
        os.kill(self._require_running(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after pause()."""
        os.kill(self._require_running(), signal.SIGCONT)

    def close(self) -> None:
        """Ends it and gives its port back."""
        self.kill()
        self._port.release()
