from __future__ import annotations

import math

import pytest

from harness.analysis.noise import Noise
from harness.report import words

NAN = math.nan


def test_signs_are_written_and_zero_has_none() -> None:
    assert [words.signed(value, 3) for value in (0.0124, -0.0036, 0.0004, -0.0004, NAN)] == [
        "+0.012", "−0.004", "0.000", "0.000", "—",
    ]  # fmt: skip


def test_an_interval_says_when_there_is_none() -> None:
    assert words.interval(-0.004, 0.008, 3, sign=True) == "[−0.004, +0.008]"
    assert words.interval(0.49, 0.5, 2) == "[0.49, 0.50]"
    assert words.interval(NAN, 0.5, 2) == "no interval"


def test_ratios_amounts_and_times_carry_their_units() -> None:
    assert words.times(1.214, 1.19, 1.23) == "1.21× [1.19, 1.23]"
    assert words.times(1.214, NAN, NAN) == "1.21×"
    assert words.percent(1.08) == "+8.0 %"
    assert words.percent(0.95) == "−5.0 %"
    assert [words.amount(value) for value in (4.52e9, 58.3e6, 1800, 12, NAN)] == [
        "4.52 G",
        "58.3 M",
        "1.8 k",
        "12",
        "—",
    ]
    assert words.milliseconds(12.34) == "12.3 ms"


def test_small_p_values_are_bounds() -> None:
    assert [words.p_value(value) for value in (0.0004, 0.0468, NAN)] == ["p < 0.001", "p = 0.047", ""]


@pytest.mark.parametrize(("sd", "digits"), [(0.02, 3), (0.005, 3), (0.0006, 4), (0.0000001, 5), (NAN, 3)])
def test_decimals_follow_the_noise(sd: float, digits: int) -> None:
    noise = Noise(sd=sd, low=sd, high=sd, df=0 if math.isnan(sd) else 5, architectures=2)
    assert noise.digits == digits


def test_one_is_singular() -> None:
    assert words.count(1, "seed") == "1 seed"
    assert words.count(0, "seed") == "0 seeds"
    assert words.count(2, "study", "studies") == "2 studies"


def test_parts_of_a_whole_are_percentages() -> None:
    assert [words.part(0.335, 1), words.part(1), words.part(float("nan"))] == ["33.5 %", "100 %", words.DASH]
