"""The command `clo report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Images, Json, Log, is_path
from harness.cli.printing import print_json
from harness.common.errors import UserError
from harness.record.settings import SearchSettings


@options_of(SearchSettings, only=("min_gain", "storage", "results"))
def report(
    given: Mapping[str, Any],
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY|FOLDER...",
            help="Names of studies, or their folders; several are put side by side on one page, "
            "and ablations of a search's architectures into that search's report. "
            "A folder may also hold a ledger or a fidelity study.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to, new or of the same study. \\[default: the study's own]")
    ] = None,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the answer and the front here, and write no files.")
    ] = False,
    images: Images = True,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Write a study's report again, from its storage alone; also while the search is running.

    A study that ran on several kinds of devices has a front of each, and a page that shows them side by side.
    Where a folder has no storage (study.db), its report is rendered from the tables in it.
    """
    from harness.cli.studies import (
        check_trackers,
        close,
        found_study,
        other_devices,
        preferring,
        send_on,
        study_record,
        write,
        write_together,
    )

    storage, results, min_gain = given["storage"], given["results"] or Path("results"), given["min_gain"]
    check_trackers(log or ())
    if log and (terminal or len(studies) > 1):
        raise UserError("--log sends one study, whose report is written: name one, and leave out --terminal")
    alone = "--terminal prints a study's answer" if terminal else "--log sends a study" if log else ""
    folders = [table_folder(study, storage, results) for study in studies]
    if len(studies) == 1 and folders[0] and _is_more_than_a_study(folders[0], out, alone, as_json):
        return
    found = [
        preferring(min_gain, *found_study(study, storage, results, tables))
        for study, tables in zip(studies, folders, strict=True)
    ]
    if len(studies) == 1 and not folders[0]:
        others = other_devices(found[0][0].name, storage, found[0][1].parent)
        found += [preferring(min_gain, *study_record(study, storage, found[0][1].parent)) for study in others]
        for record, folder in [] if terminal or not others else found:
            write(record, folder, images=images)
    if len(found) > 1 and not terminal:
        write_together(found, out or results / "+".join(record.name for record, _ in found), as_json, images=images)
        for record, folder in found:
            send_on(log, record, folder, as_json)
        return
    for record, folder in found:
        if terminal and not as_json:
            from rich.console import Console

            from harness.terminal.answer import print_answer

            print_answer(record, Console())
            continue
        close(
            record,
            out or folder,
            as_json,
            None if terminal else write(record, folder, out, images=images, originals=folder not in folders),
        )
        send_on(log, record, out or folder, as_json, folder)


def table_folder(study: str, storage: str | None, results: Path) -> Path | None:
    """Find the folder whose tables are to be rendered; None for a study that has a storage.

    Args:
        study: A name, or a path.
        storage: Where named studies are.
        results: Folder of the studies' folders.

    Raises:
        UserError: A path leads to no folder, or to one in which there is nothing to render.
    """
    from harness.cli.rendering import kind_of

    leads_there = is_path(study)
    folder = Path(study) if leads_there else results / study
    if (folder / "study.db").is_file() or (storage and not leads_there):
        return None
    if leads_there and not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a study's name, or the folder of its report")
    if leads_there and kind_of(folder) is None:
        raise UserError(
            f"{folder}: holds nothing to render; expected a study's study.db, or trials.parquet and environment.json; "
            "a ledger's findings.json; a verdict's judged.json; or a fidelity study's trainings.csv and setting.json"
        )
    if leads_there and storage:
        raise UserError(f"--storage: {study} is a folder, read as it is; give a study's name, or leave it out")
    return folder if kind_of(folder) else None


def _is_more_than_a_study(folder: Path, out: Path | None, alone: str, as_json: bool) -> bool:
    """Render what is no single study, and tell whether it did. `alone` is what was asked for of a study alone.

    Raises:
        UserError: That was asked for.
    """
    from harness.cli.rendering import Kind, kind_of, render

    kind = kind_of(folder)
    if kind is Kind.STUDY:
        return False
    if alone:
        raise UserError(f"{folder}: holds a {kind}; {alone} alone")
    page = render(folder, out)
    if as_json:
        print_json({"folder": str(out or folder), "report": str(page)})
    else:
        print(f"Report: {page}")
    return True
