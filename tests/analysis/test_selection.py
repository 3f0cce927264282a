from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.noise import SHARED_BASELINE
from harness.analysis.selection import expected_maximum


@pytest.mark.parametrize(
    ("candidates", "in_sds"),
    [
        (1, 0.0),
        (2, 1 / math.sqrt(math.pi)),
        (3, 1.5 / math.sqrt(math.pi)),
        (4, 3 / math.sqrt(math.pi) * (0.5 + math.asin(1 / 3) / math.pi)),
        (5, 2.5 / math.sqrt(math.pi) * (0.5 + 3 * math.asin(1 / 3) / math.pi)),
    ],
)
def test_the_closed_forms_of_order_statistics(candidates: int, in_sds: float) -> None:
    assert expected_maximum(candidates, 0.01) == pytest.approx(0.01 * in_sds, abs=1e-12)


def test_ten_gains_over_one_baseline_read_as_high_as_in_simulation() -> None:
    readings = np.random.default_rng(0).standard_normal((20_000, 11))
    gains = (readings[:, 1:] - readings[:, :1]) / math.sqrt(2)  # of standard deviation 1
    assert expected_maximum(10, 1.0, SHARED_BASELINE) == pytest.approx(gains.max(axis=1).mean(), abs=0.02)


def test_a_million_candidates_are_no_more_trouble_than_ten() -> None:
    # Extreme-value theory: the median of the maximum is the normal quantile at 2^(−1/m); the mean is a little above.
    assert 4.79 < expected_maximum(10**6, 1.0) < 4.90


@settings(deadline=None, max_examples=30)
@given(candidates=st.integers(1, 1000), sd=st.floats(1e-4, 1e2), correlation=st.floats(0, 1))
def test_it_grows_with_the_candidates_and_the_noise_and_shrinks_with_what_they_share(
    candidates: int, sd: float, correlation: float
) -> None:
    best = expected_maximum(candidates, sd, correlation)
    assert best == pytest.approx(sd * expected_maximum(candidates, 1.0, correlation), abs=1e-9)
    assert -1e-9 <= best <= expected_maximum(candidates, sd) + 1e-9
    assert best <= expected_maximum(candidates + 1, sd, correlation) + 1e-9
    assert expected_maximum(candidates, sd, 1.0) == 0


@pytest.mark.parametrize(("candidates", "correlation"), [(0, 0.0), (3, -0.1), (3, 1.1)])
def test_what_makes_no_sense_is_refused(candidates: int, correlation: float) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        expected_maximum(candidates, 1.0, correlation)
