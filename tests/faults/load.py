# SPDX-License-Identifier: Apache-2.0
"""Producers at work all through: a paced stream of events, right and wrong, from a thread of its own."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import KafkaError
from confluent_kafka import Message as Acknowledged

from clients import producer
from oracle.generate import TOPIC, Generator, Message, framed

MIXED = 150  # messages out of which the next one is drawn: the phases of an envelope come apart
WAITING_MAX = 20_000  # that the brokers have not acknowledged


def stream(seed: int, partitions: int) -> Iterator[Message]:
    """Without end. Of everything that `oracle.generate.traffic` has, but the crowds come singly."""
    generator = Generator(seed, partitions)
    draw = random.Random(seed)
    pool: list[Message] = []
    malformed = iter(())
    while True:
        while len(pool) < MIXED:
            events = generator.events()
            pool += [generator.message(phase, value) for phase, value in events]
            if events[0][0] == "admission":
                pool += [
                    Message(TOPIC("obligation"), r["envelope_id"].encode(), framed("obligation", r))
                    for r in generator.receipts(events[0][1])
                ]
            if draw.random() < 0.03:
                bad = next(malformed, None)
                if bad is None:
                    malformed = generator.malformed()
                    bad = next(malformed)
                pool.append(bad[1])
        at = draw.randrange(len(pool))
        pool[at], pool[-1] = pool[-1], pool[at]
        yield pool.pop()


class Load:
    """Writes until stop(), `rate` messages a second; brokers that are away are waited for."""

    def __init__(self, bootstrap: str, prefix: str, seed: int, partitions: int, rate: float) -> None:
        self._bootstrap, self._prefix, self._rate = bootstrap, prefix, rate
        self._messages = stream(seed, partitions)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.acknowledged: Counter[tuple[str, int]] = Counter()
        self.refused: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_s: float = 90) -> None:
        """Returns when all that was written is acknowledged."""
        self._ends.set()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the load was not acknowledged within {deadline_s:g} s")
        if self.refused:
            raise AssertionError(f"{len(self.refused)} messages were refused, the first: {self.refused[0]}")

    def _run(self) -> None:
        client = producer(
            self._bootstrap, acks="all", enable_idempotence="true", message_timeout_ms=300_000,
            message_max_bytes=2 << 20,
        )  # fmt: skip
        step_s = 0.02
        due = 0.0
        while not self._ends.wait(step_s):
            due = min(due + self._rate * step_s, self._rate)
            while due >= 1 and len(client) < WAITING_MAX:
                due -= 1
                m = next(self._messages)
                where = -1 if m.partition is None else m.partition
                client.produce(self._prefix + m.topic, m.value, m.key, where, self._answered)
            client.poll(0)
        while client.flush(1):
            pass

    def _answered(self, error: KafkaError | None, message: Acknowledged) -> None:
        if error is not None:
            self.refused.append(str(error))
        else:
            self.acknowledged[(message.topic().removeprefix(self._prefix), message.partition())] += 1
