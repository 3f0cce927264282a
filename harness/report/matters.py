"""Which choices matter: for accuracy and for each cost, in words and in tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.effects import marginal_effects
from harness.architecture.choices import NO_BLOCK
from harness.record.settings import Objective
from harness.record.study import Choices
from harness.report import tables, words
from harness.report.tables import Cell, Column, Row, Table, cell, worded

# Rows of each table of effects, and the most important choices of each column of shares; files hold the rest.
EFFECTS_SHOWN, IMPORTANCES_SHOWN = 12, 5
_NAMES = {Objective.MAP50_95: "mAP50-95", Objective.LATENCY: "latency", Objective.PARAMS: "parameters"}
_UNITS = {Objective.MAP50_95: "0 to 1", Objective.LATENCY: "ms, the baseline's times the measured ratio"}


@dataclass(frozen=True, kw_only=True)
class Matters:
    """What a study says of its choices: the findings, how to read them, and tables of the clearest."""

    importances: pd.DataFrame
    effects: pd.DataFrame
    said: tuple[str, ...]
    tables: tuple[Table, ...]


def what_matters(choices: Choices, digits: int) -> Matters:
    """Compute importances and effects of a study's choices, once it has enough architectures; `digits`: of an mAP."""
    from harness.analysis.importance import FEWEST, importances, resamples_of  # imports Optuna

    count = len(choices.chosen)
    enough = count >= FEWEST
    shares = importances(choices)
    effects = marginal_effects(choices.chosen, choices.outcomes if enough else choices.outcomes[:0])
    if not enough:
        too_few = (
            f"What matters cannot be told yet: {words.count(count, 'architecture')} with a complete first training, "
            f"the baseline included, and it takes {FEWEST}."
        )
        return Matters(importances=shares, effects=effects, said=(too_few,), tables=())
    by_objective = {name: effects[effects["objective"] == name] for name in choices.minimized}
    tables = [_importance_table(shares)]
    tables += [_effect_table(rows, name, choices.minimized[name], digits) for name, rows in by_objective.items()]
    said = [_clearest(rows, name, count, digits) for name, rows in by_objective.items()]
    return Matters(
        importances=shares,
        effects=effects,
        said=(*said, *_READING, _SHARES.format(resamples=resamples_of(count))),
        tables=tuple(table for table in tables if table.rows),
    )


_READING = (
    "An effect is the mean of the architectures with a choice minus the mean of those that were asked and chose "
    "otherwise: a kernel is compared with the other kernels at that place, not with having no block there. It "
    "proves no cause: the search chose what to train, and choices that it liked to combine share their effects.",
    "Intervals of effects are 95 %, uncorrected (Welch); “better” and “worse” need Holm's correction over all choices "
    "and say which side of the objective is meant. All effects are in effects.csv.",
)
_SHARES = (
    "Importance is a share of 100 %, ± its standard deviation over {resamples} resamples of the architectures. "
    "fANOVA: of the variance that the kinds of block at the sites explain, each by itself. PED-ANOVA: of how far "
    "the best tenth's choices differ from all, over all choices. Shares add up to 100 % even where there is only "
    "noise, and each is then about one over their number: whether a choice does anything, the effects say. All "
    "shares are in importance.csv."
)


def _clearest(effects: pd.DataFrame, objective: str, count: int, digits: int) -> str:
    """Say how many choices make a difference to an objective, and which makes the largest."""
    looked, sure = len(effects), effects[effects["significant"].astype(bool)]
    start = f"{_name(objective)}: "
    if not looked:
        return f"{start}no choice has enough architectures with it and without it to be compared."
    if sure.empty:
        return (
            f"{start}none of {words.count(looked, 'choice')} makes a difference that {count} architectures show at "
            "95 % confidence, corrected for looking at all of them."
        )
    largest: Any = sure.loc[[sure["effect"].abs().idxmax()]].iloc[0]
    verb = "makes" if len(sure) == 1 else "make"
    unit = "ms" if objective == Objective.LATENCY else _name(objective)
    return (
        f"{start}{len(sure)} of {words.count(looked, 'choice')} {verb} a difference at "
        f"95 % confidence, corrected for looking at all of them; the largest is that of {_choice(largest)}: "
        f"{_number(objective, largest['effect'], digits)} {unit} {_ends(objective, largest, digits)}, "
        f"{largest['n_with']} architectures with it and {largest['n_without']} without."
    )


