"""Options that several commands have, and how their text is read."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from harness.common.errors import UserError
from harness.common.isolation import program
from harness.record.storage_url import without_password

Choice = TypeVar("Choice", bound=StrEnum)

ImageSize = Annotated[
    int, typer.Option("--imgsz", help="Side of the square input, in pixels; a multiple of the stride.")
]
MODEL_HELP = (
    "Model name (yolov5n, yolo11s, yolov7-tiny, cloformer-xxs), one of the article's (yolov5s-clo-backbone), "
    "model YAML, checkpoint (.pt) or architecture file."
)
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (or list) and nothing else on standard output.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Suppress progress output.")]
Timeout = Annotated[
    str | None, typer.Option(help="Time budget (90, 90s, 25m or 2h): no training starts after it, running ones finish.")
]
Workers = Annotated[int | None, typer.Option(help="Trainings at once.", min=1)]
Threads = Annotated[int | None, typer.Option(help="CPU threads of a training.", min=1)]
Storage = Annotated[str | None, typer.Option(help="Any Optuna storage URL \\[default: SQLite in the study's folder].")]
Executor = Annotated[
    str | None, typer.Option(help="Where trainings run: local, or ray (docs/cluster.md). \\[default: local]")
]
Address = Annotated[str | None, typer.Option(help="Ray: the head's host:port, or auto on a machine of the cluster.")]
GpusOfOneNode = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        help="Ray: GPUs of a training; 0.5 lets two share one, 0 is the CPU. Several are one node's and share a batch.",
    ),
]
CpusPerTrial = Annotated[int | None, typer.Option(help="Ray: cores of a training, and its threads; 1 unless said.")]
Resource = Annotated[
    list[str] | None, typer.Option(help="Ray: a custom resource of a training, as NAME=AMOUNT. Repeatable.")
]
AllowUnusable = Annotated[
    bool,
    typer.Option("--allow-unusable", help="Train although more than 2 % of the images or label rows cannot be used."),
]
AllowValInTrain = Annotated[
    bool,
    typer.Option("--allow-val-in-train", help="Train although validation images are training images, too."),
]
Results = Annotated[Path, typer.Option(help="Folder that holds one folder a study.")]
MinGain = Annotated[
    float | None,
    typer.Option(
        help="Smallest difference in mAP50-95 (0 to 1) that matters: a smaller gain recommends nothing. "
        "\\[default: 0.005]"
    ),
]
Images = Annotated[
    bool,
    typer.Option("--images/--no-images", help="Show validation images in the report, and copy those into its folder."),
]

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        help="Send the study on when its report is written: mlflow, tensorboard, wandb or fiftyone. Repeatable.",
    ),
]


def typed_command() -> list[str]:
    """Return the command line as it may be kept: without passwords."""
    return [*program().split(), *map(without_password, sys.argv[1:])]


def choice(option: str, choices: type[Choice], text: str) -> Choice:
    """Return the choice of that name.

    Raises:
        UserError: There is none.
    """
    try:
        return choices(text)
    except ValueError:
        raise UserError(f"{option} {text}: choose one of {', '.join(choices)}") from None


def is_path(study: str) -> bool:
    """Return whether it can be no study's name; see `harness.cli.studies.study_url`."""
    return "/" in study or "\\" in study or study in {".", ".."}
