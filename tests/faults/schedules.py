# SPDX-License-Identifier: Apache-2.0
"""What happens to the processors and to the brokers, one function each; under load all through.

`rebalance` and `recovery` are run_rebalance and run_failure_and_recovery of Kafka's own
tests/kafkatest/tests/streams/streams_eos_test.py, each step taken by all three processors.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from kafka import Broker, Cluster
from oracle.contract import TOPICS
from pipeline import PROCESSORS

from .cluster import move_leaders, until_settled
from .fleet import Fleet, Instance
from .takeover import take_over

SESSION_S = 6  # of the instances, and their transactions' timeout: pipeline.py
SHORT_S = 2  # a transaction's timeout well below that of a session
SHORT_TRANSACTIONS = ("--transaction-timeout", f"{SHORT_S}s")
TAKEOVER_S = SESSION_S + SESSION_S + 2  # a dead instance's partitions stand still no longer
BROKER_SESSION_S = 3  # of the brokers: kafka.py


@dataclass
class World:
    """What a schedule may touch. `rounds` is how long it is to go on, in its own measure."""

    cluster: Cluster
    fleet: Fleet
    chance: random.Random
    rounds: int
    takeovers: list[float] = field(default_factory=list)  # seconds, each

    def wait(self, least: float, most: float) -> None:
        """Some time, under load."""
        self.fleet.go_on(self.chance.uniform(least, most))

    def fault(self, what: str, count: int = 1) -> None:
        self.fleet.faults[what] += count


# ---- Processors.


def sigkill(world: World) -> None:
    """A round: one to three instances killed at a random time, most of them started again at once,
    some when others have taken over, some without their disk."""
    fleet, chance = world.fleet, world.chance
    for _ in range(world.rounds):
        world.wait(0.2, 1.6)
        victims = chance.sample(fleet.instances, chance.choice((1, 1, 1, 2, 3)))
        fleet.kill(victims)
        for i in victims:
            if chance.random() < 0.15:
                fleet.lose_state(i)
            late = chance.random() < 0.05
            fleet.restart_in(i, chance.uniform(SESSION_S, 2 * SESSION_S) if late else chance.uniform(0, 0.5))


def add(fleet: Fleet, running: tuple[str, ...], name: str) -> None:
    """All members get their partitions anew, and work."""
    fleet.start(fleet.of(name))
    fleet.until_running(fleet.of(*running, name))


def leave(fleet: Fleet, name: str, staying: tuple[str, ...], end: Callable[[list[Instance]], None]) -> None:
    """Until the others have taken over, which is when the session of the one that left has ended."""
    before = {id(i): i.says("partitions run") for i in fleet.of(*staying)}
    end(fleet.of(name))
    for i in fleet.of(*staying):
        fleet.until(lambda: i.says("partitions run") > before[id(i)] or not i.is_running, 60, f"{i} to take over")  # noqa: B023
    fleet.until_running(fleet.of(*staying))


def rebalance(world: World) -> None:
    fleet = world.fleet
    add(fleet, (), "one")
    add(fleet, ("one",), "two")
    add(fleet, ("one", "two"), "three")
    leave(fleet, "one", ("two", "three"), fleet.stop)
    add(fleet, ("two", "three"), "one")
    leave(fleet, "two", ("one", "three"), fleet.stop)
    leave(fleet, "three", ("one",), fleet.stop)
    world.wait(0.5, 1)
    fleet.stop(fleet.of("one"))
    fleet.start(fleet.of("one", "two"))


def recovery(world: World) -> None:
    fleet = world.fleet
    add(fleet, (), "one")
    add(fleet, ("one",), "two")
    add(fleet, ("one", "two"), "three")
    leave(fleet, "one", ("two", "three"), fleet.kill)
    add(fleet, ("two", "three"), "one")
    leave(fleet, "one", ("two", "three"), fleet.kill)
    add(fleet, ("two", "three"), "one")
    leave(fleet, "two", ("one", "three"), fleet.kill)
    leave(fleet, "three", ("one",), fleet.stop)
    world.wait(0.5, 1)
    fleet.stop(fleet.of("one"))
    fleet.start(fleet.of("one", "two"))


def in_turn(world: World) -> None:
    """Each instance stopped, killed and paused in turn, those of the three processors at random times."""
    fleet = world.fleet
    for name in fleet.names:
        for act in (_stopped, _killed, _paused):
            ends = []
            for processor in world.chance.sample(PROCESSORS, len(PROCESSORS)):
                world.wait(0.2, 1.5)
                ends.append(act(world, fleet.of(name, processors=[processor])[0]))
            for end in ends:
                end()
            fleet.until_running(fleet.of(*fleet.names))


def _stopped(world: World, i: Instance) -> Callable[[], None]:
    world.fleet.stop([i])
    world.fleet.restart_in(i, world.chance.uniform(0, 1))
    return lambda: None


def _killed(world: World, i: Instance) -> Callable[[], None]:
    world.fleet.kill([i])
    world.fleet.restart_in(i, world.chance.uniform(0, 1))
    return lambda: None


def _paused(world: World, i: Instance) -> Callable[[], None]:
    """Beyond its session: others have its partitions when it wakes in the middle of its work."""
    world.fleet.freeze(i)

    def wake() -> None:
        world.wait(SESSION_S / 3 + 0.5, SESSION_S / 3 + 2)
        world.fleet.thaw(i)

    return wake


def stall(world: World) -> None:
    """All stand still for longer than a transaction may take (SHORT_TRANSACTIONS) and less long than
    a session: the brokers end what was open, and whoever wakes up in the middle of a batch has to
    throw it away and to go on with the partitions and the memory that it has. A killed one never
    has to: what it had in memory is gone."""
    fleet = world.fleet
    everyone = fleet.of(*fleet.names)
    for _ in range(world.rounds):
        fleet.until_running(everyone)
        world.wait(0.3, 1)
        before = [i.has_rewound for i in everyone]
        for i in everyone:
            fleet.freeze(i)
        fleet.go_on(SHORT_S + 1)  # the coordinator looks every half second: kafka.py
        for i in everyone:
            fleet.thaw(i)
        fleet.go_on(1)
        world.fault("rewound", sum(i.has_rewound > n for i, n in zip(everyone, before, strict=True)))


def takeover(world: World) -> None:
    """One instance of each processor dies and stays dead until the other has its partitions."""
    fleet = world.fleet
    for name in fleet.names[: world.rounds]:
        fleet.until_running(fleet.of(*fleet.names))
        world.wait(1, 2)
        world.takeovers += take_over(fleet, name).values()
        fleet.start(fleet.of(name))
    fleet.until_running(fleet.of(*fleet.names))


# ---- Brokers.


def kill_brokers(world: World) -> None:
    """One after the other, the active controller among them; the last while the one before catches up."""
    for broker in world.chance.sample(world.cluster.brokers, world.rounds):
        world.wait(0.5, 2)
        world.fault("broker SIGKILL")
        broker.kill()
        world.wait(0.5, 2 * BROKER_SESSION_S)
        _back(world, broker)
        if world.chance.random() < 0.5:
            until_settled(world.cluster)


def _back(world: World, *brokers: Broker) -> None:
    for broker in brokers:
        broker.start()
    for broker in brokers:
        world.fleet.until(lambda: broker.id in broker.known_brokers(), 90, f"broker {broker.id} to be back")  # noqa: B023


def leaders(world: World) -> None:
    topics = {world.fleet.pipeline.settings.prefix + name for name in TOPICS}
    for _ in range(3):
        until_settled(world.cluster)
        world.fleet.faults += move_leaders(world.cluster, world.chance, topics)
        world.wait(0.5, 2)


def rolling(world: World) -> None:
    for broker in world.cluster.brokers:
        until_settled(world.cluster)
        world.fault("broker restarted")
        broker.terminate()
        _back(world, broker)
        world.wait(0.5, 1)
    until_settled(world.cluster)


def whole_cluster(world: World) -> None:
    """All brokers at once: killed and back; and away for longer than any session and transaction."""
    for away_s in (world.chance.uniform(0, 2), SESSION_S * 2.5):
        world.wait(1, 2)
        world.fault("cluster stopped")
        for broker in world.cluster.brokers:
            broker.kill()
        world.fleet.go_on(away_s)
        _back(world, *world.cluster.brokers)
        until_settled(world.cluster)
        world.fleet.until_running(world.fleet.of(*world.fleet.names), 90)


def network(world: World) -> None:
    """Brokers that keep their connections and say nothing: for a moment, until others lead in their
    place, and for longer than the processors' sessions; at last all three."""
    for pause_s in (1, BROKER_SESSION_S + 1.5, SESSION_S * 2):
        broker = world.chance.choice(world.cluster.brokers)
        world.wait(0.5, 1.5)
        world.fault("broker paused")
        broker.pause()
        try:
            world.fleet.go_on(pause_s)
        finally:
            broker.resume()
        world.fleet.until(lambda: broker.id in broker.known_brokers(), 90, f"broker {broker.id} to be back")  # noqa: B023
        until_settled(world.cluster)
    for pause_s in (1, SESSION_S + 1):
        world.fault("cluster paused")
        for broker in world.cluster.brokers:
            broker.pause()
        try:
            world.fleet.go_on(pause_s)
        finally:
            for broker in world.cluster.brokers:
                broker.resume()
        until_settled(world.cluster)


