"""Reports made from the tables that lie in a folder, without storage: of a study, ledger, verdict or fidelity study.

A sentence that was wrong, or is drawn from a better rule, costs no training: the figures are measured, the words are
not.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from harness.common.atomic import write_whole
from harness.common.errors import UserError
from harness.judge.verdict import KEPT, read_judged
from harness.record.surroundings import Environment
from harness.record.tables import SURROUNDINGS, is_study, read_study

_FINDINGS, _TRAININGS, _SETTING = "findings.json", "trainings.csv", "setting.json"


class Kind(StrEnum):
    """What a folder holds; those first that others quote."""

    FIDELITY = "fidelity study"
    # A search or an ablation.
    STUDY = "study"
    LEDGER = "ledger of the article's claims"
    VERDICT = "verdict on a block"


def kind_of(folder: Path) -> Kind | None:
    """Return what can be rendered from a folder's tables; None where nothing can."""
    if is_study(folder):
        return Kind.STUDY
    for name, kind in ((_FINDINGS, Kind.LEDGER), (KEPT, Kind.VERDICT)):
        if (folder / name).is_file():
            return kind
    return Kind.FIDELITY if all((folder / name).is_file() for name in (_TRAININGS, _SETTING)) else None


def find_all(root: Path) -> list[Path]:
    """Return all folders below a folder, itself included, that can be rendered: those first that others quote."""
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    return [folder for kind in Kind for folder in folders if kind_of(folder) is kind]


def render(folder: Path, out: Path | None = None) -> Path:
    """Write the report of whatever a folder holds.

    Args:
        folder: Its tables are read.
        out: Where to; by default the folder itself.

    Returns:
        The page.

    Raises:
        UserError: There is nothing to render, a table is not as clo-nas writes it, or `out` holds something else.
    """
    kind, target = kind_of(folder), out or folder
    if kind is Kind.VERDICT:
        from harness.report.judge import write_verdict

        check_target(target, kind)
        return write_verdict(read_judged(folder), folder.parent, target)
    if kind is Kind.LEDGER:
        render_ledger(folder, target)
    elif kind is Kind.FIDELITY:
        render_fidelity(folder, target)
        return target / "README.md"
    else:
        from harness.report import write_report

        record = read_study(folder)
        check_target(target, Kind.STUDY, record.name)
        write_report(record, target, source=folder, originals=False)
    return target / "report.html"


def render_ledger(folder: Path, out: Path) -> None:
    """Write the ledger: verdicts on accuracy read anew from the ablations' tables, the others as they were found.

    Raises:
        UserError: As for `render`.
    """
    from harness.claims.reproduce import ledger_of, write_findings
    from harness.report.ledger import write_ledger
    from harness.report.notes import command_of

    check_target(out, Kind.LEDGER)
    ledger = ledger_of(folder)
    environment = ledger.studies[0].environment if ledger.studies else _environment(folder / SURROUNDINGS)
    write_findings(out, {claim.id: finding for claim, finding in ledger.entries})
    write_ledger(ledger.entries, environment, command_of(environment), out, ledger.baselines)


def render_fidelity(folder: Path, out: Path) -> pd.DataFrame:
    """Write the conclusions of a fidelity study from its trainings.

    Rows of schedules, seeds and spaces that the plan does not name any more stay in the file and count for nothing.

    Returns:
        The table of conclusions; see `harness.report.fidelity`.

    Raises:
        UserError: As for `render`.
    """
    from harness.ablation.fidelity_rows import planned_rows
    from harness.report.fidelity import write_fidelity, write_setting

    check_target(out, Kind.FIDELITY)
    setting = _json(folder / _SETTING)
    rows = planned_rows(folder / _TRAININGS, setting.get("plan"))
    if out.resolve() != folder.resolve():
        write_setting(setting, out)
        write_whole(out / _TRAININGS, (folder / _TRAININGS).read_bytes())
    return write_fidelity(rows, setting["plan"], out)


def check_target(out: Path, kind: Kind, name: str = "") -> None:
    """Refuse to write a report where something else lies.

    Args:
        out: Where to.
        kind: What is to be written.
        name: Of the study.

    Raises:
        UserError: It is a file, or a folder that is neither empty nor holds the same.
    """
    if out.is_dir() and (kind_of(out) or any(out.iterdir())):
        there = kind_of(out)
        own = _json(out / SURROUNDINGS).get("study", "") if there is Kind.STUDY else ""
        if (there, own) != (kind, name):
            holds = f"the {there} {own}".rstrip() if there else "other files"
            raise UserError(f"{out}: holds {holds}, and nothing there is written over; name another folder")
    elif out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; a report is a folder of files")


def _environment(path: Path) -> Environment:
    try:
        return Environment.of(_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: is not as clo-nas writes it ({' '.join(str(error).split())})") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds a list or a single value; expected a mapping")
    return found
