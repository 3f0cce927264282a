"""How good the best of many candidates looks when none of them does anything.

References:
    1. David and Nagaraja, Order Statistics, 3rd ed., sections 3.1 and 5.3 (also equal correlations).
    2. Cawley and Talbot, "On over-fitting in model selection", JMLR 11, 2010.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, special


def expected_maximum(candidates: int, sd: float, correlation: float = 0.0) -> float:
    """Compute the mean of the highest of normal observations with true mean zero.

    E max = sd · √(1 − correlation) · ∫₀^∞ (1 − Φ(x)ᵐ − Φ(−x)ᵐ) dx: what equally correlated observations share
    moves all of them alike and makes none the best [1].

    Args:
        candidates: How many observations, m.
        sd: Standard deviation of each.
        correlation: Of every two of them, 0 to 1; `noise.SHARED_BASELINE` for gains of one seed.

    Raises:
        ValueError: There is no candidate, or the correlation is not one.
    """
    if candidates < 1 or not 0 <= correlation <= 1:
        raise ValueError(f"candidates {candidates}, correlation {correlation}: at least 1, and 0 to 1")

    def beyond(x: float) -> float:
        highest, lowest = candidates * special.log_ndtr(x), candidates * special.log_ndtr(-x)
        return float(-np.expm1(highest) - np.exp(lowest))

    in_sds, _ = integrate.quad(beyond, 0, np.inf, epsabs=1e-12)
    return float(sd * math.sqrt(1 - correlation) * in_sds)
