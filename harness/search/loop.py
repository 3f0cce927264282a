"""Trainings one after the other or side by side: when each is begun, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import optuna

from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError
from harness.cost.counts import model_cost
from harness.cost.space_cost import AdditiveCost
from harness.detectors import build, index_map, insert, to_yaml
from harness.detectors.model_yaml import Description
from harness.jobs.base import CommonBase
from harness.jobs.plan import Plan
from harness.jobs.progress import Observer, work_left
from harness.jobs.queue import Queue, Source
from harness.jobs.trial import Job, Measured, keep_files, run_trial, trial_figures
from harness.latency.latency import Latency
from harness.latency.raw_samples import write_parquet
from harness.record.state import Key, State
from harness.record.study import EXPECTED_GAINS, LAST_RUN
from harness.record.surroundings import AA_CHECK
from harness.search.informed import informed_sampler
from harness.search.promotion import choose, extension, first_rung, nobody_judges, pace_of, plan_search
from harness.search.proposals import ask_for
from harness.search.region import Region
from harness.search.sampler import CostAwareSampler
from harness.search.setting import Setting
from harness.search.starts import Start, Starts
from harness.storage.study import WEIGHTS, SearchStudy
from harness.training.accuracy import Training
from harness.training.weights import KeptWeights

# Folder in the study's folder that takes every pass of each latency measurement.
SAMPLES = "latency"
# Folder in the study's folder that takes what longer trainings go on from.
CHECKPOINTS = "weights"
# Pause between two looks at what other members have done.
_LOOK_AGAIN_S = 1.0
# File in the study's folder that takes what trainings print.
LOG = "trainings.log"


class Loop(Source[Key, Measured]):
    """Baseline, candidates, then more for the best; several trainings at once, all else from one thread."""

    def __init__(
        self,
        study: SearchStudy,
        setting: Setting,
        common: CommonBase,
        cost: AdditiveCost,
        region: Region | None,
        observer: Observer,
        deadline: float,
    ) -> None:
        self.study = study
        self.setting = setting
        self.common = common
        self.cost = cost
        self.region = region
        self.observer = observer
        self.deadline = deadline
        self.queue = Queue[Key, Measured](
            run_trial,
            source=self,
            ledger=study,
            executor=setting.executor(
                lambda trial, step: observer.progress(step, trial), setting.settings.folder / LOG
            ),
            devices=setting.devices,
            note=observer.note,
        )
        self.ladder = setting.settings.ladder
        self.weights = KeptWeights(setting.settings.folder / CHECKPOINTS, self.ladder)
        self.planned: Plan | None = None
        self._waits = False

    def run(self, wanted: Sequence[Architecture]) -> None:
        """Do what is missing, in order; first what the user wants tried."""
        self.queue.during(lambda: self._run(wanted))

    def _run(self, wanted: Sequence[Architecture]) -> None:
        settings = self.setting.settings
        with self.study.members.turn():
            self.study.close_abandoned()
        if said := nobody_judges(settings):
            self.observer.note(said)
        starts = Starts(self.study, self.setting, self.region, wanted, self.observer)
        planned = self.planned = self._plan(starts)
        if self.study.states().get(starts.control) is not State.COMPLETE:
            self._train(
                lambda: starts.control_or_more(planned.candidates if planned else None),
                until=lambda: starts.is_decided(starts.control),
            )
            if self.study.states().get(starts.control) is not State.COMPLETE:
                rows = self.study.record().trials
                if rows.empty or not self._in_time():
                    self.observer.note("the time was over before the baseline was trained")
                    return
                reason = rows[rows.architecture == BASELINE].iloc[-1].reason
                raise UserError(f"the baseline cannot be trained, so nothing can be compared with it: {reason}")
        self.planned = plan = planned or self._plan(starts)
        assert plan is not None, "with a control the pace is known"
        last_run = {**settings.model_dump(mode="json"), "trials": plan.candidates, "plan": plan.to_dict()}
        self.study.optuna.set_user_attr(LAST_RUN, last_run)
        if starts.candidates() < plan.candidates:
            workers = self.queue.executor.workers
            self.study.optuna.sampler = informed_sampler(
                self.study, self.setting, self.cost, self.region, workers=workers, observer=self.observer
            )
        self._train(lambda: starts.candidate(plan.candidates))
        self._climb(starts, plan)
        self._extend(starts)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Keep what going on is expected to add; nothing where the sampler was not asked, or cannot tell."""
        sampler = self.study.optuna.sampler
        if isinstance(sampler, CostAwareSampler):
            self.study.optuna.set_user_attr(EXPECTED_GAINS, sampler.expected_gains(self.study.optuna))

    def _plan(self, starts: Starts) -> Plan | None:
        """Plan all that is to be done, and say it; None until the control tells, where the budget is a time."""
        settings = self.setting.settings
        wanted = starts.candidates() + settings.more if settings.more else settings.trials
        pace = pace_of(settings, self.study.record().trials, self.setting.workers)
        planned = plan_search(settings, pace, candidates=starts.most() if wanted is None else wanted)
        self.observer.note(f"plan: {planned or 'unknown until the control is trained'}")
        return planned

    def _climb(self, starts: Starts, planned: Plan) -> None:
        """Train rung by rung, each once the one below is done: what chooses is in storage then and changes no more."""
        settings = self.setting.settings
        on_rung = first_rung(settings, self.study.record().trials)
        for number, rung in enumerate(planned.rungs):
            if number:
                on_rung = choose(settings, self.study.record().trials, on_rung, number - 1, rung.candidates)
                self.weights.keep_only([*on_rung, BASELINE])
            self._train(partial(starts.on_rung, self.study.record().architectures, on_rung, number))
            if not self._in_time():
                return
        self.weights.keep_only([])

    def _extend(self, starts: Starts) -> None:
        """Train longer whom some seeds taught and others did not, and the baseline as long, under fresh seeds."""
        record = self.study.record()
        keys = extension(self.setting.settings, record.trials) if self._in_time() else []
        if not keys:
            return
        names = ", ".join(dict.fromkeys(key.identity for key in keys if key.identity != BASELINE))
        self.observer.note(
            f"{names}: learnt under some seeds and not under others; trained for {keys[0].epochs} epochs under fresh "
            f"seeds, the baseline too: {len(keys)} trainings"
        )
        self._train(partial(starts.of_extension, record.architectures, keys))

    def _train(self, next_start: Callable[[], Start | None], until: Callable[[], bool] = lambda: False) -> None:
        """Keep all workers at work until there is nothing more to start and all has ended, other members' work too.

        Args:
            next_start: What to start next, if anything.
            until: When to return before that; what runs then goes on.
        """
        self._waits = False
        self.queue.train(lambda: self._in_time() and self._start_next(next_start), pause=self._pause, until=until)

    def _pause(self) -> float | None:
        """Look again while other members train: what they come to may give this one something to begin."""
        running = self.queue.keys
        if self.queue.is_full or not self._in_time() or not self.study.under_way() - {*running}:
            return None
        if not running and not self._waits:
            self.observer.phase("waiting for what other searches of this study train")
            self._waits = True
        return _LOOK_AGAIN_S

    def _start_next(self, next_start: Callable[[], Start | None]) -> bool:
        """Begin a trial if there is one to begin; in this member's turn, so that nobody begins the same."""
        with self.study.members.turn():
            self.study.close_abandoned()
            start = next_start()
            if start is None:
                return False
            setting, settings = self.setting, self.setting.settings
            architecture, (identity, epochs, seed), name, trial = start
            config = insert(setting.base, architecture, sites=setting.sites, classes=setting.classes)
            made = f"base {setting.base.name}; made by clo-nas; needs `import harness`"
            comment = f"{identity}: {architecture.describe()}\n{made}"
            picks = self._picks(epochs, seed)
            row = {"seed": seed, "base_seed": settings.seed, "epochs": epochs, "selected_on": picks}
            trial = trial or ask_for(self.study.optuna, setting.space, architecture)
            self.study.begin(trial, architecture, identity, to_yaml(config, comment), row)
        self.observer.begin(trial.number, f"{name}: {architecture.describe()}")
        self._start(start, trial, config)
        return True

    def _start(self, start: Start, trial: optuna.trial.Trial, config: Description) -> None:
        """Hand a trial out, whatever becomes of it."""
        settings, architecture = self.setting.settings, start.architecture
        try:
            cost = model_cost(build(config), settings.imgsz)
        except Exception as error:  # noqa: BLE001 - whatever fails here is the candidate's failure, not the search's
            self.queue.fail(start.key, trial, f"cannot be built: {type(error).__name__}: {error}".splitlines()[0])
            return
        figures = {"macs": cost.macs, "flops": cost.flops, "params": cost.params}
        self.queue.start(start.key, trial, figures, partial(self._job, architecture, start.key, config))

    def _job(self, architecture: Architecture, key: Key, config: Description, device: str) -> Job:
        """Build what a trial's process does."""
        setting, settings = self.setting, self.setting.settings
        identity, epochs, seed = key
        training = Training(
            config=config,
            base_config=setting.base.config,
            base_weights=self.common.weights,
            layers=index_map(setting.base, architecture, setting.sites),
            data=str(setting.data.path),
            data_fingerprint=setting.data.fingerprint,
            classes=setting.classes,
            schedule=setting.schedule,
            seed=seed,
            device=device,
            threads=setting.threads,
            loader_workers=settings.loader_workers,
            keep_matches=not self._picks(epochs, seed),
        )
        chain = [replace(training, schedule=replace(training.schedule, epochs=epochs))]
        if epochs in self.ladder.levels:  # an extension goes on from nothing
            chain = self.weights.chain(training, identity, epochs, self.study.checkpoints(identity, seed))
        *before, training = chain
        for lost in before:
            reached = lost.trained_epochs + lost.schedule.epochs
            self.observer.note(f"{identity} seed {seed}: no sound weights after {reached} epochs; trained again first")
        return Job(
            training=training,
            before=tuple(before),
            measure_latency=(seed, epochs) == (settings.seed, settings.epochs),
            latency_seconds=settings.latency_seconds,
            latency_threads=setting.latency_threads,
        )

    def figures_of(self, key: Key, result: Measured) -> dict[str, object]:
        """Return what a trial's row records, its weights' hash included; keep its matches and curve."""
        identity, epochs, seed = key
        settings = self.setting.settings
        weights = self.weights.digest(identity, epochs, seed)
        keep_files(result, settings.folder, identity, epochs, settings.seed, seed)
        if identity == BASELINE and result.latency:
            self._keep_aa_check(result.latency)
        figures = trial_figures(result, is_baseline=identity == BASELINE)
        return figures if weights is None else {**figures, WEIGHTS: weights}

    def ended(self, number: int, key: Key, result: Measured | None) -> None:
        """Forget the weights that it went on from, write every pass of its latency, and tell what is left."""
        settings, (identity, epochs, seed) = self.setting.settings, key
        if result:
            self.weights.forget(identity, self.ladder.below(epochs), seed)
            if result.latency:
                file = settings.folder / SAMPLES / f"{identity}.parquet"
                write_parquet(result.latency, file, candidate=identity, baseline=BASELINE)
        record = self.study.record()
        if self.planned:
            workers = self.queue.executor.workers
            left = work_left(settings, self.planned, record.trials, workers=workers, deadline=self.deadline)
            self.observer.plan(left)
        self.observer.finished(record, number)

    def _picks(self, epochs: int, seed: int) -> bool:
        """Return whether a training's seed is a selection seed, not an evaluation seed."""
        return seed - self.setting.settings.seed < self.ladder.pickers(epochs)

    def _keep_aa_check(self, latency: Latency) -> None:
        """Keep how the baseline was timed against its own copy: a ratio away from 1 would discredit all others."""
        check = {"ratio": latency.ratio, "ratio_ci95": list(latency.ratio_ci95)}
        self.study.environment |= {AA_CHECK: check}

    def _in_time(self) -> bool:
        return time.monotonic() < self.deadline
