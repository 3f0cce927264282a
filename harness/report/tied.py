"""Which members of the fronts the noise does not tell apart, in letters and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from harness.analysis.statistics import Standing
from harness.analysis.ties import letter, letters, told_apart


@dataclass(frozen=True, kw_only=True)
class Ties:
    """Groups of tied architectures.

    Attributes:
        letters: Architecture to its groups, of those that are tied with any other.
        tied: Architecture to those that it is tied with, the largest gain first.
        said: What this means; empty where fewer than two were judged.
    """

    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: str = ""


def ties_on(front: pd.DataFrame, trials: pd.DataFrame) -> Ties:
    """Tied candidates among those on a front that were judged on repeated seeds.

    The baseline has no letter: whether a candidate is told from it is the verdict's to say. Neither has a candidate
    of one seed, which was picked on it.

    Args:
        front: Rows of `summarise` that are on a front.
        trials: `StudyRecord.trials`.
    """
    judged = front[front["standing"] == Standing.JUDGED].sort_values("gain_map50_95", ascending=False, kind="stable")
    names = [str(name) for name in judged.index]
    if len(names) < 2:
        return Ties()
    groups = letters(names, told_apart(trials, names))
    tied = {
        name: tuple(other for other in names if other != name and set(groups[name]) & set(groups[other]))
        for name in names
    }
    kept = {name: others for name, others in tied.items() if others}
    if not kept:
        return Ties(said=f"The noise tells all {len(names)} judged candidates on the fronts from each other.")
    # Letters are given anew: one that an architecture has for itself says nothing.
    given = sorted({each for name in kept for each in groups[name]}, key=lambda each: (len(each), each))
    members = {each: [name for name in kept if each in groups[name]] for each in given}
    shared = [each for each in given if len(members[each]) > 1]
    renamed = {each: letter(at) for at, each in enumerate(shared)}
    return Ties(
        letters={name: tuple(renamed[each] for each in groups[name] if each in renamed) for name in kept},
        tied=kept,
        said=(
            f"{len(kept)} of the {len(names)} judged candidates on the fronts are tied with another one: the noise "
            "does not tell those apart that share a ring, and a letter in the table (the 95 % interval of their "
            "difference holds 0). That is no proof that they are equal."
        ),
    )
