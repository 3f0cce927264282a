from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, check_grad
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from harness.search import surrogate as module
from harness.search.improvement import Floats
from harness.search.surrogate import GroupedMatern, Surrogate, Trend, _Regressor

SINGLE = (slice(0, 1), slice(1, 2), slice(2, 3))
MIXED = (slice(0, 2), slice(2, 3))


def points(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(size=(count, 3))


def outcome(features: Floats) -> Floats:
    return np.asarray(0.5 + 0.2 * np.sin(3 * features[:, 0]) + 0.1 * features[:, 1])


def fitted(
    features: Floats, *, readings: Floats | None = None, noise_sd: float | None = None, seed: int = 0
) -> Surrogate:
    counts = np.ones(len(features)) if readings is None else readings
    noise = np.random.default_rng(seed).normal(0, noise_sd or 0, len(features)) / np.sqrt(counts)
    return Surrogate.fit(
        features, outcome(features) + noise, counts, groups=SINGLE, rng=np.random.default_rng(seed), noise_sd=noise_sd
    )


@given(st.lists(st.floats(0.1, 20), min_size=3, max_size=3), st.integers(0, 100))
@settings(max_examples=30)
def test_with_one_column_a_group_it_is_scikit_learns_matern(lengths: list[float], seed: int) -> None:
    ours, theirs = GroupedMatern(SINGLE, np.array(lengths)), Matern(lengths, nu=2.5)
    x, y = points(6, seed), points(4, seed + 1)
    assert ours(x, y) == pytest.approx(theirs(x, y))
    for mine, other in zip(ours(x, eval_gradient=True), theirs(x, eval_gradient=True), strict=True):
        assert mine == pytest.approx(other, abs=1e-12)
    assert ours.diag(x).tolist() == [1] * 6


def test_a_groups_distance_is_that_of_all_its_columns() -> None:
    shared = GroupedMatern(MIXED, np.array([0.5, 2.0]))(points(6))
    assert shared == pytest.approx(Matern([0.5, 0.5, 2.0], nu=2.5)(points(6)))


def test_the_gradient_of_shared_lengths_is_that_of_finite_differences() -> None:
    x = points(5)

    def covariance(theta: Floats, row: int, column: int) -> float:
        return float(GroupedMatern(MIXED, np.exp(theta))(x)[row, column])

    def gradient(theta: Floats, row: int, column: int) -> Floats:
        return np.asarray(GroupedMatern(MIXED, np.exp(theta))(x, eval_gradient=True)[1][row, column])

    for row, column in [(0, 1), (2, 4), (3, 3)]:
        assert check_grad(covariance, gradient, np.array([-0.4, 0.7]), row, column) < 1e-6


def test_a_trend_is_the_dot_product_of_features_from_the_middle() -> None:
    x, y = points(6), points(4, 1)
    theirs = DotProduct(0, "fixed")
    ours, centered = Trend(), [(2 * each - 1) / np.sqrt(3) for each in (x, y)]
    assert ours(x, y) == pytest.approx(theirs(*centered))
    assert ours.diag(x) == pytest.approx(theirs.diag(centered[0]))
    covariance, gradient = ours(x, eval_gradient=True)
    assert covariance == pytest.approx(theirs(centered[0]))
    assert gradient.shape == (6, 6, 0)
    assert not ours.is_stationary()


def test_at_a_corner_a_trends_variance_is_one() -> None:
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    assert Trend().diag(corners) == pytest.approx(np.ones(8))


def test_a_trend_goes_on_where_nothing_was_read() -> None:
    x = points(30)[:, :1] * 0.3
    model = Surrogate.fit(x, 0.4 + 0.2 * x[:, 0], np.ones(30), groups=(slice(0, 1),), rng=np.random.default_rng(0))
    mean, sd = model.predict(np.array([[1.0]]))
    assert mean == pytest.approx(0.6, abs=0.02)
    assert sd > 2 * model.predict(np.array([[0.15]]))[1]


def test_one_group_alone_can_be_fitted() -> None:
    features = points(8)[:, :1]
    model = Surrogate.fit(features, outcome(points(8)), np.ones(8), groups=(slice(0, 1),), rng=np.random.default_rng(0))
    assert np.isfinite(model.predict(features)).all()


def regressor(noise: Any) -> _Regressor:
    kernel = ConstantKernel(1.0, (0.05, 50.0)) * (GroupedMatern(SINGLE, np.full(3, 2.5)) + Trend()) + noise
    x = points(12)
    made = _Regressor(kernel, alpha=1e-3, optimizer=None)
    made.fit(x, (outcome(x) - 0.6) / 0.1)
    return made


@pytest.mark.parametrize("noise", [WhiteKernel(1e-2, (1e-6, 1.0)), WhiteKernel(1e-6, "fixed")])
def test_the_gradient_of_likelihood_times_prior_is_that_of_finite_differences(noise: Any) -> None:
    fitted = regressor(noise)
    theta = fitted.kernel_.theta + 0.3
    value, gradient = fitted.log_marginal_likelihood(theta, eval_gradient=True)
    assert gradient == pytest.approx(approx_fprime(theta, fitted.log_marginal_likelihood), rel=1e-3, abs=1e-2)
    assert value == pytest.approx(fitted.log_marginal_likelihood(theta))


def test_the_prior_is_normal_in_the_logarithms_of_lengths_and_variance() -> None:
    fitted = regressor(WhiteKernel(1e-2, (1e-6, 1.0)))
    theta = np.log([3.0, 2.5, 1.25, 5.0, 0.5])  # variance, three lengths, noise
    likelihood = super(_Regressor, fitted).log_marginal_likelihood(theta)
    away = [np.log(3.0) / 1.5, 0, np.log(0.5) / 0.3, np.log(2.0) / 0.3]
    assert fitted.log_marginal_likelihood(theta) - likelihood == pytest.approx(-0.5 * np.sum(np.square(away)))


def textbook(model: Surrogate, features: Floats, accuracy: Floats, noise: Floats, new: Floats) -> tuple[Floats, Floats]:
    """Rasmussen and Williams, equations 2.23 and 2.24, with the model's kernel; noise in variances."""
    kernel = model.regressor.kernel_.k1
    inverse = np.linalg.inv(kernel(features) * model.scale**2 + np.diag(noise))
    across = kernel(new, features) * model.scale**2
    mean = model.center + across @ inverse @ (accuracy - model.center)
    variance = kernel.diag(new) * model.scale**2 - np.einsum("ij,jk,ik->i", across, inverse, across)
    return mean, np.sqrt(np.maximum(variance, 0))


def test_noise_that_is_given_counts_by_readings_as_in_the_textbook() -> None:
    x, new, readings = points(15), points(5, 1), np.arange(1.0, 16.0)
    accuracy = outcome(x)
    model = Surrogate.fit(x, accuracy, readings, groups=SINGLE, rng=np.random.default_rng(0), noise_sd=0.03)
    mean, sd = textbook(model, x, accuracy, 0.03**2 / readings + 1e-6 * model.scale**2, new)
    found = model.predict(new)
    assert found[0] == pytest.approx(mean, abs=1e-8)
    assert found[1] == pytest.approx(sd, abs=1e-6)
    assert model.noise_sd == 0.03


def test_noise_that_is_learnt_is_no_part_of_the_prediction() -> None:
    x, new = points(40), points(5, 1)
    accuracy = outcome(x) + np.random.default_rng(0).normal(0, 0.05, 40)
    model = Surrogate.fit(x, accuracy, np.ones(40), groups=SINGLE, rng=np.random.default_rng(0))
    assert model.noise_sd == pytest.approx(0.05, rel=0.4)
    mean, sd = textbook(model, x, accuracy, np.full(40, model.noise_sd**2), new)
    found = model.predict(new)
    assert found[0] == pytest.approx(mean, abs=1e-6)
    assert found[1] == pytest.approx(sd, abs=1e-5)


def test_what_was_read_without_noise_is_known_and_what_is_far_is_not() -> None:
    x = points(20)
    model = fitted(x)
    mean, sd = model.predict(np.vstack([x, [[9.0, 9.0, 9.0]]]))
    assert mean[:-1] == pytest.approx(outcome(x), abs=2e-3)
    assert sd[:-1].max() < 0.1 * sd[-1]


def test_equal_readings_have_a_model() -> None:
    x = points(3)
    model = Surrogate.fit(x, np.full(3, 0.4), np.ones(3), groups=SINGLE, rng=np.random.default_rng(0))
    assert model.predict(points(4, 1))[0] == pytest.approx(np.full(4, 0.4))


def test_more_than_a_hundred_readings_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TO_LEARN_FROM", 20)
    x, new = points(60), points(6, 1)
    model = fitted(x, noise_sd=0.01)
    assert len(model.part.X_train_) == 20 and len(model.regressor.X_train_) == 60
    assert model.regressor.kernel_.theta.tolist() == model.part.kernel_.theta.tolist()
    assert (model.predict(new)[1] < model.rough.predict(new)[1]).all()
    assert fitted(x, noise_sd=0.01).predict(new)[0].tolist() == model.predict(new)[0].tolist()


def test_chunks_change_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    model, new = fitted(points(10)), points(25, 1)
    whole = model.predict(new)
    monkeypatch.setattr(module, "_CHUNK", 10)
    assert np.array(model.predict(new)) == pytest.approx(np.array(whole), rel=1e-6)
    assert model.predict(new[:0])[0].shape == (0,)


@pytest.mark.parametrize("noise_sd", [None, 0.02])
def test_to_believe_in_a_training_changes_no_mean_but_makes_sure(noise_sd: float | None) -> None:
    model, pending, new = fitted(points(10), noise_sd=noise_sd), points(3, 1), points(6, 2)
    believing = model.believing(pending)
    assert believing.predict(new)[0] == pytest.approx(model.predict(new)[0], abs=1e-4)
    assert (believing.predict(pending)[1] < 0.9 * model.predict(pending)[1]).all()
    assert (believing.predict(new)[1] <= model.predict(new)[1] + 1e-9).all()


def test_a_training_that_is_believed_in_is_one_reading() -> None:
    x, pending, new = points(10), points(1, 1), points(6, 2)
    model = fitted(x, readings=np.full(10, 4.0), noise_sd=0.05)
    accuracy = np.concatenate([model.regressor.y_train_ * model.scale + model.center, model.predict(pending)[0]])
    noise = 0.05**2 / np.array([4.0] * 10 + [1.0]) + 1e-6 * model.scale**2
    _, sd = textbook(model, np.vstack([x, pending]), accuracy, noise, new)
    assert model.believing(pending).predict(new)[1] == pytest.approx(sd, abs=1e-6)


def test_the_rough_model_is_the_part() -> None:
    model = fitted(points(10))
    assert model.rough == replace(model, regressor=model.part)