def _importance_table(shares: pd.DataFrame) -> Table:
    """Tabulate the most important choices: a row for each, a column for each objective and method."""
    pairs = list(dict.fromkeys(zip(shares["objective"], shares["method"], strict=True)))
    found = {pair: shares[(shares["objective"] == pair[0]) & (shares["method"] == pair[1])] for pair in pairs}
    by_column = {pair: rows.set_index("parameter") for pair, rows in found.items()}
    names = dict.fromkeys(name for rows in by_column.values() for name in rows.index[:IMPORTANCES_SHOWN])
    columns = [Column(name=_name(objective), unit=f"{method}, share ± spread") for objective, method in pairs]
    return Table(
        key="importance",
        caption="The most important choices",
        columns=(worded("Choice", "of what is at a site"), *columns),
        rows=tuple(
            tables.row("share", cell(_spoken(name)), *(_share(rows, name) for rows in by_column.values()))
            for name in names
        ),
    )


def _share(rows: pd.DataFrame, name: str) -> Cell:
    """Make the cell of one share; a dash where the method does not ask for the choice."""
    if name not in rows.index:
        return cell(words.DASH, sort=math.nan)
    row: Any = rows.loc[name]
    return cell(words.share(row["importance"], row["spread"]), sort=float(row["importance"]))


def _effect_table(effects: pd.DataFrame, objective: str, minimized: bool, digits: int) -> Table:
    """Tabulate the clearest effects on one objective: the lowest corrected p first."""
    clearest = effects.sort_values(["p_holm", "p_value"], kind="stable")[:EFFECTS_SHOWN]
    more = f", {len(clearest)} of {len(effects)}" if len(clearest) < len(effects) else ""
    return Table(
        key=f"effects-{objective}",
        caption=f"What choices do to {_name(objective)}: the clearest effects{more}",
        columns=(
            worded("Choice", "against the others asked about there"),
            worded("Verdict", "95 % confidence, corrected"),
            Column(name="Effect", unit=f"{_UNITS.get(Objective(objective), 'an image')}, 95 % interval"),
            Column(name="Architectures", unit="with and without it"),
        ),
        rows=tuple(_effect(row, objective, minimized, digits) for _, row in clearest.iterrows()),
    )


def _effect(row: Any, objective: str, minimized: bool, digits: int) -> Row:
    better = (row["effect"] < 0) == minimized
    kind, verdict = ("gain", "better") if better else ("loss", "worse")
    if not row["significant"]:
        kind, verdict = "undecided", "undecided"
    tested, effect = words.p_value(row["p_holm"]), float(row["effect"])
    return tables.row(
        kind,
        cell(_choice(row)),
        cell(verdict, f"Holm-corrected {tested}" if tested else ""),
        cell(_number(objective, effect, digits), _ends(objective, row, digits), sort=effect),
        cell(f"{row['n_with']} / {row['n_without']}", sort=float(row["n_with"])),
    )


def _choice(row: Any) -> str:
    """Name a choice: `neck.P4 kernel 7`, `no block at neck.P4`."""
    site, _, name = str(row["parameter"]).partition(":")
    if name == "kind":
        return f"no block at {site}" if row["level"] == NO_BLOCK else f"{site} {row['level']}"
    return f"{_spoken(row['parameter'])} {row['level']}"


def _spoken(parameter: str) -> str:
    """Name a parameter as `neck.P4 kernel`: site, then what is chosen there."""
    return parameter.replace(":", " ").replace("_", " ")


def _name(objective: str) -> str:
    return _NAMES.get(Objective(objective), "MACs")


def _number(objective: str, value: float, digits: int) -> str:
    """Format a value with its sign, without its unit."""
    if objective == Objective.MAP50_95:
        return words.signed(value, digits)
    return words.signed(value, 3) if objective == Objective.LATENCY else words.signed_amount(value)


def _ends(objective: str, row: Any, digits: int) -> str:
    ends = [_number(objective, row[end], digits) for end in ("low", "high") if math.isfinite(row[end])]
    return f"[{', '.join(ends)}]" if len(ends) > 1 else "no interval"
