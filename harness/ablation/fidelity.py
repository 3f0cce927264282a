"""Does a short training rank architectures as a long one does? The trainings that answer it.

A cohort of architectures, drawn at random from search spaces, is trained by every schedule of a plan: a source of
trainings whose ledger is a CSV, so that the study resumes and can be committed. `harness.analysis.fidelity` draws the
conclusions.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from filelock import FileLock, Timeout

from harness.ablation.fidelity_plan import FidelityPlan, Rung
from harness.ablation.fidelity_rows import TRAININGS, RowKey, Rows
from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError
from harness.common.machine import environment
from harness.detectors import find_sites, index_map, insert, map_sizes, mode_channels, resolve_base
from harness.jobs.base import RANDOM_WEIGHTS, base_schedule, common_base
from harness.jobs.place import find_place
from harness.jobs.queue import Queue, Source
from harness.jobs.setting import Prepared, data_environment, data_notes, prepare
from harness.jobs.trial import Job, Measured, run_trial
from harness.record.state import State
from harness.search.loop import LOG
from harness.space import SearchSpace, load_space
from harness.training.accuracy import Schedule, Training


@dataclass(frozen=True, kw_only=True)
class Member:
    """One architecture of the cohort; the baseline is the first."""

    architecture: Architecture
    identity: str
    space: str


@dataclass(frozen=True, kw_only=True)
class Fidelity(Prepared):
    """A fidelity study that can be run: everything named was found.

    Attributes:
        cohort: The baseline, then architectures of the plan's spaces in turns, none twice.
    """

    plan: FidelityPlan
    cohort: tuple[Member, ...]

    def schedule(self, rung: Rung) -> Schedule:
        """Return how a rung trains."""
        return Schedule(
            epochs=rung.epochs,
            batch=self.plan.batch,
            imgsz=self.plan.imgsz,
            learning_rate=rung.learning_rate,
            block_rate_factor=rung.block_rate_factor,
            augmentation=self.augmentation_for({}),
            averaged_tail=rung.averaged_tail,
        )


def prepare_fidelity(plan: FidelityPlan, workers: int | None = None) -> Fidelity:
    """Read and check everything that a plan names; trainings are of one CPU thread each.

    Args:
        plan: What is to be trained.
        workers: Trainings at once; None is one a core.

    Raises:
        UserError: Something does not exist or does not fit together.
    """
    place = find_place(device="cpu", workers=workers, threads=1)
    base = resolve_base(plan.base)
    prepared = prepare(plan, base, find_sites(base), place)
    return Fidelity(**vars(prepared), plan=plan, cohort=tuple(_cohort(plan, prepared)))


def _cohort(plan: FidelityPlan, prepared: Prepared) -> Iterator[Member]:
    base, sites = prepared.base, prepared.sites
    drawn = []
    for name, count in plan.cohort.items():
        space = SearchSpace(
            load_space(name).starting_as(plan.init),
            base=base.name,
            channels=mode_channels(sites),
            maps=map_sizes(sites, plan.imgsz),
        )
        rng = random.Random(f"{plan.seed}-{name}")
        members: dict[str, Member] = {}
        while len(members) < min(count, space.size):
            architecture = space.draw(rng)
            identity = space.identity(architecture)
            members[identity] = Member(architecture=architecture, identity=identity, space=name)
        drawn.append(list(members.values()))
    yield Member(architecture=Architecture(base=base.name), identity=BASELINE, space="")
    seen = set()
    for member in (one for turn in zip_longest(*drawn) for one in turn if one):
        if member.identity not in seen:
            seen.add(member.identity)
            yield member


def study_setting(fidelity: Fidelity, command: list[str]) -> dict[str, Any]:
    """Return what a study was made with, for its record: plan, base, data, machine."""
    plan, data = fidelity.plan, fidelity.data
    return {
        "plan": plan.model_dump(mode="json"),
        "base_fingerprint": fidelity.base.fingerprint,
        "data_fingerprint": data.fingerprint,
        "environment": environment(
            device="cpu", data_fingerprint=data.fingerprint, command=command, seeds=plan.short[0].seeds
        )
        | data_environment(data),
    }


def run_fidelity(
    fidelity: Fidelity,
    folder: Path,
    *,
    say: Callable[[str], None],
    after_each: Callable[[pd.DataFrame], object] = lambda _: None,
) -> pd.DataFrame:
    """Train what the folder does not have yet.

    Args:
        fidelity: What to train.
        folder: Where `trainings.csv` is, or will be.
        say: Told of each finished training.
        after_each: Given all rows whenever as many trainings as the cohort has members are done.

    Returns:
        The rows of this plan; `COLUMNS`.

    Raises:
        UserError: The plan cannot be run, or another program is at work in the folder.
        KeyboardInterrupt: Ctrl-C; what had ended is in the file.
    """
    for note in data_notes(fidelity.data, fidelity.plan.imgsz, fidelity.plan.batch, fidelity.augmentation_for({})):
        say(note)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            loop = RungLoop(fidelity, folder, say, after_each)
            loop.run()
            return loop.rows.frame()
    except Timeout as error:
        raise UserError(f"{folder}: another program is at work there; wait for it, or name another --out") from error


class _Asked(NamedTuple):
    """A training that is to be made; its number is its place among these."""

    number: int
    rung: Rung
    seed: int
    member: Member


class RungLoop(Source[_Asked, Measured]):
    """Keeps all workers at work until every schedule has trained its part of the cohort; the ledger is its rows."""

    def __init__(
        self,
        fidelity: Fidelity,
        folder: Path,
        say: Callable[[str], None],
        after_each: Callable[[pd.DataFrame], object],
    ) -> None:
        planned = {
            RowKey(rung.name, seed, member.identity): (rung, seed, member)
            for rung in fidelity.plan.rungs
            for seed in rung.seeds
            for member in fidelity.cohort[: rung.architectures and rung.architectures + 1]
        }
        self.rows = Rows(folder / TRAININGS, {*planned})
        missing = [each for key, each in planned.items() if key not in self.rows.done]
        self.waiting = deque(_Asked(number, *each) for number, each in enumerate(missing))
        self.total, self.written = len(missing), 0
        self.fidelity = fidelity
        self.folder = folder
        self.common = RANDOM_WEIGHTS
        self.say = say
        self.after_each = after_each
        self.queue = Queue[_Asked, Measured](
            run_trial,
            source=self,
            ledger=self,
            executor=fidelity.executor(None, folder / LOG),
            devices=fidelity.devices,
            note=say,
        )

    def run(self) -> None:
        """Train what is missing; the base first, if it is needed."""
        plan = self.fidelity.plan
        if any(not each.rung.from_scratch for each in self.waiting):
            schedule = base_schedule(self.fidelity.schedule(plan.short[0]), plan.base_epochs)
            self.common = common_base(self.fidelity, schedule, seed=plan.seed, loader_workers=0, results=self.folder)
        self.queue.during(lambda: self.queue.train(self._begin))

    def _begin(self) -> bool:
        if not self.waiting:
            return False
        asked = self.waiting.popleft()
        self.queue.start(asked, asked, {}, partial(self._job, asked))
        return True

    def _job(self, asked: _Asked, device: str) -> Job:
        fidelity, architecture = self.fidelity, asked.member.architecture
        training = Training(
            config=insert(fidelity.base, architecture, sites=fidelity.sites, classes=fidelity.classes),
            base_config=fidelity.base.config,
            base_weights=None if asked.rung.from_scratch else self.common.weights,
            layers=index_map(fidelity.base, architecture, fidelity.sites),
            data=str(fidelity.data.path),
            data_fingerprint=fidelity.data.fingerprint,
            classes=fidelity.classes,
            schedule=fidelity.schedule(asked.rung),
            seed=asked.seed,
            device=device,
            threads=fidelity.threads,
        )
        return Job(training=training)

    def figures_of(self, asked: _Asked, result: Measured) -> dict[str, Any]:
        """Return what a row records."""
        return {"map50_95": result.accuracy.map50_95, "cpu_seconds": round(result.cpu_seconds, 1)}

    def again(self, asked: _Asked) -> None:
        """Begin it next."""
        self.waiting.appendleft(asked)

    def end(self, asked: _Asked, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        """Write a row; what was interrupted has none, and is missing."""
        if state is State.INTERRUPTED:
            return
        _, rung, seed, member = asked
        row = {
            "schedule": rung.name, "seed": seed, "architecture": member.identity, "space": member.space,
            "blocks": member.architecture.describe(), "state": str(state), "reason": reason,
        }  # fmt: skip
        self.rows.add({**row, **figures})
        self.written += 1
        if self.written % len(self.fidelity.cohort) == 0:
            self.after_each(self.rows.frame())
        value = f"mAP50-95 {figures['map50_95']:.4f}" if state is State.COMPLETE else reason
        self.say(f"{self.written} of {self.total}: {rung.name}, seed {seed}, {member.identity}: {value}")
