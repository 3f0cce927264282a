"""Which architectures the noise does not distinguish, and the letters that say so.

Two architectures are tied where the 95 % interval of the difference of their gains holds 0. Gains of one seed share the
baseline's observation, which cancels from their difference; how much of two means cancels depends on the seeds that
both have. Intervals are not corrected for the number of pairs: to correct would tie more, not fewer.

"Tied" is not "equal" and does not pass on: where a is tied with b and b with c, a may still be told from c. That is why
one architecture may have several letters [1].

References:
    1. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", J. Comput. Graph. Stat.
       13(2), 2004: insert and absorb, as done here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from harness.analysis.noise import SHARED_BASELINE, Noise
from harness.analysis.statistics import gain_noise, judging_rows


def difference_sd(noise: Noise, seeds: Collection[int], others: Collection[int]) -> float:
    """Compute the standard deviation of the difference of two mean gains that may share seeds.

    Var(ā − b̄) = s² (1/nₐ + 1/n_b − 2ρ m / (nₐ n_b)), with m common seeds and ρ = `SHARED_BASELINE`; for the same
    n seeds that is s²/n.

    Args:
        noise: Of the paired difference of one seed.
        seeds: On which one gain rests; not empty.
        others: On which the other does; not empty.
    """
    common, count, other = len(set(seeds) & set(others)), len(seeds), len(others)
    return float(noise.sd * np.sqrt(1 / count + 1 / other - 2 * SHARED_BASELINE * common / (count * other)))


def told_apart(trials: pd.DataFrame, names: Sequence[str]) -> set[frozenset[str]]:
    """Find pairs of architectures whose difference in gain has a 95 % interval that leaves out 0.

    Args:
        trials: `StudyRecord.trials`.
        names: Whom to compare. Of trainings of different lengths, and where there is no noise to go by, nothing can
            be told: such pairs are left out.
    """
    rows = judging_rows(trials)
    groups = {str(name): group for name, group in rows[rows["architecture"].isin(names)].groupby("architecture")}
    noises = {epochs: gain_noise(trials, epochs) for epochs in rows["epochs"].unique()}
    apart = set()
    for one, other in combinations([name for name in names if name in groups], 2):
        mine, theirs = groups[one], groups[other]
        epochs = mine["epochs"].iloc[0]
        if epochs != theirs["epochs"].iloc[0] or not noises[epochs].usable:
            continue
        sd = difference_sd(noises[epochs], set(mine["seed"]), set(theirs["seed"]))
        half = noises[epochs].half_width(1) * sd / noises[epochs].sd
        if abs(mine["gain_map50_95"].mean() - theirs["gain_map50_95"].mean()) > half:
            apart.add(frozenset({one, other}))
    return apart


def letters(names: Sequence[str], apart: Collection[frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """Build the compact letter display: two names share a letter if and only if they are not distinguishable [1].

    Args:
        names: In the order in which letters are given out: the first one has an `a`.
        apart: Pairs that are distinguishable.

    Returns:
        Name to its letters, one or more, in alphabetical order.
    """
    columns: list[frozenset[str]] = [frozenset(names)] if names else []
    for pair in sorted(apart, key=sorted):
        one, other = sorted(pair)
        split = [part for each in columns for part in ((each - {one}, each - {other}) if pair <= each else (each,))]
        columns = [
            each
            for at, each in enumerate(split)
            if not any(each < more or (each == more and at > place) for place, more in enumerate(split))
        ]
    order = {name: place for place, name in enumerate(names)}
    ordered = sorted(columns, key=lambda column: sorted(order[name] for name in column))
    return {name: tuple(letter(at) for at, column in enumerate(ordered) if name in column) for name in names}


def letter(number: int) -> str:
    """Return `a` to `z`, then `aa`, `ab` and so on."""
    more, place = divmod(number, 26)
    return (letter(more - 1) if more else "") + "abcdefghijklmnopqrstuvwxyz"[place]
