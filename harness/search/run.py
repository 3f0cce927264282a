"""A search, from the settings to a finished study: ask, measure, tell."""

from __future__ import annotations

import time
from dataclasses import replace

from harness.common.digest import file_digest
from harness.common.errors import UserError
from harness.common.isolation import isolate_ultralytics
from harness.common.last_control import last_control
from harness.common.machine import device_kind, environment
from harness.cost.space_cost import AdditiveCost, summarise_space
from harness.jobs.base import RANDOM_WEIGHTS, CommonBase, base_notes, base_schedule, common_base, shared_base
from harness.jobs.executors import start_server
from harness.jobs.latency_threads import latency_threads
from harness.jobs.plan import too_few_steps
from harness.jobs.progress import Observer
from harness.jobs.setting import data_environment, data_notes
from harness.record.run_settings import ExecutorKind
from harness.record.settings import SearchSettings
from harness.record.storage_url import is_server
from harness.record.study import SPACE, StudyRecord
from harness.record.surroundings import AA_CHECK, LATENCY_THREADS, Environment, SpaceSummary
from harness.search.loop import LOG, Loop
from harness.search.promotion import plan_search
from harness.search.region import Region
from harness.search.setting import Setting, included, prepare_search
from harness.storage.opening import DEVICE_KIND, open_study
from harness.storage.study import SearchStudy
from harness.training.trainable import check_trainable


def search(settings: SearchSettings, observer: Observer, command: list[str], *, is_look: bool = True) -> StudyRecord:
    """Run a search, or what is missing of it.

    Ctrl-C ends the running trials and leaves the study whole.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        command: The command line, for the record.
        is_look: Whether somebody judges the study by its end; a pilot, of which only the noise is read, is none.

    Returns:
        The study as it is at the end.

    Raises:
        UserError: Something that was given is wrong.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    deadline = time.monotonic() + settings.timeout_s if settings.timeout_s else float("inf")
    if settings.executor is ExecutorKind.RAY:
        isolate_ultralytics()
    else:
        start_server()
    observer.phase("reading base, data and search space")
    setting = prepare_search(settings)
    settings = setting.settings
    plan_search(settings, None, candidates=1)  # too small a budget is said before anything is trained
    if setting.cluster:
        observer.note(f"Ray cluster: {setting.cluster}")
    for note in data_notes(setting.data, settings.imgsz, settings.batch, setting.schedule.augmentation):
        observer.note(note)
    if not settings.from_scratch:
        planned = plan_search(settings, None, candidates=settings.trials) if settings.trials else None
        for note in base_notes(setting, settings.base_epochs, planned.epochs if planned else None):
            observer.note(note)
    longest = settings.ladder.levels[-1]
    if few := too_few_steps(epochs=longest, images=setting.data.train_images, batch=settings.batch):
        observer.note(few)
    first = included(setting)
    check_trainable(
        [
            *(each for site in setting.space.placements.values() for each in site if not each.is_clo),
            *(each for architecture in first for each in architecture.placements),
        ],
        setting.sites,
        imgsz=settings.imgsz,
        batch=settings.batch,
        images=setting.data.train_images,
    )
    observer.phase("counting the cost of the whole search space")
    cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=settings.imgsz)
    region = Region(setting.space, cost, settings.constraints) if settings.constraints.bounds_cost else None
    for spec, architecture in zip(settings.include, first, strict=True):
        if region and not region.holds(architecture):
            raise UserError(f"--include {spec}: over --max-params or --max-macs, so that it would not be trained")
    own_blocks = setting.space.file.block_files
    comparable = {
        **setting.comparable(setting.schedule.augmentation),
        "space_file": setting.space.file.model_dump(mode="json"),
        "block_files": {file.name: file_digest(file)[:16] for file in own_blocks},
        DEVICE_KIND: setting.cluster.kind if setting.cluster else device_kind(setting.device),
    }
    with open_study(settings, comparable, observer.note) as study:
        if study.settings.study != settings.study:
            observer.note(
                f"study {settings.study} is of another kind of device; this one's figures are in {study.settings.study}"
            )
        setting = replace(setting, settings=study.settings)
        try:
            summary = summarise_space(setting.space, cost)
            if region:
                summary |= region.summary()
            observer.space(summary)
            common = _common_base(study, setting, observer)
            taken = latency_threads(
                study, observer, asked=settings.threads, device=setting.device, otherwise=setting.latency_threads,
                on_cluster=setting.cluster is not None,
            )  # fmt: skip
            setting = replace(setting, latency_threads=taken.count)
            _describe(study, setting, common, cost, summary, command)
            Loop(study, setting, common, cost, region, observer, deadline).run(first)
        except KeyboardInterrupt as error:
            raise StoppedError(study.looked()) from error
        return study.looked() if is_look else study.record()


class StoppedError(KeyboardInterrupt):
    """Ctrl-C, and the study as it is.

    Attributes:
        record: What is in storage.
    """

    def __init__(self, record: StudyRecord) -> None:
        super().__init__()
        self.record = record


def _describe(
    study: SearchStudy,
    setting: Setting,
    common: CommonBase,
    cost: AdditiveCost,
    space: SpaceSummary,
    command: list[str],
) -> None:
    """Keep where and with what the study ran: of the last that joined it, where there are several."""
    details = environment(
        device=setting.device,
        data_fingerprint=setting.data.fingerprint,
        command=command,
        seeds=setting.settings.all_seeds,
    )
    with study.members.turn():
        before = study.environment.to_dict()
        study.optuna.set_user_attr(SPACE, space.to_dict())
        study.environment = Environment.of(
            {
                **details,
                **(setting.cluster.conditions if setting.cluster else {}),
                "workers": setting.workers,
                "torch_threads": setting.threads,
                "torch_threads_alone": setting.threads_alone,
                "base_origin": common.origin,
                "base_map50_95": common.map50_95,
                "uncounted": cost.base.uncounted,
                "control": last_control(setting.device),
                **data_environment(setting.data),
                **{key: before[key] for key in (AA_CHECK, LATENCY_THREADS) if key in before},
            }
        )


def _common_base(study: SearchStudy, setting: Setting, observer: Observer) -> CommonBase:
    """Train the pretrained baseline once for many: who comes later waits, and takes it from the study's folder."""
    settings = setting.settings
    if settings.from_scratch:
        return RANDOM_WEIGHTS

    def make() -> CommonBase:
        return common_base(
            setting,
            base_schedule(setting.schedule, settings.base_epochs),
            seed=settings.seed,
            loader_workers=settings.loader_workers,
            results=settings.results,
            on_progress=observer.progress,
            on_phase=observer.phase,
            log=settings.folder / LOG,
        )

    def waits() -> None:
        observer.phase("waiting for the pretrained baseline, which another search trains")

    common = shared_base(study, make, waits) if is_server(settings.storage_url) else make()
    observer.note(str(common))
    return common
