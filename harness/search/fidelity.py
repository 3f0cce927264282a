"""Does a short training rank architectures as a long one does? The trainings that answer it.

A cohort of architectures, drawn at random from search spaces, is trained by every schedule of a plan. Each finished
training is a row of a CSV that is written whole after each, so that the study resumes and can be committed;
`harness.analysis.fidelity` draws the conclusions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.architecture import BASELINE, Architecture
from harness.detectors import index_map, insert
from harness.errors import UserError
from harness.measure.accuracy import Accuracy, Schedule, Training, train
from harness.measure.environment import environment
from harness.resources import search_space_folder
from harness.search.base import CommonBase, base_schedule, common_base
from harness.search.child import Report
from harness.search.executors import run_in_child
from harness.search.outcome import Failure, State
from harness.search.setting import Setting, prepare
from harness.settings import SearchSettings

TRAININGS = "trainings.csv"
COLUMNS = ("schedule", "seed", "architecture", "space", "blocks", "state", "reason", "map50_95", "cpu_seconds")
"""Columns of the file of that name: one row a training."""
_DEFAULTS = SearchSettings()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rung(_Model):
    """A schedule, the seeds it is run with, and on how many architectures of the cohort."""

    name: str
    epochs: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    learning_rate: float = Field(default=_DEFAULTS.learning_rate, gt=0)
    block_rate_factor: float = Field(default=_DEFAULTS.block_rate_factor, gt=0)
    averaged_tail: float = Field(default=0.3, ge=0, le=1)
    from_scratch: bool = False
    architectures: int | None = Field(default=None, ge=2)


class FidelityPlan(_Model):
    """What is trained: the base, the cohort, one long and several short schedules."""

    name: str
    base: str
    data: str
    imgsz: int
    batch: int = Field(ge=1)
    base_epochs: int = Field(ge=1)
    seed: Annotated[int, Field(ge=0)] = 0
    cohort: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    long: Rung
    short: tuple[Rung, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rung.name for rung in self.rungs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two schedules are called '{name}'")
        if self.long.architectures is not None:
            raise ValueError("the long schedule trains the whole cohort; leave its `architectures` out")
        return self

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """All schedules in the order of training: what a search does by default, the long one, the others."""
        return (self.short[0], self.long, *self.short[1:])


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One architecture of the cohort; the baseline is the first."""

    architecture: Architecture
    identity: str
    space: str
    setting: Setting


def load_plan(spec: str) -> FidelityPlan:
    """Read a plan: a YAML file, or the name of one that ships with clo-nas.

    Raises:
        UserError: There is none, or it is wrong.
    """
    path = Path(spec)
    if not path.is_file():
        path = search_space_folder() / "fidelity" / f"{spec.removesuffix('.yaml')}.yaml"
    try:
        return FidelityPlan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(
            f"fidelity plan {spec}: no such file, and none ships under that name; there are: {names}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}, {where}: {first['msg'].removeprefix('Value error, ')}") from error


def study_setting(plan: FidelityPlan, command: list[str]) -> dict[str, Any]:
    """What a study was made with, for its record: plan, base, data, machine."""
    setting = _setting(plan, next(iter(plan.cohort)))
    return {
        "plan": plan.model_dump(mode="json"),
        "base_fingerprint": setting.base.fingerprint,
        "data_fingerprint": setting.data.fingerprint,
        "environment": environment(
            device="cpu", data_fingerprint=setting.data.fingerprint, command=command, seeds=plan.short[0].seeds
        ),
    }


