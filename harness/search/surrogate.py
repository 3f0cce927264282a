"""What untried architectures are expected to reach: a Gaussian process on few, noisy readings.

The process is scikit-learn's. Ours are the kernel and a prior on its lengths. The kernel has one length for each group
of features (a categorical choice, a site with all its choices) and, beside it, a linear trend [1, section 2.7]: a
stationary process alone returns to the mean away from what was read, while a larger model goes on being better. The
prior [2]: with twenty readings the likelihood alone believes in lengths that make the model certain of what it has
never seen. It says that going from one end of a choice to the other changes the outcome, but smoothly; it is the same
for every table and space.

References:
    1. Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: sections 2.2, 2.7 and
       4.2.
    2. Hvarfner, Hellsten and Nardi, "Vanilla Bayesian optimization performs great in high dimensions", ICML 2024:
       a log-normal prior on the lengths.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
    WhiteKernel,
)

from harness.search.improvement import Floats

# The columns of a feature matrix that share a length; each group's distance is at most about 1.
Groups = Sequence[slice]

# Mean and standard deviation of the logarithm of a hyperparameter.
_PRIORS = {"length_scale": (np.log(2.5), 0.3), "constant_value": (0.0, 1.5)}
# Where the fit begins.
_FIRST_LENGTH = 2.0
_LENGTHS, _VARIANCES, _NOISES = (0.1, 20.0), (0.05, 50.0), (1e-6, 1.0)
# In variances of the readings: keeps the matrix well-conditioned.
_NO_NOISE = 1e-6
# Readings that the hyperparameters are fitted to, at most; all readings are used to predict.
_TO_LEARN_FROM = 100
_CHUNK = 2_000


class GroupedMatern(StationaryKernelMixin, NormalizedKernelMixin, Kernel):
    """Matérn kernel (ν = 5/2) with one length a group of features [1].

    Args:
        groups: Columns of each group.
        length_scale: (groups,).
    """

    def __init__(self, groups: Groups, length_scale: Floats) -> None:
        self.groups = groups
        self.length_scale = length_scale

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """scikit-learn fits what has such a property."""
        return Hyperparameter("length_scale", "numeric", _LENGTHS, len(self.groups))

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803 - sklearn's
        """Compute covariances, (N, M); with the gradient by the logarithms of the lengths, (N, N, groups), if asked."""
        lengths = np.zeros(X.shape[1])
        for group, length in zip(self.groups, np.atleast_1d(self.length_scale), strict=True):  # one is a scalar
            lengths[group] = length
        scaled = X / lengths
        square = _squared_distances(scaled, scaled if Y is None else Y / lengths)
        distance = np.sqrt(5 * square)
        decay = np.exp(-distance)
        covariance = (1 + distance + 5 / 3 * square) * decay
        if not eval_gradient:
            return covariance
        slope = 5 / 3 * (1 + distance) * decay
        parts = [_squared_distances(scaled[:, group], scaled[:, group]) for group in self.groups]
        return covariance, np.stack([slope * part for part in parts], axis=-1)


class Trend(Kernel):
    """A plane through the middle of the features, which are from 0 to 1; its slopes are as large as they like.

    The dot product of (2x − 1) / √F: at a corner its variance is 1, that of the process beside it.
    """

    def __init__(self) -> None:  # scikit-learn reads its arguments
        pass

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803 - sklearn's
        """Compute covariances, (N, M); with an empty gradient, (N, N, 0), if asked: nothing is to be fitted."""
        centered = self._centered(X)
        covariance = centered @ (centered if Y is None else self._centered(Y)).T
        return (covariance, np.empty((*covariance.shape, 0))) if eval_gradient else covariance

    def diag(self, X: Floats) -> Floats:  # noqa: N803
        """Compute variances, (N,)."""
        return np.asarray((self._centered(X) ** 2).sum(axis=1))

    def is_stationary(self) -> bool:
        """Return False: the variance grows towards the corners."""
        return False

    @staticmethod
    def _centered(features: Floats) -> Floats:
        return np.asarray((2 * features - 1) / np.sqrt(features.shape[1]))


def _squared_distances(a: Floats, b: Floats) -> Floats:
    if a.shape[1] == 1:
        return np.asarray((a - b.T) ** 2)
    square = a @ (-2 * b.T)
    square += (a**2).sum(axis=1)[:, None]
    square += (b**2).sum(axis=1)
    return np.asarray(np.maximum(square, 0, out=square))


def _climb(objective: Any, start: Floats, bounds: Floats) -> tuple[Floats, float]:
    """Run scikit-learn's optimiser, content with less: the fourth digit of a length changes no decision."""
    found = minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"ftol": 1e-5})
    return found.x, found.fun


