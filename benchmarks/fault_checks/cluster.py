"""A node of a Ray cluster that is switched off in the middle of a training."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from functools import partial

import psutil

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.scenario import Skipped, Tally, scenario, until
from benchmarks.fault_checks.watched import Watched
from benchmarks.ray_cluster import RayCluster, RayNode, is_installed

_BEGUN = re.compile(r"^training (\d+) runs on node \S+ \((\w+)\)", re.MULTILINE)
_LOCAL = ("workers", "threads", "device")
"""Options that are Ray's to decide."""
_MOMENT = 1.5
"""Most seconds after a training's begin on a node at which the node is killed."""


@scenario("kill -9 of a Ray node", faults=2)
def kill_node(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Its training is run again on the other node, and nobody can tell from the figures."""
    if not is_installed():
        raise Skipped("needs Ray: pip install 'clo-nas[ray]'")
    variables = {"CLO_NAS_CACHE": str(ground.cache), "OMP_NUM_THREADS": "1"}
    shutil.copytree(ground.cache / "bases", ground.folder / "results" / ".bases", dirs_exist_ok=True)
    with RayCluster(nodes=2, cpus=1, variables=variables) as cluster:
        for _ in until(tally, faults):
            study = Watched(ground=ground, tally=tally)
            study.options = {"executor": "ray", "address": cluster.address, **dict.fromkeys(_LOCAL, "")}
            program = study.start()
            for _ in range(faults - tally.faults):
                is_at_work = partial(_trains_on, study, cluster.nodes[-1])
                if program.run_until(is_at_work) and program.run_for(generator.uniform(0.0, _MOMENT)) and is_at_work():
                    cluster.kill(cluster.nodes[-1])
                    cluster.add()
            code = program.wait()
            tally.expect(code == 0, f"{study.name}: exit code {code}: {program.said()[-300:]}")
            left = _tasks(cluster)
            tally.left_behind += len(left)
            tally.expect(not left, f"{study.name}: tasks are left on the cluster: {left}")
            study.expect_whole(study.check())
            begun = Counter(number for number, _ in _begun(study))
            tally.faults += sum(times > 1 for times in begun.values())  # other kills fell between two trainings
            study.remove()


def _begun(study: Watched) -> list[tuple[str, str]]:
    """Trainings in the order in which they were begun, each with its node; who was begun twice is there twice."""
    log = study.folder / "trainings.log"
    return _BEGUN.findall(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else []


def _trains_on(study: Watched, node: RayNode) -> bool:
    """Whether the last training that was begun on it was so for the first time: a second death would be its failure."""
    begun = _begun(study)
    here = [number for number, identity in begun if identity == node.identity]
    return bool(here) and Counter(number for number, _ in begun)[here[-1]] == 1


def _tasks(cluster: RayCluster, patience: float = 10.0) -> list[psutil.Process]:
    """Tasks that still run on its nodes after some seconds."""
    deadline = time.monotonic() + patience
    while left := [child for node in cluster.nodes for child in node.process.children() if _is_task(child)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


def _is_task(process: psutil.Process) -> bool:
    try:
        return any("run_order" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
