"""`clo report`, and how a search ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli_options import Json, Results, Storage, study_record
from harness.printing import print_json

if TYPE_CHECKING:
    from harness.records import StudyRecord


def report(
    studies: Annotated[list[str], typer.Argument(help="Names of studies; several are put side by side on one page.")],
    storage: Storage = None,
    results: Results = Path("results"),
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the answer and the front here, and write no files.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a study's report again, from its storage alone; also while the search is running."""
    found = [study_record(study, storage, results) for study in studies]
    if len(found) > 1 and not terminal:
        _side_by_side([record for record, _ in found], results, as_json)
        return
    for record, folder in found:
        if terminal and not as_json:
            from rich.console import Console

            from harness.terminal.answer import print_answer

            print_answer(record, Console())
            continue
        if not terminal:
            write(record, folder)
        close(record, folder, as_json)


def _side_by_side(records: list[StudyRecord], results: Path, as_json: bool) -> None:
    from harness.report.several import write_several

    folder = results / "+".join(record.name for record in records)
    path = write_several(records, folder)
    if as_json:
        print_json({"studies": [record.name for record in records], "folder": str(folder)})
    else:
        print(f"Report: {path}")


def write(record: StudyRecord, folder: Path) -> Path:
    """Write all that a study's folder holds for readers; the folder."""
    from harness.report import write_report

    write_report(record, folder)
    return folder


def close(record: StudyRecord, folder: Path, as_json: bool) -> None:
    """The last words of a search or report."""
    from harness.report import closing

    summary = {**closing(record), "folder": str(folder)}
    if as_json:
        print_json(summary)
        return
    from rich.console import Console

    Console().print(f"\n{summary['answer']}\n", markup=False, highlight=False)
    print(f"Report: {folder / 'report.html'}")
