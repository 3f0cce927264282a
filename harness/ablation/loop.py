"""The trainings of an ablation: several at once, each recorded before anything else, none made twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.ablation.models import ArmModel
from harness.ablation.setting import Ablation, Key
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.jobs.base import CommonBase
from harness.jobs.progress import Observer, Work
from harness.jobs.queue import Queue, Source
from harness.jobs.trial import Job, Measured, keep_files, run_trial, trial_figures
from harness.record.arms import Role
from harness.record.state import State
from harness.search.loop import LOG
from harness.storage.study import SearchStudy
from harness.training.accuracy import Training

# Folder in the study's folder that takes the checkpoints of trainings by the published recipe.
RUNS = "runs"
# Folder in the study's folder that takes the weights of the models, where they are to be kept.
WEIGHTS = "trained"

# Pause between two looks whether a cluster has grown.
_LOOK_AGAIN_S = 5.0


class ArmLoop(Source[Key, Measured]):
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
        self.waiting: deque[Key] = deque()
        self.queue = Queue[Key, Measured](
            run_trial,
            source=self,
            ledger=study,
            executor=ablation.executor(lambda trial, step: observer.progress(step, trial), study.settings.folder / LOG),
            devices=ablation.devices,
            note=observer.note,
        )

    def run(self) -> None:
        """Do what is missing, in order."""
        resumable = self.ablation.settings.file.recipe is Recipe.PUBLISHED
        done = _settled(self.study, self.ablation.schedule.epochs, again=resumable)
        self.waiting = deque(key for key in self.ablation.trainings if key not in done)
        self.queue.during(lambda: self.queue.train(self._begin, pause=self._pause))
        if self.waiting:
            total = len(self.ablation.trainings)
            self.observer.note(f"the time is over: {len(self.waiting)} of {total} trainings are missing")

    def _is_more(self) -> bool:
        return len(self.waiting) > 0 and time.monotonic() < self.deadline

    def _pause(self) -> float | None:
        """Look again on a cluster: it may have grown."""
        return _LOOK_AGAIN_S if self.ablation.cluster and self._is_more() else None

    def _begin(self) -> bool:
        if not self._is_more():
            return False
        key, total = self.waiting.popleft(), len(self.ablation.trainings)
        number, model = total - len(self.waiting), self.models[key.identity]
        trial = self.study.optuna.ask()
        row = {"seed": key.seed, "base_seed": key.base_seed, "epochs": self.ablation.schedule.epochs}
        self.study.begin(trial, model.arm.architecture, key.identity, model.yaml, {**row, "selected_on": False})
        base = f", base {key.base_seed}" if len(self.bases) > 1 else ""
        self.observer.begin(trial.number, f"{number} of {total}: {model.arm.name}, seed {key.seed}{base}")
        figures = {"macs": model.macs, "flops": 2 * model.macs, "params": model.params}
        self.queue.start(key, trial, figures, partial(self._job, key, model))
        return True

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
            classes=ablation.classes,
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
            timed_beside=ablation.timed_beside,
            latency_seconds=settings.latency_seconds,
            latency_threads=ablation.latency_threads or ablation.threads_alone,
        )

    def figures_of(self, key: Key, result: Measured) -> dict[str, Any]:
        """Return what a training's row records; keep its matches and curve."""
        epochs = self.ablation.schedule.epochs
        keep_files(result, self.study.settings.folder, key.identity, epochs, key.base_seed, key.seed)
        is_baseline = key.identity == BASELINE and self.ablation.timed_beside is None
        return trial_figures(result, is_baseline=is_baseline)

    def again(self, key: Key) -> None:
        """Begin it next."""
        self.waiting.appendleft(key)

    def ended(self, number: int, key: Key, result: Measured | None) -> None:
        """Tell what of the list is not there yet; weights that are kept stay."""
        keys = [*self.queue.keys, *self.waiting]
        left = Work(
            trainings=len(keys),
            epochs=len(keys) * self.ablation.schedule.epochs,
            timed=sum(self._is_timed(key) for key in keys),
            workers=self.queue.executor.workers,
            deadline=self.deadline,
        )
        self.observer.plan(left)
        self.observer.finished(self.study.record(), number)

    def _is_timed(self, key: Key) -> bool:
        """Return whether a training has its latency measured: an arm's first, where it is wanted."""
        settings = self.ablation.settings
        first = (key.seed, key.base_seed) == (settings.file.seeds[0], next(iter(self.bases)))
        return settings.latency_seconds > 0 and first


def weights_path(folder: Path, identity: str, base_seed: int, seed: int, epochs: int) -> Path:
    """Return where a model's trained weights are kept."""
    return folder / WEIGHTS / f"{identity}-{epochs}epochs-base{base_seed}-seed{seed}.pt"


def _settled(study: SearchStudy, epochs: int, *, again: bool) -> set[Key]:
    """Return the trainings of so many epochs that would only repeat what the study has.

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
