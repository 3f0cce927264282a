"""An ablation, from its file to a finished study: every arm under the same seeds, nothing trained twice.

The study is an Optuna study as a search's is, whose trials are arms: one for each arm, seed and base. It is trained
seed by seed, so that whenever it stops every arm has been tried about as often.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from harness.ablation.loop import ArmLoop
from harness.ablation.models import ArmModel
from harness.ablation.setting import Ablation
from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.common.isolation import isolate_ultralytics
from harness.common.machine import environment
from harness.jobs.base import RANDOM_WEIGHTS, CommonBase, base_notes, base_schedule, common_base
from harness.jobs.executors import start_server
from harness.jobs.latency_threads import latency_threads
from harness.jobs.plan import too_few_steps
from harness.jobs.progress import Observer
from harness.jobs.setting import data_environment, data_notes
from harness.record.study import ABLATION, LAST_RUN, StudyRecord
from harness.record.surroundings import LATENCY_THREADS, Environment
from harness.search.loop import LOG
from harness.storage.opening import DEVICE_KIND, open_study
from harness.storage.study import SearchStudy


def ablate(ablation: Ablation, observer: Observer, command: list[str]) -> StudyRecord:
    """Train what the study does not have yet.

    Args:
        ablation: From `prepare_ablation`.
        observer: Told what happens.
        command: The command line, for the record.

    Returns:
        The study as it is at the end.

    Raises:
        UserError: The base cannot be trained, or the study was made with other settings.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    settings = ablation.settings
    deadline = time.monotonic() + settings.timeout_s if settings.timeout_s else float("inf")
    if ablation.cluster:
        isolate_ultralytics()
        observer.note(f"Ray cluster: {ablation.cluster}")
    else:
        start_server()
    file = settings.file
    said = data_notes(ablation.data, file.imgsz, file.batch, ablation.augmentation)
    if not file.from_scratch:
        said += base_notes(ablation, file.base_epochs)
    for sentence in (*said, *ablation.left_out):
        observer.note(sentence)
    if few := too_few_steps(epochs=file.epochs, images=ablation.data.train_images, batch=file.batch):
        observer.note(few)
    comparable = {**ablation.comparable(ablation.augmentation), DEVICE_KIND: _kind(ablation)}
    with open_study(settings.as_search, comparable) as study, study.members.only_one("ablate"):
        if study.settings.study != settings.as_search.study:
            raise UserError(
                f"study {settings.as_search.study} exists with another {DEVICE_KIND}; choose another name in the file"
            )
        study.close_abandoned()
        _describe(study, ablation, command)
        bases = common_bases(ablation, observer)
        if settings.latency_seconds:
            taken = latency_threads(
                study, observer, asked=settings.threads, device=ablation.device,
                otherwise=ablation.threads_alone, on_cluster=ablation.cluster is not None,
            )  # fmt: skip
            ablation = replace(ablation, latency_threads=taken.count)
        ArmLoop(study, ablation, bases, observer, deadline).run()
        return study.record()


def _kind(ablation: Ablation) -> str:
    """Return the kind of device whose figures the study's may be compared with."""
    if ablation.cluster:
        return ablation.cluster.kind
    return "cpu" if ablation.devices == ("cpu",) else "cuda"


def _describe(study: SearchStudy, ablation: Ablation, command: list[str]) -> None:
    """Write down what the study is of; arms of an earlier run stay in it, and what it left out."""
    file = ablation.settings.file
    before = study.optuna.user_attrs.get(ABLATION)
    recipe = Recipe(before["file"].get("recipe", Recipe.SHORT)) if before else file.recipe
    if recipe is not file.recipe:
        raise UserError(
            f"study {file.name} exists with another recipe ({recipe}, now {file.recipe}); choose another name"
        )
    arms = {model.arm.name: _plain(model) for model in ablation.models}
    earlier = {arm["name"]: arm for arm in (before or {}).get("arms", [])}
    described = {
        "file": file.model_dump(mode="json"),
        "arms": [*(earlier | arms).values()],
        "left_out": list(dict.fromkeys((*still_left_out(before or {}, arms), *ablation.left_out))),
    }
    study.optuna.set_user_attr(ABLATION, described)
    study.optuna.set_user_attr(LAST_RUN, study.settings.model_dump(mode="json"))
    details = environment(
        device=",".join(ablation.devices),
        data_fingerprint=ablation.data.fingerprint,
        command=command,
        seeds=file.seeds,
    )
    known = study.environment.to_dict()
    study.environment = Environment.of(
        {
            **details,
            **(ablation.cluster.conditions if ablation.cluster else {}),
            "workers": ablation.workers,
            "torch_threads": ablation.threads,
            **data_environment(ablation.data),
            **{key: known[key] for key in (LATENCY_THREADS,) if key in known},
        }
    )


def still_left_out(before: Mapping[str, Any], arms: Collection[str]) -> list[str]:
    """Return what earlier runs left out and this one has no arm for."""
    return [said for said in before.get("left_out", ()) if not any(said.startswith(f"'{arm}' ") for arm in arms)]


def _plain(model: ArmModel) -> dict[str, str | float]:
    arm = model.arm
    return {
        "identity": arm.identity,
        "name": arm.name,
        "role": str(arm.role),
        "model": arm.model,
        "starts_as_base": arm.starts_as_base,
        "params": model.params,
        "macs": model.macs,
    }


def common_bases(ablation: Ablation, observer: Observer) -> dict[int, CommonBase]:
    """Find or train the pretrained baselines: seed of the base to its weights."""
    file = ablation.settings.file
    if file.from_scratch:
        return {0: RANDOM_WEIGHTS}
    found = {}
    for seed in file.bases:
        found[seed] = common_base(
            ablation,
            base_schedule(ablation.schedule, file.base_epochs),
            seed=seed,
            loader_workers=ablation.settings.loader_workers,
            results=ablation.settings.results,
            on_progress=observer.progress,
            on_phase=observer.phase,
            log=ablation.settings.as_search.folder / LOG,
        )
        observer.note(str(found[seed]))
    return found
