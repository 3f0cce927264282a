"""The samplers that can be asked for by name, ours first: cost is known before training, accuracy is not.

Optuna's multi-objective samplers learn both objectives from trials. But parameters, MACs and (nearly) latency of every
candidate are known before it is trained. So only accuracy is modelled, every candidate is scored by the hypervolume
that it is expected to add at its known cost, and the best one is proposed. `docs/sampler.md` explains it and shows
what each part is worth.

References:
    1. Emmerich, Deutz and Klinkenberg, "Hypervolume-based expected improvement", CEC 2011.
    2. Daulton, Balandat and Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with expected
       hypervolume improvement", NeurIPS 2021: with noise the front is that of the model's means, not of readings.
    3. Frazier, Powell and Dayanik, "The knowledge-gradient policy for correlated normal beliefs", 2009: what another
       noisy reading can change is the mean that one believes in.
    4. Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010: what is being
       trained counts as if it had come out as expected.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from harness.analysis.progress import AHEAD
from harness.record.settings import Sampler
from harness.search.acquisition import Acquisition, Preferences
from harness.search.candidates import Candidates
from harness.search.history import History

# System attribute of a trial: the hypervolume that it was expected to add, as a share of what there was.
EXPECTED_IMPROVEMENT = "clo-nas:expected_improvement"


class CostAwareSampler(BaseSampler):
    """Proposes the candidate that is expected to add most hypervolume, given its known cost.

    For studies with two objectives, an accuracy that is learnt and a cost that is known beforehand. It follows from
    what is in storage and the seed alone, so that a search that was killed goes on as it would have. Every candidate is
    proposed once, whatever became of it.

    Args:
        candidates: What may be proposed.
        learnt: Number of the objective that is the accuracy.
        seed: Of the random draws.
        preferences: How candidates are weighed against one another.
    """

    # How one decision is made; `benchmarks/sampler_ablation.py` leaves parts of it out.
    acquisition: type[Acquisition] = Acquisition

    def __init__(
        self, candidates: Candidates, *, learnt: int = 0, seed: int, preferences: Preferences | None = None
    ) -> None:
        self._candidates = candidates
        self._learnt = learnt
        self._seed = seed
        self._preferences = preferences or Preferences()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are chosen together: those of the candidates."""
        return dict(self._candidates.distributions)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw at random a parameter of a trial that was asked for when every candidate was proposed."""
        own = np.random.SeedSequence([self._seed, trial.number, zlib.crc32(param_name.encode())])
        draw = RandomSampler(seed=int(own.generate_state(1)[0]))
        return draw.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the best candidate; none when every candidate was proposed."""
        found = self._decision(study, trial.number).best()
        if found is None:
            return {}
        if np.isfinite(found.expected_share):
            study._storage.set_trial_system_attr(trial._trial_id, EXPECTED_IMPROVEMENT, found.expected_share)
        return self._candidates.parameters(found.code)

    def expected_gains(self, study: Study, count: int = AHEAD) -> list[float]:
        """Estimate what each of the next trainings will add, as shares of the current hypervolume.

        Args:
            study: The search's.
            count: How many to look ahead; fewer are all that is left.
        """
        return self._decision(study, len(study.get_trials(deepcopy=False))).ahead(count)

    def _decision(self, study: Study, number: int) -> Acquisition:
        """Return the decision on the trial of this number."""
        history = History.of(study, self._candidates, self._learnt, without=number)
        rng = np.random.default_rng([self._seed, number])
        return self.acquisition(self._candidates, history, self._preferences, rng)


# Candidates drawn evenly before one of Optuna's samplers chooses.
STARTUP = 6


def startup_of(name: Sampler) -> int:
    """Return how many candidates a search draws before it asks the sampler; ours has a start of its own."""
    return 0 if name is Sampler.COST_AWARE else STARTUP


def make_sampler(
    name: Sampler,
    *,
    seed: int,
    workers: int = 1,
    candidates: Candidates | None = None,
    learnt: int = 0,
    preferences: Preferences | None = None,
) -> optuna.samplers.BaseSampler:
    """Build a seeded sampler.

    Args:
        name: Which.
        seed: Of its random draws.
        workers: Trainings at once; with several it keeps away from what is being trained.
        candidates: What may be proposed, for the cost-aware one, which needs it.
        learnt: Number of the objective that is accuracy, for the same one.
        preferences: Its preferences.
    """
    if name is Sampler.COST_AWARE:
        assert candidates is not None, "it chooses among candidates whose cost is known"
        return CostAwareSampler(candidates, learnt=learnt, seed=seed, preferences=preferences)
    if name is Sampler.NSGA2:
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    if name is Sampler.NSGA3:
        return optuna.samplers.NSGAIIISampler(seed=seed, population_size=20)
    if name is Sampler.GP:
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP)
    if name is Sampler.RANDOM:
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP, constant_liar=workers > 1
    )
