"""A finding says what it follows from, survives JSON, and a gain is judged by where its interval lies."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims.verdict import Figure, Finding, Verdict, judge, judge_gain

NUMBERS = st.floats(-100, 100)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        #                                     claimed: 1
        (1.1, 2.0, Verdict.REPRODUCED),  #              |  [---]
        (0.1, 0.9, Verdict.REFUTED),  #           [---] |
        (-3.0, -1.0, Verdict.REFUTED),  #   [---]       |
        (0.5, 1.5, Verdict.UNDECIDED),  #             [-|-]
        (1.0, 2.0, Verdict.UNDECIDED),  #               [---]
        (0.0, 1.0, Verdict.UNDECIDED),  #           [---]
        (math.nan, 2.0, Verdict.UNDECIDED),
        (2.0, math.nan, Verdict.UNDECIDED),
        (math.nan, math.nan, Verdict.UNDECIDED),
    ],
)
def test_a_gain_is_judged_by_the_side_on_which_the_whole_interval_lies(
    low: float, high: float, verdict: Verdict
) -> None:
    assert judge_gain(low, high, 1.0) is verdict


@given(ends=st.tuples(NUMBERS, NUMBERS).map(sorted), claimed=NUMBERS)
def test_a_gain_seen_from_the_other_side_has_the_other_verdict(ends: list[float], claimed: float) -> None:
    mirrored = {
        Verdict.REPRODUCED: Verdict.REFUTED,
        Verdict.REFUTED: Verdict.REPRODUCED,
        Verdict.UNDECIDED: Verdict.UNDECIDED,
    }
    low, high = ends
    assert judge_gain(-high, -low, -claimed) is mirrored[judge_gain(low, high, claimed)]


def test_ends_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the interval 2.0 to 1.0 has its ends in the wrong order"):
        judge_gain(2.0, 1.0, 0.0)


def test_what_is_counted_holds_or_does_not() -> None:
    assert (judge(True), judge(False)) == (Verdict.REPRODUCED, Verdict.REFUTED)


def test_undecided_says_what_a_decision_would_take() -> None:
    with pytest.raises(ValueError, match="without to_decide"):
        Finding(verdict=Verdict.UNDECIDED, sentence="Nobody knows.")


def test_a_finding_survives_json_with_what_is_absent() -> None:
    finding = Finding(
        verdict=Verdict.UNDECIDED,
        sentence="Perhaps.",
        figures=(Figure(name="gain", value=0.5, low=-1.0, high=2.0, unit="points"), Figure(name="seeds", value=3)),
        rows=({"arm": "a", "gain": math.nan, "trained": True, "note": None}, {"arm": "b", "gain": 1.5}),
        caption="Arms.",
        to_decide="12 seeds",
        command="nox -s reproduce",
    )
    text = json.dumps(finding.to_dict(), allow_nan=False)
    again = Finding.from_dict(json.loads(text))
    assert again.to_dict() == finding.to_dict()
    assert (again.verdict, again.figures[0], again.command) == (finding.verdict, finding.figures[0], finding.command)
    assert again.rows[0] == {"arm": "a", "gain": None, "trained": True, "note": None}
    assert math.isnan(again.figures[1].low) and not again.figures[1].has_interval
    assert again.figures[0].has_interval
