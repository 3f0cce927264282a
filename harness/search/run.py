"""A search, from the settings to a finished study: ask, measure, tell."""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import optuna
import torch

from harness.architecture import BASELINE, Architecture
from harness.detectors import (
    build,
    index_map,
    insert,
    to_yaml,
)
from harness.errors import UserError
from harness.measure.accuracy import Training
from harness.measure.cost import model_cost
from harness.measure.environment import environment
from harness.measure.latency import Latency
from harness.measure.raw_samples import write_parquet
from harness.records import AA_CHECK, ENVIRONMENT, LAST_RUN, SPACE, StudyRecord
from harness.search.base import CommonBase, base_schedule, common_base
from harness.search.budget import finalists
from harness.search.executors import Children, start_server
from harness.search.observer import Observer
from harness.search.outcome import Failure, State
from harness.search.proposals import Known, ask_for, propose
from harness.search.region import Region
from harness.search.setting import Setting, included, prepare
from harness.search.space_cost import AdditiveCost, summarise_space
from harness.search.study import STARTUP, SearchStudy, open_study
from harness.search.trial import Job, Measured, run_trial
from harness.settings import SearchSettings

SAMPLES = "latency"
"""Folder in the study's folder that takes every pass of each latency measurement."""
LOG = "trainings.log"
"""File in the study's folder that takes what trainings print."""


