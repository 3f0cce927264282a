"""What a model card says of accuracy and latency, paired with the baseline, and of the training.

Each number has its interval; the training's part says on what, how long, from what, and the commands that do it again.
"""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

import pandas as pd

from harness.analysis.statistics import gain_noise, summarise
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.export.exported import Exported, TrainedWeights
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import phrases, words
from harness.report.notes import Pairs, command_of, device, to_type
from harness.report.write import LongTraining, long_training

_SHORT = (
    "AdamW with a cosine schedule, the weights of the last part of the run averaged; harness/training/accuracy.py of "
    "clo-nas says what differs from Ultralytics' trainer."
)
_PUBLISHED = (
    "By Ultralytics' own recipe, which keeps the epoch that reads best on the validation images; "
    "harness/training/recipe.py of clo-nas says what differs."
)


def data_name(record: StudyRecord) -> str:
    """Return the data set without its folder, which may name a person."""
    return PurePath(record.settings.data or "data not recorded").name


def row_of(record: StudyRecord, identity: str, weights: TrainedWeights) -> pd.Series[Any]:
    """Return the row of the training that a checkpoint is of."""
    rows = record.trials
    is_it = (rows["architecture"] == identity) & (rows["state"] == State.COMPLETE) & (rows["epochs"] == weights.epochs)
    return rows[is_it & (rows["seed"] == weights.seed) & (rows["base_seed"] == weights.base_seed)].iloc[-1]


def long_seeds(record: StudyRecord, identity: str, epochs: int) -> tuple[int, ...]:
    """Return the seeds, selection seeds left out, of an architecture's complete trainings of so many epochs."""
    rows = record.trials
    rows = rows[(rows["architecture"] == identity) & (rows["epochs"] == epochs) & (rows["state"] == State.COMPLETE)]
    return tuple(sorted({int(seed) for seed in rows.loc[~rows["selected_on"].astype(bool), "seed"]}))


def training(record: StudyRecord, exported: Exported) -> tuple[str, ...]:
    """Say how the weights that go along came about."""
    weights = exported.weights
    if weights is None:
        return ("No weights go along. The last section says how to get some.",)
    row = row_of(record, exported.identity, weights)
    origin = record.environment.base_origin or "the trained base"
    arrived = row["transferred"] or "what arrived was not recorded"
    start = f"the weights of {origin}, trained under seed {weights.base_seed} ({arrived})"
    settings = record.settings
    given = [
        f"{value} {unit}"
        for value, unit in ((settings.batch, "images a step"), (settings.imgsz, "pixels"))
        if value is not None
    ]
    seeds = long_seeds(record, exported.identity, weights.epochs)
    how_long = [words.count(weights.epochs, "epoch"), *given, f"seed {weights.seed}"]
    return (
        f"{', '.join(how_long)}; {words.plain(row['train_seconds'], 0)} s.",
        f"Started from {'random weights' if _is_from_scratch(row) else start}.",
        f"These are the weights of the longest training that the study keeps, and of its "
        f"{words.count(len(seeds), 'seed')} the first, not the best, which the validation images would have chosen.",
        _PUBLISHED if record.ablation and record.ablation.file.recipe is Recipe.PUBLISHED else _SHORT,
    )


def data_pairs(record: StudyRecord) -> Pairs:
    """List the data, and the versions of what trained on them."""
    environment = record.environment
    images = [
        f"{number} to {purpose}"
        for number, purpose in ((environment.train_images, "train on"), (environment.val_images, "validate on"))
        if number is not None
    ]
    known: list[tuple[str, str | None]] = [
        ("Data", data_name(record)),
        ("Images", ", ".join(images)),
        ("Hash of the data", environment.data or record.settings.data_fingerprint),
        ("Repairs of the data", " ".join(environment.data_repairs)),
        ("Cautions about the data", " ".join(environment.data_cautions)),
        ("clo-nas", environment.clo_nas),
        ("Commit", environment.git.commit),
        *((name, environment.packages.get(name)) for name in ("torch", "ultralytics")),
    ]
    return tuple((name, str(value)) for name, value in known if value)


def commands(record: StudyRecord, exported: Exported) -> Pairs:
    """List what to type to get the study, the weights and this folder again."""
    searched = command_of(record.environment)
    said = [("The study", searched)] if searched else []
    if exported.weights is not None and not record.ablation:
        row = row_of(record, exported.identity, exported.weights)
        seeds = long_seeds(record, exported.identity, exported.weights.epochs)
        train = [record.name, exported.identity, "--epochs", str(exported.weights.epochs)]
        train += ["--seeds", _typed(seeds, record)]
        if _is_from_scratch(row) and not record.settings.from_scratch:
            train.append("--from-scratch")
        said.append(("The weights", to_type(record, "train", *train)))
    elif exported.weights is None:
        said.append(("Trained weights", to_type(record, "train", record.name, exported.identity)))
    export = to_type(record, "export", record.name, exported.identity, "--to", exported.form)
    return (*said, ("This folder", export))


