"""A pilot: the first trainings of a search, which tell how fast things go and how one seed's gain scatters.

Nothing is trained that the search does not need: the base, the baseline, and where it fits its first candidate under
several seeds, at most a tenth of the hours in all. It is no look at the study: of the gains only the scatter is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.ablation.train_chosen import ChosenOptions, train_chosen
from harness.analysis.new_images import image_noise, paired_influence
from harness.analysis.noise import SHARED_BASELINE, pooled_noise
from harness.analysis.planning import LEAST_SEEDS, SeedNoise
from harness.architecture import BASELINE
from harness.common.errors import UserError
from harness.jobs.executors import start_server
from harness.jobs.plan import LEAST_BATCH, Pace, enough_epochs
from harness.jobs.progress import Observer
from harness.judge.plan import Plan, Room, steps_an_epoch
from harness.record.settings import EMBEDDED, SearchSettings
from harness.record.state import Failure, State
from harness.record.study import StudyRecord
from harness.search.promotion import PRIOR_SD
from harness.search.run import search
from harness.search.setting import Setting, prepare_search
from harness.storage.records import begun_with
from harness.training.pace import PaceRequest, measure_pace

# Most of the hours that a pilot may take, but for what no search can do without.
SHARE = 0.1
# Most seeds of the pilot's candidate.
_SEEDS = 5
# Sides of the input, in pixels, from which a plan chooses where nobody says one.
SIZES = (640, 512, 416, 320, 256, 192, 160, 128)
# Trainings, the pretrained baseline counted as epochs, that a size has room for: a search of five, and its judging.
_TRAININGS = 30
# Committed studies differ by factors of ten: the 95 % interval of 2 degrees of freedom is from half to six times.
# How one seed's gain scatters where a pilot cannot tell, by whether the data are embedded.
PRIORS = {
    True: SeedNoise(
        sd=PRIOR_SD, df=2, origin="a recorded standard deviation, of 36 architectures on the embedded digits"
    ),
    False: SeedNoise(
        sd=0.004,
        df=2,
        origin="a recorded standard deviation, of YOLOv5n on 292 photographs at 192 px (results/reference/bccd): here "
        "it may be another",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What a pilot found.

    Attributes:
        settings: The search's, with the image size, batch and epochs that were chosen.
        record: The study so far.
        steps_an_epoch: Optimiser steps.
        pace: How long things take.
        noise: Epochs to how one seed's gain scatters after so many: those of the search, and twice as many.
        most: Candidates that the space has.
        seconds: What the pilot took by the clock.
        notes: What was chosen for the person, and why.
    """

    settings: SearchSettings
    record: StudyRecord
    steps_an_epoch: int
    pace: Pace
    noise: Mapping[int, SeedNoise]
    most: int
    seconds: float
    notes: tuple[str, ...]

    @property
    def seconds_a_training(self) -> float:
        """Of the search's length."""
        return self.pace.epoch_seconds * self.settings.epochs

    @property
    def memory_bytes(self) -> float:
        """The most that a training held; NaN where nobody measured it."""
        return float(self.record.trials["memory_bytes"].max())

    @property
    def _memory(self) -> list[str]:
        """What the trainings hold, of the GPU or of the machine; empty where nobody measured it."""
        if not math.isfinite(self.memory_bytes):
            return []
        at_once = self.pace.workers * self.memory_bytes / 1e9
        return [f"Memory: {self.memory_bytes / 1e9:.2g} GB a training, {at_once:.2g} GB of all at once."]

    def sentences(self, plan: Plan) -> list[str]:
        """Return what a plan rests on, and what its hours cannot answer, a sentence each."""
        noise = self.noise[plan.recommended.epochs]
        images = ""
        if noise.images.known:
            images = f"; another sample of as many validation images moves a mean by {noise.images.limit:.4f}"
        lines = [
            f"A training takes {self.seconds_a_training / 60:.2g} min, {self.pace.workers} at once. One seed's gain "
            f"has a standard deviation of {noise.sd:.4f} ({noise.origin}){images}.",
            *self._memory,
            "Detects: the smallest true gain that four of five such searches call one, averaged over what that "
            "standard deviation may be.",
        ]
        for each in plan.beyond:
            none = "no number of seeds tells it on these validation images"
            takes = none if each.hours is None else f"{each.hours:.2g} h"
            lines.append(f"Not to be answered in the time: a gain of {100 * each.gain:g} points ({takes}).")
        return lines

    def room(self, hours: float) -> Room:
        """Return what a search has to fit into that gets so many hours."""
        candidates = self.record.trials["architecture"].nunique() - 1
        return Room(
            hours=hours,
            steps_an_epoch=self.steps_an_epoch,
            pace=self.pace,
            noise=self.noise,
            most=self.most,
            already=min(1, candidates),
        )


