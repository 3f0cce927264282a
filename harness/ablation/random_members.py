"""Random members of a search's space, trained as its candidates were: what a pick's gain is to be held against.

A search that gains over the baseline may gain no more than any member of a good space would [1]. The members are an
ablation of their own, `NAME-random`: on the same base and data, with the same schedule, under evaluation seeds, which
picked nobody.

References:
    1. Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020.
"""

from __future__ import annotations

import random
from dataclasses import fields

from harness.ablation.run import ablate
from harness.ablation.setting import AblationSettings, ablation_of
from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError
from harness.cost.space_cost import AdditiveCost
from harness.jobs.progress import Observer
from harness.jobs.setting import Prepared
from harness.record.ablation_file import AblationFile, random_study
from harness.record.arms import Arm, Role
from harness.record.settings import SearchSettings
from harness.record.study import StudyRecord
from harness.search.region import Region
from harness.search.setting import Setting, prepare_search

_LONGEST_NAME = 100
SEEDS = 2
"""Evaluation seeds of each member: their mean over members scatters by the members, hardly by the seeds."""


def check_random(settings: SearchSettings, count: int) -> None:
    """Say before anything is trained that members cannot be drawn.

    Raises:
        UserError: On a ladder, whose candidates are trained for different numbers of epochs; or with fewer than two
            members, or without an evaluation seed.
    """
    if settings.rungs is not None:
        raise UserError("--random: not with --rungs, whose candidates are not all trained for as many epochs")
    if count < 2:
        raise UserError(f"--random {count}: one member tells nothing of the others; give 2 or more")
    if len(random_study(settings.study)) > _LONGEST_NAME:
        raise UserError(f"--random: --study {settings.study} is too long, since {random_study('')} is put behind it")
    if settings.seeds < 2:
        raise UserError("--random: --seeds 1 leaves no seed that picked nobody; give 2 or more")


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
    file = AblationFile(
        name=random_study(settings.study), drawn_from=settings.study, models=tuple(identities), without=False,
        factors={}, controls=(), placebos=(), seeds=settings.all_seeds[1 : 1 + SEEDS], bases=(settings.seed,),
        init=setting.space.file.placement.init[0],
        **{name: getattr(settings, name) for name in (
            "base", "data", "allow_unusable", "allow_val_in_train", "imgsz", "epochs", "base_epochs", "batch",
            "learning_rate", "block_rate_factor", "from_scratch",
        )},
    )  # fmt: skip
    asked = AblationSettings(
        file=file,
        **{name: getattr(settings, name) for name in (
            "device", "workers", "threads", "executor", "cluster", "loader_workers", "storage", "results",
        )},
    )  # fmt: skip
    base = Architecture(base=setting.base.name)
    arms = [Arm(name=BASELINE, role=Role.BASELINE, architecture=base, identity=BASELINE)]
    arms += [
        Arm(name=identity, role=Role.MODEL, model=identity, architecture=each, identity=identity)
        for identity, each in zip(identities, members, strict=True)
    ]
    prepared = Prepared(**{each.name: getattr(setting, each.name) for each in fields(Prepared)})
    return ablate(ablation_of(prepared, asked, arms, ()), observer, command)
