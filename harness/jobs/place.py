"""Where trainings run, a search's as an ablation's: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

from harness.common.errors import UserError
from harness.common.machine import resolve_device
from harness.jobs.cluster import Cluster
from harness.jobs.executors import Children, Executor
from harness.record.run_settings import ClusterSettings, ExecutorKind
from harness.record.state import Failure

Key = TypeVar("Key")
Result = TypeVar("Result")
_NO_CLUSTER = ClusterSettings()
# Bytes that a training on CPU may need; YOLOv5n at 128 px peaked at 0.65 GB (`benchmarks/workers.py`).
_MEMORY_OF_A_TRAINING = 1.2e9
# Default number of trainings at once on CPU; more is asked for with `--workers`.
_MOST_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Place:
    """This machine or a cluster, and how much of it is taken.

    Attributes:
        devices: What a training may run on, each: `cpu`, or the number of a CUDA device; comma-separated, all that one
            training takes.
        workers: Trainings at once.
        threads: CPU threads of each of them.
        threads_alone: CPU threads of a training that runs alone: the pretrained baseline's.
        cluster: What trainings run on; None is this machine.
    """

    devices: tuple[str, ...]
    workers: int
    threads: int
    threads_alone: int
    cluster: Cluster | None = None

    @property
    def device(self) -> str:
        """All devices, comma-separated."""
        return ",".join(self.devices)

    def executor(self, on_progress: Callable[[Key, Any], None] | None, log: Path | None) -> Executor[Key, Result]:
        """Build what runs trainings: processes of this machine, or tasks of the cluster."""
        if self.cluster is None:
            children: Children[Key, Result] = Children(on_progress, log, self.workers)
            return children
        from harness.jobs.ray_tasks import RayTasks

        tasks: RayTasks[Key, Result] = RayTasks(self.cluster, on_progress, log)
        return tasks

    def run_alone(
        self,
        function: Callable[..., Result],
        argument: Any,
        on_progress: Callable[[Any], None] | None = None,
        log: Path | None = None,
    ) -> Result | Failure:
        """Run one `function(argument, report)` where trainings run, and wait for it.

        Args:
            function: Importable function; whatever it passes to `report` reaches `on_progress`.
            argument: Picklable argument.
            on_progress: Called in this process.
            log: File that takes what it prints; that would tear a live view apart.

        Returns:
            Its result, or how it failed.

        Raises:
            UserError: It found an input to be wrong.
            KeyboardInterrupt: Ctrl-C; it has ended when this is raised.
        """
        tell = (lambda _, content: on_progress(content)) if on_progress else None
        alone: Executor[None, Result] = self.executor(tell, log)
        with alone as executor:
            executor.start(None, function, argument)
            return executor.next()[1]


def find_place(
    *,
    device: str,
    workers: int | None,
    threads: int | None,
    executor: ExecutorKind = ExecutorKind.LOCAL,
    cluster: ClusterSettings = _NO_CLUSTER,
) -> Place:
    """Find what trainings can run on: this machine's devices, or a cluster, which is connected to.

    Args:
        device: `auto`, `cpu` or numbers of CUDA devices; of no matter on a cluster, which assigns them.
        workers: Trainings at once; None decides by cores and memory, by GPUs, or by what fits on the cluster.
        threads: CPU threads of each training; None divides the cores, and of a cluster takes what a training asks for.
        executor: Where trainings are to run.
        cluster: Where the cluster is, and what a training asks for.

    Raises:
        UserError: There is no such device, Ray is not installed, the cluster does not answer, or no node of it has what
            a training asks for.
    """
    if executor is ExecutorKind.RAY:
        found = _connect(cluster, workers)
        cores = threads or cluster.cpus_per_trial
        return Place(devices=(found.device,), workers=found.workers, threads=cores, threads_alone=cores, cluster=found)
    devices, cores = resolve_device(device), torch.get_num_threads()
    workers = workers or default_workers(devices, cores, psutil.virtual_memory().available)
    return Place(
        devices=tuple(devices.split(",")),
        workers=workers,
        threads=threads or max(1, cores // workers),
        threads_alone=threads or cores,
    )


def default_workers(device: str, cores: int, memory_bytes: float) -> int:
    """Estimate how many trainings at once suit the machine.

    On CPU one a core: a small detector gains little from a second thread, and loses where the cores
    have other work (`benchmarks/workers.py`). On CUDA one a GPU.

    Args:
        device: `cpu` or numbers of CUDA devices, comma-separated.
        cores: Usable cores.
        memory_bytes: Free memory.
    """
    if device != "cpu":
        return len(device.split(","))
    return max(1, min(cores, int(memory_bytes // _MEMORY_OF_A_TRAINING), _MOST_WORKERS))


def _connect(settings: ClusterSettings, workers: int | None) -> Cluster:
    try:
        from harness.jobs.ray_cluster import RayCluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError("--executor ray: Ray is not installed; pip install 'clo-nas[ray]'") from error
    return RayCluster(settings, workers)
