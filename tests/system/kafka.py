# SPDX-License-Identifier: Apache-2.0
"""A real Kafka cluster on loopback: KRaft, every node both broker and controller.

    with Cluster(brokers=3) as cluster:
        cluster.bootstrap           # 127.0.0.1:PORT,...
        cluster.brokers[0].kill()   # also: pause, resume, terminate, restart

Its data is thrown away with it. Standard library only; the jars come from
`prepare kafka`. Readiness is an answered request, never a guess.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import cache
from process import Port, has_exited, spawn, stop, tail, wait, wait_until

_API_VERSIONS, _METADATA = 18, 3

# Quick to start and small, for tests; a bench wants the JVM's own choice.
QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class KafkaError(Exception):
    """A broker did not do what was asked of it; the text has the end of its log."""


def find_java() -> str:
    """The java command: $JAVA_HOME's, else the one on the path."""
    home = os.environ.get("JAVA_HOME")
    if java := shutil.which("java", path=f"{home}/bin" if home else None):
        return java
    raise KafkaError("java is missing: install the Debian package default-jre-headless")


class Broker:
    """One node. Its port, its data and its log stay the same over restarts."""

    def __init__(self, cluster: Cluster, number: int, port: int) -> None:
        self.cluster = cluster
        self.id = number
        self._port = Port(port)
        self._controller_port = Port()
        self.port = self._port.number
        self.controller_port = self._controller_port.number
        self.directory = cluster.directory / f"broker-{number}"
        self.log = self.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and not has_exited(self._process)

    def require_running(self) -> int:
        """Its process id; KafkaError with the end of its log if it is not running."""
        if self._process is None or has_exited(self._process):
            raise KafkaError(f"broker {self.id} is not running\n{tail(self.log)}")
        return self._process.pid

    def start(self) -> None:
        """Starts the process and returns at once; wait_ready() waits."""
        if self.is_running:
            raise KafkaError(f"broker {self.id} is running already")
        with self.log.open("ab") as log:
            self._process = spawn(
                self.cluster.java("kafka.Kafka", self.directory / "server.properties"),
                cwd=self.directory, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait_ready(self, deadline_s: float = 60) -> None:
        """Waits until it answers and is itself among the brokers that it knows of."""
        self.wait_to_know({self.id}, deadline_s)

    def wait_to_know(self, ids: set[int], deadline_s: float = 60) -> None:
        """Waits until it answers and says that these brokers are alive."""
        what = f"broker {self.id} ready and knowing brokers {ids}, see {self.log}"
        wait_until(lambda: ids <= self.known_brokers(), deadline_s, what, 0.05)

    def known_brokers(self) -> set[int]:
        """The brokers that it says are alive; none while it does not answer. KafkaError if it has died."""
        self.require_running()
        try:
            return _brokers_by(self.port)
        except (OSError, EOFError):
            return set()

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self._process is not None:
            stop(self._process)

    def terminate(self, deadline_s: float = 30) -> None:
        """SIGTERM: a controlled shutdown; killed after the deadline."""
        if self._process is not None:
            stop(self._process, grace_s=deadline_s)

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        os.kill(self.require_running(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after pause()."""
        os.kill(self.require_running(), signal.SIGCONT)

    def restart(self, deadline_s: float = 60) -> None:
        """Ends it properly if it runs, starts it again with its data, and waits until it is ready."""
        self.terminate()
        self.start()
        self.wait_ready(deadline_s)

    def release(self) -> None:
        """Kills it and gives its ports back."""
        self.kill()
        self._port.release()
        self._controller_port.release()


class Cluster:
    """n brokers with their own folder. Starts in `with` or by start(); close() ends and removes everything.

    `config` is added to every broker's settings, `port` is the first broker's (0: any free one),
    `directory` keeps the logs for later (its data goes all the same).
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        directory: Path | None = None,
        config: Mapping[str, str] | None = None,
        port: int = 0,
        heap: str = "512m",
        jvm: tuple[str, ...] = QUICK_JVM,
    ) -> None:
        self._libs = cache.require("kafka") / "libs"
        self._java = find_java()
        self._jvm = (f"-Xmx{heap}", *jvm)
        self._config = dict(config or {})
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="envelope-kafka-"))
        self.brokers = [Broker(self, i + 1, port if i == 0 else 0) for i in range(brokers)]

    @property
    def bootstrap(self) -> str:
        return ",".join(b.address for b in self.brokers)

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, deadline_s: float = 60) -> None:
        """Formats and starts every broker, and waits until each knows all."""
        self._format()
        for broker in self.brokers:
            broker.start()
        self.wait_ready(deadline_s)

    def wait_ready(self, deadline_s: float = 60) -> None:
        """Waits until each broker answers and knows all the others."""
        everyone = {b.id for b in self.brokers}
        for broker in self.brokers:
            broker.wait_to_know(everyone, deadline_s)

    def close(self) -> None:
        """Kills every broker and removes the data; the logs too, unless the folder was given."""
        for broker in self.brokers:
            broker.release()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        for broker in self.brokers:
            shutil.rmtree(broker.directory / "data", ignore_errors=True)

    def java(self, main_class: str, *args: str | Path) -> list[str]:
        """The command line of one of Kafka's own programs."""
        log4j = (cache.HERE / "kafka" / "log4j2.properties").as_uri()
        return [
            self._java, *self._jvm, f"-Djava.io.tmpdir={self.directory}",
            f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{self._libs}/*", main_class, *map(str, args),
        ]  # fmt: skip

    def _format(self) -> None:
        # StorageTool takes an id that begins with "-" for an option.
        cluster_id = "E" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        running = []
        for broker in self.brokers:
            broker.directory.mkdir(parents=True)
            properties = broker.directory / "server.properties"
            settings = {**self._settings(broker), **self._config}
            properties.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
            command = self.java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", properties)
            with broker.log.open("ab") as log:
                running.append((broker, spawn(command, cwd=broker.directory, stdout=log, stderr=subprocess.STDOUT)))
        for broker, process in running:
            if wait(process, 60) != 0:
                raise KafkaError(f"broker {broker.id} could not be formatted\n{tail(broker.log)}")

    def _settings(self, broker: Broker) -> dict[str, str]:
        """What a test cluster wants other than Kafka's defaults."""
        replicas = min(len(self.brokers), 3)
        in_sync = max(replicas - 1, 1)
        four_mib = str(4 << 20)
        return {
            "process.roles": "broker,controller",
            "node.id": str(broker.id),
            "controller.quorum.voters": ",".join(f"{b.id}@127.0.0.1:{b.controller_port}" for b in self.brokers),
            "listeners": f"PLAINTEXT://127.0.0.1:{broker.port},CONTROLLER://127.0.0.1:{broker.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(broker.directory / "data"),
            # a topic is there because somebody made it
            "auto.create.topics.enable": "false",
            "num.partitions": "12",
            "default.replication.factor": str(replicas),
            "min.insync.replicas": str(in_sync),
            "offsets.topic.replication.factor": str(replicas),
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": str(replicas),
            "transaction.state.log.min.isr": str(in_sync),
            "transaction.state.log.num.partitions": "8",
            # room for dead letters of twice the largest event and more
            "message.max.bytes": four_mib,
            "replica.fetch.max.bytes": four_mib,
            # tests do not wait for joiners, nor 10 s more than a transaction's timeout
            "group.initial.rebalance.delay.ms": "0",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
            # nor long until a killed broker counts as dead, and may come back
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }


def _brokers_by(port: int) -> set[int]:
    """The ids of the brokers in the cluster, as the one on this port says."""
    _ask(port, _API_VERSIONS, 0, b"")
    answer = _ask(port, _METADATA, 1, struct.pack(">i", 0))  # of no topics
    (count,) = struct.unpack_from(">i", answer)
    at, ids = 4, set()
    for _ in range(count):
        number, host_size = struct.unpack_from(">ih", answer, at)
        at += 6 + host_size + 4
        (rack_size,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(rack_size, 0)
        ids.add(number)
    return ids


def _ask(port: int, api: int, version: int, body: bytes) -> bytes:
    """One request of the Kafka protocol, without a client id, and the answer after its header."""
    request = struct.pack(">hhih", api, version, 1, -1) + body
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        (size,) = struct.unpack(">i", _exactly(stream, 4))
        return _exactly(stream, size)[4:]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the broker closed the connection")
    return data