class _Regressor(GaussianProcessRegressor):
    """scikit-learn's, with a prior on the kernel's hyperparameters."""

    def log_marginal_likelihood(self, theta: Any = None, eval_gradient: bool = False, clone_kernel: bool = True) -> Any:
        """Compute the logarithm of likelihood times prior, and its gradient if asked."""
        found = super().log_marginal_likelihood(theta, eval_gradient, clone_kernel)
        if theta is None:
            return found
        priors = [
            next((prior for name, prior in _PRIORS.items() if each.name.endswith(name)), (0.0, np.inf))
            for each in self.kernel_.hyperparameters
            for _ in range(each.n_elements)
            if not each.fixed
        ]
        means, sds = np.array(priors).T
        away = (theta - means) / sds
        penalty = -0.5 * float(away @ away)
        return (found[0] + penalty, found[1] - away / sds) if eval_gradient else found + penalty


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """Expected accuracy of any architecture, given some readings.

    Attributes:
        regressor: The fitted process, on standardised accuracy.
        center: Mean of the readings.
        scale: Their standard deviation.
        noise_sd: Standard deviation of one reading: as it was given, or else as it was learnt.
        part: The process on the readings that its hyperparameters were fitted to.
        own_variance: Of one reading, on the standardised scale, as far as the kernel doesn't have it.
    """

    regressor: Any
    center: float
    scale: float
    noise_sd: float
    part: Any
    own_variance: float

    @classmethod
    def fit(
        cls,
        features: Floats,
        accuracy: Floats,
        readings: Floats,
        *,
        groups: Groups,
        rng: np.random.Generator,
        noise_sd: float | None = None,
    ) -> Surrogate:
        """Fit a process.

        Args:
            features: (N, F).
            accuracy: (N,); the mean of each architecture's readings.
            readings: (N,); how many they are.
            groups: Columns that share a length.
            rng: Chooses the readings that the hyperparameters are fitted to, if there are many.
            noise_sd: Standard deviation of one reading; None learns it.
        """
        center, scale = float(accuracy.mean()), float(accuracy.std()) or 1.0
        targets = (accuracy - center) / scale
        if noise_sd is None:
            own_variance, white = 1e-10, WhiteKernel(1e-3, _NOISES)
        else:
            own_variance, white = (noise_sd / scale) ** 2, WhiteKernel(_NO_NOISE, "fixed")
        own = own_variance / readings
        smooth = GroupedMatern(groups, np.full(len(groups), _FIRST_LENGTH)) + Trend()
        kernel = ConstantKernel(1.0, _VARIANCES) * smooth + white
        some = np.arange(len(targets))
        if len(some) > _TO_LEARN_FROM:
            some = np.sort(rng.choice(some, _TO_LEARN_FROM, replace=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hyperparameter at its bound is an answer too
            regressor = part = _Regressor(kernel, alpha=own[some], optimizer=_climb).fit(features[some], targets[some])
            if len(some) < len(targets):
                regressor = _Regressor(regressor.kernel_, alpha=own, optimizer=None).fit(features, targets)
        learnt = float(np.sqrt(regressor.kernel_.k2.noise_level)) * scale
        return cls(
            regressor=regressor,
            center=center,
            scale=scale,
            noise_sd=learnt if noise_sd is None else noise_sd,
            part=part,
            own_variance=own_variance,
        )

    @property
    def rough(self) -> Surrogate:
        """The same from a part of the readings, to look quickly through very many candidates."""
        return replace(self, regressor=self.part)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Predict mean and standard deviation of the true accuracy, each (N,), without an observation's own noise."""
        white = self.regressor.kernel_.k2.noise_level
        means, sds = [np.empty(0)], [np.empty(0)]
        for start in range(0, len(features), _CHUNK):
            mean, sd = self.regressor.predict(features[start : start + _CHUNK], return_std=True)
            means.append(mean)
            sds.append(np.sqrt(np.maximum(sd**2 - white, 0)))
        return self.center + self.scale * np.concatenate(means), self.scale * np.concatenate(sds)

    def believing(self, features: Floats) -> Surrogate:
        """Condition on pending trials, (N, F), as if each had been observed once and had come out as expected."""
        seen, alpha = self.regressor.X_train_, self.regressor.alpha
        mean, _ = self.predict(features)
        targets = np.concatenate([self.regressor.y_train_, (mean - self.center) / self.scale])
        own = np.concatenate([alpha, np.full(len(mean), self.own_variance)])
        regressor = _Regressor(self.regressor.kernel_, alpha=own, optimizer=None)
        return replace(self, regressor=regressor.fit(np.concatenate([seen, features]), targets))
