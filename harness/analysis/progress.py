"""Whether going on with a search pays.

References:
    1. Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", J. Global
       Optim. 13, 1998: stop when the expected improvement is below a share of the best there is.
    2. Daulton et al., "Differentiable expected hypervolume improvement for parallel multi-objective Bayesian
       optimization", NeurIPS 2020: several steps together improve less than the sum of each alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

# Trainings that the stop rule looks ahead: those of one more `clo search --more 10`.
AHEAD = 10


def further_gain(hypervolume_now: float, expected_improvements: Sequence[float]) -> float:
    """Estimate what the next ten trainings add, as a share of the hypervolume that there is.

    Where each improvement is estimated from today's front rather than from what the steps before will have left
    [2], their sum is too large: the rule then goes on for longer than it need.

    Args:
        hypervolume_now: 0 or more.
        expected_improvements: The sampler's expected hypervolume improvement of each step to come, in the same
            unit. Steps after the tenth are ignored; fewer are all that the space has left.

    Returns:
        0 or more; infinite where something is expected and nothing is there.

    Raises:
        ValueError: A number is negative or NaN.
    """
    ahead = list(islice(expected_improvements, AHEAD))
    if not all(value >= 0 for value in [hypervolume_now, *ahead]):
        raise ValueError(f"hypervolume {hypervolume_now}, expected improvements {ahead}: each is 0 or more")
    expected = math.fsum(ahead)
    if expected == 0:
        return 0.0
    return expected / hypervolume_now if hypervolume_now > 0 else math.inf


def enough(hypervolume_now: float, expected_improvements: Sequence[float], threshold: float) -> bool:
    """Decide whether to stop: another ten trainings are expected to add less than this share of the hypervolume [1].

    Args:
        hypervolume_now: As in `further_gain`.
        expected_improvements: As in `further_gain`.
        threshold: Share of the present hypervolume, 0.01 for 1 %.
    """
    return further_gain(hypervolume_now, expected_improvements) < threshold
