"""What a model card says of the training: on what, how long, from what, and the commands that do it again."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pandas as pd

from harness.report import words
from harness.report.notes import Pairs, command_of, to_type
from harness.search.exported import Exported, TrainedWeights
from harness.study_record import StudyRecord

_SHORT = (
    "AdamW with a cosine schedule, the weights of the last part of the run averaged; harness/measure/accuracy.py of "
    "clo-nas says what differs from Ultralytics' trainer."
)
_PUBLISHED = (
    "By Ultralytics' own recipe, which keeps the epoch that reads best on the validation images; "
    "harness/measure/recipe.py of clo-nas says what differs."
)


def data_name(record: StudyRecord) -> str:
    """The data set without its folder, which may name a person."""
    return PurePath(str(record.settings.get("data", "data not recorded"))).name


def row_of(record: StudyRecord, identity: str, weights: TrainedWeights) -> pd.Series[Any]:
    """The row of the training that a checkpoint is of."""
    rows = record.trials
    is_it = (rows["architecture"] == identity) & (rows["state"] == "complete") & (rows["epochs"] == weights.epochs)
    return rows[is_it & (rows["seed"] == weights.seed) & (rows["base_seed"] == weights.base_seed)].iloc[-1]


def long_seeds(record: StudyRecord, identity: str, epochs: int) -> tuple[int, ...]:
    """Seeds of an architecture's complete trainings of so many epochs that picked nobody."""
    rows = record.trials
    rows = rows[(rows["architecture"] == identity) & (rows["epochs"] == epochs) & (rows["state"] == "complete")]
    return tuple(sorted({int(seed) for seed in rows.loc[~rows["selected_on"].astype(bool), "seed"]}))


def training(record: StudyRecord, exported: Exported) -> tuple[str, ...]:
    """How the weights that go along came about."""
    weights = exported.weights
    if weights is None:
        return ("No weights go along. The last section says how to get some.",)
    row = row_of(record, exported.identity, weights)
    origin = str(record.environment.get("base_origin") or "the trained base")
    arrived = row["transferred"] or "what arrived was not recorded"
    start = f"the weights of {origin}, trained under seed {weights.base_seed} ({arrived})"
    settings = record.settings
    given = [
        f"{settings[name]} {unit}"
        for name, unit in (("batch", "images a step"), ("imgsz", "pixels"))
        if name in settings
    ]
    seeds = long_seeds(record, exported.identity, weights.epochs)
    how_long = [words.count(weights.epochs, "epoch"), *given, f"seed {weights.seed}"]
    return (
        f"{', '.join(how_long)}; {words.plain(row['train_seconds'], 0)} s.",
        f"Started from {'random weights' if _is_from_scratch(row) else start}.",
        f"These are the weights of the longest training that the study keeps, and of its "
        f"{words.count(len(seeds), 'seed')} the first, not the best, which the validation images would have chosen.",
        _PUBLISHED if record.ablation.get("file", {}).get("recipe") == "published" else _SHORT,
    )


def data_pairs(record: StudyRecord) -> Pairs:
    """The data, and the versions of what trained on them."""
    environment = record.environment
    images = [
        f"{environment[f'{split}_images']} to {purpose}"
        for split, purpose in (("train", "train on"), ("val", "validate on"))
        if f"{split}_images" in environment
    ]
    known: list[tuple[str, Any]] = [
        ("Data", data_name(record)),
        ("Images", ", ".join(images)),
        ("Hash of the data", environment.get("data") or record.settings.get("data_fingerprint")),
        ("Repairs of the data", " ".join(map(str, environment.get("data_repairs") or ()))),
        ("Cautions about the data", " ".join(map(str, environment.get("data_cautions") or ()))),
        ("clo-nas", environment.get("clo_nas")),
        ("Commit", (environment.get("git") or {}).get("commit")),
        *((name, (environment.get("packages") or {}).get(name)) for name in ("torch", "ultralytics")),
    ]
    return tuple((name, str(value)) for name, value in known if value)


def commands(record: StudyRecord, exported: Exported) -> Pairs:
    """What to type to get the study, the weights and this folder again."""
    searched = command_of(record.environment)
    said = [("The study", searched)] if searched else []
    if exported.weights is not None and not record.ablation:
        row = row_of(record, exported.identity, exported.weights)
        seeds = long_seeds(record, exported.identity, exported.weights.epochs)
        train = [record.name, exported.identity, "--epochs", str(exported.weights.epochs)]
        train += ["--seeds", _typed(seeds, record)]
        if _is_from_scratch(row) and not record.settings.get("from_scratch"):
            train.append("--from-scratch")
        said.append(("The weights", to_type(record, "train", *train)))
    elif exported.weights is None:
        said.append(("Trained weights", to_type(record, "train", record.name, exported.identity)))
    export = to_type(record, "export", record.name, exported.identity, "--to", exported.form)
    return (*said, ("This folder", export))


def _typed(seeds: tuple[int, ...], record: StudyRecord) -> str:
    """Seeds as `clo train --seeds` takes them: how many, where they follow the study's own, or which."""
    after = int(record.settings.get("seed", 0)) + int(record.settings.get("seeds", 0))
    follow = seeds == tuple(range(after, after + len(seeds)))
    return str(len(seeds)) if follow or len(seeds) == 1 else ",".join(map(str, seeds))


def _is_from_scratch(row: pd.Series[Any]) -> bool:
    return str(row["transferred"]) == "trained from scratch"
