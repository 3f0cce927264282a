"""What an ablation is once everything that it names was found: arms as networks, data, devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
import torch

from harness.ablation.models import ArmModel, arm_models
from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.common.machine import resolve_device
from harness.data.check import DatasetInfo, check_dataset
from harness.detectors import Base, find_sites, map_sizes, resolve_base
from harness.jobs.base import SHARED_BASES
from harness.jobs.place import Place, connect
from harness.jobs.setting import default_workers, find_architecture
from harness.record.ablation_file import AblationFile
from harness.record.arms import make_arms
from harness.record.cluster_settings import (
    ClusterSettings,
    ExecutorKind,
    require_equal_shares,
    require_one_gpu,
    require_rays,
)
from harness.record.settings import Objective, Sampler, SearchSettings
from harness.training.accuracy import Schedule
from harness.training.trainable import check_trainable

if TYPE_CHECKING:
    from harness.jobs.ray_cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """What `clo ablate` was asked to do.

    Attributes:
        file: What is compared.
        device: `auto`, `cpu` or numbers of CUDA devices.
        workers: Trainings at once; None decides by cores and memory, by GPUs, or by what fits on a cluster. On one
            machine the published recipe takes one.
        threads: CPU threads of each; None divides the cores.
        executor: Where trainings run.
        cluster: What is asked for of Ray.
        loader_workers: Image-loading processes of a CUDA training.
        latency_seconds: Most seconds to measure each arm's latency; 0 measures none.
        timeout_s: No training starts after this many seconds.
        keep_weights: Whether the trained weights of the baseline and the models are kept; by the published recipe every
            arm's are.
        storage: Optuna's storage; None is SQLite in the study's folder.
        results: Folder that holds one folder a study.
    """

    file: AblationFile
    device: str = "auto"
    workers: int | None = None
    threads: int | None = None
    executor: ExecutorKind = ExecutorKind.LOCAL
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    loader_workers: int = 4
    latency_seconds: float = 0.0
    timeout_s: float | None = None
    keep_weights: bool = False
    storage: str | None = None
    results: Path = Path("results")

    @property
    def as_search(self) -> SearchSettings:
        """The settings of the study, which is kept as a search's is."""
        file = self.file
        return SearchSettings(
            base=file.base,
            data=file.data,
            space="ablation",
            device=self.device,
            imgsz=file.imgsz,
            allow_unusable=file.allow_unusable,
            allow_val_in_train=file.allow_val_in_train,
            epochs=file.epochs,
            base_epochs=file.base_epochs,
            batch=file.batch,
            learning_rate=file.learning_rate,
            block_rate_factor=file.block_rate_factor,
            from_scratch=file.from_scratch,
            objectives=(Objective.MAP50_95, Objective.MACS),
            sampler=Sampler.RANDOM,
            trials=0,
            seed=file.seeds[0],
            seeds=len(file.seeds),
            finalists=0,
            study=file.name,
            storage=self.storage,
            results=self.results,
        )


@dataclass(frozen=True, kw_only=True)
class Ablation(Place):
    """An ablation that can be run: everything named was found.

    Attributes:
        models: The arms, the baseline first.
        left_out: A sentence for each arm that there is not.
        devices: One name for what a training takes: a device, or all that one takes by the published recipe or as a
            cluster's task.
        latency_threads: CPU threads of latency measurements, the study's; None while they are not known.
    """

    settings: AblationSettings
    base: Base
    data: DatasetInfo
    models: tuple[ArmModel, ...]
    left_out: tuple[str, ...]
    devices: tuple[str, ...]
    latency_threads: int | None = None

    @property
    def threads_alone(self) -> int:
        """CPU threads of the common base's training, which runs alone."""
        return self.threads if self.cluster else self.settings.threads or torch.get_num_threads()

    @property
    def bases_folder(self) -> Path | None:
        """Where trained bases are kept, if not in the cache folder, which a cluster's nodes need not see."""
        return self.settings.results.absolute() / SHARED_BASES if self.cluster else None

    @property
    def schedule(self) -> Schedule:
        """Of each arm's training."""
        file = self.settings.file
        return Schedule(
            epochs=file.epochs,
            batch=file.batch,
            imgsz=file.imgsz,
            learning_rate=file.learning_rate,
            block_rate_factor=file.block_rate_factor,
        )

    @property
    def trainings(self) -> list[Key]:
        """All that the study is to have, in the order of training."""
        file = self.settings.file
        bases = (0,) if file.from_scratch else file.bases
        keys = [Key(m.arm.identity, base, seed) for seed in file.seeds for base in bases for m in self.models]
        return list(dict.fromkeys(keys))  # two models of one size share a placebo


class Key(NamedTuple):
    """One training of an ablation."""

    identity: str
    base_seed: int
    seed: int


def prepare_ablation(settings: AblationSettings) -> Ablation:
    """Read and check everything that was named; no training begins.

    Raises:
        UserError: Something does not exist or does not fit together.
    """
    file = settings.file
    published = file.recipe is Recipe.PUBLISHED
    cluster = _connect(settings)
    device, workers, threads = _here(settings) if cluster is None else _there(settings, cluster)
    base = resolve_base(file.base)
    data = check_dataset(
        file.data,
        file.imgsz,
        cache=cache_folder(),
        allow_unusable=file.allow_unusable,
        allow_val_in_train=file.allow_val_in_train,
    )
    sites = find_sites(base)
    models = {spec: find_architecture(spec, base, settings.results, option="--model") for spec in file.models}
    arms, same = make_arms(models, file.wanted, map_sizes(sites, file.imgsz))
    used = [placement for arm in arms for placement in arm.architecture.placements]
    check_trainable(used, sites, imgsz=file.imgsz, batch=file.batch, images=data.train_images)
    built, impossible = arm_models(arms, base, sites, imgsz=file.imgsz, classes=len(data.names))
    if cluster is not None:
        blocks = {Path(path) for model in models.values() for path in model.block_files}
        weights = [base.checkpoint] if base.checkpoint else []
        cluster.ask_nodes([data.path, *weights, *sorted(blocks)], settings.as_search.folder)
    return Ablation(
        settings=settings,
        base=base,
        data=data,
        models=tuple(built),
        left_out=(*same, *impossible),
        devices=(device,) if published or cluster is not None else tuple(device.split(",")),
        workers=workers,
        threads=threads,
        cluster=cluster,
    )


def _connect(settings: AblationSettings) -> Cluster | None:
    require_rays(settings.executor, settings.cluster, device=settings.device, threads=settings.threads)
    if settings.file.recipe is Recipe.PUBLISHED:
        require_equal_shares(settings.cluster, settings.file.batch)
    else:
        require_one_gpu(settings.cluster)
    return connect(settings.executor, settings.cluster, settings.workers)


def _here(settings: AblationSettings) -> tuple[str, int, int]:
    """Device, trainings at once and threads of each on this machine."""
    device = resolve_device(settings.device)
    cores = torch.get_num_threads()
    workers = settings.workers or default_workers(device, cores, psutil.virtual_memory().available)
    if settings.file.recipe is Recipe.PUBLISHED:
        if (settings.workers or 1) > 1:
            raise UserError(
                f"--workers {settings.workers}: the published recipe takes all devices for one training; give 1"
            )
        workers = 1
    return device, workers, settings.threads or max(1, cores // workers)


def _there(settings: AblationSettings, cluster: Cluster) -> tuple[str, int, int]:
    """Device, trainings at once and threads of each on a cluster."""
    return cluster.device, cluster.workers, settings.cluster.cpus_per_trial
