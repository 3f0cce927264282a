"""Whether a block pays, on a person's images and in their hours: search, placebos, control, long training, verdict.

Each stage is a study that stands for itself: the search, whose pilot fixes the plan; `NAME-confirm`, in which what the
search found is trained under seeds that chose nothing, beside the base widened to its size; the long trainings, which
are the search's; the control. Each gets a part of the hours, and what is not there when they are over is said.
The same command goes on where it ended; `plan.json` in the search's folder holds what was planned and spent.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
from pydantic import BaseModel, ValidationError

from harness.ablation.run import ablate
from harness.ablation.setting import prepare_ablation
from harness.ablation.train_chosen import ChosenOptions, train_chosen
from harness.analysis.chosen import corrected_for_choice
from harness.analysis.recommendation import recommended
from harness.analysis.statistics import Standing, summarise
from harness.architecture import BASELINE
from harness.blocks.registry import block_names
from harness.claims.control import ControlSettings, run_control
from harness.common.atomic import write_whole
from harness.common.errors import UserError
from harness.common.last_control import last_control
from harness.common.machine import resolve_device
from harness.detectors import resolve_base
from harness.jobs.progress import Observer
from harness.jobs.setting import find_architecture
from harness.judge.pilot import run_pilot
from harness.judge.plan import Option, plan_for
from harness.judge.verdict import Judged, judged
from harness.record.ablation_file import AblationFile, AblationSettings
from harness.record.settings import SearchSettings
from harness.record.state import State as Ended
from harness.record.storage_url import sqlite_url
from harness.record.study import StudyRecord
from harness.record.surroundings import Control
from harness.search.promotion import LONGER
from harness.search.run import StoppedError, search
from harness.storage.records import load_record

# What a person calls the Clo blocks of the default space.
CLO = "clo"
# Of the hours that the pilot left, what the search gets; of those that it leaves, what the comparison gets.
SEARCH_SHARE, CONFIRM_SHARE = 0.45, 0.6
# What a quick control takes at most on two cores: with less than that to spare none is run.
CONTROL_HOURS = 0.25
# Seeds of the comparison begin so far after the search's, which they must not share.
_FRESH = 100
# Baseline, block, and the base widened to its parameters and to its MACs.
_ARMS = 4
# Fewest and most seeds of the comparison.
_SEEDS = (2, 8)
_LONG_SEEDS = (2, 3)
PLAN = "plan.json"


class Planned(BaseModel):
    """What a pilot led to.

    Attributes:
        imgsz: Side of the input, in pixels.
        batch: Images a step.
        option: The search.
        seconds_a_training: Of its length, as the pilot's took.
        workers: Trainings at once.
        notes: What was chosen for the person, and why.
    """

    imgsz: int
    batch: int
    option: Option
    seconds_a_training: float
    workers: int
    notes: tuple[str, ...]


class State(BaseModel):
    """What `plan.json` holds, so that the same command goes on.

    Attributes:
        block: As it was named.
        spent_hours: Used by all runs of the command.
        planned: None before a pilot has ended.
        confirm: Architecture to the seeds of its comparison.
        long: Architecture to the seeds of its long training.
    """

    block: str
    spent_hours: float = 0.0
    planned: Planned | None = None
    confirm: dict[str, int] = {}
    long: dict[str, int] = {}


class Judge:
    """One run of the command.

    Args:
        block: `clo`, a registered block, `FILE.py:NAME`, or an article's model.
        settings: The search's; its space and what is tried first follow from the block.
        hours: That the person has.
        observer: Told what happens.
        command: The command line, for the record.
        written: Given each study when it has something new.
    """

    def __init__(
        self,
        block: str,
        settings: SearchSettings,
        hours: float,
        observer: Observer,
        command: list[str],
        written: Callable[[StudyRecord], object],
    ) -> None:
        self.block = block
        self.settings = settings.model_copy(update=of_block(block, settings))
        self.hours = hours
        self.observer = observer
        self.command = command
        self.written = written
        self.notes: list[str] = []
        self._started = time.monotonic()
        self._state = self._read()
        self._before = self._state.spent_hours

    @property
    def spent(self) -> float:
        """Hours, those of earlier runs included."""
        return self._before + (time.monotonic() - self._started) / 3600

    @property
    def left(self) -> float:
        """Hours, a second at least: what is trained already is read even when the time is over."""
        return max(self.hours - self.spent, 1 / 3600)

    def run(self) -> Judged:
        """Do what is missing, in order, as far as the hours go.

        Raises:
            UserError: The hours hold no search, or whatever stops one.
            KeyboardInterrupt: Ctrl-C before there is anything to be said.
        """
        planned = self._plan()
        option = planned.option
        self.notes += planned.notes
        record, confirm, architecture, stopped = None, None, None, False
        try:
            record = search(
                self.settings.model_copy(update={**option.to_options(), "timeout_s": self._seconds(SEARCH_SHARE)}),
                self.observer,
                self.command,
            )
            self._keep()
            self.written(record)
            architecture = leading(record)
            if architecture is not None:
                confirm = self._confirm(record, architecture, planned)
                self.written(confirm)
                self._control()
                record = self._long(record, architecture, planned)
                self.written(record)
        except StoppedError as error:
            record, stopped = record or error.record, True
        except KeyboardInterrupt:
            if record is None:
                raise
            confirm, stopped = confirm or self._known(f"{record.name}-confirm"), True
        finally:
            self._keep()
        return Judged(
            block=self.block,
            hours=self.hours,
            spent=self.spent,
            option=option,
            record=record,
            architecture=architecture,
            confirm=confirm,
            finding=judged(confirm, architecture, record.min_gain),
            control=Control(**last_control(resolve_device(self.settings.device))),
            command=shlex.join(self.command),
            notes=(*self.notes, *(("Stopped by hand: the same command goes on.",) if stopped else ())),
            stopped=stopped,
        )

    def _seconds(self, share: float = 1.0) -> float:
        return self.left * 3600 * share

    def _plan(self) -> Planned:
        """Return the search that fits: the one planned before, or what a pilot finds."""
        if (known := self._state.planned) is not None:
            chosen = {"imgsz": known.imgsz, "batch": known.batch, "epochs": known.option.epochs}
            self.settings = self.settings.model_copy(update=chosen)
            return known
        pilot = run_pilot(self.settings, self.hours, self.observer, self.command)
        self.settings = pilot.settings
        room = pilot.room(SEARCH_SHARE * self.left)
        found = plan_for(replace(room, most=1) if self.settings.include else room, self.settings.min_gain)
        if found is None:
            raise UserError(
                f"--hours {self.hours:g}: a training takes {pilot.seconds_a_training / 60:.2g} min here, and the hours "
                "hold no search of one candidate under three seeds with its judging; what was trained is kept: give "
                "more hours, or another --study with a smaller --imgsz"
            )
        option = found.recommended
        self.observer.note(
            f"planned: {option.candidates} candidates under one seed, {option.finalists} of them under {option.seeds}, "
            f"{option.steps} steps each, about {option.hours:.2g} h of {self.hours:g}; it detects a gain of "
            f"{option.detectable_gain:.4f}"
        )
        planned = Planned(
            imgsz=self.settings.imgsz,
            batch=self.settings.batch,
            option=option,
            seconds_a_training=pilot.seconds_a_training,
            workers=pilot.pace.workers,
            notes=(*pilot.notes, f"Planned from {pilot.noise[option.epochs].origin}."),
        )
        self._state = self._state.model_copy(update={"planned": planned})
        self._keep()
        return planned

    def _trainings(self, hours: float, planned: Planned) -> float:
        """Compute how many trainings of the search's length so many hours hold."""
        return hours * 3600 * planned.workers / planned.seconds_a_training

    def _confirm(self, record: StudyRecord, architecture: str, planned: Planned) -> StudyRecord:
        """Train what was found, the baseline and the placebos under seeds that chose nothing."""
        least, most = _SEEDS
        fit = int(self._trainings(CONFIRM_SHARE * self.left, planned) // _ARMS)
        seeds = self._state.confirm.setdefault(architecture, min(most, max(least, fit)))
        self._keep()
        first = self.settings.seed + _FRESH
        file = AblationFile(
            name=f"{record.name}-confirm",
            base=self.settings.base,
            data=self.settings.data,
            imgsz=self.settings.imgsz,
            allow_unusable=self.settings.allow_unusable,
            allow_val_in_train=self.settings.allow_val_in_train,
            epochs=planned.option.epochs,
            base_epochs=self.settings.base_epochs,
            batch=self.settings.batch,
            models=(f"{record.name}/{architecture}",),
            without=False,
            factors={},
            controls=(),
            seeds=tuple(range(first, first + seeds)),
            bases=(self.settings.seed,),
        )
        asked = AblationSettings(
            file=file, device=self.settings.device, workers=self.settings.workers, threads=self.settings.threads,
            loader_workers=self.settings.loader_workers, timeout_s=self._seconds(), results=self.settings.results,
        )  # fmt: skip
        self.observer.phase(f"{architecture} against the baseline and placebos, {seeds} fresh seeds")
        return ablate(prepare_ablation(asked), self.observer, self.command)

    def _control(self) -> None:
        """Run the quick control where none of this version was, and there is time for it."""
        device = resolve_device(self.settings.device)
        if last_control(device)["passed"] is not None:
            return
        if self.left < 2 * CONTROL_HOURS:
            self.notes.append("No control of this version was run on this machine: `clo control --quick` does it.")
            return
        asked = ControlSettings(
            quick=True, device=self.settings.device, workers=self.settings.workers, threads=self.settings.threads,
            results=self.settings.results,
        )  # fmt: skip
        run_control(asked, self.observer, self.command, self.written)

    def _long(self, record: StudyRecord, architecture: str, planned: Planned) -> StudyRecord:
        """Train the block and the baseline longer, where two seeds of both still fit."""
        least, most = _LONG_SEEDS
        epochs = LONGER * planned.option.epochs
        fit = int(min(most, self._trainings(self.left, planned) // (2 * LONGER)))
        seeds = self._state.long.get(architecture, fit)
        if seeds < least:
            needed = 2 * least * LONGER / self._trainings(1.0, planned)
            self.notes.append(
                f"No training of {epochs} epochs: two seeds of block and baseline take {needed:.2g} h more; "
                f"`clo train {record.name} {architecture} --epochs {epochs}` does it."
            )
            return record
        self._state.long[architecture] = seeds
        self._keep()
        asked = ChosenOptions(
            identity=architecture, epochs=epochs, seeds=seeds, device=self.settings.device,
            workers=self.settings.workers, threads=self.settings.threads, timeout_s=self._seconds(),
            loader_workers=self.settings.loader_workers, results=self.settings.results,
        )  # fmt: skip
        return train_chosen(record, asked, self.observer).record

    def _known(self, study: str) -> StudyRecord | None:
        """Return a study as far as it came; None where it has not begun."""
        url = sqlite_url(self.settings.results / study / "study.db")
        return load_record(url, study) if (self.settings.results / study / "study.db").is_file() else None

    def _read(self) -> State:
        path = self.settings.folder / PLAN
        if not path.is_file():
            return State(block=self.block)
        try:
            found = State.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{path} is no plan of clo judge; remove it, or give another --study") from error
        if found.block != self.block:
            raise UserError(f"study {self.settings.study} judges {found.block}, not {self.block}; give another --study")
        return found

    def _keep(self) -> None:
        if self.settings.folder.is_dir():
            kept = self._state.model_copy(update={"spent_hours": self.spent})
            write_whole(self.settings.folder / PLAN, (kept.model_dump_json(indent=2) + "\n").encode())


def of_block(block: str, settings: SearchSettings) -> dict[str, object]:
    """Return what a block makes of a search's settings: its space, or the one model that is tried.

    Raises:
        UserError: It is none.
    """
    if block == CLO:
        return {"space": "default"}
    if block in block_names() or ".py:" in block:
        return {"space": block}
    try:
        find_architecture(block, resolve_base(settings.base), settings.results, option="BLOCK")
    except UserError as error:
        raise UserError(f"{error}; nor {CLO}, one of {', '.join(block_names())}, or FILE.py:NAME") from error
    return {"space": "default", "include": (block,)}


def leading(record: StudyRecord) -> str | None:
    """Return what a search recommends, else the candidate with its largest judged gain; None where none was judged.

    Longer trainings, which came after the choice, have no say.
    """
    trials = record.trials[record.trials["epochs"] == record.settings.epochs]
    summary = summarise(trials[trials["state"] == Ended.COMPLETE], record.look)
    if BASELINE not in summary.index:
        return None
    inside = corrected_for_choice(summary)
    if (found := recommended(inside, "latency_ratio", record.min_gain)) is not None:
        return found
    gains: pd.Series[float] = inside.loc[inside["standing"] == Standing.JUDGED, "gain_map50_95"]
    return None if gains.empty else str(gains.idxmax())