def _typed(seeds: tuple[int, ...], record: StudyRecord) -> str:
    """Format seeds as `clo train --seeds` takes them: how many, where they follow the study's own, or which."""
    screened = record.settings.seeds
    after = record.settings.seed + (screened if isinstance(screened, int) else len(screened))
    follow = seeds == tuple(range(after, after + len(seeds)))
    return str(len(seeds)) if follow or len(seeds) == 1 else ",".join(map(str, seeds))


def _is_from_scratch(row: pd.Series[Any]) -> bool:
    return str(row["transferred"]) == "trained from scratch"


_DIGITS = 4


def evaluation(record: StudyRecord, exported: Exported) -> Pairs:
    """List mAP with the paired gain, by what, and the latency ratio with its device."""
    identity, weights = exported.identity, exported.weights
    trials = record.trials
    before = trials if weights is None else trials[trials["epochs"] != weights.epochs]
    return (
        *(_of_weights(record, identity, weights) if weights else ()),
        *_of_search(record, before, identity),
        ("Evaluator", _evaluators(trials[trials["architecture"] == identity])),
        ("Latency", _latency(summarise(trials).loc[identity], record)),
    )


def _of_weights(record: StudyRecord, identity: str, weights: TrainedWeights) -> Pairs:
    """List mAP of these very weights, then of their kind: the mean over seeds and the paired gain."""
    row = row_of(record, identity, weights)
    seeds = long_seeds(record, identity, weights.epochs)
    found = long_training(record, identity, weights.epochs, seeds)
    itself = (
        f"mAP50-95 of these weights, seed {weights.seed}",
        f"{words.plain(row['map50_95'], _DIGITS)} (mAP50 {words.plain(row['map50'], _DIGITS)})",
    )
    mean = (
        f"mAP50-95 after {words.count(weights.epochs, 'epoch')}, mean",
        f"{words.plain(found.map50_95, _DIGITS)} over {words.count(len(seeds), 'seed')}",
    )
    if identity == BASELINE:
        return (itself, mean)
    return (
        itself,
        mean,
        (
            "Gain over the baseline, same epochs and seeds",
            f"{_gain(found)}; the baseline reaches {words.plain(found.baseline_map50_95, _DIGITS)}",
        ),
    )


def _of_search(record: StudyRecord, trials: pd.DataFrame, identity: str) -> Pairs:
    """Summarise the search's own trainings, by which it was found; empty where there are none besides the weights'."""
    complete = trials[(trials["architecture"] == identity) & (trials["state"] == State.COMPLETE)]
    if complete.empty:
        return ()
    if record.ablation:
        epochs = int(complete["epochs"].max())
        found = long_training(record, identity, epochs, sorted(complete["seed"].unique()))
        text = f"mAP50-95 {words.plain(found.map50_95, _DIGITS)}"
        if identity != BASELINE:
            text += f", gain {_gain(found)}"
        return ((f"In the ablation, {words.count(epochs, 'epoch')}", text),)
    row: Any
    row, digits = summarise(trials, record.look).loc[identity], gain_noise(trials).digits
    text = f"mAP50-95 {phrases.map_of(row, digits)}"
    if identity != BASELINE:
        ends = _ci(row["gain_low"], row["gain_high"], digits, sign=True)
        gain = f"{words.signed(row['gain_map50_95'], digits)}, {ends}"
        text += f", gain {gain}: {row['verdict']}; {row['gain_basis']}"
    return ((f"In the search, {words.count(int(row['epochs']), 'epoch')}", text),)


def _ci(low: float, high: float, digits: int, *, sign: bool = False) -> str:
    """Format an interval with its level."""
    text = words.interval(low, high, digits, sign=sign)
    return f"{text} 95 %" if text.startswith("[") else text


def _gain(found: LongTraining) -> str:
    """Format a gain: `+0.0120, [+0.0060, +0.0180] 95 %, over 3 seeds: better`."""
    ends = _ci(found.gain_low, found.gain_high, _DIGITS, sign=True)
    gain = words.signed(found.gain_map50_95, _DIGITS)
    return f"{gain}, {ends}, over {words.count(found.seeds, 'seed')}: {found.verdict}"


def _evaluators(rows: pd.DataFrame) -> str:
    named = [str(name) for name in rows.loc[rows["state"] == State.COMPLETE, "evaluator"].unique() if name]
    return (" and ".join(named) or "not recorded") + ", on the validation images; 0 to 1, a mean over classes"


def _latency(row: Any, record: StudyRecord) -> str:
    ratio = row["latency_ratio"]
    if not math.isfinite(ratio):
        return "not measured"
    if row.name == BASELINE:
        return f"the reference of all ratios; {words.milliseconds(row['latency_ms_p50'])} on {device(record)}"
    low, high = row["latency_ratio_low"], row["latency_ratio_high"]
    return (
        f"{words.plain(ratio, 3)} × the baseline's, {_ci(low, high, 3)}, one image a pass, PyTorch, on {device(record)}"
    )
