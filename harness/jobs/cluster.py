"""What a search has to know of a cluster before it trains on it: what fits, on which nodes, of which kind.

Figures of two kinds of devices are never compared, so that all nodes which can run a training have to be of one
kind; and they have to see the same files and run the same versions. Each node is asked (`look_around`).
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.common.errors import UserError
from harness.common.machine import Surroundings, device_kind, environment
from harness.record.run_settings import ClusterSettings

# Distributions that bear on a training's figures.
_SAME = ("torch", "torchvision", "ultralytics", "faster-coco-eval", "numpy")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the cluster, alive.

    Attributes:
        identity: Ray's.
        name: Its address, for people.
        resources: What it has in all, by Ray's names.
    """

    identity: str
    name: str
    resources: Mapping[str, float]

    def fits(self, asked: Mapping[str, float]) -> int:
        """Count the trainings that it can run at once. A part of a GPU is always of one GPU."""
        share = asked.get("GPU", 0.0)
        places = [
            self.resources.get(name, 0.0) / amount for name, amount in asked.items() if name != "GPU" or share > 1
        ]
        if 0 < share <= 1:
            places.append(int(self.resources.get("GPU", 0.0)) * math.floor(1 / share + 1e-9))
        return math.floor(min(places) + 1e-9)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a node says of itself.

    Attributes:
        node: Its name.
        kind: The model of its GPU, or `cpu` and the processor's; of what a training asks for.
        conditions: As `harness.common.machine` has them.
        unseen: Of the asked paths those that it lacks.
    """

    node: str
    kind: str
    conditions: Surroundings = field(repr=False)
    unseen: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """What has to be the same everywhere; a build of torch for another CUDA counts as the same."""
        packages = {name: str(self.conditions["packages"][name]).partition("+")[0] for name in _SAME}
        return {"clo-nas": self.conditions["clo_nas"], **packages}


class Cluster(Protocol):
    """Machines that a search or an ablation shares its trainings among; `harness.jobs.ray_cluster` has Ray's.

    Attributes:
        device: What a training's device is called: `cpu`, or numbers from 0 on, as a task sees only its own GPUs.
        kind: The model of the nodes' GPUs, or `cpu` and the processors'; known once they have been asked.
        conditions: What a node is and has, for the record; likewise.
    """

    device: str
    kind: str
    conditions: dict[str, object]

    @property
    def workers(self) -> int:
        """Trainings at once."""

    @property
    def board(self) -> Any:
        """Where tasks write how far they are."""

    def ask_nodes(self, paths: Sequence[Path], folder: Path) -> None:
        """Have each node that can run a training say what it is, before anything is trained."""

    def remote(self, function: Callable[..., Any], **options: Any) -> Any:
        """Return a function as a task that asks for what a training does."""


def asked_resources(settings: ClusterSettings) -> dict[str, float]:
    """Return what one training takes, by Ray's names."""
    gpus = {"GPU": settings.gpus_per_trial} if settings.gpus_per_trial else {}
    return {"CPU": float(settings.cpus_per_trial), **gpus, **settings.resources}


def able(nodes: Sequence[Node], asked: Mapping[str, float]) -> list[Node]:
    """Return the nodes that can run a training.

    Raises:
        UserError: None can.
    """
    found = [node for node in nodes if node.fits(asked)]
    if found:
        return found
    if not nodes:
        raise UserError("--executor ray: the cluster has no node that is alive")
    largest = max(nodes, key=lambda node: [node.resources.get(name, 0.0) for name in (*list(asked)[::-1], "CPU")])
    wanted = ", ".join(f"{amount:g} {name}" for name, amount in asked.items())
    names = dict.fromkeys(["CPU", "GPU", *asked])
    has = ", ".join(f"{largest.resources.get(name, 0.0):g} {name}" for name in names)
    raise UserError(
        f"--executor ray: a training asks for {wanted}, which none of the cluster's {len(nodes)} nodes has; "
        f"the largest, {largest.name}, has {has}"
    )


def look_around(node: str, device: str, folder: str, paths: Sequence[str]) -> Facts:
    """Find out, on a node, what it is, and which paths it lacks.

    Args:
        node: Its name.
        device: `cpu`, or the number of a GPU that it may look at.
        folder: The search's; relative paths are taken from there.
        paths: What a training reads and writes.
    """
    go_to(folder)
    return Facts(
        node=node,
        kind=device_kind(device),
        conditions=environment(device=device, data_fingerprint=None, command=()),
        unseen=tuple(path for path in paths if not Path(path).exists()),
    )


def go_to(folder: str) -> None:
    """Let relative paths mean what they mean to the search, where its folder is there."""
    if Path(folder).is_dir():
        os.chdir(folder)


def one_kind(facts: Sequence[Facts], own_versions: Mapping[str, str]) -> str:
    """Return the kind of device that all nodes are of.

    Args:
        facts: Of each node that can run a training.
        own_versions: Of the search itself.

    Raises:
        UserError: They are of several, or a node lacks a file or has another version of something.
    """
    for each in facts:
        if each.unseen:
            raise UserError(
                f"node {each.node} does not see {each.unseen[0]}: data, weights and the --results folder have to be on "
                f"a file system that all nodes share, under the same paths"
            )
        for name, version in each.versions.items():
            if version != own_versions[name]:
                raise UserError(
                    f"node {each.node} has {name} {version}, this machine {own_versions[name]}: install the same "
                    f"versions everywhere"
                )
    kinds = by_kind((each.kind, each.node) for each in facts)
    if len(kinds) > 1:
        raise UserError(several_kinds(kinds))
    return facts[0].kind


def by_kind(nodes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group the names of nodes by their kind."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind, name in nodes:
        kinds[kind].append(name)
    return dict(kinds)


def several_kinds(kinds: Mapping[str, Sequence[str]]) -> str:
    """Return what to say where a search would train on devices of several kinds."""
    listed = "; ".join(f"{kind} ({', '.join(nodes)})" for kind, nodes in sorted(kinds.items()))
    return (
        f"the nodes that can run a training are of several kinds, whose figures cannot be compared: {listed}; choose "
        f"one kind with --resource NAME=AMOUNT, a resource that only its nodes have"
    )
