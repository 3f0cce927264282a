"""What is known of the fidelity of a short budget: written by a fidelity study, quoted by every report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.fidelity import COLUMNS, DIFFERENCE, EVERYTHING, fidelity, paired_gains
from harness.architecture.choices import Init
from harness.common.atomic import write_whole
from harness.record.settings import COMPARABLE, unlike
from harness.record.state import State
from harness.report import words
from harness.report.renderers import templates

SETTING, TABLE, PAGE = "setting.json", "fidelity.csv", "README.md"
# Of a fidelity study's folder.
FILES = (SETTING, TABLE, PAGE, "trainings.csv")
# Share of the iterations whose weights a search averages: no setting of it.
_OF_A_SEARCH = 0.3


def write_setting(setting: Mapping[str, Any], folder: Path) -> None:
    """Write down what a study is made with, before its first training."""
    write_whole(folder / SETTING, (json.dumps(setting, indent=2, default=str) + "\n").encode())


def read_setting(folder: Path) -> dict[str, Any] | None:
    """Read what a study was begun with; None where there is none."""
    file = folder / SETTING
    setting: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return setting


def write_fidelity(trainings: pd.DataFrame, plan: Mapping[str, Any], folder: Path) -> pd.DataFrame:
    """Write the conclusions of the trainings so far beside these; a table without rows before the first long one."""
    long = plan["long"]["name"]
    has_long = long in set(paired_gains(trainings)["schedule"])
    table = fidelity(trainings, long) if has_long else pd.DataFrame(columns=list(COLUMNS))
    write_whole(folder / TABLE, table.round(5).to_csv(index=False, lineterminator="\n").encode())
    write_whole(folder / PAGE, _page(trainings, table, plan).encode())
    return table


def known_fidelity(settings: Mapping[str, Any], folders: Iterable[Path]) -> str | None:
    """Say what is known of how a study's short trainings rank, in a few sentences; None where nothing is.

    Each folder may hold fidelity studies, one folder each; the first that fits the settings is quoted.
    """
    for path in (path.parent for folder in folders for path in sorted(folder.glob(f"*/{SETTING}"))):
        setting = read_setting(path)
        schedule = setting and _same_schedule(settings, setting)
        if setting and schedule and (path / TABLE).is_file():
            table = pd.read_csv(path / TABLE)
            of_its_space = settings.get("space") in setting["plan"]["cohort"]
            cohort = settings["space"] if of_its_space else EVERYTHING
            rows = table[(table["schedule"] == schedule["name"]) & (table["cohort"] == cohort)]
            rows = rows[rows["tau"].notna()].sort_values("seeds")
            if len(rows):
                return _sentences(rows, table[table["cohort"] == cohort], setting["plan"], schedule)
    return None


def unknown_fidelity(epochs: int | None) -> str:
    """Say that nobody has measured how short trainings rank."""
    budget = "its few epochs" if epochs is None else words.count(epochs, "epoch")
    return f"Fidelity: nobody has measured at this setting that {budget} rank architectures as long training does."


def _same_schedule(settings: Mapping[str, Any], setting: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find the schedule of a fidelity study that a study's trainings followed, on the same base, data and device."""
    plan = setting["plan"]
    starts = (settings.get("space_file") or {}).get("placement", {}).get("init", ())
    if Init.RESIDUAL in starts and plan.get("init", Init.IDENTITY) != Init.RESIDUAL:
        return None  # its blocks learn sooner than those that were measured
    fitting = (
        rung
        for rung in plan["short"]
        # of the data a plan has no name, only what they are
        if not unlike(settings, {**plan, **setting, **rung}, but={"data"}) and rung["averaged_tail"] == _OF_A_SEARCH
    )
    # a fidelity study runs on the CPU; a GPU trains in bfloat16
    return next(fitting, None) if settings.get("device_kind") == "cpu" else None


def _sentences(rows: pd.DataFrame, cohort: pd.DataFrame, plan: Mapping[str, Any], schedule: Mapping[str, Any]) -> str:
    """Describe one schedule: its rows by number of seeds, beside those of the same architectures under others."""
    first, last = rows.iloc[0], rows.iloc[-1]
    long = plan["long"]
    spaces = [str(last["cohort"])] if last["cohort"] in plan["cohort"] else list(plan["cohort"])
    orders = f"Kendall's τ {_with_interval(first, 'tau')} with one seed"
    if last.seeds > first.seeds:
        orders += f", {_with_interval(last, 'tau')} with the mean of {last.seeds:.0f}"
    text = (
        f"Fidelity: with this base, data and schedule, {words.count(schedule['epochs'], 'epoch')} order "
        f"{first.architectures:.0f} random architectures of {' and '.join(spaces)} as {long['epochs']} epochs do with "
        f"{orders} (1: the same order, 0: none)."
    )
    if last.pairs:
        low, high = last["told_apart_low"], last["told_apart_high"]
        interval = "" if pd.isna(low) else f" [{words.part(low)}, {words.part(high)}]"
        carried = (
            "all of them hold one architecture, so that this is one observation"
            if last.carriers == 1
            else f"{last.carriers:.0f} architectures carry them: every pair holds one of these"
        )
        text += (
            f" Of {last.pairs:.0f} pairs that differ by {DIFFERENCE} mAP or more after the long training, "
            f"{words.part(last.told_apart)}{interval} are ordered alike "
            f"({words.count(int(last.seeds), 'seed')}); {carried}."
        )
    else:
        text += f" No two of them differ by {DIFFERENCE} mAP after the long training."
    same = (*(name for name in COMPARABLE if name in long), "averaged_tail")
    as_long = [rung["name"] for rung in plan["short"] if all(rung[name] == long[name] for name in same)]
    again = cohort[cohort["schedule"].isin([long["name"], *as_long]) & cohort["tau"].notna()]
    if len(again):
        one = again.iloc[0]
        agree = f"agree with τ {_with_interval(one, 'tau')} on {one.architectures:.0f} of them"
        text += f" Two long trainings of different seeds {agree}."
    return text


def _page(trainings: pd.DataFrame, table: pd.DataFrame, plan: Mapping[str, Any]) -> str:
    """Render the study as a Markdown page for GitHub."""
    environment = templates()  # our own figures and a plan's names: nothing to escape
    environment.filters |= {
        "figure": words.plain,
        "interval": lambda row, name, digits: words.interval(row[f"{name}_low"], row[f"{name}_high"], digits),
    }
    by_cohort = table.groupby("cohort", sort=False) if len(table) else ()
    return environment.get_template("fidelity.md.j2").render(
        plan=plan,
        complete=int((trainings["state"] == State.COMPLETE).sum()),
        difference=DIFFERENCE,
        parts=[(cohort, rows.to_dict("records")) for cohort, rows in by_cohort],
    )


def _with_interval(row: Any, name: str) -> str:
    return f"{words.plain(row[name], 2)} {words.interval(row[f'{name}_low'], row[f'{name}_high'], 2)}"
