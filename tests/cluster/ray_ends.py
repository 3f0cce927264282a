"""A program of its own, since Ray opens connections: how functions end that run as tasks of a cluster.

python ray_ends.py ADDRESS FOLDER WHAT      # WHAT is one of the names below
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from harness.common.errors import UserError
from harness.common.machine import device_kind
from harness.jobs.ray_cluster import RayCluster
from harness.jobs.ray_tasks import RayTasks
from harness.record.run_settings import ClusterSettings
from harness.record.state import Failure

ROOT = str(Path(__file__).parents[2])
"""Of the tests: what a task starts has to find them."""


def end(how: tuple[str, str], report: Any) -> int:
    """Ends as it is told, and counts how often it was begun."""
    name, folder = how
    with (Path(folder) / name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if name == "double":
        report("half")
        time.sleep(2)
        return 42
    if name == "memory":
        raise MemoryError("no more")
    if name == "user":
        raise UserError("the data are wrong")
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "sleep":
        time.sleep(600)
    raise ValueError("a shape does not fit")


def outcomes(cluster: RayCluster, folder: str, names: list[str]) -> dict[str, Any]:
    """What became of each; and what was said meanwhile."""
    said: list[Any] = []
    found: dict[str, Any] = {}
    executor: RayTasks[str, int] = RayTasks(cluster, lambda key, content: said.append([key, content]), None)
    with executor as tasks:
        for name in names:
            tasks.start(name, end, (name, folder))
        for _ in names:
            name, outcome = tasks.next()
            found[name] = [outcome.state, outcome.reason] if isinstance(outcome, Failure) else outcome
    return {**found, "said": said, "workers": cluster.workers}


def main(address: str, folder: str, what: str) -> dict[str, Any]:
    """Do one of the things that a test asks for."""
    cluster = RayCluster(ClusterSettings(address=address), None)
    cluster.kind = device_kind("cpu")
    if what == "ends":
        return outcomes(cluster, folder, ["double", "memory", "error", "killed", "shares"])
    if what == "other kind":
        cluster.kind = "cpu of another make"
    if what == "stopped":
        executor: RayTasks[str, int] = RayTasks(cluster, None, None)
        with executor as tasks:
            tasks.start("sleep", end, ("sleep", folder))
            while not (Path(folder) / "sleep").exists():
                tasks.within(0.1)
        return {}
    name = "sleep" if what == "hangs" else "user"
    try:
        return outcomes(cluster, folder, [name])
    except UserError as error:
        return {"user error": str(error)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
