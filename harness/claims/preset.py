"""`clo reproduce --preset`: the article's gain on VOC or COCO by a rule that is fixed beforehand, for one GPU.

A preset is an ablation that ships; the same command goes on where it was stopped. When everything that the rule asks
for has ended, `result.json` in the study's folder has all that `pooled` needs of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from harness.ablation.cost import plan_of
from harness.ablation.run import ablate
from harness.ablation.setting import Ablation, prepare_ablation
from harness.claims.ledger import ReproduceSettings
from harness.claims.pooled import RULE, Arm, Machine, Preset, Result, TrainedSeed, protocol_of, shipped
from harness.common.atomic import write_whole
from harness.common.digest import json_digest
from harness.common.errors import UserError
from harness.common.version import version
from harness.jobs.progress import Observer
from harness.record.ablation_file import AblationFile, AblationSettings, load_ablation
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.storage.records import load_record

RESULT = "result.json"
# Bytes on disk that a finished training leaves at most: a parameter in its weights and in two checkpoints of half
# precision, one of 300 detections of an image in its matches, and what grows with neither.
_A_PARAMETER, _A_DETECTION, _A_TRAINING = 8, 16, 2_000_000
# Bytes a parameter of two checkpoints that hold the moving average and two moments of the optimiser.
_AT_WORK = 12


def run_preset(
    preset: Preset,
    settings: ReproduceSettings,
    observer: Observer,
    command: list[str],
    on_study: Callable[[StudyRecord], object],
) -> Path | None:
    """Say the rule and what it takes, train what is missing, and write the result.

    Args:
        preset: Which one.
        settings: Of these count results, changes, device, threads, timeout and whether anything is trained.
        observer: Told what happens.
        command: The command line, for the record.
        on_study: Called with the study when it ended, so that its report can be written.

    Returns:
        The result's file; None while a training of it is missing.

    Raises:
        UserError: Something does not exist or does not fit together, or the disk has no room.
        KeyboardInterrupt: Ctrl-C; everything finished is kept, and the same command goes on.
    """
    if not settings.no_training and settings.device == "auto" and not torch.cuda.is_available():
        raise UserError("a preset needs a CUDA GPU, and there is none here: give --device cpu if you mean it")
    if "," in settings.device:
        raise UserError(f"--device {settings.device}: a preset is trained on one GPU; give one")
    observer.phase("reading the data, counting every network's cost")
    file, results = _file(preset, settings), settings.results
    ablation = prepare_ablation(
        AblationSettings(
            file=file, device=settings.device, threads=settings.threads, timeout_s=settings.timeout_s, results=results
        )
    )
    for said in _rule(preset, ablation):
        observer.note(said)
    observer.phase("measuring how long a step takes")
    observer.note(f"plan: {plan_of(ablation)}")
    observer.note(_disk(ablation))
    folder = ablation.settings.as_search.folder
    if not settings.no_training:
        record = ablate(ablation, observer, command)
    elif (folder / "study.db").is_file():
        record = load_record(ablation.settings.as_search.storage_url, file.name)
    else:
        return None
    on_study(record)
    trained = _trained(ablation, record)
    if missing := len(ablation.trainings) - len(trained):
        observer.note(f"no result yet: {missing} of {len(ablation.trainings)} trainings are missing")
        return None
    text = _result(preset, ablation, record, trained).model_dump_json(indent=1)
    write_whole(folder / RESULT, f"{text}\n".encode())
    return folder / RESULT


def _file(preset: Preset, settings: ReproduceSettings) -> AblationFile:
    """Read the preset's file; what is trained otherwise, or under other seeds, is a study of another name."""
    plain, file = load_ablation(f"preset-{preset}"), load_ablation(f"preset-{preset}", dict(settings.changes))
    own, name = protocol_of(file, 0, 0, 0), file.name
    if own.differences(protocol_of(plain, 0, 0, 0)):
        name += f"-changed-{json_digest(own.model_dump(mode='json'))[:8]}"
    if file.seeds != plain.seeds:
        name += f"-seeds-{'-'.join(map(str, file.seeds))}"
    return file.model_copy(update={"name": name})


def _rule(preset: Preset, ablation: Ablation) -> list[str]:
    """Say what is trained and how it is judged, before it is, and whether that is the preset's rule."""
    file, data = ablation.settings.file, ablation.data
    own = protocol_of(file, data.train_images, data.val_images, ablation.classes)
    said = [
        f"rule: {RULE}",
        f"trained: {', '.join(model.arm.name for model in ablation.models)}; seeds {', '.join(map(str, file.seeds))}; "
        f"{file.epochs} epochs at {file.imgsz} px, batch {file.batch}, by Ultralytics' recipe from random weights",
    ]
    changed = own.differences(shipped(preset))
    return said + [f"not the rule of preset {preset}, nor pooled with it: {'; '.join(changed)}"] * bool(changed)


def _disk(ablation: Ablation) -> str:
    """Say what the study takes at most, and what there is.

    Raises:
        UserError: There is less.
    """
    params = {model.arm.identity: model.params for model in ablation.models}
    matches = ablation.data.val_images * 300 * _A_DETECTION
    kept = sum(_A_PARAMETER * params[key.identity] + matches + _A_TRAINING for key in ablation.trainings)
    results = ablation.settings.results.absolute()
    free = shutil.disk_usage(next(folder for folder in (results, *results.parents) if folder.exists())).free
    taken = kept + _AT_WORK * max(params.values())
    said = f"{taken / 1e9:,.1f} GB of disk at most, and {free / 1e9:,.1f} GB are free"
    if free < taken:
        raise UserError(f"--results {ablation.settings.results}: the preset takes {said}")
    return f"disk: {said}"


def _trained(ablation: Ablation, record: StudyRecord) -> list[TrainedSeed]:
    """Return each training of the rule that has ended, the last of several attempts."""
    rows = record.trials[record.trials.epochs == ablation.schedule.epochs]
    rows = rows[rows.state != State.INTERRUPTED].replace({np.nan: None})
    last = {(row["architecture"], row["seed"]): row for row in rows.to_dict("records")}
    known = [last[key.identity, key.seed] for key in ablation.trainings if (key.identity, key.seed) in last]
    return [TrainedSeed.model_validate(row | {"image_influence": row["image_influence"].split()}) for row in known]


def _result(preset: Preset, ablation: Ablation, record: StudyRecord, trained: list[TrainedSeed]) -> Result:
    """Return what may be sent."""
    data, own = ablation.data, {model.arm.identity for model in ablation.models}
    return Result(
        schema_version=1,
        clo_nas=version(),
        preset=preset,
        rule=RULE,
        protocol=protocol_of(ablation.settings.file, data.train_images, data.val_images, ablation.classes),
        data={"fingerprint": data.fingerprint, **{f"{k}_objects": v["objects"] for k, v in data.counts.items()}},
        machine=Machine.model_validate(record.environment.to_dict()),
        arms=tuple(Arm.model_validate(arm.model_dump()) for arm in record.arms if arm.identity in own),
        trainings=tuple(trained),
    )
