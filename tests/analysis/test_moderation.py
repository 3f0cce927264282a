from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harness.analysis.moderation import moderated_noise, p_of_equal_noise
from harness.analysis.noise import SHARED_BASELINE, pooled_noise


def rows(**values: list[float]) -> pd.DataFrame:
    table = [(name, seed, value) for name, each in values.items() for seed, value in enumerate(each)]
    return pd.DataFrame(table, columns=["architecture", "seed", "gain"])


def with_sds(*sds: float, seeds: int = 5) -> pd.DataFrame:
    """Architectures a, b, … with exactly these standard deviations."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((len(sds), seeds))
    drawn = (drawn - drawn.mean(axis=1, keepdims=True)) / drawn.std(axis=1, ddof=1, keepdims=True)
    return rows(**{chr(97 + place): list(sd * each) for place, (sd, each) in enumerate(zip(sds, drawn, strict=True))})


def test_one_architecture_has_its_own_noise() -> None:
    frame = rows(a=[1.0, 2.0, 4.0], b=[7.0])
    found = moderated_noise(frame, "gain", SHARED_BASELINE)
    assert found.of("a") == pooled_noise(frame, "gain")
    assert found.of("b") == found.pooled  # nothing better is known
    assert found.with_own == 1


def test_equally_noisy_architectures_have_the_pooled_noise_with_more_degrees_of_freedom_than_their_own() -> None:
    frame = with_sds(*[1.0] * 6)
    found = moderated_noise(frame, "gain", SHARED_BASELINE)
    for noise in found.own.values():
        assert noise.sd == pytest.approx(1.0, rel=0.05)
        assert 4 < noise.df < found.pooled.df
    assert found.typical.sd == pytest.approx(1.0, rel=0.05)
    assert all(probability < 0.7 for probability in found.apart.values())


def test_an_architecture_that_stands_out_is_judged_by_its_own_and_does_not_widen_the_others() -> None:
    frame = with_sds(10.0, *[1.0] * 5)
    found = moderated_noise(frame, "gain", SHARED_BASELINE)
    assert found.apart["a"] > 0.95
    assert found.of("a").sd == pytest.approx(10.0, rel=0.05)
    assert found.of("a").df == pytest.approx(4, rel=0.1)
    assert found.of("b").sd < 1.3
    assert found.pooled.sd > 4
    assert found.with_own == pytest.approx(2, abs=0.3)


def test_a_middling_one_lies_between_its_own_and_the_others() -> None:
    found = moderated_noise(with_sds(1.7, *[1.0] * 5), "gain", SHARED_BASELINE)
    assert 1.0 < found.of("a").sd < 1.7


def test_noise_follows_the_unit_and_not_the_order_or_the_level() -> None:
    frame = with_sds(3.0, 1.0, 0.5)
    plain = moderated_noise(frame, "gain", SHARED_BASELINE)
    moved = moderated_noise(frame.iloc[::-1].assign(gain=lambda rows: 1e-3 * rows.gain + 7), "gain", SHARED_BASELINE)
    for name in "abc":
        assert moved.of(name).sd == pytest.approx(1e-3 * plain.of(name).sd, rel=1e-4)
        assert moved.of(name).df == pytest.approx(plain.of(name).df, rel=1e-3)


def test_without_repeats_or_variation_nothing_is_known() -> None:
    for frame in (rows(a=[1.0], b=[2.0]), rows(a=[1.0, 1.0], b=[2.0, 2.0]), rows()):
        found = moderated_noise(frame, "gain", SHARED_BASELINE)
        assert not found.of("a").usable
        assert math.isnan(found.corrected_half_width("a", 2, 3))


def test_equal_figures_are_no_evidence_of_precision() -> None:
    found = moderated_noise(rows(a=[1.0, 1.0, 1.0], b=[0.0, 1.0, 2.0], c=[0.0, 2.0, 1.0]), "gain", SHARED_BASELINE)
    assert found.of("a") == found.pooled


def test_equal_noise_is_refuted_where_one_stands_out_and_only_there() -> None:
    assert p_of_equal_noise(with_sds(10.0, *[1.0] * 5), "gain", SHARED_BASELINE) < 0.001
    assert p_of_equal_noise(with_sds(1.1, *[1.0] * 5), "gain", SHARED_BASELINE) > 0.9
    assert math.isnan(p_of_equal_noise(with_sds(1.0), "gain", SHARED_BASELINE))
