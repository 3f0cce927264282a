r"""What the cost-aware sampler owes to which of its parts: each is left out in turn, on a table of finished trainings.

- cost learnt: what a candidate costs is not known before it is trained but modelled, as accuracy is.
- 50 candidates: of all candidates only 50 random ones are looked at for each decision.
- trees, ridge: extra trees or a Bayesian ridge of quadratic features in the place of the Gaussian process.
- no cost feature: cost is known, but the model of accuracy does not see it.
- oracle: knows every accuracy, and is to order the trainings alone: the limit of what any model can reach.
- multivariate TPE and Optuna's own GP sampler, for comparison.

    python benchmarks/sampler_ablation.py
    python benchmarks/sampler_ablation.py --minimize vim3_latency --cost-error 0.1 --variants "all parts,oracle"

Trainings to 99 % of the hypervolume: median over the seeds, with quartiles and the worst seed; more than the budget
where a seed did not get there.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
import typer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from harness.record.settings import Sampler
from harness.search.acquisition import Acquisition, Preferences
from harness.search.candidates import Candidates, Codes
from harness.search.improvement import Floats
from harness.search.sampler import CostAwareSampler, make_sampler
from harness.search.simulate import Conditions, Replay, replay
from harness.search.surrogate import Surrogate
from harness.search.table import read_table

TABLE = Path(__file__).parents[1] / "tests" / "data" / "yolobench" / "voc_scratch_100epochs.csv"
LOOKED_AT = 50
TREES = 200


class Blind:
    """Candidates whose cost a model of accuracy doesn't see: the last feature."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._candidates, name)

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """See `Candidates`."""
        features, groups = self._candidates.features(codes)
        return features[:, : groups[-1].start], groups[:-1]


class CostLearnt(Acquisition):
    """Cost is modelled from what was trained."""

    @cached_property
    def _cost_model(self) -> Surrogate:
        features, groups = self.candidates.features(self.history.codes)
        readings = np.ones(len(features))
        return Surrogate.fit(features, np.log(self.history.cost), readings, groups=groups, rng=self.rng)

    def _improvement(self, model: Surrogate, features: Floats, cost: Floats) -> Floats:
        accuracy, sd = model.predict(features)
        expected, unsure = self._cost_model.predict(features)
        nodes, weights = np.polynomial.hermite_e.hermegauss(5)
        added = [self._front.expected_improvement(expected + node * unsure, accuracy, sd) for node in nodes]
        return np.asarray(np.average(added, axis=0, weights=weights))

    @cached_property
    def _worst_cost(self) -> float:
        return float(np.log(self.history.cost.max()))

    def _start(self) -> Any:
        self._pool_cost = np.full(len(self.pool), np.inf)  # nobody knows which is the cheapest
        return super()._start()


class FewLookedAt(Acquisition):
    """A random part of the candidates is scored."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        some = self.rng.choice(len(self.pool), LOOKED_AT, replace=False)
        self.pool, self._pool_cost = self.pool[some], self._pool_cost[some]


class Trees:
    """Extra trees; how sure they are is how much they differ."""

    noise_sd = 0.0

    def __init__(self, features: Floats, accuracy: Floats) -> None:
        self._forest = ExtraTreesRegressor(TREES, random_state=0).fit(features, accuracy)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """See `Surrogate`."""
        each = np.array([tree.predict(features) for tree in self._forest.estimators_])
        return each.mean(axis=0), each.std(axis=0)


class Ridge:
    """Bayesian linear regression on features and their products."""

    noise_sd = 0.0

    def __init__(self, features: Floats, accuracy: Floats) -> None:
        self._center, self._scale = accuracy.mean(), accuracy.std() or 1.0
        self._model = make_pipeline(PolynomialFeatures(2, include_bias=False), BayesianRidge())
        self._model.fit(features, (accuracy - self._center) / self._scale)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """See `Surrogate`."""
        mean, sd = self._model.predict(features, return_std=True)
        return self._center + self._scale * mean, self._scale * sd


class ByTrees(Acquisition):
    """Extra trees in the place of the Gaussian process."""

    model: Callable[[Floats, Floats], Any] = Trees

    @cached_property
    def _model(self) -> Any:
        return self.model(self.candidates.features(self.history.codes)[0], self.history.accuracy)


class ByRidge(ByTrees):
    """A ridge in the place of the Gaussian process."""

    model = Ridge


class Oracle(Acquisition):
    """Knows every accuracy."""

    truth: Floats

    def _improvement(self, model: Surrogate, features: Floats, cost: Floats) -> Floats:
        known = self.truth[self.pool[:, 0]]
        costs, sure = np.log(cost), np.zeros(len(cost))
        return self._front.expected_improvement(costs, known, sure, cost_sd=self.preferences.cost_error)


def ours(
    acquisition: type[Acquisition], blind: bool, candidates: Candidates, preferences: Preferences, seed: int
) -> optuna.samplers.BaseSampler:
    """Our sampler with another decision."""
    sampler = CostAwareSampler(Blind(candidates) if blind else candidates, seed=seed, preferences=preferences)
    sampler.acquisition = acquisition
    return sampler


def theirs(name: Sampler, candidates: Candidates, preferences: Preferences, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler of Optuna's."""
    return make_sampler(name, seed=seed, candidates=candidates, preferences=preferences)