def run_fidelity(
    plan: FidelityPlan,
    folder: Path,
    *,
    workers: int,
    say: Callable[[str], None],
    after_each: Callable[[pd.DataFrame], object] = lambda _: None,
) -> pd.DataFrame:
    """Train what the folder does not have yet, on the CPU with one thread each.

    Args:
        plan: What to train.
        folder: Where `trainings.csv` is, or will be.
        workers: Trainings at once.
        say: Told of each finished training.
        after_each: Given all rows whenever a schedule has got a seed further.

    Returns:
        All rows; `COLUMNS`.

    Raises:
        UserError: The plan cannot be run.
    """
    members = list(_cohort(plan))
    setting = members[0].setting
    base = common_base(
        setting.base,
        setting.data,
        base_schedule(_schedule(plan, plan.short[0]), plan.base_epochs),
        seed=plan.seed,
        device="cpu",
        threads=1,
        loader_workers=0,
        on_progress=lambda _: None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = _Rows(folder / TRAININGS)
    jobs = [
        (rung, seed, member)
        for rung in plan.rungs
        for seed in rung.seeds
        for member in members[: rung.architectures and rung.architectures + 1]
        if (rung.name, seed, member.identity) not in rows.done
    ]

    def run(job: tuple[Rung, int, _Member]) -> dict[str, Any]:
        rung, seed, member = job
        result = run_in_child(_timed, _training(plan, rung, seed, member, base), log=folder / "trainings.log")
        return {
            "schedule": rung.name, "seed": seed, "architecture": member.identity, "space": member.space,
            "blocks": member.architecture.describe(), **_outcome(result),
        }  # fmt: skip

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run, job) for job in jobs]
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                row = future.result()
                rows.add(row)
                value = f"mAP50-95 {row['map50_95']:.4f}" if row["state"] == State.COMPLETE else row["reason"]
                if number % len(members) == 0:
                    after_each(rows.frame())
                say(f"{number} of {len(jobs)}: {row['schedule']}, seed {row['seed']}, {row['architecture']}: {value}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return rows.frame()


def _timed(training: Training, report: Report) -> tuple[Accuracy, float]:
    """In the child: train, and say how much CPU time that took."""
    started = time.process_time()
    accuracy = train(training, lambda done, total: report(("training", done, total)))
    return accuracy, time.process_time() - started


def _outcome(result: tuple[Accuracy, float] | Failure) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {"state": str(result.state), "reason": result.reason, "map50_95": None, "cpu_seconds": None}
    accuracy, cpu_seconds = result
    return {
        "state": str(State.COMPLETE), "reason": "", "map50_95": accuracy.map50_95, "cpu_seconds": round(cpu_seconds, 1)
    }  # fmt: skip


def _cohort(plan: FidelityPlan) -> Iterator[_Member]:
    """The baseline, then architectures of the plan's spaces in turns, none twice."""
    drawn = []
    for space, count in plan.cohort.items():
        setting = _setting(plan, space)
        rng = random.Random(f"{plan.seed}-{space}")
        members: dict[str, _Member] = {}
        while len(members) < min(count, setting.space.size):
            architecture = setting.space.draw(rng)
            identity = setting.space.identity(architecture)
            members[identity] = _Member(architecture=architecture, identity=identity, space=space, setting=setting)
        drawn.append(list(members.values()))
    bare = Architecture(base=drawn[0][0].setting.base.name)
    yield _Member(architecture=bare, identity=BASELINE, space="", setting=drawn[0][0].setting)
    seen = set()
    for member in (one for turn in zip_longest(*drawn) for one in turn if one):
        if member.identity not in seen:
            seen.add(member.identity)
            yield member


def _setting(plan: FidelityPlan, space: str) -> Setting:
    return prepare(
        SearchSettings(base=plan.base, data=plan.data, space=space, imgsz=plan.imgsz, batch=plan.batch, device="cpu")
    )


def _schedule(plan: FidelityPlan, rung: Rung) -> Schedule:
    return Schedule(
        epochs=rung.epochs,
        batch=plan.batch,
        imgsz=plan.imgsz,
        learning_rate=rung.learning_rate,
        block_rate_factor=rung.block_rate_factor,
        averaged_tail=rung.averaged_tail,
    )


def _training(plan: FidelityPlan, rung: Rung, seed: int, member: _Member, base: CommonBase) -> Training:
    setting = member.setting
    return Training(
        config=insert(setting.base, member.architecture, sites=setting.sites, classes=setting.classes),
        base_config=setting.base.config,
        base_weights=None if rung.from_scratch else base.weights,
        layers=index_map(setting.base, member.architecture, setting.sites),
        data=str(setting.data.path),
        classes=setting.classes,
        schedule=_schedule(plan, rung),
        seed=seed,
        device="cpu",
        threads=1,
    )


class _Rows:
    """The CSV of finished trainings, replaced whole by each new row; failures are tried again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        old = (
            pd.read_csv(path, keep_default_na=False, na_values={"map50_95": "", "cpu_seconds": ""})
            if path.is_file()
            else pd.DataFrame(columns=list(COLUMNS))
        )
        if tuple(old.columns) != COLUMNS:
            raise UserError(
                f"{path}: its columns are not {', '.join(COLUMNS)}; move the file away or name another folder"
            )
        self._rows: list[Any] = old[old.state == State.COMPLETE].to_dict("records")
        self.done = {(row["schedule"], row["seed"], row["architecture"]) for row in self._rows}

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        part = self._path.with_suffix(".part")
        self.frame().to_csv(part, index=False)
        part.replace(self._path)

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self._rows, columns=list(COLUMNS))
