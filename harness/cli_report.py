"""`clo report`, and how a search ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli_options import Json, MinGain, Results, Storage, other_devices, study_record
from harness.printing import print_json

if TYPE_CHECKING:
    from harness.records import StudyRecord
    from harness.report.content import Content


def report(
    studies: Annotated[
        list[str],
        typer.Argument(
            help="Names of studies; several are put side by side on one page, "
            "and ablations of a search's architectures into that search's report."
        ),
    ],
    storage: Storage = None,
    results: Results = Path("results"),
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the answer and the front here, and write no files.")
    ] = False,
    min_gain: MinGain = None,
    as_json: Json = False,
) -> None:
    """Write a study's report again, from its storage alone; also while the search is running.

    A study that ran on several kinds of devices has a front of each, and a page that shows them side by side.
    """
    found = [_preferring(min_gain, *study_record(study, storage, results)) for study in studies]
    if len(studies) == 1 and (others := other_devices(studies[0], storage, results)):
        found += [_preferring(min_gain, *study_record(study, storage, results)) for study in others]
        for record, folder in [] if terminal else found:
            write(record, folder)
    if len(found) > 1 and not terminal:
        _together([record for record, _ in found], results, as_json)
        return
    for record, folder in found:
        if terminal and not as_json:
            from rich.console import Console

            from harness.terminal.answer import print_answer

            print_answer(record, Console())
            continue
        close(record, folder, as_json, None if terminal else write(record, folder))


def _preferring(min_gain: float | None, record: StudyRecord, folder: Path) -> tuple[StudyRecord, Path]:
    """The record with the preference that a report was told, if any; the storage keeps that of the last run."""
    if min_gain is None:
        return record, folder
    from harness.settings import search_settings

    checked = search_settings(min_gain=min_gain).min_gain
    return replace(record, settings=record.settings | {"min_gain": checked}), folder


def _together(records: list[StudyRecord], results: Path, as_json: bool) -> None:
    """A search with the ablations of its own architectures in its report; any other studies side by side."""
    from harness.report import write_report
    from harness.report.placebo import why_not
    from harness.report.several import write_several
    from harness.report.write import LATENCY

    folder = results / "+".join(record.name for record in records)
    searches = [record for record in records if not record.ablation]
    ablations = [record for record in records if record.ablation]
    reasons = {each.name: why_not(searches[0], each) for each in ablations} if len(searches) == 1 else {}
    if reasons and not any(reasons.values()) and len(reasons) == len(ablations):
        search = searches[0]
        write_report(search, folder, ablations=ablations, latency=results / search.name / LATENCY)
        path = folder / "report.html"
    else:
        path = write_several(records, folder)
    if as_json:
        print_json({"studies": [record.name for record in records], "folder": str(folder)})
        return
    for name, reason in reasons.items():
        if reason:
            print(f"Ablation {name} is beside search {searches[0].name}, not in its report: {reason}.")
    print(f"Report: {path}")


def write(record: StudyRecord, folder: Path) -> Content | None:
    """Write all that a study's folder holds for readers; what a search's report says, for `close`."""
    from harness.report import write_report

    return write_report(record, folder)


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
