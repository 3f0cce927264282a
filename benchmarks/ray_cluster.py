"""A Ray cluster of one's own for as long as it is needed: several nodes on this machine, each may be killed.

The nodes are kept by a process beside this one, so that whoever asks for a cluster imports no Ray and opens no
connection. They listen on a loopback address, send nothing anywhere, and end with this process, however it ends.

    python benchmarks/ray_cluster.py NODES CPUS     # keeps a cluster until its input ends
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

_SYSTEM = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 6}
"""A dead node is noticed after three seconds."""
_OBJECTS = 80 * 2**20
"""Bytes of a node's object store, about the least that Ray takes."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
_HOST = "127.0.0.2"
"""This machine alone. For 127.0.0.1 Ray would take the address by which others reach it."""
_ROOT = Path(__file__).parents[1]


def is_installed() -> bool:
    """Whether there is Ray."""
    return find_spec("ray") is not None


@dataclass(frozen=True, kw_only=True)
class RayNode:
    """A node.

    Attributes:
        identity: Ray's.
        process: Of its raylet, whose children are the node's tasks.
    """

    identity: str
    process: psutil.Process


class RayCluster:
    """Runs while it is entered: a head and further nodes.

    Args:
        nodes: How many, the head counted.
        cpus: Of each.
        variables: Of the nodes' environment, and so of the tasks', beside this process'.

    Attributes:
        address: What `clo search --address` is given.
        nodes: The head first; a killed one is not among them.

    Raises:
        RuntimeError: It does not start.
    """

    address: str

    def __init__(self, nodes: int = 2, cpus: int = 1, variables: Mapping[str, str] | None = None) -> None:
        self.nodes: list[RayNode] = []
        self._asked = nodes, cpus
        self._variables = dict(variables or {})

    def __enter__(self) -> RayCluster:
        self._folder = tempfile.TemporaryDirectory(prefix="clo-ray-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "keeper.log"
        with self._log.open("w") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, __file__, *map(str, self._asked)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is not for it
                env={**os.environ, **_QUIET, "RAY_TMPDIR": self._folder.name, "PYTHONPATH": _path(), **self._variables},
            )
        try:
            for _ in range(self._asked[0]):
                self._hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        left = psutil.Process(self._keeper.pid).children(recursive=True) if self._keeper.poll() is None else []
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        for process in psutil.wait_procs(left, timeout=5)[1]:
            process.kill()
        self._folder.cleanup()

    def add(self) -> RayNode:
        """Start another node."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.write("add\n")
        self._keeper.stdin.flush()
        self._hear()
        return self.nodes[-1]

    def kill(self, node: RayNode) -> None:
        """SIGKILL to a node and to all that runs on it, as if its machine were switched off."""
        self.nodes.remove(node)
        for process in [node.process, *node.process.children(recursive=True)]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def _hear(self) -> None:
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError(f"the Ray cluster did not start: {self._log.read_text(encoding='utf-8')[-2000:]}")
        said: dict[str, Any] = json.loads(line)
        self.address = said["address"]
        self.nodes.append(RayNode(identity=said["node"], process=psutil.Process(said["raylet"])))


def _path() -> str:
    """Where tasks find clo-nas: here."""
    return os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def keep(nodes: int, cpus: int) -> None:
    """Keep a cluster until standard input ends; a line asks for one more node."""
    from ray.cluster_utils import Cluster

    options: dict[str, Any] = {
        "num_cpus": cpus,
        "object_store_memory": _OBJECTS,
        "node_ip_address": _HOST,
        "include_dashboard": False,
    }
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={**options, "_system_config": _SYSTEM},
    )
    _say(cluster, cluster.head_node)
    for _ in range(nodes - 1):
        _say(cluster, cluster.add_node(**options))
    for _ in sys.stdin:
        _say(cluster, cluster.add_node(**options))
    cluster.shutdown()


def _say(cluster: Any, node: Any) -> None:
    raylet = node.all_processes["raylet"][0].process.pid
    print(json.dumps({"address": cluster.address, "node": node.node_id, "raylet": raylet}), flush=True)


if __name__ == "__main__":
    keep(int(sys.argv[1]), int(sys.argv[2]))
