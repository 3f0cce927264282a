"""`clo report`, and how a search ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Json, MinGain, Results, Storage, other_devices, study_record
from harness.cli.printing import print_json
from harness.common.errors import UserError

if TYPE_CHECKING:
    from harness.record.study import StudyRecord
    from harness.report.content import Content


def report(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY|FOLDER...",
            help="Names of studies, or their folders; several are put side by side on one page, "
            "and ablations of a search's architectures into that search's report. "
            "A folder may also hold a ledger or a fidelity study.",
        ),
    ],
    storage: Storage = None,
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to, new or of the same study. \\[default: the study's own]")
    ] = None,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the answer and the front here, and write no files.")
    ] = False,
    min_gain: MinGain = None,
    as_json: Json = False,
) -> None:
    """Write a study's report again, from its storage alone; also while the search is running.

    A study that ran on several kinds of devices has a front of each, and a page that shows them side by side.
    Where a folder has no storage (study.db), its report is rendered from the tables in it.
    """
    folders = [table_folder(study, storage, results) for study in studies]
    if len(studies) == 1 and folders[0] and _is_more_than_a_study(folders[0], out, terminal, as_json):
        return
    found = [
        _preferring(min_gain, *_found(study, storage, results, tables))
        for study, tables in zip(studies, folders, strict=True)
    ]
    if len(studies) == 1 and not folders[0]:
        others = other_devices(found[0][0].name, storage, found[0][1].parent)
        found += [_preferring(min_gain, *study_record(study, storage, found[0][1].parent)) for study in others]
        for record, folder in [] if terminal or not others else found:
            write(record, folder)
    if len(found) > 1 and not terminal:
        _together(found, out or results / "+".join(record.name for record, _ in found), as_json)
        return
    for record, folder in found:
        if terminal and not as_json:
            from rich.console import Console

            from harness.terminal.answer import print_answer

            print_answer(record, Console())
            continue
        close(record, out or folder, as_json, None if terminal else write(record, folder, out))


def _preferring(min_gain: float | None, record: StudyRecord, folder: Path) -> tuple[StudyRecord, Path]:
    """The record with the preference that a report was told, if any; the storage keeps that of the last run."""
    if min_gain is None:
        return record, folder
    from harness.record.settings import search_settings

    checked = search_settings(min_gain=min_gain).min_gain
    return replace(record, settings=record.settings | {"min_gain": checked}), folder


def table_folder(study: str, storage: str | None, results: Path) -> Path | None:
    """The folder whose tables are to be rendered; None for a study that has a storage.

    Args:
        study: A name, or a path.
        storage: Where named studies are.
        results: Folder of the studies' folders.

    Raises:
        UserError: A path leads to no folder, or to one in which there is nothing to render.
    """
    from harness.cli.rendering import kind_of

    is_path = _is_path(study)
    folder = Path(study) if is_path else results / study
    if (folder / "study.db").is_file() or (storage and not is_path):
        return None
    if is_path and not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a study's name, or the folder of its report")
    if is_path and kind_of(folder) is None:
        raise UserError(
            f"{folder}: holds nothing to render; expected a study's study.db, or trials.parquet and environment.json; "
            "a ledger's findings.json; or a fidelity study's trainings.csv and setting.json"
        )
    return folder if kind_of(folder) else None


def _is_path(study: str) -> bool:
    """Whether it can be no study's name; see `study_url`."""
    return "/" in study or "\\" in study or study in {".", ".."}


def _found(study: str, storage: str | None, results: Path, tables: Path | None) -> tuple[StudyRecord, Path]:
    """A study's record and its own folder."""
    if tables is None:
        path = Path(study).resolve()
        return (
            study_record(path.name, storage, path.parent) if _is_path(study) else study_record(study, storage, results)
        )
    from harness.cli.rendering import Kind, kind_of
    from harness.record.form import check_block_files
    from harness.record.tables import read_study

    if kind_of(tables) is not Kind.STUDY:
        raise UserError(f"{tables}: holds a {kind_of(tables)}, which is rendered by itself; give it alone")
    record = read_study(tables)
    for architecture in record.architectures.values():
        check_block_files(record.name, architecture.block_files, tables)
    return record, tables


def _is_more_than_a_study(folder: Path, out: Path | None, terminal: bool, as_json: bool) -> bool:
    """Render what is no single study; whether there was such a thing."""
    from harness.cli.rendering import Kind, kind_of, render

    kind = kind_of(folder)
    if kind is Kind.STUDY:
        return False
    if terminal:
        raise UserError(f"{folder}: holds a {kind}; --terminal prints a study's answer alone")
    page = render(folder, out)
    if as_json:
        print_json({"folder": str(out or folder), "report": str(page)})
    else:
        print(f"Report: {page}")
    return True


def _together(found: list[tuple[StudyRecord, Path]], folder: Path, as_json: bool) -> None:
    """A search with the ablations of its own architectures in its report; any other studies side by side."""
    from harness.report import write_report
    from harness.report.placebo import why_not
    from harness.report.several import write_several

    records = [record for record, _ in found]
    searches = [each for each in found if not each[0].ablation]
    ablations = [record for record in records if record.ablation]
    reasons = {each.name: why_not(searches[0][0], each) for each in ablations} if len(searches) == 1 else {}
    if reasons and not any(reasons.values()) and len(reasons) == len(ablations):
        search, source = searches[0]
        write_report(search, folder, ablations=ablations, source=source)
        path = folder / "report.html"
    else:
        path = write_several(records, folder)
    if as_json:
        print_json({"studies": [record.name for record in records], "folder": str(folder)})
        return
    for name, reason in reasons.items():
        if reason:
            print(f"Ablation {name} is beside search {searches[0][0].name}, not in its report: {reason}.")
    print(f"Report: {path}")


def write(record: StudyRecord, folder: Path, out: Path | None = None) -> Content | None:
    """Write all that a study's folder holds for readers; what a search's report says, for `close`.

    Args:
        record: The study.
        folder: Its own.
        out: Where to write, if not there.
    """
    from harness.report import write_report

    if out is not None:
        from harness.cli.rendering import Kind, check_target

        check_target(out, Kind.STUDY, record.name)
    return write_report(record, out or folder, source=folder)


def close(record: StudyRecord, folder: Path, as_json: bool, said: Content | None = None) -> None:
    """The last words of a search or report.

    Args:
        record: The study.
        folder: Where its report is.
        as_json: Whether a script reads them.
        said: From `write`, so that nothing is reckoned twice.
    """
    from harness.report import closing

    summary = {**closing(record, said), "folder": str(folder)}
    if as_json:
        print_json(summary)
        return
    from rich.console import Console

    Console().print(f"\n{summary['answer']}\n", markup=False, highlight=False)
    print(f"Report: {folder / 'report.html'}")
