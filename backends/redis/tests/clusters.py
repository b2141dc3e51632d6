"""A real cluster for tests: nodes that share out the slots, and the moves of a slot that operators make."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .servers import Server, free_port

AGREE_SECONDS = 30.0
SLOTS = 16384


class Node(Server):
    """One node.  It keeps what it acknowledged in an append-only file.  `settings` are lines of its configuration."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.cluster_port = free_port()
        super().__init__(
            folder,
            cluster_enabled="yes",
            cluster_port=str(self.cluster_port),
            cluster_node_timeout="1000",
            appendonly="yes",
            appendfsync="always",
            **settings,
        )

    def ask(self, *command: Any) -> Any:
        """The answer of this node, wherever the slot is."""
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def id(self) -> str:
        """Its name in the cluster."""
        return str(self.ask("CLUSTER", "MYID").decode())

    def agrees(self, size: int) -> bool:
        """Whether it finds the cluster whole."""
        known = self.ask("CLUSTER INFO")
        return known["cluster_state"] == "ok" and known["cluster_known_nodes"] == str(size)

    def is_linked(self) -> bool:
        """Whether it is a replica that is up to date."""
        with self.client() as client:
            facts: dict[str, Any] = client.info("replication")
        return facts.get("master_link_status") == "up"


class TestCluster:
    """Some nodes, each with an equal share of the slots, and each with settings of its own."""

    __test__ = False

    def __init__(self, folder: Path, settings: Sequence[Mapping[str, str]] = ({}, {}, {})) -> None:
        self.nodes: list[Node] = []
        for number, its_own in enumerate(settings):
            (folder / str(number)).mkdir()
            self.nodes.append(Node(folder / str(number), **its_own))

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Returns when all nodes find it whole."""
        for node in self.nodes:
            node.start()
        bounds = [SLOTS * number // len(self.nodes) for number in range(len(self.nodes) + 1)]
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.cluster_port)
        self.settle()

    def add_replica(self, folder: Path, primary: Node) -> Node:
        """A node that holds what `primary` holds; returns when it does."""
        replica = Node(folder)
        self.nodes.append(replica)
        replica.start()
        self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", replica.port, replica.cluster_port)
        self.settle()
        replica.ask("CLUSTER", "REPLICATE", primary.id)
        until = time.monotonic() + AGREE_SECONDS
        while not replica.is_linked():
            assert time.monotonic() < until, replica.ask("INFO", "replication")
            time.sleep(0.01)
        return replica

    def settle(self) -> None:
        """Returns when all nodes find it whole."""
        until = time.monotonic() + AGREE_SECONDS
        while not all(node.agrees(len(self.nodes)) for node in self.nodes):
            assert time.monotonic() < until, [node.ask("CLUSTER", "INFO") for node in self.nodes]
            time.sleep(0.01)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def owner(self, slot: int) -> Node:
        """The node that has a slot."""
        for first, last, (_, port, *_), *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, slot: int, batch: int = 5) -> Iterator[int]:
        """Give a slot to the next node, some keys at a time: yields, between the steps, how many keys went."""
        source = self.owner(slot)
        target = self.nodes[(self.nodes.index(source) + 1) % len(self.nodes)]
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        moved = 0
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, batch):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            moved += len(keys)
            yield moved
        name = target.id
        for node in (target, source, *self.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", name)
