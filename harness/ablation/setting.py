"""What an ablation is once everything that it names was found: arms as networks, data, devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from harness.ablation.models import ArmModel, arm_models
from harness.architecture.choices import Init, Recipe
from harness.common.errors import UserError
from harness.detectors import find_sites, map_sizes, resolve_base
from harness.detectors.model_yaml import Description
from harness.jobs.place import Place, find_place
from harness.jobs.setting import Prepared, find_architecture, prepare
from harness.record.ablation_file import AblationSettings
from harness.record.arms import Arm, make_arms
from harness.record.run_settings import (
    ExecutorKind,
    require_equal_shares,
    require_one_gpu,
)
from harness.record.study import ABLATION
from harness.storage.records import begun_with
from harness.training.accuracy import Schedule
from harness.training.trainable import check_trainable


@dataclass(frozen=True, kw_only=True)
class Ablation(Prepared):
    """An ablation that can be run: everything named was found.

    Attributes:
        models: The arms, the baseline first.
        left_out: A sentence for each arm that there is not.
        augmentation: Of the short recipe's trainings, beside the trainer's milder one.
        latency_threads: CPU threads of latency measurements, the study's; None while they are not known.
        timed_beside: Detector that latencies are measured beside; None is the base.
    """

    settings: AblationSettings
    models: tuple[ArmModel, ...]
    left_out: tuple[str, ...]
    augmentation: Mapping[str, float] = field(default_factory=dict)
    latency_threads: int | None = None
    timed_beside: Description | None = None

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
            augmentation=self.augmentation,
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
    settings = _as_begun(settings)
    file = settings.file
    place = _place(settings)
    base = resolve_base(file.base)
    sites = find_sites(base)
    models = {
        spec: find_architecture(spec, base, settings.results, option="--model", start=file.init) for spec in file.models
    }
    arms, same = make_arms(models, file.wanted, map_sizes(sites, file.imgsz))
    prepared = prepare(file, base, sites, place)
    ablation = ablation_of(prepared, settings, arms, same)
    block_files = {Path(path) for model in models.values() for path in model.block_files}
    prepared.ask_nodes(sorted(block_files), settings.as_search.folder)
    return ablation


def _as_begun(settings: AblationSettings) -> AblationSettings:
    """Keep the start of blocks that a study was begun with: the files of older ones name none, and it was the identity.

    Raises:
        UserError: The file names another.
    """
    begun = begun_with(settings.as_search.storage_url, settings.file.name, ABLATION).get("file")
    if begun is None or (before := Init(begun.get("init", Init.IDENTITY))) is settings.file.init:
        return settings
    if "init" in settings.file.model_fields_set:
        raise UserError(
            f"study {settings.file.name} exists with init: {before}, the file now says {settings.file.init}; choose "
            "another name"
        )
    return settings.model_copy(update={"file": settings.file.model_copy(update={"init": before})})


def ablation_of(
    prepared: Prepared, settings: AblationSettings, arms: Sequence[Arm], left_out: Sequence[str]
) -> Ablation:
    """Build the arms' networks.

    Args:
        prepared: What they are of.
        settings: What was asked for.
        arms: The baseline first.
        left_out: A sentence for each arm that there is not; those that cannot be built get one, too.

    Raises:
        UserError: A block cannot be trained on such images.
    """
    file, sites = settings.file, prepared.sites
    used = [placement for arm in arms for placement in arm.architecture.placements]
    check_trainable(used, sites, imgsz=file.imgsz, batch=file.batch, images=prepared.data.train_images)
    models, impossible = arm_models(arms, prepared.base, sites, imgsz=file.imgsz, classes=prepared.classes)
    begun = begun_with(settings.as_search.storage_url, file.name)
    short = file.recipe is not Recipe.PUBLISHED  # which has its own, whatever the data
    return Ablation(
        **vars(prepared),
        settings=settings,
        models=tuple(models),
        left_out=(*left_out, *impossible),
        augmentation=prepared.augmentation_for(begun) if short else {},
    )


def _place(settings: AblationSettings) -> Place:
    """Find this machine or a cluster; by the published recipe one training takes all that there is of this machine."""
    published = settings.file.recipe is Recipe.PUBLISHED
    if published:
        require_equal_shares(settings.cluster, settings.file.batch)
    else:
        require_one_gpu(settings.cluster)
    takes_all = published and settings.executor is ExecutorKind.LOCAL
    if takes_all and (settings.workers or 1) > 1:
        raise UserError(
            f"--workers {settings.workers}: the published recipe takes all devices for one training; give 1"
        )
    place = find_place(
        device=settings.device,
        workers=1 if takes_all else settings.workers,
        threads=settings.threads,
        executor=settings.executor,
        cluster=settings.cluster,
    )
    return replace(place, devices=(place.device,)) if takes_all else place
