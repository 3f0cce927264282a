"""Studies on the command line: found by name or folder, written, and their last words; imported where one is there."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.cli.options import choice, is_path
from harness.cli.printing import print_json
from harness.cli.rendering import Kind, check_target, kind_of
from harness.common.errors import UserError
from harness.export.trackers import Tracker, require, send
from harness.record.form import check_block_files
from harness.record.settings import search_settings
from harness.record.storage_url import sqlite_url
from harness.record.study import StudyRecord
from harness.record.tables import is_study, read_study
from harness.report import closing, write_report
from harness.report.beside import why_not
from harness.report.search import SearchContent
from harness.report.several import write_several


def study_record(study: str, storage: str | None, results: Path) -> tuple[StudyRecord, Path]:
    """Load a study's record, and return it with its folder.

    Raises:
        UserError: There is no such study.
    """
    from harness.storage.records import load_record

    record = load_record(study_url(study, storage, results), study)
    for architecture in record.architectures.values():
        check_block_files(study, architecture.block_files, results / study)
    return record, results / study


def other_devices(study: str, storage: str | None, results: Path) -> list[str]:
    """List the studies of the same search on other kinds of devices; see `harness.storage.opening`."""
    if storage is None:
        return sorted(path.parent.name for path in results.glob(f"{glob.escape(study)}@*/study.db"))
    from harness.storage.records import study_names

    return sorted(name for name in study_names(storage) if name.startswith(f"{study}@"))


def study_url(study: str, storage: str | None, results: Path) -> str:
    """Return where a study is stored.

    Raises:
        UserError: No storage is given, and its folder has none.
    """
    if "/" in study or "\\" in study or study in {"", ".", ".."} or not study.isprintable():
        raise UserError(f"study {study!r}: a study's name is also its folder's, in {results}; give the name alone")
    folder = results / study
    if storage is None and not (folder / "study.db").is_file():
        if is_study(folder):
            raise UserError(
                f"study {study}: {folder} has a report's tables and no storage (study.db); `clo report {folder}` "
                "renders them, and no other command reads them"
            )
        names = sorted(path.parent.name for path in results.glob("*/study.db"))
        raise UserError(f"study {study}: no {folder / 'study.db'}; studies here: {', '.join(names) or 'none'}")
    return storage or sqlite_url(folder / "study.db")


def found_study(study: str, storage: str | None, results: Path, tables: Path | None) -> tuple[StudyRecord, Path]:
    """Find a study's record and its own folder."""
    if tables is None:
        path = Path(study).resolve()
        return (
            study_record(path.name, storage, path.parent) if is_path(study) else study_record(study, storage, results)
        )
    if kind_of(tables) is not Kind.STUDY:
        raise UserError(f"{tables}: holds a {kind_of(tables)}, which is rendered by itself; give it alone")
    record = read_study(tables)
    for architecture in record.architectures.values():
        check_block_files(record.name, architecture.block_files, tables)
    return record, tables


def preferring(min_gain: float | None, record: StudyRecord, folder: Path) -> tuple[StudyRecord, Path]:
    """Return the record with the preference that a report was told, if any; the storage keeps that of the last run."""
    if min_gain is None:
        return record, folder
    checked = search_settings(min_gain=min_gain).min_gain
    return replace(record, settings=record.settings | {"min_gain": checked}), folder


def write_together(found: list[tuple[StudyRecord, Path]], folder: Path, as_json: bool, *, images: bool = True) -> None:
    """Write a search with the ablations of its own architectures in its report; any other studies side by side."""
    records = [record for record, _ in found]
    searches = [each for each in found if not each[0].ablation]
    ablations = [record for record in records if record.ablation]
    reasons = {each.name: why_not(searches[0][0], each) for each in ablations} if len(searches) == 1 else {}
    if reasons and not any(reasons.values()) and len(reasons) == len(ablations):
        search, source = searches[0]
        own = (source / "study.db").is_file()
        write_report(search, folder, ablations=ablations, source=source, images=images, originals=own)
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


def write(
    record: StudyRecord, folder: Path, out: Path | None = None, *, images: bool = True, originals: bool = True
) -> SearchContent | None:
    """Write all that a study's folder holds for readers; return what a search's report says, for `close`.

    Args:
        record: The study.
        folder: Its own.
        out: Where to write, if not there.
        images: Whether a search's report shows validation images.
        originals: Whether they may be read from where they were; tables without a storage may be a stranger's.
    """
    if out is not None:
        check_target(out, Kind.STUDY, record.name)
    return write_report(record, out or folder, source=folder, images=images, originals=originals)


def close(record: StudyRecord, folder: Path, as_json: bool, said: SearchContent | None = None) -> None:
    """Print the last words of a search or report.

    Args:
        record: The study.
        folder: Where its report is.
        as_json: Whether a script reads them.
        said: From `write`, so that nothing is computed twice.
    """
    summary = {**closing(record, said), "folder": str(folder)}
    if as_json:
        print_json(summary)
        return
    Console().print(f"\n{summary['answer']}\n", markup=False, highlight=False)
    print(f"Report: {folder / 'report.html'}")


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a `--log` that names no tracker, or one that is not installed.

    Raises:
        UserError: One does.
    """
    require(choice("--log", Tracker, name) for name in names)


def send_on(
    names: Sequence[str] | None, record: StudyRecord, folder: Path, as_json: bool, source: Path | None = None
) -> None:
    """Send a study to its reader's trackers, each once, and say so: to scripts on standard error.

    Args:
        names: Of `--log`.
        record: The study.
        folder: Where its report is.
        as_json: Whether a script reads standard output.
        source: Its own folder, if that is another.

    Raises:
        UserError: One does not take it.
    """
    for name in sorted(set(names or ())):  # FiftyOne cannot be imported once MLflow has imported importlib_metadata
        print(send(Tracker(name), record, folder, source), file=sys.stderr if as_json else sys.stdout)
