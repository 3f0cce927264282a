"""An architecture that someone chose, on the full schedule, with the baseline beside it.

A search's short training picks, it does not ship weights. The long trainings become rows of the study, of seeds that
no short training had, so that what picked the architecture does not judge it. They are paired with the baseline's as
all others are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.ablation.loop import ArmLoop, weights_path
from harness.ablation.run import common_bases
from harness.ablation.setting import Ablation, ablation_of
from harness.architecture import BASELINE
from harness.common.errors import UserError
from harness.detectors import find_sites, resolve_base
from harness.jobs.base import shared_base
from harness.jobs.executors import start_server
from harness.jobs.place import find_place
from harness.jobs.progress import Observer
from harness.jobs.setting import data_notes, prepare
from harness.record.ablation_file import AblationFile, AblationSettings
from harness.record.arms import Arm, Role, baseline_arm
from harness.record.rates import Rates, default_rates
from harness.record.run_settings import StoredSettings
from harness.record.settings import SearchSettings, search_settings
from harness.record.storage_url import is_server
from harness.record.study import StudyRecord, base_of
from harness.storage.opening import continue_study
from harness.storage.study import SearchStudy


class ChosenOptions(StoredSettings):
    """What `clo train STUDY ID` was asked to do.

    Attributes:
        identity: The architecture's, as in the study's tables.
        epochs: Of each training.
        seeds: How many, or which; as many follow the study's own by default.
        allow_unusable: Whether more than a few images or rows of labels may be left out; what the study allows is.
        allow_val_in_train: The same of validation images that are training images.
        from_scratch: Whether they start from random weights, whatever the study's do.
    """

    identity: str
    epochs: int = Field(ge=1)
    seeds: int | tuple[int, ...] = 3
    allow_unusable: bool = False
    allow_val_in_train: bool = False
    from_scratch: bool = False


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of it.

    Attributes:
        record: The study with the new rows.
        weights: The architecture's checkpoints, one a seed.
        baseline_weights: The baseline's.
        seeds: In the order of training.
    """

    record: StudyRecord
    weights: tuple[Path, ...]
    baseline_weights: tuple[Path, ...]
    seeds: tuple[int, ...]


def train_chosen(record: StudyRecord, options: ChosenOptions, observer: Observer) -> Trained:
    """Train the architecture and the baseline, as far as the study does not have it yet.

    Raises:
        UserError: The study has no such architecture, its base or data have changed, or the options contradict it.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    deadline = time.monotonic() + options.timeout_s if options.timeout_s else float("inf")
    settings = _settings_of(record, options)
    ablation = _prepare(record, settings, options)
    for note in data_notes(ablation.data, settings.imgsz, settings.batch, ablation.augmentation):
        observer.note(note)
    start_server()
    with continue_study(settings) as study, study.members.only_one("train"):
        study.close_abandoned()
        _check_starts(study, ablation)
        if is_server(settings.storage_url) and not settings.from_scratch:
            bases = {settings.seed: shared_base(study, lambda: common_bases(ablation, observer)[settings.seed])}
        else:
            bases = common_bases(ablation, observer)
        ArmLoop(study, ablation, bases, observer, deadline).run()
        after = study.record()
    file = ablation.settings.file
    base_seed = next(iter(bases))
    paths = {
        name: tuple(weights_path(settings.folder, name, base_seed, seed, file.epochs) for seed in file.seeds)
        for name in (options.identity, BASELINE)
    }
    return Trained(record=after, weights=paths[options.identity], baseline_weights=paths[BASELINE], seeds=file.seeds)


def _settings_of(record: StudyRecord, options: ChosenOptions) -> SearchSettings:
    """Return the study's own settings, where it lies now."""
    known = {name: value for name, value in record.settings.to_dict().items() if name in SearchSettings.model_fields}
    changed: dict[str, Any] = {"study": record.name, "storage": options.storage, "results": options.results}
    allowed = {name: True for name in ("allow_unusable", "allow_val_in_train") if getattr(options, name)}
    return search_settings(**{**known, **changed, **allowed, "more": None})


def _prepare(record: StudyRecord, settings: SearchSettings, options: ChosenOptions) -> Ablation:
    if options.identity not in record.architectures:
        raise UserError(
            f"study {record.name} has no architecture '{options.identity}'; it has {', '.join(record.architectures)}"
        )
    if options.epochs in settings.ladder.levels and not record.ablation:
        raise UserError(
            f"--epochs {options.epochs}: the study's own trainings have so many; give another number, so that the two "
            "are told apart"
        )
    base = resolve_base(base_of(record))
    place = find_place(device=options.device, workers=options.workers, threads=options.threads)
    prepared = prepare(settings, base, find_sites(base), place)
    for name, now in (("base_fingerprint", base.fingerprint), ("data_fingerprint", prepared.data.fingerprint)):
        if getattr(record.settings, name) not in {None, now}:
            what = name.removesuffix("_fingerprint")
            raise UserError(f"study {record.name}: its {what} {getattr(settings, what)} has changed since; restore it")
    from_scratch = options.from_scratch or settings.from_scratch
    after = settings.seed + settings.seeds
    seeds = tuple(range(after, after + options.seeds)) if isinstance(options.seeds, int) else options.seeds
    of_study = Rates(settings.learning_rate, settings.block_rate_factor)
    rates = of_study if from_scratch == settings.from_scratch else default_rates(from_scratch=from_scratch)
    file = AblationFile(
        name=settings.study,
        base=base_of(record),
        data=settings.data,
        imgsz=settings.imgsz,
        allow_unusable=settings.allow_unusable,
        allow_val_in_train=settings.allow_val_in_train,
        epochs=options.epochs,
        base_epochs=settings.base_epochs,
        batch=settings.batch,
        from_scratch=from_scratch,
        models=(options.identity,),
        seeds=seeds,
        bases=(settings.seed,),
        learning_rate=rates.learning_rate,
        block_rate_factor=rates.block_rate_factor,
    )
    arms = [baseline_arm(base.name)]
    if options.identity != BASELINE:
        chosen = record.architectures[options.identity]
        arms.append(Arm(name=options.identity, role=Role.MODEL, architecture=chosen, identity=options.identity))
    asked = AblationSettings(
        file=file, device=options.device, workers=options.workers, threads=options.threads,
        loader_workers=options.loader_workers, keep_weights=True, storage=options.storage, results=options.results,
    )  # fmt: skip
    return ablation_of(prepared, asked, arms, ())


def _check_starts(study: SearchStudy, ablation: Ablation) -> None:
    """Refuse to put trainings from scratch beside others of as many epochs: they would be compared.

    Raises:
        UserError: The study has trainings of so many epochs that started otherwise.
    """
    file = ablation.settings.file
    before: Mapping[str, Any] = study.optuna.user_attrs.get(_STARTS, {})
    start = "random weights" if file.from_scratch else "the trained base"
    if before.get(str(file.epochs), start) != start:
        raise UserError(
            f"--epochs {file.epochs}: the study has trainings of so many epochs from {before[str(file.epochs)]}, and "
            f"these would start from {start}; give another number of epochs"
        )
    study.optuna.set_user_attr(_STARTS, {**before, str(file.epochs): start})


# Study attribute: number of epochs to what trainings of so many start from.
_STARTS = "starts_of_long_trainings"