def run_pilot(settings: SearchSettings, hours: float, observer: Observer, command: list[str]) -> Pilot:
    """Train what a search begins with, and read how fast and how noisy it is.

    Args:
        settings: The search's; what they leave open of image size, batch and epochs is chosen for the hours.
        hours: That the person has.
        observer: Told what happens.
        command: The command line, for the record.

    Raises:
        UserError: The hours are fewer than one training takes, or whatever stops a search.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    started = time.monotonic()
    start_server()
    observer.phase("measuring the speed of a step")
    settings, setting, notes = _fitted(settings, hours)
    for note in notes:
        observer.note(note)
    record = _part(settings, observer, command, candidates=0, seeds=1)
    control = _complete(record, settings.epochs)
    if control.empty:
        raise UserError("the pilot: its first training was not finished; run the same command again")
    one = float(control["train_seconds"].mean())
    left = SHARE * hours * 3600 - (time.monotonic() - started) - 2 * settings.latency_seconds
    fit = int((left * setting.workers / one + 1) // 2)  # of baseline and candidate, less the one that is there
    if fit >= LEAST_SEEDS:
        record = _part(settings, observer, command, candidates=1, seeds=min(fit, _SEEDS))
    rows = _complete(record, settings.epochs)
    trained = rows.loc[rows["architecture"] != BASELINE, "architecture"]
    if len(trained) and fit - len(rows) / 2 >= 2 * LEAST_SEEDS:  # trainings twice as long
        identity = str(trained.iloc[0])
        longer = ChosenOptions(
            identity=identity, epochs=2 * settings.epochs, seeds=LEAST_SEEDS, device=settings.device,
            workers=settings.workers, threads=settings.threads, loader_workers=settings.loader_workers,
            storage=settings.storage, results=settings.results,
        )  # fmt: skip
        record = train_chosen(record, longer, observer).record
    prior = PRIORS[settings.data in EMBEDDED]
    short = seed_noise(rows, prior)
    long = seed_noise(_complete(record, 2 * settings.epochs), short)
    return Pilot(
        settings=settings,
        record=record,
        steps_an_epoch=steps_an_epoch(setting.data.train_images, settings.batch),
        pace=Pace(
            epoch_seconds=float((rows["train_seconds"] / rows["epochs"]).mean()),
            latency_seconds=settings.latency_seconds,
            workers=setting.workers,
        ),
        noise={settings.epochs: short, 2 * settings.epochs: long},
        most=setting.space.size,
        seconds=time.monotonic() - started,
        notes=notes,
    )


def seed_noise(rows: pd.DataFrame, otherwise: SeedNoise) -> SeedNoise:
    """Return how one seed's gain scatters: of a pilot's only candidate, which nothing picked.

    Args:
        rows: Complete trainings of one length.
        otherwise: What is taken where they do not tell.
    """
    candidates = rows[(rows["architecture"] != BASELINE) & rows["gain_map50_95"].notna()]
    noise = pooled_noise(candidates, "gain_map50_95", SHARED_BASELINE)
    if not noise.usable:
        return otherwise
    most = candidates["architecture"].value_counts().index[0]
    own = candidates[candidates["architecture"] == most]
    images = image_noise(paired_influence(own, rows[rows["architecture"] == BASELINE]))
    return SeedNoise(
        sd=noise.sd, df=noise.df, images=images, readings=len(own),
        origin=f"the pilot's {len(own)} seeds of {most}",
    )  # fmt: skip


def _part(
    settings: SearchSettings, observer: Observer, command: list[str], *, candidates: int, seeds: int
) -> StudyRecord:
    """Run the beginning of the search; who goes on with a study that has more of both gets what it has."""
    part: dict[str, Any] = {"trials": candidates, "finalists": candidates, "seeds": seeds}
    return search(settings.model_copy(update=part), observer, command, is_look=False)


def _complete(record: StudyRecord, epochs: int) -> pd.DataFrame:
    trials = record.trials
    return trials[(trials["state"] == State.COMPLETE) & (trials["epochs"] == epochs)]


def _fitted(settings: SearchSettings, hours: float) -> tuple[SearchSettings, Setting, tuple[str, ...]]:
    """Choose what is left open: as a study was begun, else what a search of the hours has room for.

    Raises:
        UserError: The hours are fewer than one training takes.
    """
    begun = begun_with(settings.storage_url, settings.study)
    given = settings.model_fields_set
    open_ = {"imgsz", "batch"} - given
    settings = settings.model_copy(update={name: begun[name] for name in open_ if name in begun})
    if begun:
        setting = prepare_search(settings)
        return setting.settings, setting, ()
    setting = prepare_search(settings)
    if "batch" in open_ and setting.device == "cpu":
        settings = settings.model_copy(update={"batch": min(settings.batch, LEAST_BATCH)})
    images = setting.data.train_images
    epochs = settings.epochs if "epochs" in given else enough_epochs(images=images, batch=settings.batch)
    smallest, pace = SIZES[-2], _seconds_an_image(setting, SIZES[-2], settings.batch)

    def seconds(size: int, trainings: float) -> float:
        return trainings * images * pace * (size / smallest) ** 2 / setting.workers

    notes = []
    if "imgsz" in open_ and settings.data not in EMBEDDED:
        needed = _TRAININGS * epochs + setting.workers * settings.base_epochs
        size = next((each for each in SIZES if seconds(each, needed) <= hours * 3600), SIZES[-1])
        if size != settings.imgsz:
            notes.append(
                f"image size: {size} px, the largest of {SIZES[-1]} to {SIZES[0]} at which {hours:g} h hold a search "
                "and its judging here; --imgsz takes another"
            )
        settings = settings.model_copy(update={"imgsz": size})
    least = seconds(settings.imgsz, epochs) * setting.workers
    if least > hours * 3600:
        enough = _TRAININGS * least / 3600 / setting.workers
        raise UserError(
            f"--hours {hours:g}: one training takes about {least / 60:.2g} min here ({epochs} epochs of {images} "
            f"images at {settings.imgsz} px), and a verdict many; give {enough:.2g} or more, or a smaller --imgsz"
        )
    setting = prepare_search(settings.model_copy(update={"epochs": epochs}))
    return setting.settings, setting, tuple(notes)


def _seconds_an_image(setting: Setting, size: int, batch: int) -> float:
    """Measure what a step takes an image, in a process of its own.

    Raises:
        UserError: A step fails.
    """
    request = PaceRequest(
        config=setting.base.config, classes=setting.classes, imgsz=size, batch=batch, device=setting.device,
        threads=setting.threads,
    )  # fmt: skip
    taken = setting.run_alone(measure_pace, request)
    if isinstance(taken, Failure):
        raise UserError(f"--device {setting.device}: a step of the base fails here ({taken.reason})")
    return taken
