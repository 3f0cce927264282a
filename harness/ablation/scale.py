"""A scale to hold a pick's gain against: random members of its space, and the next size of the base's family.

A search that gains over the baseline may gain no more than any member of a good space would [1], and no more than a
larger base gives for the same cost. Both are studies of their own beside the search, `NAME-random` and `NAME-ruler`: on
the same data, with the same schedule, under evaluation seeds, which picked nobody.

References:
    1. Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

from harness.ablation.run import ablate
from harness.ablation.setting import ablation_of
from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError
from harness.cost.space_cost import AdditiveCost
from harness.detectors.families import next_size
from harness.jobs.progress import Observer
from harness.jobs.setting import Prepared
from harness.record.ablation_file import AblationFile, AblationSettings, random_study, ruler_study
from harness.record.arms import Arm, Role
from harness.record.settings import SearchSettings
from harness.record.study import StudyRecord
from harness.search.region import Region
from harness.search.setting import Setting, prepare_search

_LONGEST_NAME = 100
# Evaluation seeds of each member: their mean over members scatters by the members, hardly by the seeds.
SEEDS = 2
_TRAINED_ALIKE = (
    "data", "allow_unusable", "allow_val_in_train", "imgsz", "epochs", "base_epochs", "batch", "learning_rate",
    "block_rate_factor", "from_scratch",
)  # fmt: skip
_PLACED_ALIKE = (
    "device", "workers", "threads", "executor", "cluster", "loader_workers", "storage", "results", "latency_seconds",
)  # fmt: skip


def check_random(settings: SearchSettings, count: int) -> None:
    """Say before anything is trained that members cannot be drawn.

    Raises:
        UserError: On a ladder, whose candidates are trained for different numbers of epochs; or with fewer than two
            members, or without an evaluation seed.
    """
    if count < 2:
        raise UserError(f"--random {count}: one member tells nothing of the others; give 2 or more")
    _check(settings, "--random", random_study(settings.study), least=2)


def check_ruler(settings: SearchSettings) -> None:
    """Say before anything is trained that there is no next size to train.

    Raises:
        UserError: As `check_random`; or the base is a file of its own, or the largest of its family.
    """
    _check(settings, "--ruler", ruler_study(settings.study), least=3)
    next_size(settings.base)


def _check(settings: SearchSettings, option: str, study: str, *, least: int) -> None:
    if settings.rungs is not None:
        raise UserError(f"{option}: not with --rungs, whose candidates are not all trained for as many epochs")
    if len(study) > _LONGEST_NAME:
        behind = study.removeprefix(settings.study)
        raise UserError(f"{option}: --study {settings.study} is too long, since {behind} is put behind it")
    if settings.seeds < least:
        left = "no seed" if settings.seeds == 1 else "one seed"
        raise UserError(f"{option}: --seeds {settings.seeds} leaves {left} that picked nobody; give {least} or more")


def draw(setting: Setting, count: int) -> list[Architecture]:
    """Draw members of the space within the bounds, each once; the same for the same seed, and the first of more.

    Raises:
        UserError: There are not so many.
    """
    space, constraints = setting.space, setting.settings.constraints
    cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=setting.settings.imgsz)
    region = Region(space, cost, constraints) if constraints.bounds_cost else None
    rng = random.Random(f"{setting.settings.seed}-random")
    found: dict[str, Architecture] = {}
    for _ in range(1000 * count):
        if len(found) == count:
            return [*found.values()]
        architecture = space.draw(rng)
        if region is None or region.holds(architecture):
            found.setdefault(space.identity(architecture), architecture)
    raise UserError(f"--random {count}: the space has no {count} different members within the bounds; give fewer")


def train_random(settings: SearchSettings, count: int, observer: Observer, command: list[str]) -> StudyRecord:
    """Train so many members, or what is missing of them.

    Args:
        settings: The search's, whose study is there.
        count: Members.
        observer: Told what happens.
        command: The command line, for the record.

    Raises:
        UserError: As `draw` and `ablate`.
    """
    check_random(settings, count)
    setting = prepare_search(settings)
    settings = setting.settings
    members = draw(setting, count)
    identities = [setting.space.identity(each) for each in members]
    asked = _asked(
        settings, name=random_study(settings.study), drawn_from=settings.study, base=settings.base,
        models=tuple(identities), seeds=settings.all_seeds[1 : 1 + SEEDS], init=setting.space.file.placement.init[0],
    )  # fmt: skip
    base = Architecture(base=setting.base.name)
    arms = [Arm(name=BASELINE, role=Role.BASELINE, architecture=base, identity=BASELINE)]
    arms += [
        Arm(name=identity, role=Role.MODEL, model=identity, architecture=each, identity=identity)
        for identity, each in zip(identities, members, strict=True)
    ]
    ablation = replace(ablation_of(_prepared(setting), asked, arms, ()), augmentation=setting.schedule.augmentation)
    return ablate(ablation, observer, command)


def train_ruler(settings: SearchSettings, observer: Observer, command: list[str]) -> StudyRecord:
    """Train the next size of the base's family as the baseline was: a base of its own, then every evaluation seed.

    Its latency is measured beside the search's base.

    Args:
        settings: The search's, whose study is there.
        observer: Told what happens.
        command: The command line, for the record.

    Raises:
        UserError: As `check_ruler` and `ablate`.
    """
    check_ruler(settings)
    setting = prepare_search(settings)
    settings, base = setting.settings, next_size(setting.settings.base)
    asked = _asked(
        settings, name=ruler_study(settings.study), ruler_of=settings.study, base=base.name, models=(),
        seeds=settings.all_seeds[1:],
    )  # fmt: skip
    prepared = replace(_prepared(setting), base=base, sites={})
    arms = [Arm(name=BASELINE, role=Role.BASELINE, architecture=Architecture(base=base.name), identity=BASELINE)]
    ablation = replace(
        ablation_of(prepared, asked, arms, ()),
        timed_beside=setting.base.config,
        augmentation=setting.schedule.augmentation,
    )
    return ablate(ablation, observer, command)


def _asked(settings: SearchSettings, **file: Any) -> AblationSettings:
    """Build a study beside a search: trained as its base's trainings are, where they were, with no variants."""
    alike, placed = ({name: getattr(settings, name) for name in names} for names in (_TRAINED_ALIKE, _PLACED_ALIKE))
    written = AblationFile(bases=(settings.seed,), without=False, factors={}, controls=(), placebos=(), **alike, **file)
    return AblationSettings(file=written, **placed)


def _prepared(setting: Setting) -> Prepared:
    return Prepared(**{each.name: getattr(setting, each.name) for each in fields(Prepared)})
