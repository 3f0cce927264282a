from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harness.analysis.contrasts import Pair, contrasts
from harness.architecture import BASELINE
from harness.judge.verdict import Verdict, by_rule, seeds_to_decide

PAIRS = [
    Pair(name="block", minuend="block", subtrahend=BASELINE, kind="one"),
    Pair(name="block: base widened to its params", minuend="block", subtrahend="params", kind="one"),
    Pair(name="block: base widened to its macs", minuend="block", subtrahend="macs", kind="one"),
]
MIN_GAIN = 0.005


def rows(draw: np.random.Generator, *, seeds: int, sd: float, **gains: float) -> pd.DataFrame:
    """Trainings of baseline, block and placebos under the same seeds, with their true gains."""
    arms = {BASELINE: 0.0, "block": 0.0, "params": 0.0, "macs": 0.0} | gains
    return pd.DataFrame([
        {"architecture": arm, "base_seed": 0, "seed": seed, "epochs": 6, "state": "complete",
         "map50_95": 0.5 + gain + draw.normal(scale=sd / math.sqrt(2))}
        for arm, gain in arms.items()
        for seed in range(seeds)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("gains", "wrong", "most"),
    [
        ({}, Verdict.PAYS, 0.05),  # nothing gains
        ({"block": 0.01, "params": 0.01, "macs": 0.01}, Verdict.PAYS, 0.05),  # size gives it
        ({"block": 0.01, "params": 0.01}, Verdict.PAYS, 0.05),  # one size gives it
        ({"block": MIN_GAIN}, Verdict.DOES_NOT_PAY, 0.06),  # just what matters, over everything
    ],
)
def test_a_wrong_verdict_is_rare(gains: dict[str, float], wrong: Verdict, most: float) -> None:
    """Of simulated comparisons with a known truth; the last is the worst case of the joint 95 % intervals."""
    draw = np.random.default_rng(0)
    told = [by_rule(contrasts(rows(draw, seeds=4, sd=0.002, **gains), PAIRS), MIN_GAIN)[0] for _ in range(300)]
    assert told.count(wrong) / 300 <= most


@pytest.mark.parametrize(
    ("gains", "right"),
    [
        ({"block": 0.02}, Verdict.PAYS),
        ({}, Verdict.DOES_NOT_PAY),
        ({"block": 0.02, "macs": 0.02}, Verdict.DOES_NOT_PAY),
    ],
)
def test_what_is_clear_is_told(gains: dict[str, float], right: Verdict) -> None:
    draw = np.random.default_rng(1)
    told = [by_rule(contrasts(rows(draw, seeds=6, sd=0.001, **gains), PAIRS), MIN_GAIN)[0] for _ in range(50)]
    assert told.count(right) >= 48


def test_what_is_missing_leaves_it_undecided() -> None:
    found = contrasts(rows(np.random.default_rng(2), seeds=6, sd=0.001, block=0.02), PAIRS)
    verdict, why = by_rule(found, MIN_GAIN, missing=["'macs' is left out: it cannot be widened"])
    assert verdict is Verdict.UNDECIDED and "'macs' is left out" in why
    one_seed = contrasts(rows(np.random.default_rng(2), seeds=1, sd=0.001, block=0.02), PAIRS)
    assert by_rule(one_seed, MIN_GAIN)[0] is Verdict.UNDECIDED


def test_a_gain_too_small_to_matter_does_not_pay() -> None:
    found = contrasts(rows(np.random.default_rng(3), seeds=8, sd=0.0002, block=0.003), PAIRS)
    assert (found["low_corrected"] > 0).all()
    assert by_rule(found, MIN_GAIN)[0] is Verdict.DOES_NOT_PAY


@pytest.mark.parametrize("gains", [{"block": 0.009}, {"block": 0.002, "params": -0.003, "macs": -0.003}, {}])
def test_as_many_seeds_as_are_named_decide_where_the_truth_is_as_measured(gains: dict[str, float]) -> None:
    """Means are put where the truth is and the scatter where it is, as a comparison of many seeds would find them."""
    sd = 0.004
    measured = contrasts(rows(np.random.default_rng(0), seeds=400, sd=sd, **gains), PAIRS)
    true = [gains.get("block", 0.0) - gains.get(arm, 0.0) for arm in (BASELINE, "params", "macs")]
    asked = measured.assign(mean=true, sd=sd, df=3.0, readings=3, df_per_reading=1.5)
    seeds = seeds_to_decide(asked, MIN_GAIN)
    assert 3 <= seeds <= 40
    draw = np.random.default_rng(5)
    told = [by_rule(contrasts(rows(draw, seeds=int(seeds), sd=sd, **gains), PAIRS), MIN_GAIN)[0] for _ in range(150)]
    assert sum(verdict is not Verdict.UNDECIDED for verdict in told) / 150 >= 0.72


def test_a_gain_that_reads_too_small_is_not_decided_by_telling_it_from_nothing() -> None:
    """0.0048 can be told from 0 by a few seeds, which would leave it below what matters, and undecided."""
    found = contrasts(rows(np.random.default_rng(4), seeds=8, sd=0.002, block=0.0048), PAIRS)
    asked = found.assign(mean=[0.0048, 0.006, 0.006])
    assert seeds_to_decide(asked, MIN_GAIN) > 50 * found["readings_needed"].max()
