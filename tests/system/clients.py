# SPDX-License-Identifier: Apache-2.0
"""Raw records to and from Kafka, by a client that is not ours (confluent-kafka)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from process import wait_until

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Record:
    """A record; when producing, a partition of -1 leaves it to the partitioner, a timestamp of 0 means now."""

    topic: str
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = field(default_factory=list)
    partition: int = -1
    timestamp: int = 0
    offset: int = -1
    is_append_time: bool = False


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def create_topics(
    bootstrap: str,
    *names: str,
    partitions: int | None = 1,
    config: Mapping[str, str] | None = None,
    deadline_s: float = 30,
) -> None:
    """Makes topics and returns when every partition has a leader. Partitions None: the cluster's default."""
    client = admin(bootstrap)
    new = [NewTopic(name, partitions or -1, config=dict(config or {})) for name in names]
    for future in client.create_topics(new, operation_timeout=deadline_s).values():
        future.result(deadline_s)
    for name in names:
        wait_until(partial(_has_leaders, client, name), deadline_s, f"a leader for each partition of {name}")


def _has_leaders(client: AdminClient, topic: str) -> bool:
    found = client.list_topics(topic, timeout=10).topics[topic]
    return found.error is None and all(p.leader >= 0 and p.error is None for p in found.partitions.values())


def topic_names(bootstrap: str) -> set[str]:
    return set(admin(bootstrap).list_topics(timeout=10).topics)


def partitions_of(bootstrap: str, topic: str) -> list[int]:
    """The partitions of a topic; KafkaException if there is no such topic."""
    found = admin(bootstrap).list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def end_offsets(bootstrap: str, topic: str, *, committed: bool = False) -> dict[int, int]:
    """Where each partition ends: the high watermark, or the last stable offset if `committed`."""
    isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    wanted = {TopicPartition(topic, p): OffsetSpec.latest() for p in partitions_of(bootstrap, topic)}
    client = admin(bootstrap)  # named, as are those below: its futures end with it
    found = client.list_offsets(wanted, isolation_level=isolation, request_timeout=10)
    return {tp.partition: future.result(10).offset for tp, future in found.items()}


def group_offsets(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    """The offsets that a group has committed."""
    client = admin(bootstrap)
    asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    return {(tp.topic, tp.partition): tp.offset for tp in asked[group].result(10).topic_partitions}


def producer(bootstrap: str, partitioner: str = "murmur2_random", **settings: str | int) -> Producer:
    """A producer; settings as librdkafka names them, with _ for the dots: transactional_id="x"."""
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return Producer({"bootstrap.servers": bootstrap, "partitioner": partitioner, "linger.ms": 1, **named})


def produce(
    bootstrap: str, records: Iterable[Record], partitioner: str = "murmur2_random", deadline_s: float = 20
) -> list[Record]:
    """Writes records as they are, with any partitioner of librdkafka; returns them as Kafka placed them."""
    client = producer(bootstrap, partitioner)
    placed = send(client, records)
    if left := client.flush(deadline_s):
        raise TimeoutError(f"{left} records were not acknowledged within {deadline_s:g} s")
    return placed


def send(client: Producer, records: Iterable[Record]) -> list[Record]:
    """Hands records to a producer. The list fills as they are acknowledged: in full after flush()."""
    placed: list[Record] = []

    def acknowledged(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        placed.append(_record(message))

    for r in records:
        client.produce(
            r.topic, r.value, r.key, r.partition, acknowledged, timestamp=r.timestamp, headers=list(r.headers)
        )  # fmt: skip
    return placed


def read_topic(bootstrap: str, topic: str, *, committed: bool = True, deadline_s: float = 20) -> list[Record]:
    """All of a topic up to its present end, by partition and offset.

    Read committed, the end is the last stable offset: an open transaction hides what comes after its start.
    """
    ends = end_offsets(bootstrap, topic, committed=committed)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader-without-a-group",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 20,
        }
    )
    records: list[Record] = []
    unfinished = {p for p, end in ends.items() if end > 0}
    stop_at = time.monotonic() + deadline_s
    try:
        consumer.list_topics(topic, timeout=10)  # it would look for the leaders half a second later
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in unfinished])
        while unfinished:
            if time.monotonic() > stop_at:
                raise TimeoutError(f"{topic}: partitions {sorted(unfinished)} not read to {ends} in {deadline_s:g} s")
            message = consumer.poll(0.1)
            if message is None:
                continue
            if (error := message.error()) is None:
                if message.offset() < ends[message.partition()]:
                    records.append(_record(message))
                else:
                    unfinished.discard(message.partition())
            elif error.code() == KafkaError._PARTITION_EOF:
                if message.offset() >= ends[message.partition()]:
                    unfinished.discard(message.partition())
            elif not error.retriable():
                raise KafkaException(error)
    finally:
        consumer.close()
    return sorted(records, key=lambda r: (r.partition, r.offset))


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    return Record(
        topic=message.topic(),
        key=message.key(),
        value=message.value(),
        headers=message.headers() or [],
        partition=message.partition(),
        timestamp=timestamp,
        offset=message.offset(),
        is_append_time=kind == TIMESTAMP_LOG_APPEND_TIME,
    )


def java_partition(key: bytes, partitions: int) -> int:
    """The partition that Java's default partitioner gives a key: murmur2, written anew as the third opinion."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return (h & 0x7FFFFFFF) % partitions
