"""Where trainings run, a search's as an ablation's: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.common.errors import UserError
from harness.jobs.cluster import Cluster
from harness.jobs.executors import Children, Executor
from harness.record.cluster_settings import ClusterSettings, ExecutorKind
from harness.record.state import Failure

Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Place:
    """This machine or a cluster, and how much of it is taken.

    Attributes:
        workers: Trainings at once.
        threads: CPU threads of each of them.
        cluster: What trainings run on; None is this machine.
    """

    workers: int
    threads: int
    cluster: Cluster | None = None

    def executor(self, on_progress: Callable[[Key, Any], None] | None, log: Path | None) -> Executor[Key, Result]:
        """What runs trainings: processes of this machine, or tasks of the cluster."""
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
        """As `run_in_child`, wherever trainings run."""
        tell = (lambda _, content: on_progress(content)) if on_progress else None
        alone: Executor[None, Result] = self.executor(tell, log)
        with alone as executor:
            executor.start(None, function, argument)
            return executor.next()[1]


def connect(executor: ExecutorKind, settings: ClusterSettings, workers: int | None) -> Cluster | None:
    """The cluster that trainings are to run on; None is this machine.

    Args:
        executor: Where they are to run.
        settings: Where the cluster is, and what a training asks for.
        workers: Trainings at once; None is as many as fit.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, or no node of it has what a training asks for.
    """
    if executor is not ExecutorKind.RAY:
        return None
    try:
        from harness.jobs.ray_cluster import RayCluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError("--executor ray: Ray is not installed; pip install 'clo-nas[ray]'") from error
    return RayCluster(settings, workers)