# ---- Both.


def storm(world: World) -> None:
    """Whatever comes, before the last has healed."""
    fleet, chance = world.fleet, world.chance
    for _ in range(world.rounds):
        world.wait(0.2, 2)
        what = chance.random()
        i = chance.choice(fleet.instances)
        broker = chance.choice(world.cluster.brokers)
        if what < 0.4:
            fleet.kill([i])
            if chance.random() < 0.2:
                fleet.lose_state(i)
            fleet.restart_in(i, chance.uniform(0, 2))
        elif what < 0.55:
            fleet.freeze(i)
        elif what < 0.8:
            fleet.thaw(i)
        elif what < 0.9:
            world.fault("broker SIGKILL")
            broker.kill()
            world.wait(0, 2 * BROKER_SESSION_S)
            _back(world, broker)
        else:
            world.fault("broker paused")
            broker.pause()
            try:
                world.wait(0, 2 * BROKER_SESSION_S)
            finally:
                broker.resume()
    until_settled(world.cluster)


@dataclass(frozen=True)
class Schedule:
    act: Callable[[World], None]
    rounds: int = 1  # by default
    names: tuple[str, ...] = ("one", "two")
    started: bool = True  # all instances run when it begins
    options: tuple[str, ...] = ()  # of the instances


SCHEDULES = {
    "sigkill": Schedule(sigkill, rounds=20),
    "rebalance": Schedule(rebalance, names=("one", "two", "three"), started=False),
    "recovery": Schedule(recovery, names=("one", "two", "three"), started=False),
    "in-turn": Schedule(in_turn),
    "stall": Schedule(stall, rounds=10, options=SHORT_TRANSACTIONS),
    "takeover": Schedule(takeover, rounds=2),
    "brokers": Schedule(kill_brokers, rounds=3),
    "leaders": Schedule(leaders),
    "rolling": Schedule(rolling),
    "cluster": Schedule(whole_cluster),
    "network": Schedule(network),
    "storm": Schedule(storm, rounds=40),
}
