"""Which candidate is worth a training: the one that is expected to add most hypervolume at its known cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from harness.analysis.hypervolume import reference_point
from harness.search.candidates import Candidates, Codes
from harness.search.history import History, key_of
from harness.search.improvement import Floats, Staircase
from harness.search.surrogate import Surrogate

# Candidates before the model chooses: the cheapest, which is on the front whatever its accuracy, then any.
_STARTUP = 3
# How often a pool that isn't all candidates is improved by mutation of its best.
_ROUNDS = 3
_PARENTS = 50
# Candidates that are looked at with all readings, where there are so many that a part of the readings goes first.
_SHORT_LIST = 2_000
# Candidates times readings from which on that is done.
_MANY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """How candidates are weighed against one another.

    Attributes:
        cost_error: Relative standard deviation of a candidate's cost before it is measured.
        most_cost: The reference cost; None takes the highest of the candidates.
        least_accuracy: The reference accuracy, more is better; None infers it from what was found.
    """

    cost_error: float = 0.0
    most_cost: float | None = None
    least_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be trained next.

    Attributes:
        code: The candidate, (D,).
        expected_share: The hypervolume that it is expected to add, as a share of what there is; NaN before there is
            a model.
    """

    code: Codes
    expected_share: float


class Acquisition:
    """One decision.

    Args:
        candidates: What may be proposed.
        history: What is known.
        preferences: How candidates are weighed.
        rng: Source of the random draws.
    """

    def __init__(
        self, candidates: Candidates, history: History, preferences: Preferences, rng: np.random.Generator
    ) -> None:
        self.candidates = candidates
        self.history = history
        self.preferences = preferences
        self.rng = rng
        self.pool = candidates.draw(rng)
        self._pool_cost = candidates.cost(self.pool)

    def best(self) -> Choice | None:
        """Return the best candidate; None when every candidate was proposed."""
        known = len(self.history.codes)
        if known + len(self.history.pending) < _STARTUP or known < 2:
            return self._start()
        codes, scores = self.pool, self._scores(self.pool, self._pool_cost)
        if not self.candidates.is_complete:
            codes, scores = self._evolve(codes, scores)
        fresh = self._first_fresh(codes, np.argsort(-scores, kind="stable"))
        if fresh is None:
            return None
        volume = max(self._front.hypervolume, np.finfo(float).tiny)
        return Choice(code=codes[fresh], expected_share=float(scores[fresh] / volume))

    def ahead(self, count: int) -> list[float]:
        """Estimate what each of the next trainings will add, as shares of the current hypervolume.

        Each is estimated as if those before it had come out as expected. Fewer than `count` are all that is left;
        none, before there is a model, and where the posterior means of the known candidates differ by no more than
        the noise of an observation: a share of such a front means nothing.
        """
        gains: list[float] = []
        step = self
        while len(gains) < count:
            found = step.best()
            if found is None or not np.isfinite(found.expected_share):
                break
            if np.ptp(self._believed[0]) <= self._model.noise_sd:
                break
            gains.append(found.expected_share * step._front.hypervolume / self._front.hypervolume)
            history = replace(
                step.history,
                pending=np.vstack([step.history.pending, found.code]),
                taken=step.history.taken | {key_of(found.code)},
            )
            step = type(self)(self.candidates, history, self.preferences, self.rng)
        return gains

    def _start(self) -> Choice | None:
        """Choose the cheapest of all if it is new, for nothing can beat it; else any new one at random."""
        order = self.rng.permutation(len(self.pool))
        cheapest = int(np.argmin(self._pool_cost))
        known = np.concatenate([self.history.cost, self.candidates.cost(self.history.pending)])
        if self._pool_cost[cheapest] < known.min(initial=np.inf):
            order = np.concatenate([[cheapest], order])
        fresh = self._first_fresh(self.pool, order)
        return None if fresh is None else Choice(code=self.pool[fresh], expected_share=float("nan"))

    def _first_fresh(self, codes: Codes, order: np.ndarray) -> int | None:
        return next((int(at) for at in order if key_of(codes[at]) not in self.history.taken), None)

    def _evolve(self, codes: Codes, scores: Floats) -> tuple[Codes, Floats]:
        """Add the neighbours of its best candidates to a pool, several times over."""
        for _ in range(_ROUNDS):
            parents = codes[np.argsort(-scores, kind="stable")[:_PARENTS]]
            near = self.candidates.neighbours(parents, self.rng)
            added = self._scores(near, self.candidates.cost(near))
            codes, scores = np.concatenate([codes, near]), np.concatenate([scores, added])
        return codes, scores

    def _scores(self, codes: Codes, cost: Floats) -> Floats:
        """Compute the expected improvement of each, were it observed once."""
        features, _ = self.candidates.features(codes)
        if len(codes) * len(self.history.codes) <= _MANY:
            return self._improvement(self._model, features, cost)
        rough = self._improvement(self._model.rough, features, cost)
        listed = np.argpartition(-rough, _SHORT_LIST)[:_SHORT_LIST]
        scores = np.full(len(codes), -1.0)
        scores[listed] = self._improvement(self._model, features[listed], cost[listed])
        return scores

    def _improvement(self, model: Surrogate, features: Floats, cost: Floats) -> Floats:
        mean, sd = model.predict(features)
        change = _change_of_belief(sd, self._noise_sd)
        return self._front.expected_improvement(np.log(cost), mean, change, cost_sd=self.preferences.cost_error)

    @cached_property
    def _model(self) -> Surrogate:
        history = self.history
        features, groups = self.candidates.features(history.codes)
        model = Surrogate.fit(
            features, history.accuracy, history.readings, groups=groups, rng=self.rng, noise_sd=history.noise_sd
        )
        if not len(history.pending):
            return model
        return model.believing(self.candidates.features(history.pending)[0])

    @property
    def _noise_sd(self) -> float:
        return 0.0 if self.history.noise_sd is None else self._model.noise_sd

    @cached_property
    def _believed(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the known candidates' true accuracy; the reading itself without noise."""
        if self._noise_sd == 0:
            return self.history.accuracy, np.zeros(len(self.history.accuracy))
        return self._model.predict(self.candidates.features(self.history.codes)[0])

    @cached_property
    def _front(self) -> Staircase:
        """Of what was found, and of what is being trained as if it came out as expected."""
        cost, accuracy = self.history.cost, self._believed[0]
        if len(self.history.pending):
            expected, _ = self._model.predict(self.candidates.features(self.history.pending)[0])
            cost = np.concatenate([cost, self.candidates.cost(self.history.pending)])
            accuracy = np.concatenate([accuracy, expected])
        return Staircase.of(np.log(cost), accuracy, worst_cost=self._worst_cost, worst_accuracy=self._worst_accuracy)

    @cached_property
    def _worst_cost(self) -> float:
        """Where all cost the same, beyond it, so that a hypervolume is the accuracy alone."""
        cost = np.concatenate([self._pool_cost, self.history.cost])
        most = cost.max() if self.preferences.most_cost is None else self.preferences.most_cost
        return float(np.log(most)) + float(np.ptp(cost) == 0)

    @cached_property
    def _worst_accuracy(self) -> float:
        """By the published rule, or the worst that was found if that is worse."""
        if self.preferences.least_accuracy is not None:
            return self.preferences.least_accuracy
        found = pd.DataFrame({"accuracy": self._believed[0], "cost": self.history.cost})
        return min(reference_point(found, ["accuracy"], ["cost"])["accuracy"], float(found["accuracy"].min()))


def _change_of_belief(sd: Floats, noise_sd: float) -> Floats:
    """Compute the standard deviation of how one more observation moves the posterior mean."""
    if noise_sd == 0:
        return sd
    return np.asarray(sd**2 / np.sqrt(sd**2 + noise_sd**2))
