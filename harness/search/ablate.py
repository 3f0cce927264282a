"""An ablation, from its file to a finished study: every arm under the same seeds, nothing trained twice.

The study is an Optuna study as a search's is, whose trials are arms: one for each arm, seed and base. It is trained
seed by seed, so that whenever it stops every arm has been tried about as often.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import psutil
import torch

from harness.ablation_file import AblationFile
from harness.arms import Role, make_arms
from harness.choices import Recipe
from harness.data.check import DatasetInfo, check_dataset
from harness.detectors import Base, find_sites, map_sizes, resolve_base
from harness.errors import UserError
from harness.isolation import cache_folder
from harness.measure.accuracy import Schedule, Training
from harness.measure.environment import environment
from harness.records import ABLATION, DATA_REPAIRS, ENVIRONMENT, LAST_RUN, StudyRecord
from harness.search.arm_models import ArmModel, arm_models
from harness.search.base import CommonBase, base_schedule, common_base
from harness.search.executors import Children, start_server
from harness.search.interrupts import Interrupts
from harness.search.loop import LOG
from harness.search.observer import Observer
from harness.search.outcome import Failure, State
from harness.search.setting import default_workers, find_architecture, resolve_device
from harness.search.study import SearchStudy, open_study
from harness.search.trial import Job, Measured, latency_figures, run_trial
from harness.search.work import Work
from harness.settings import Objective, Sampler, SearchSettings

RUNS = "runs"
"""Folder in the study's folder that takes the checkpoints of trainings by the published recipe."""
WEIGHTS = "trained"
"""Folder in the study's folder that takes the weights of the models, where they are to be kept."""


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """What `clo ablate` was asked to do.

    Attributes:
        file: What is compared.
        device: `auto`, `cpu` or numbers of CUDA devices.
        workers: Trainings at once; None decides by cores and memory, or by GPUs. The published recipe takes one.
        threads: CPU threads of each; None divides the cores.
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
class Ablation:
    """An ablation that can be run: everything named was found.

    Attributes:
        models: The arms, the baseline first.
        left_out: A sentence for each arm that there is not.
        devices: One name for what a training takes: a device, or all of them by the published recipe.
    """

    settings: AblationSettings
    base: Base
    data: DatasetInfo
    models: tuple[ArmModel, ...]
    left_out: tuple[str, ...]
    devices: tuple[str, ...]
    workers: int
    threads: int

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
    def trainings(self) -> list[_Key]:
        """All that the study is to have, in the order of training."""
        file = self.settings.file
        bases = (0,) if file.from_scratch else file.bases
        keys = [_Key(m.arm.identity, base, seed) for seed in file.seeds for base in bases for m in self.models]
        return list(dict.fromkeys(keys))  # two models of one size share a placebo


class _Key(NamedTuple):
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
    device = resolve_device(settings.device)
    cores = torch.get_num_threads()
    published = file.recipe is Recipe.PUBLISHED
    if published and (settings.workers or 1) > 1:
        raise UserError(
            f"--workers {settings.workers}: the published recipe takes all devices for one training; give 1"
        )
    workers = settings.workers or default_workers(device, cores, psutil.virtual_memory().available)
    base = resolve_base(file.base)
    data = check_dataset(file.data, file.imgsz, cache=cache_folder())
    sites = find_sites(base)
    models = {spec: find_architecture(spec, base, settings.results, option="--model") for spec in file.models}
    arms, same = make_arms(models, file.wanted, map_sizes(sites, file.imgsz))
    built, impossible = arm_models(arms, base, sites, imgsz=file.imgsz, classes=len(data.names))
    return Ablation(
        settings=settings,
        base=base,
        data=data,
        models=tuple(built),
        left_out=(*same, *impossible),
        devices=(device,) if published else tuple(device.split(",")),
        workers=1 if published else workers,
        threads=settings.threads or max(1, cores // (1 if published else workers)),
    )


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
    start_server()
    for sentence in (*ablation.data.repairs, *ablation.left_out):
        observer.note(sentence)
    comparable = {
        "base_fingerprint": ablation.base.fingerprint,
        "data_fingerprint": ablation.data.fingerprint,
        "device_kind": "cpu" if ablation.devices == ("cpu",) else "cuda",
    }
    with open_study(settings.as_search, comparable) as study:
        study.close_interrupted()
        _describe(study, ablation, command)
        ArmLoop(study, ablation, common_bases(ablation, observer), observer, deadline).run()
        return study.record()


def _describe(study: SearchStudy, ablation: Ablation, command: list[str]) -> None:
    """Write down what the study is of; arms of an earlier run stay in it."""
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
        "left_out": list(ablation.left_out),
    }
    study.optuna.set_user_attr(ABLATION, described)
    study.optuna.set_user_attr(LAST_RUN, study.settings.model_dump(mode="json"))
    details = environment(
        device=",".join(ablation.devices),
        data_fingerprint=ablation.data.fingerprint,
        command=command,
        seeds=file.seeds,
    )
    study.optuna.set_user_attr(
        ENVIRONMENT,
        {
            **details,
            "workers": ablation.workers,
            "torch_threads": ablation.threads,
            "train_images": ablation.data.train_images,
            "val_images": ablation.data.val_images,
            DATA_REPAIRS: list(ablation.data.repairs),
        },
    )


def _plain(model: ArmModel) -> dict[str, Any]:
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
    """Seed of the base to its weights."""
    file = ablation.settings.file
    if file.from_scratch:
        return {0: CommonBase(weights=None, origin="none: every training starts from random weights")}
    found = {}
    for seed in file.bases:
        observer.phase(f"training the common base {ablation.base.name}, seed {seed} ({file.base_epochs} epochs, kept)")
        found[seed] = common_base(
            ablation.base,
            ablation.data,
            base_schedule(ablation.schedule, file.base_epochs),
            seed=seed,
            device=ablation.devices[0],
            threads=ablation.settings.threads or torch.get_num_threads(),
            loader_workers=ablation.settings.loader_workers,
            on_progress=observer.progress,
            log=ablation.settings.as_search.folder / LOG,
        )
        known = found[seed].map50_95
        observer.note(f"common base: {found[seed].origin}" + (f", mAP50-95 {known:.3f}" if known else ""))
    return found


class _Running(NamedTuple):
    """A training under way."""

    key: _Key
    trial: optuna.trial.Trial
    device: str
    figures: dict[str, Any]


class ArmLoop:
    """Keeps all workers at work until every training of some arms is there."""

    def __init__(
        self,
        study: SearchStudy,
        ablation: Ablation,
        bases: Mapping[int, CommonBase],
        observer: Observer,
        deadline: float,
    ) -> None:
        self.study = study
        self.ablation = ablation
        self.bases = bases
        self.observer = observer
        self.deadline = deadline
        self.models = {model.arm.identity: model for model in ablation.models}
        self.workers = ablation.workers
        self.running: dict[int, _Running] = {}
        self.waiting: deque[_Key] = deque()
        self.interrupts = Interrupts()
        self.children: Children[int, Measured] = Children(
            lambda trial, step: observer.progress(step, trial),
            study.settings.folder / LOG,
        )

    def run(self) -> None:
        """Do what is missing, in order."""
        resumable = self.ablation.settings.file.recipe is Recipe.PUBLISHED
        done = _settled(self.study, self.ablation.schedule.epochs, again=resumable)
        self.waiting = waiting = deque(key for key in self.ablation.trainings if key not in done)
        total = len(self.ablation.trainings)
        with self.interrupts, self.children:
            try:
                while waiting or self.running:
                    self.interrupts.check()
                    while waiting and len(self.running) < self.workers and time.monotonic() < self.deadline:
                        self._start(waiting.popleft(), total - len(waiting), total)
                    if not self.running:
                        self.observer.note(f"the time is over: {len(waiting)} of {total} trainings are missing")
                        return
                    self._end(*self.children.next())
            except (KeyboardInterrupt, UserError) as error:
                for number, result in self.children.ended():
                    self._end(number, result)
                self.children.stop()
                reason = "stopped by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
                for running in self.running.values():
                    self.study.end(running.trial, State.INTERRUPTED, running.figures, reason)
                raise

    def _start(self, key: _Key, number: int, total: int) -> None:
        model = self.models[key.identity]
        trial = self.study.optuna.ask()
        row = {"seed": key.seed, "base_seed": key.base_seed, "epochs": self.ablation.schedule.epochs}
        self.study.begin(trial, model.arm.architecture, key.identity, model.yaml, {**row, "selected_on": False})
        base = f", base {key.base_seed}" if len(self.bases) > 1 else ""
        self.observer.begin(trial.number, f"{number} of {total}: {model.arm.name}, seed {key.seed}{base}")
        busy = [running.device for running in self.running.values()]
        device = min(self.ablation.devices, key=busy.count)
        figures = {"macs": model.macs, "flops": 2 * model.macs, "params": model.params}
        self.running[trial.number] = _Running(key, trial, device, figures)
        self.children.start(trial.number, run_trial, self._job(key, model, device))

    def _job(self, key: _Key, model: ArmModel, device: str) -> Job:
        ablation, settings = self.ablation, self.ablation.settings
        folder, recipe = self.study.settings.folder, settings.file.recipe
        weights = weights_path(folder, *key, ablation.schedule.epochs)
        published = recipe is Recipe.PUBLISHED
        keeps = published or (settings.keep_weights and model.arm.role in {Role.BASELINE, Role.MODEL})
        training = Training(
            config=model.config,
            base_config=ablation.base.config,
            base_weights=self.bases[key.base_seed].weights,
            layers=model.layers,
            data=str(ablation.data.path),
            classes=len(ablation.data.names),
            schedule=ablation.schedule,
            seed=key.seed,
            device=device,
            threads=ablation.threads,
            loader_workers=settings.loader_workers,
            widened=model.is_widened,
            save_to=weights if keeps else None,
            recipe=recipe,
            folder=folder / RUNS / weights.stem if published else None,
        )
        return Job(
            training=training,
            measure_latency=self._is_timed(key),
            latency_seconds=settings.latency_seconds,
            latency_threads=settings.threads or torch.get_num_threads(),
        )

    def _end(self, number: int, result: Measured | Failure) -> None:
        """Record what became of a training; one that lacked memory beside others is run again."""
        key, trial, _, figures = self.running.pop(number)
        if isinstance(result, Failure) and result.state is State.OUT_OF_MEMORY and self.running:
            self.workers = 1
            self.waiting.appendleft(key)
            self.observer.note("too little memory for several trainings at once: one after the other from here on")
            self.study.end(trial, State.INTERRUPTED, figures, f"{result.reason}, beside others; run again alone")
        elif isinstance(result, Failure):
            self.study.end(trial, result.state, figures, result.reason)
        else:
            latency = latency_figures(result.latency, key.identity == "baseline") if result.latency else {}
            measured = {**result.accuracy.figures(), "cpu_seconds": result.cpu_seconds, **latency}
            self.study.end(trial, State.COMPLETE, {**figures, **measured})
        self.observer.plan(self._left())
        self.observer.finished(self.study.record(), number)

    def _left(self) -> Work:
        keys = [*(running.key for running in self.running.values()), *self.waiting]
        return Work(
            trainings=len(keys),
            epochs=len(keys) * self.ablation.schedule.epochs,
            timed=sum(self._is_timed(key) for key in keys),
            workers=self.workers,
            deadline=self.deadline,
        )

    def _is_timed(self, key: _Key) -> bool:
        """Whether a training has its latency measured: an arm's first, where it is wanted."""
        settings = self.ablation.settings
        first = (key.seed, key.base_seed) == (settings.file.seeds[0], next(iter(self.bases)))
        return settings.latency_seconds > 0 and first


def weights_path(folder: Path, identity: str, base_seed: int, seed: int, epochs: int) -> Path:
    """Where a model's trained weights are kept."""
    return folder / WEIGHTS / f"{identity}-{epochs}epochs-base{base_seed}-seed{seed}.pt"


def _settled(study: SearchStudy, epochs: int, *, again: bool) -> set[_Key]:
    """The trainings of so many epochs that would only repeat what the study has.

    Args:
        study: Read here.
        epochs: Of each training.
        again: Whether what failed is tried again: a training that goes on from its last epoch loses little, and what
            ends one of several GPUs and days is mostly the machine's fault.
    """
    rows = study.record().trials
    rows = rows[rows.epochs == epochs]
    rows = rows[rows.state != State.FAILED] if again else rows
    settled = rows[rows.state.map(lambda state: State(state).settled).astype(bool)]
    keys = zip(settled.architecture, settled.base_seed, settled.seed, strict=True)
    return {_Key(str(identity), int(base_seed), int(seed)) for identity, base_seed, seed in keys}
