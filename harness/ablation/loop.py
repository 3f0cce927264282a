"""The trainings of an ablation: several at once, each recorded before anything else, none made twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from harness.ablation.models import ArmModel
from harness.ablation.setting import Ablation, Key
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.jobs.base import CommonBase
from harness.jobs.executors import Executor
from harness.jobs.interrupts import Interrupts
from harness.jobs.progress import Observer, Work
from harness.jobs.trial import Job, Measured, keep_matches, run_trial, trial_figures
from harness.record.arms import Role
from harness.record.state import Failure, State
from harness.search.loop import LOG
from harness.storage.study import SearchStudy
from harness.training.accuracy import Training

RUNS = "runs"
"""Folder in the study's folder that takes the checkpoints of trainings by the published recipe."""
WEIGHTS = "trained"
"""Folder in the study's folder that takes the weights of the models, where they are to be kept."""

_LOOK_AGAIN_S = 5.0
"""Pause between two looks whether a cluster has grown."""


class _Running(NamedTuple):
    """A training under way."""

    key: Key
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
        self.running: dict[int, _Running] = {}
        self.waiting: deque[Key] = deque()
        self.interrupts = Interrupts()
        self.children: Executor[int, Measured] = ablation.executor(
            lambda trial, step: observer.progress(step, trial), study.settings.folder / LOG
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
                    while waiting and len(self.running) < self.children.workers and time.monotonic() < self.deadline:
                        self._start(waiting.popleft(), total - len(waiting), total)
                    if not self.running:
                        self.observer.note(f"the time is over: {len(waiting)} of {total} trainings are missing")
                        return
                    may_grow = self.ablation.cluster is not None and len(waiting) > 0
                    ended = self.children.within(_LOOK_AGAIN_S if may_grow else None)
                    if ended is not None:
                        self._end(*ended)
            except (KeyboardInterrupt, UserError) as error:
                for number, result in self.children.ended():
                    self._end(number, result)
                self.children.stop()
                reason = self.interrupts.reason if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
                for trial, running in self.running.items():
                    self.study.end(running.trial, State.INTERRUPTED, running.figures, reason)
                    self.observer.finished(self.study.record(), trial)
                raise

    def _start(self, key: Key, number: int, total: int) -> None:
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

    def _job(self, key: Key, model: ArmModel, device: str) -> Job:
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
            data_fingerprint=ablation.data.fingerprint,
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
            keep_matches=True,
        )
        return Job(
            training=training,
            measure_latency=self._is_timed(key),
            latency_seconds=settings.latency_seconds,
            latency_threads=ablation.latency_threads or ablation.threads_alone,
        )

    def _end(self, number: int, result: Measured | Failure) -> None:
        """Record what became of a training; one that lacked memory beside others is run again."""
        key, trial, _, figures = self.running.pop(number)
        if isinstance(result, Failure) and result.state is State.OUT_OF_MEMORY and self._shares_memory():
            self.waiting.appendleft(key)
            self.observer.note("too little memory for several trainings at once: one after the other from here on")
            self.study.end(trial, State.INTERRUPTED, figures, f"{result.reason}, beside others; run again alone")
        elif isinstance(result, Failure):
            self.study.end(trial, result.state, figures, result.reason)
        else:
            epochs = self.ablation.schedule.epochs
            keep_matches(result, self.study.settings.folder, key.identity, epochs, key.base_seed, key.seed)
            measured = trial_figures(result, is_baseline=key.identity == BASELINE)
            self.study.end(trial, State.COMPLETE, {**figures, **measured})
        self.observer.plan(self._left())
        self.observer.finished(self.study.record(), number)

    def _shares_memory(self) -> bool:
        """Whether others run in the same memory; from here on none does."""
        return bool(self.running) and self.children.one_at_a_time()

    def _left(self) -> Work:
        keys = [*(running.key for running in self.running.values()), *self.waiting]
        return Work(
            trainings=len(keys),
            epochs=len(keys) * self.ablation.schedule.epochs,
            timed=sum(self._is_timed(key) for key in keys),
            workers=self.children.workers,
            deadline=self.deadline,
        )

    def _is_timed(self, key: Key) -> bool:
        """Whether a training has its latency measured: an arm's first, where it is wanted."""
        settings = self.ablation.settings
        first = (key.seed, key.base_seed) == (settings.file.seeds[0], next(iter(self.bases)))
        return settings.latency_seconds > 0 and first


def weights_path(folder: Path, identity: str, base_seed: int, seed: int, epochs: int) -> Path:
    """Where a model's trained weights are kept."""
    return folder / WEIGHTS / f"{identity}-{epochs}epochs-base{base_seed}-seed{seed}.pt"


def _settled(study: SearchStudy, epochs: int, *, again: bool) -> set[Key]:
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
    return {Key(str(identity), int(base_seed), int(seed)) for identity, base_seed, seed in keys}