def search(settings: SearchSettings, observer: Observer, command: list[str]) -> StudyRecord:
    """Run a search, or what is missing of it.

    Ctrl-C ends the running trials and leaves the study whole.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        command: The command line, for the record.

    Returns:
        The study as it is at the end.

    Raises:
        UserError: Something that was given is wrong.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    deadline = time.monotonic() + settings.timeout_s if settings.timeout_s else float("inf")
    start_server()
    observer.phase("reading base, data and search space")
    setting = prepare(settings)
    first = included(setting)
    observer.phase("counting the cost of the whole search space")
    cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=settings.imgsz)
    region = Region(setting.space, cost, settings.constraints) if settings.constraints.bounds_cost else None
    for spec, architecture in zip(settings.include, first, strict=True):
        if region and not region.holds(architecture):
            raise UserError(f"--include {spec}: over --max-params or --max-macs, so that it would not be trained")
    own_blocks = setting.space.file.block_files
    comparable = {
        "base_fingerprint": setting.base.fingerprint,
        "data_fingerprint": setting.data.fingerprint,
        "space_file": setting.space.file.model_dump(mode="json"),
        "block_files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in own_blocks},
        "device_kind": "cpu"
        if setting.device == "cpu"
        else " + ".join(sorted({torch.cuda.get_device_name(int(number)) for number in setting.devices})),
    }
    with open_study(settings, comparable, workers=setting.workers) as study:
        summary = summarise_space(setting.space, cost) | (region.summary() if region else {})
        study.optuna.set_user_attr(SPACE, summary)
        observer.space(summary)
        observer.phase(
            f"training the common base {setting.base.name} ({settings.base_epochs} epochs, kept for later searches)"
        )
        common = _common_base(setting, observer)
        observer.note(
            f"common base: {common.origin}" + (f", mAP50-95 {common.map50_95:.3f}" if common.map50_95 else "")
        )
        details = environment(
            device=setting.device,
            data_fingerprint=setting.data.fingerprint,
            command=command,
            seeds=settings.all_seeds,
        )
        study.optuna.set_user_attr(
            ENVIRONMENT,
            {
                **details,
                "workers": setting.workers,
                "torch_threads": setting.threads,
                "torch_threads_alone": setting.threads_alone,
                "base_origin": common.origin,
                "base_map50_95": common.map50_95,
                "uncounted": cost.base.uncounted,
                "train_images": setting.data.train_images,
                "val_images": setting.data.val_images,
                AA_CHECK: study.record().environment.get(AA_CHECK),
            },
        )
        _Loop(study, setting, common, region, observer, deadline).run(first)
        return study.record()


class _Start(NamedTuple):
    """A training to start."""

    architecture: Architecture
    seed: int
    name: str
    trial: optuna.trial.Trial | None = None


class _Running(NamedTuple):
    """A training under way."""

    start: _Start
    trial: optuna.trial.Trial
    identity: str
    device: str
    figures: dict[str, Any]
    """What is known of it already: its cost."""


class _Loop:
    """Baseline, candidates, then more seeds for the best; several trainings at once, all else from one thread."""

    def __init__(
        self,
        study: SearchStudy,
        setting: Setting,
        common: CommonBase,
        region: Region | None,
        observer: Observer,
        deadline: float,
    ) -> None:
        self.study = study
        self.setting = setting
        self.common = common
        self.region = region
        self.observer = observer
        self.deadline = deadline
        self.children: Children[int, Measured] = Children(
            lambda trial, message: observer.progress(message[1], message[2], trial), setting.settings.folder / LOG
        )
        self.running: dict[int, _Running] = {}
        self.workers = setting.workers
        self.again: deque[_Start] = deque()
        """Trainings that lacked memory beside others."""

    def run(self, wanted: Sequence[Architecture]) -> None:
        """Do what is missing, in order; first what the user wants tried."""
        with self.children:
            try:
                self._run(wanted)
            except (KeyboardInterrupt, UserError) as error:
                for number, result in self.children.ended():
                    self._end(number, result)
                self.children.stop()
                reason = "stopped by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
                for running in self.running.values():
                    self.study.end(running.trial, State.INTERRUPTED, running.figures, reason)
                raise

    def _run(self, wanted: Sequence[Architecture]) -> None:
        settings = self.setting.settings
        first = [*self.study.close_interrupted(), *wanted]
        base = Architecture(base=self.setting.base.name)
        if not self._has(BASELINE, settings.seed):
            self._train_all([_Start(base, settings.seed, "baseline")])
            if not self._has(BASELINE, settings.seed):
                rows = self.study.record().trials
                if rows.empty or not self._in_time():
                    self.observer.note("the time was over before the baseline was trained")
                    return
                reason = rows[rows.architecture == BASELINE].iloc[-1].reason
                raise UserError(f"the baseline cannot be trained, so nothing can be compared with it: {reason}")
        target = self._candidates() + settings.more if settings.more else settings.trials
        self.study.optuna.set_user_attr(LAST_RUN, {**settings.model_dump(mode="json"), "trials": target})
        self._train(lambda: self._next_candidate(first, target))
        self._train_all(self._repeats_of_the_best(base))

    def _train(self, next_start: Callable[[], _Start | None]) -> None:
        """Keep all workers at work until there is nothing more to start and all has ended."""
        while True:
            while len(self.running) < self.workers and self._in_time():
                start = self.again.popleft() if self.again else next_start()
                if start is None:
                    break
                self._start(start)
            if not self.running:
                return
            self._end(*self.children.next())

    def _train_all(self, starts: list[_Start]) -> None:
        """In order; but a candidate waits for the end of the control that it is compared with."""

        def next_start() -> _Start | None:
            controls = {running.start.seed for running in self.running.values() if running.identity == BASELINE}
            ready = (n for n, start in enumerate(starts) if start.seed not in controls)
            return None if (n := next(ready, None)) is None else starts.pop(n)

        self._train(next_start)

    def _next_candidate(self, first: list[Architecture], target: int) -> _Start | None:
        """The next one that is neither known nor being trained; None if there is none."""
        settings, space = self.setting.settings, self.setting.space
        known = {**{running.identity: Known(values=None) for running in self.running.values()}, **self.study.known()}
        count = sum(identity != BASELINE for identity in known)
        if count >= target:
            return None
        name = f"candidate {count + 1} of {target}"
        while first:
            architecture = first.pop(0)
            if space.identity(architecture) not in known and (not self.region or self.region.holds(architecture)):
                return _Start(architecture, settings.seed, name)
        rng = random.Random(f"{settings.seed}-{len(self.study.optuna.get_trials(deepcopy=False))}")
        proposal = propose(self.study.optuna, space, lambda: known, rng, STARTUP, self.region)
        if proposal is not None:
            return _Start(proposal.architecture, settings.seed, name, proposal.trial)
        if not self.running:
            which = "candidates within the bounds" if self.region else f"{space.size} candidates of the space"
            self.observer.note(f"all {which} are done")
        return None

    def _repeats_of_the_best(self, base: Architecture) -> list[_Start]:
        settings = self.setting.settings
        record = self.study.record()
        best = finalists(record.trials, seed=settings.seed, count=settings.finalists, constraints=settings.constraints)
        architectures = {**record.architectures, BASELINE: base}
        return [
            _Start(architectures[identity], seed, f"seed {seed} of {identity}")
            for seed in settings.all_seeds[1:]
            for identity in ([BASELINE, *best] if best else [])
            if not self._settled(identity, seed)
        ]

    def _start(self, start: _Start) -> None:
        """Begin one trial, whatever becomes of it."""
        setting, settings = self.setting, self.setting.settings
        architecture, seed, name, trial = start
        trial = trial or ask_for(self.study.optuna, setting.space, architecture)
        identity = setting.space.identity(architecture)
        config = insert(setting.base, architecture, sites=setting.sites, classes=setting.classes)
        comment = (
            f"{identity}: {architecture.describe()}\nbase {setting.base.name}; made by clo-nas; needs `import harness`"
        )
        row = {"seed": seed, "epochs": settings.epochs, "selected_on": seed == settings.seed}
        self.study.begin(trial, architecture, identity, to_yaml(config, comment), row)
        self.observer.begin(trial.number, f"{name}: {architecture.describe()}")
        try:
            cost = model_cost(build(config), settings.imgsz)
        except Exception as error:  # noqa: BLE001 - whatever fails here is the candidate's failure, not the search's
            self.study.end(trial, State.FAILED, {}, f"cannot be built: {type(error).__name__}: {error}".splitlines()[0])
            self.observer.finished(self.study.record(), trial.number)
            return
        device = self._free_device()
        job = Job(
            training=Training(
                config=config,
                base_config=setting.base.config,
                base_weights=self.common.weights,
                layers=index_map(setting.base, architecture, setting.sites),
                data=str(setting.data.path),
                classes=setting.classes,
                schedule=setting.schedule,
                seed=seed,
                device=device,
                threads=setting.threads,
                loader_workers=settings.loader_workers,
            ),
            measure_latency=seed == settings.seed,
            latency_seconds=settings.latency_seconds,
            latency_threads=setting.threads_alone,
        )
        figures = {"macs": cost.macs, "flops": cost.flops, "params": cost.params}
        self.running[trial.number] = _Running(start, trial, identity, device, figures)
        self.children.start(trial.number, run_trial, job)

    def _end(self, number: int, result: Measured | Failure) -> None:
        """Record what became of a trial."""
        start, trial, identity, _, figures = self.running.pop(number)
        if isinstance(result, Failure) and result.state is State.OUT_OF_MEMORY and self.running:
            self.workers = 1
            self.again.append(start._replace(trial=None))
            self.observer.note("too little memory for several trainings at once: one after the other from here on")
            reason = f"{result.reason}, beside {len(self.running)} other trainings; run again alone"
            self.study.end(trial, State.INTERRUPTED, figures, reason)
        elif isinstance(result, Failure):
            self.study.end(trial, result.state, figures, result.reason)
        else:
            self.study.end(trial, State.COMPLETE, {**figures, **self._figures(identity, result)})
            if result.latency:
                file = self.setting.settings.folder / SAMPLES / f"{identity}.parquet"
                write_parquet(result.latency, file, candidate=identity, baseline=BASELINE)
        self.observer.finished(self.study.record(), number)

    def _free_device(self) -> str:
        """The one with the fewest trainings."""
        busy = [running.device for running in self.running.values()]
        return min(self.setting.devices, key=busy.count)

    def _figures(self, identity: str, result: Measured) -> dict[str, Any]:
        if identity == BASELINE and result.latency:
            self._keep_aa_check(result.latency)
        return {
            **result.accuracy.figures(),
            "cpu_seconds": result.cpu_seconds,
            **(_latency_figures(result.latency, identity == BASELINE) if result.latency else {}),
        }

    def _keep_aa_check(self, latency: Latency) -> None:
        """The baseline was timed against its own copy: a ratio away from 1 would discredit all others."""
        check = {"ratio": latency.ratio, "ratio_ci95": list(latency.ratio_ci95)}
        environment = {**self.study.optuna.user_attrs[ENVIRONMENT], AA_CHECK: check}
        self.study.optuna.set_user_attr(ENVIRONMENT, environment)

    def _candidates(self) -> int:
        return sum(identity != BASELINE for identity in self.study.known())

    def _has(self, identity: str, seed: int) -> bool:
        rows = self.study.record().trials
        return bool(((rows.architecture == identity) & (rows.seed == seed) & (rows.state == State.COMPLETE)).any())

    def _settled(self, identity: str, seed: int) -> bool:
        rows = self.study.record().trials
        states = rows[(rows.architecture == identity) & (rows.seed == seed)].state
        return any(State(state).settled for state in states)

    def _in_time(self) -> bool:
        return time.monotonic() < self.deadline


def _latency_figures(latency: Latency, is_baseline: bool) -> dict[str, Any]:
    """The table's latency columns; the baseline against its own copy is 1 by definition."""
    ratio = (1.0, 1.0, 1.0) if is_baseline else (latency.ratio, *latency.ratio_ci95)
    return {
        "latency_ms_p50": latency.candidate.p50,
        "latency_ms_p90": latency.candidate.p90,
        "latency_ratio": ratio[0],
        "latency_ratio_low": ratio[1],
        "latency_ratio_high": ratio[2],
    }


def _common_base(setting: Setting, observer: Observer) -> CommonBase:
    settings = setting.settings
    if settings.from_scratch:
        return CommonBase(weights=None, origin="none: every training starts from random weights")
    return common_base(
        setting.base,
        setting.data,
        base_schedule(setting.schedule, settings.base_epochs),
        seed=settings.seed,
        device=setting.devices[0],
        threads=setting.threads_alone,
        loader_workers=settings.loader_workers,
        on_progress=lambda message: observer.progress(*message[1:]),
        log=settings.folder / LOG,
    )
