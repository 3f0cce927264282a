"""A Ray cluster: connected to, asked what its nodes are, and given work.

Ray decides where a task runs, sets aside what it asks for, and runs it once more elsewhere if its process or its
node dies.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported: nothing is sent unasked,
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # nor is printed among this program's output what nodes say
os.environ.setdefault("RAY_task_oom_retries", "4")  # by default Ray would start what does not fit for ever
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.common.errors import UserError
from harness.common.isolation import isolate_ultralytics
from harness.common.machine import environment
from harness.jobs.cluster import Cluster, Facts, Node, able, asked_resources, look_around, one_kind
from harness.jobs.ray_inside import Board
from harness.record.run_settings import ClusterSettings

# Most seconds that a head may take to answer at all.
ANSWER_S = 5.0
# Most seconds that a node may take to say what it is; its first task may wait for others' to end.
_NODES_S = 300.0
# Pause between two looks at the cluster.
LOOK_S = 0.5
# What asking a node for its GPU's model takes of one.
_PART_OF_A_GPU = 0.01


class RayCluster(Cluster):
    """A connection to a Ray cluster, until this process ends.

    Args:
        settings: Where it is, and what a training asks for.
        workers: Trainings at once; by default as many as fit on its nodes.

    Raises:
        UserError: It does not answer, or no node has what a training asks for.
    """

    def __init__(self, settings: ClusterSettings, workers: int | None) -> None:
        _connect(settings.address)
        self.asked = asked_resources(settings)
        self.device = ",".join(map(str, range(math.ceil(settings.gpus_per_trial)))) or "cpu"
        self._workers = workers
        able(_nodes(), self.asked)
        self._looked = 0.0
        self._room = 1
        self._board: Any = None

    @property
    def workers(self) -> int:
        """Trainings at once: nodes come and go."""
        if self._workers is not None:
            return self._workers
        if time.monotonic() > self._looked + LOOK_S:
            self._room = max(1, sum(node.fits(self.asked) for node in _nodes()))
            self._looked = time.monotonic()
        return self._room

    def ask_nodes(self, paths: Sequence[Path], folder: Path) -> None:
        """Have each node that can run a training say what it is, before anything is trained.

        Args:
            paths: Files that a training reads.
            folder: The study's; a file is put there for as long as the nodes look for it.

        Raises:
            UserError: They are of several kinds, or differ in what must be the same; or one does not answer.
        """
        mark = folder / f".seen-by-all-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another --results") from error
        try:
            facts = self._facts([*map(str, paths), str(mark)])
        finally:
            mark.unlink(missing_ok=True)
        here = environment(device="cpu", data_fingerprint=None, command=())
        self.kind = one_kind(facts, Facts(node="", kind="", conditions=here).versions)
        self.conditions = {
            **{name: facts[0].conditions[name] for name in ("platform", "packages", "cpu")},
            "device": {**facts[0].conditions["device"], "asked": self.device},
            "nodes": len(facts),
        }

    @property
    def board(self) -> Any:
        """Where tasks write how far they are: an actor on this machine."""
        if self._board is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._board = ray.remote(num_cpus=0, scheduling_strategy=here)(Board).remote()
        return self._board

    def __str__(self) -> str:
        nodes = self.conditions["nodes"]
        return f"{nodes} node{'s' * (nodes != 1)} of kind {self.kind}, room for {self.workers} trainings at once"

    def remote(self, function: Callable[..., Any], **options: Any) -> Any:
        """Return a function as a task that asks for what a training does."""
        others = {name: amount for name, amount in self.asked.items() if name not in {"CPU", "GPU"}}
        asked = {"num_cpus": self.asked["CPU"], "num_gpus": self.asked.get("GPU", 0), "resources": others}
        return ray.remote(**{"max_calls": 1, "max_retries": 1, **asked, **options})(function)

    def _facts(self, paths: Sequence[str]) -> list[Facts]:
        nodes = able(_nodes(), self.asked)
        gpu = _PART_OF_A_GPU if self.device != "cpu" else 0
        asked = [
            self.remote(
                _look_around,
                num_cpus=0,
                num_gpus=gpu,
                resources={},
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.identity, soft=False),
            ).remote(node.name, self.device.split(",")[0], str(Path.cwd()), paths)
            for node in nodes
        ]
        facts: list[Facts] = []
        for node, reference in zip(nodes, asked, strict=True):
            try:
                facts.append(ray.get(reference, timeout=_NODES_S))
            except GetTimeoutError as error:
                ray.cancel(reference, force=True)
                raise UserError(f"node {node.name} did not answer within {_NODES_S:.0f} s; is it busy?") from error
            except RayTaskError as error:
                if isinstance(error.cause, ImportError):
                    raise UserError(f"node {node.name} lacks clo-nas or a part of it ({error.cause})") from error
                raise UserError(
                    f"node {node.name} cannot say what it is: {first_line(error.cause or error)}"
                ) from error
            except RayError as error:
                raise UserError(f"node {node.name} was lost while it was asked what it is; run it again") from error
        return facts


def _look_around(*arguments: Any) -> Facts:
    isolate_ultralytics()
    return look_around(*arguments)


def _nodes() -> list[Node]:
    return [
        Node(identity=node["NodeID"], name=node["NodeManagerAddress"], resources=node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def _connect(address: str) -> None:
    """Connect once a process, after a look whether anybody is there: Ray itself would wait for minutes.

    Raises:
        UserError: Nobody answers.
    """
    if ray.is_initialized():
        return
    where = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    host, _, port = where.rpartition(":")
    try:
        if host:
            socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
        ray.init(address=where, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers there ({first_line(error)}); start one with ray start --head"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
