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
Storage = Annotated[str | None, typer.Option(help="Any Optuna storage URL \\[default: SQLite in the study's folder].")]
Results = Annotated[Path, typer.Option(help="Folder that holds one folder a study.")]
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
