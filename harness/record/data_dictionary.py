"""What every file of a study's folder holds, column by column: the schema of `trials.parquet`, and the docs' page.

`docs/data-dictionary.md` is made from here (`python -m harness.record.data_dictionary docs/data-dictionary.md`); tests
every list of columns against the file that is written.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple

# Version of the columns of trials.csv and trials.parquet. A new column leaves it as it is; one that is removed or
# renamed, or that changes its type, unit or meaning, raises it by one.
TRIALS_SCHEMA_VERSION = 1


class Kind(StrEnum):
    """Type of a column, by pandas' name where it has one."""

    TEXT = "str"
    WHOLE = "int64"
    NUMBER = "float64"
    FLAG = "bool"
    # A whole number that may be missing: a float in memory.
    COUNT = "count"
    # ISO 8601, in UTC: text in memory.
    TIME = "time"


class Column(NamedTuple):
    """A column; `unit` is empty where it counts nothing and measures nothing."""

    kind: Kind
    about: str
    unit: str = ""

    @property
    def dtype(self) -> str:
        """Return its type in memory, by pandas' name."""
        return {Kind.COUNT: Kind.NUMBER, Kind.TIME: Kind.TEXT}.get(self.kind, self.kind).value


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a study's folder.

    Attributes:
        name: Its path in the folder.
        about: What it holds, and when it is there.
        columns: Name to column, where it is a table.
    """

    name: str
    about: str
    columns: Mapping[str, Column] = field(default_factory=dict)


_text, _whole, _number, _flag, _count, _time = (partial(Column, kind) for kind in Kind)
_MAP, _CI = "mAP, 0 to 1", "end of the 95 % interval"
_MS, _RATIO, _PER_IMAGE = "ms, batch 1", "× baseline", "per image"

# Columns of `StudyRecord.trials` (`harness.record.study.COLUMNS`).
TRIALS: dict[str, Column] = {
    "trial": _whole("Number of the Optuna trial that is this training."),
    "architecture": _text("Identity of the architecture; `baseline` is the base itself, trained as long."),
    "seed": _whole("Seed of the training: order of the images, augmentation, new weights."),
    "base_seed": _whole("Seed of the pretrained baseline's own training; 0 in studies from before it was kept."),
    "epochs": _whole("Epochs of the training, those included that it goes on from.", "epochs"),
    "state": _text("What became of it: `complete`, `failed`, `out_of_memory` or `interrupted` (run again later)."),
    "reason": _text("Why it is not complete; else empty."),
    "map50_95": _number("Mean average precision over IoU 0.50 to 0.95 on the validation set, by `evaluator`.", _MAP),
    "map50": _number("Mean average precision at IoU 0.50, by `evaluator`.", _MAP),
    "evaluator": _text("What judged, with its version; empty in old studies: Ultralytics' validator."),
    "ultralytics_map50_95": _number("mAP50-95 by Ultralytics' validator, on COCO data beside COCOeval's.", _MAP),
    "coco_map50_95": _number("mAP50-95 by COCOeval, where it was asked for.", _MAP),
    "coco_map50": _number("mAP50 by COCOeval.", _MAP),
    "coco_map_small": _number("mAP50-95 by COCOeval of objects below 32² pixels.", _MAP),
    "coco_map_medium": _number("mAP50-95 by COCOeval of objects from 32² to 96² pixels.", _MAP),
    "coco_map_large": _number("mAP50-95 by COCOeval of objects above 96² pixels.", _MAP),
    "gain_map50_95": _number(
        "`map50_95` minus the baseline's of the same base, seed, epochs and kind of evaluator; above 0 is better. "
        "Empty where there is no such row.",
        f"difference of {_MAP}",
    ),
    "latency_ms_p50": _number("Median latency of a pass, measured with an architecture's first training.", _MS),
    "latency_ms_p90": _number("90th percentile of the same passes.", _MS),
    "latency_ratio": _number("Latency over the baseline's, the two interleaved so that drift cancels.", _RATIO),
    "latency_ratio_low": _number(f"Lower {_CI} of `latency_ratio`.", _RATIO),
    "latency_ratio_high": _number(f"Upper {_CI} of `latency_ratio`.", _RATIO),
    "macs": _count("Multiply–accumulates of a pass, by shape and exact.", _PER_IMAGE),
    "flops": _count("2 × `macs`.", _PER_IMAGE),
    "params": _count("Parameters in all."),
    "train_seconds": _number("Time of the training with its validation, waiting for others left out.", "s"),
    "cpu_seconds": _number("Processor time of the training, over all threads and processes.", "s"),
    "memory_bytes": _number(
        "The most memory that the training held: reserved on its GPU, else resident in its process; empty in studies "
        "from before it was kept.",
        "bytes",
    ),
    "started": _time("When it began, ISO 8601.", "UTC"),
    "finished": _time("When it ended, ISO 8601; empty while it runs.", "UTC"),
    "selected_on": _flag("Whether this training's reading picks who is trained more: then it does not judge."),
    "transferred": _text("What became of the base's weights."),
    "image_influence": _text(
        "How much each validation image moves `ultralytics_map50_95`: its derivative by the image's weight, summed "
        "over up to 200 blocks of neighbouring images in the order of their names; numbers divided by spaces. The sum "
        "of squares is the variance by the choice of images. Only in trials.parquet; empty in studies from before it "
        "was kept.",
        _MAP,
    ),
}

_GAIN = f"difference of {_MAP}"
FRONT: dict[str, Column] = {
    "architecture": TRIALS["architecture"],
    "epochs": _whole("Epochs of the trainings that the row speaks of: an architecture's longest.", "epochs"),
    "seeds": _whole("Complete trainings of so many epochs, one a seed."),
    "standing": _text("`baseline`, `judged` (two or more seeds) or `screening only` (one: it can rule out, not in)."),
    "gain_map50_95": _number("Mean gain over the seeds that judge; of a screening row its one reading.", _GAIN),
    "gain_se": _number("Standard error of the gain on `gain_target`: its interval is Student's t times this.", _GAIN),
    "gain_df": _number("Degrees of freedom of `gain_se`.", ""),
    "gain_low": _number(
        f"Lower {_CI} of the gain on `gain_target`, its own noise moderated towards that of the others.", _GAIN
    ),
    "gain_high": _number(f"Upper {_CI} of the gain on `gain_target`.", _GAIN),
    "gain_seeds": _whole("Seeds that the gain rests on."),
    "gain_basis": _text("The same in words."),
    "p_value": _number("Of a gain of 0 on `gain_target`, uncorrected.", "0 to 1"),
    "gain_target": _text(
        "What the interval, the p-values and the verdict speak of: `new images` like those of the validation set, or "
        "`these images`, where the study did not keep what each image contributes."
    ),
    "image_sd": _number("Standard deviation of the gain by the choice of validation images.", _GAIN),
    "image_sd_limit": _number("The part of `image_sd` that no number of seeds takes away.", _GAIN),
    "gain_low_these_images": _number(f"Lower {_CI} of the gain on these images: over seeds alone.", _GAIN),
    "gain_high_these_images": _number(f"Upper {_CI} of the gain on these images.", _GAIN),
    "p_holm": _number("Corrected for all judged candidates (Holm) and for looks: a gain is below 5 %.", "0 to 1"),
    "verdict": _text("`gain`, `loss`, `undecided`, `unmeasured` or `reference` (the baseline)."),
    "map50_95": _number("Mean over the complete seeds.", _MAP),
    "map50_95_low": _number(f"Lower {_CI} of `map50_95`.", _MAP),
    "map50_95_high": _number(f"Upper {_CI} of `map50_95`.", _MAP),
    "map50": _number("Mean over the complete seeds.", _MAP),
    "map50_low": _number(f"Lower {_CI} of `map50`.", _MAP),
    "map50_high": _number(f"Upper {_CI} of `map50`.", _MAP),
    **{name: TRIALS[name] for name in TRIALS if name.startswith("latency_")},
    "macs": TRIALS["macs"],
    "params": TRIALS["params"],
    "macs_ratio": _number("`macs` over the baseline's.", _RATIO),
    "params_ratio": _number("`params` over the baseline's.", _RATIO),
    "complete": _whole("Complete trainings of any number of epochs."),
    "failed": _whole("Trainings that did not finish."),
    "reason": _text("Of the last failure."),
    "front_latency": _flag("Whether nothing of as many epochs beats it in both gain and latency."),
    "front_macs": _flag("Whether nothing of as many epochs beats it in both gain and MACs."),
}

_OBJECTIVE = _text("`map50_95` (0 to 1), `latency` (ms), `macs` or `params`.")
IMPORTANCE: dict[str, Column] = {
    "objective": _OBJECTIVE,
    "method": _text("How the importance is reckoned."),
    "parameter": _text("Choice of the search space: `site:what`."),
    "importance": _number("Share of what the choices explain; 1 in all over an objective and method.", "0 to 1"),
    "spread": _number("Standard deviation of the importance over resamples.", "0 to 1"),
}
EFFECTS: dict[str, Column] = {
    "objective": _OBJECTIVE,
    "parameter": IMPORTANCE["parameter"],
    "level": _text("What was chosen."),
    "effect": _number("Mean of the architectures that have it minus that of those that could.", "the objective's"),
    "low": _number(f"Lower {_CI}, uncorrected.", "the objective's"),
    "high": _number(f"Upper {_CI}, uncorrected.", "the objective's"),
    "n_with": _whole("Architectures that have it."),
    "n_without": _whole("Architectures that could have it."),
    "p_value": _number("Welch's test, uncorrected.", "0 to 1"),
    "p_holm": _number("Corrected by Holm over the objective's rows.", "0 to 1"),
    "significant": _flag("Whether `p_holm` is below 0.05."),
}
CONTRASTS: dict[str, Column] = {
    "name": _text("The arm, for people."),
    "minuend": _text("Identity of the arm from whose mAP the other's is taken."),
    "subtrahend": _text("Identity of that other arm."),
    "readings": _whole("Seeds that both were trained with; bases where there are several."),
    "mean": _number("Mean difference in mAP50-95.", _GAIN),
    "sd": _number("Standard deviation of one reading, pooled over differences of one kind.", _GAIN),
    "df": _number("Its degrees of freedom."),
    "low": _number(f"Lower {_CI}.", _GAIN),
    "high": _number(f"Upper {_CI}.", _GAIN),
    "low_corrected": _number("The same, corrected for all rows of the family (Bonferroni).", _GAIN),
    "high_corrected": _number("The same, corrected for all rows of the family (Bonferroni).", _GAIN),
    "p_value": _number("Of no difference, uncorrected.", "0 to 1"),
    "verdict": _text("`better`, `worse`, `undecided` or `unmeasured`, by the corrected interval."),
    "readings_needed": _number(
        "Readings of every arm that would tell a true difference of this size on these images from 0 (power 80 %, "
        "corrected, were `sd` the true one). `inf`: more than 10,000; empty: the noise is not known."
    ),
    "df_per_reading": _number("Degrees of freedom that one more reading of every arm would add to `df`."),
    "comparisons": _whole("Measured differences that the corrected interval is corrected for."),
    "target": _text("What the ends, the p-value and the verdict speak of: see `gain_target` of front.csv."),
    "image_sd": _number("Standard deviation of the mean difference by the choice of validation images.", _GAIN),
    "low_these_images": _number(f"Lower {_CI} on these images: over readings alone.", _GAIN),
    "high_these_images": _number(f"Upper {_CI} on these images.", _GAIN),
    "family": _text("`gain` (arm minus baseline) or `worth` (model minus arm)."),
}
LATENCY_SAMPLES: dict[str, Column] = {
    "round": _whole("Round of the interleaved measurement, from 0."),
    "position": _whole("Within the round, 0 to 3: one model at 0 and 3, the other at 1 and 2, drawn at random."),
    "model": _text("`candidate` or `baseline`."),
    "latency_ms": _number("One pass of a whole batch.", "ms"),
}
CURVE: dict[str, Column] = {
    "epoch": _whole("Epoch of the row's last step, from 1; those count that the training went on from.", "epochs"),
    "step": _count(
        "Last optimiser step of the row, from 1; those count that the training went on from. Empty where a row is an "
        "epoch of the published recipe.",
        "steps",
    ),
    "steps": _count("Steps that the row's losses and rates are the mean of; empty where `step` is.", "steps"),
    "box_loss": _number("Ultralytics' loss of the boxes, weighted, of an image; of its last head alone in some."),
    "cls_loss": _number("The same of the classes."),
    "dfl_loss": _number("The same of the distances' distributions; empty where a head has none."),
    "l1_loss": _number("The same of the distances, in heads without distributions (YOLO26); else empty."),
    "learning_rate": _number("Of the base's weights; by the published recipe that of an epoch's last step."),
    "learning_rate_blocks": _number("Of the inserted blocks; empty where there are none, and by the published recipe."),
    "ultralytics_map50_95": _number(
        "mAP50-95 by Ultralytics' validator where the training was validated: after its last step, by the published "
        "recipe after each epoch, of the moving average.",
        _MAP,
    ),
}

# Every file of a study's folder, in the order of the page.
FILES = (
    File(name="study.db", about="The Optuna storage (SQLite), from which all other files can be made again."),
    File(
        name="study.db.good",
        about="Its last good copy, renewed after each training: the next start goes on from it where `study.db` is "
        "damaged, and keeps that as `study.db.damaged-TIME`.",
    ),
    File(name="report.html", about="The report; opens from disk, without a network."),
    File(name="report.md", about="The same for GitHub and plain readers."),
    File(name="pareto.png", about="The front as a picture, 200 dots an inch; of a search."),
    File(name="pareto.svg", about="The same as vectors, its text as text; of a search."),
    File(
        name="images.jpg",
        about="The validation images on which the pick, or else the best, and the baseline differ most; of a search.",
    ),
    File(
        name="images/",
        about="Those that the report shows, up to 2,048 pixels wide or high, upright and without what a camera wrote; "
        "a later report takes them from here. `--no-images` keeps them out.",
    ),
    File(name="plan.json", about="What `clo judge` planned and spent, so that the same command goes on."),
    File(
        name="verdict/",
        about="The page of `clo judge` (`report.html`, `report.md`, `images.jpg`) and `card.json`: what the verdict is "
        "of, with an identifier of data, seeds and versions.",
    ),
    File(name="curves.png", about="Learning curves of the baseline and of those side by side; of a search."),
    File(name="forest.png", about="Every difference with its interval; of an ablation."),
    File(
        name="trials.csv", about="Every training, the baseline's first. Empty is what was not measured.", columns=TRIALS
    ),
    File(
        name="trials.parquet",
        about="The same rows and columns as trials.csv, and `image_influence`, with their types: whole numbers are "
        "`int64`, times are `timestamp` in UTC, what was not measured is null. The schema's metadata has "
        "`schema_version`, and each field's has `description` and `unit`. This page describes version "
        f"{TRIALS_SCHEMA_VERSION}: a new column leaves the version as it is, one that is removed, renamed or changes "
        "its meaning raises it.",
    ),
    File(name="front.csv", about="The architectures on a front, best gain first; of a search.", columns=FRONT),
    File(
        name="per_class.csv",
        about="AP50-95 (0 to 1) of each class: a row a complete training (`trial`), a column a class. There where "
        "it is known.",
    ),
    File(name="importance.csv", about="How much each choice matters; of a search.", columns=IMPORTANCE),
    File(name="effects.csv", about="What each choice is worth; of a search.", columns=EFFECTS),
    File(name="contrasts.csv", about="Differences between arms; of an ablation.", columns=CONTRASTS),
    File(
        name="environment.json",
        about="Machine, versions, data, settings, space and proposals of the study; `looks`: evaluation seeds at each "
        "look.",
    ),
    File(
        name="study.json",
        about="What no table holds and a report is made of: the architectures with their blocks, the choices and what "
        "the sampler was told of each, what it expects of further trainings, an ablation's file and arms. With "
        "trials.parquet, environment.json, per_class.csv, architectures/ and latency/ it is all that `clo report "
        "FOLDER` needs.",
    ),
    File(name="architectures/ID.yaml", about="Each architecture as an Ultralytics model that can be trained."),
    File(
        name="latency/ID.parquet",
        about="Every pass of an architecture's latency measurement; conditions are in the schema's metadata "
        "(`clo_nas_latency`).",
        columns=LATENCY_SAMPLES,
    ),
    File(name="trainings.log", about="What trainings printed."),
    File(name="weights/", about="What longer trainings go on from; empty once a search is done."),
    File(
        name="matches/ID-Nepochs-baseB-seedS.npz",
        about="Matches of the validation images of a training that judges: per detection its class, confidence and, a "
        "bit an IoU of 0.50 to 0.95, whether it has an object, and, from a confidence of 0.05 on, where it lies; the "
        "objects with their boxes (`harness.training.image_matches.read_matches`). `image_influence` is made of them. "
        "0.6 MB for 800 images with 130 detections each.",
    ),
    File(
        name="curves/ID-Nepochs-baseB-seedS.parquet",
        about="Learning curve of each complete training: a row a step, or the mean over equally many steps where there "
        "are more than 2,000; by the published recipe a row an epoch. One that went on from a shorter training has its "
        "own steps alone. Some 100 kB at most.",
        columns=CURVE,
    ),
    File(name="trained/", about="Weights of an ablation's models, with `--keep-weights`."),
    File(
        name="result.json",
        about="Of a preset (`clo reproduce --preset`), once all of it has ended: its rule, the figures of every "
        "training, versions and device, without paths and names. `--merge` pools such files.",
    ),
    File(
        name="mlruns/",
        about="With `--log mlflow` and no `MLFLOW_TRACKING_URI`: MLflow's runs, in `mlflow.db`, and their artefacts.",
    ),
    File(
        name="tensorboard/",
        about="With `--log tensorboard`: a folder of events for each training, `ID-Nepochs-baseB-seedS`.",
    ),
    File(name="wandb/", about="With `--log wandb`: runs as Weights & Biases keeps them until they are sent."),
)


def page() -> str:
    """Render the data dictionary as Markdown."""
    parts = [
        "# Data dictionary",
        "What a study's folder (`results/STUDY/`) holds, file by file. Units are in the names: `_ms`, `_seconds`, "
        "`_ratio` (to the baseline); an mAP is 0 to 1, never percent. This page is made from "
        "`harness/record/data_dictionary.py`: change it there.",
    ]
    for file in FILES:
        parts += [f"## `{file.name}`", file.about]
        if file.columns:
            rows = [f"| `{name}` | {column.unit} | {column.about} |" for name, column in file.columns.items()]
            parts.append("\n".join(["| Column | Unit | What it is |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