def oracle(truth: Floats, candidates: Candidates, preferences: Preferences, seed: int) -> optuna.samplers.BaseSampler:
    """Our sampler that knows every accuracy."""
    return ours(type("Told", (Oracle,), {"truth": truth}), False, candidates, preferences, seed)


VARIANTS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "all parts": partial(ours, Acquisition, False),
    "no cost feature": partial(ours, Acquisition, True),
    "cost learnt": partial(ours, CostLearnt, True),
    f"{LOOKED_AT} candidates": partial(ours, FewLookedAt, False),
    "trees": partial(ours, ByTrees, False),
    "ridge": partial(ours, ByRidge, False),
    "oracle": oracle,
    "Optuna's TPE": partial(theirs, Sampler.TPE),
    "Optuna's GP": partial(theirs, Sampler.GP),
}


def one(
    variant: str, file: Path, parameters: list[str], maximize: str, minimize: str, conditions: Conditions, seed: int
) -> Replay:
    """One replayed search."""
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.simplefilter("ignore")
    table = read_table(file, parameters=parameters, maximize=maximize, minimize=minimize)
    make = partial(oracle, table.accuracy) if variant == "oracle" else VARIANTS[variant]
    return replay(table, make, conditions, seed)


def main(
    file: Annotated[Path, typer.Argument(help="CSV of finished trainings.")] = TABLE,
    parameters: Annotated[str, typer.Option(help="Columns that tell models apart.")] = "family,depth,width,resolution",
    maximize: Annotated[str, typer.Option(help="Column of the accuracy.")] = "mAP_0.5:0.95",
    minimize: Annotated[str, typer.Option(help="Column of the cost.")] = "nano_gpu_latency",
    budget: Annotated[int, typer.Option(help="Trainings of each search.")] = 100,
    cost_error: Annotated[float, typer.Option(help="Relative error of the cost that is known beforehand.")] = 0.0,
    seeds: Annotated[int, typer.Option(help="Searches of each variant.")] = 20,
    variants: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = ",".join(VARIANTS),
) -> None:
    """Print the table."""
    print(f"{file.name}, {maximize} against {minimize}, {seeds} seeds, {budget} trainings each")
    print(f"{'variant':<18} {'to 99 %':>8} {'quartiles':>14} {'worst':>6} {'at 25':>7} {'ms':>6}")
    conditions = Conditions(budget=budget, cost_error=cost_error)
    with ProcessPoolExecutor() as pool:
        for variant in variants.split(","):
            do = partial(one, variant, file, parameters.split(","), maximize, minimize, conditions)
            found = list(pool.map(do, range(seeds)))
            reached = np.array([each.trainings_to(0.99) or np.inf for each in found])
            low, median, high = np.quantile(reached, [0.25, 0.5, 0.75], method="nearest")
            at_25 = np.median([each.shares[min(25, budget) - 1] for each in found])
            ms = 1e3 * np.mean([each.seconds_per_suggestion for each in found])
            quartiles = f"{low:g} to {high:g}"
            print(
                f"{variant:<18} {median:>8g} {quartiles:>14} {reached.max():>6g} {at_25:>7.4f} {ms:>6.0f}", flush=True
            )


if __name__ == "__main__":
    typer.run(main)
