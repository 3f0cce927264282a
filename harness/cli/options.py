"""Options that several commands have, and how their text is read."""

from __future__ import annotations

import glob
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from harness.common.errors import UserError
from harness.common.machine import program
from harness.record.settings import sqlite_url, without_password

if TYPE_CHECKING:  # the record brings pandas, and `clo --help` is to be quick
    from harness.record.study import StudyRecord

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


def typed_command() -> list[str]:
    """Return the command line as it may be kept: without passwords."""
    return [*program().split(), *map(without_password, sys.argv[1:])]


def choice(option: str, choices: type[Choice], text: str) -> Choice:
    """The choice of that name.

    Raises:
        UserError: There is none.
    """
    try:
        return choices(text)
    except ValueError:
        raise UserError(f"{option} {text}: choose one of {', '.join(choices)}") from None


def study_record(study: str, storage: str | None, results: Path) -> tuple[StudyRecord, Path]:
    """A study's record and its folder.

    Raises:
        UserError: There is no such study.
    """
    from harness.record.form import check_block_files
    from harness.storage.records import load_record

    record = load_record(study_url(study, storage, results), study)
    for architecture in record.architectures.values():
        check_block_files(study, architecture.block_files, results / study)
    return record, results / study


def other_devices(study: str, storage: str | None, results: Path) -> list[str]:
    """The studies of the same search on other kinds of devices; see `harness.storage.opening`."""
    if storage is None:
        return sorted(path.parent.name for path in results.glob(f"{glob.escape(study)}@*/study.db"))
    from harness.storage.records import study_names

    return sorted(name for name in study_names(storage) if name.startswith(f"{study}@"))


def study_url(study: str, storage: str | None, results: Path) -> str:
    """Where a study is stored.

    Raises:
        UserError: No storage is given, and its folder has none.
    """
    if "/" in study or "\\" in study or study in {"", ".", ".."} or not study.isprintable():
        raise UserError(f"study {study!r}: a study's name is also its folder's, in {results}; give the name alone")
    folder = results / study
    if storage is None and not (folder / "study.db").is_file():
        from harness.record.tables import is_study

        if is_study(folder):
            raise UserError(
                f"study {study}: {folder} has a report's tables and no storage (study.db); `clo report {folder}` "
                "renders them, and no other command reads them"
            )
        names = sorted(path.parent.name for path in results.glob("*/study.db"))
        raise UserError(f"study {study}: no {folder / 'study.db'}; studies here: {', '.join(names) or 'none'}")
    return storage or sqlite_url(folder / "study.db")
