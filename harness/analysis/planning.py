"""What a search that is planned would show: the smallest gain that it detects, and what a wanted one takes.

Studies are simulated as they are planned, and judged as `statistics.summarise` judges: all finalists under the seeds
that picked nobody, by the noise that they have in common, corrected by Holm's first and strictest step, and each by its
own noise as `moderation` makes it; both for the study's first look. How large a gain would have had to be is then known
for each of them, and the detectable gain is what four of five call one. The true standard deviation differs from study
to study as far as a pilot of few seeds leaves it open, so that the promise holds over what it may be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from harness.analysis.moderation import Moderated, moderated_noise
from harness.analysis.new_images import UNKNOWN, ImageNoise, on_new_images
from harness.analysis.noise import ALPHA, SHARED_BASELINE, Noise, spent
from harness.analysis.power import POWER

# The seed that picks, and two whose readings scatter.
LEAST_SEEDS = 3
# Seeds beyond which no number is named.
MOST_SEEDS = 300
_STUDIES = 250


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """How one seed's gain scatters, as far as it is known before a search.

    Attributes:
        sd: Standard deviation of one seed's gain, in mAP50-95.
        df: Degrees of freedom of `sd`: how well it is known.
        images: What the choice of validation images adds to a mean over `readings` seeds.
        readings: See `images`; 0 where that is not known.
        origin: Where this is from, for people.
    """

    sd: float
    df: float
    images: ImageNoise = UNKNOWN
    readings: int = 0
    origin: str

    def of_images(self, seeds: int) -> ImageNoise:
        """Return what the choice of images adds to a mean over so many seeds."""
        if not self.images.known:
            return UNKNOWN
        shared = self.images.shared * math.sqrt(self.readings / seeds)
        return ImageNoise(sd=math.hypot(self.images.limit, shared), shared=shared, df=self.images.df)


def chance(gain: float, *, seeds: int, judged: int, noise: SeedNoise) -> float:
    """Return the share of such studies that call a true gain one.

    Args:
        gain: Of one candidate, in mAP50-95; the others gain nothing.
        seeds: Of the baseline and of each finalist; the first one picks, the others judge.
        judged: Candidates that are judged.
        noise: Of one seed's gain.
    """
    return float((_needed(seeds, judged, noise) <= gain).mean())


def detectable_gain(*, seeds: int, judged: int, noise: SeedNoise) -> float:
    """Return the smallest gain, in mAP50-95, that four of five such studies call a gain.

    Args:
        seeds: As for `chance`.
        judged: Likewise.
        noise: Likewise.
    """
    return float(np.quantile(_needed(seeds, judged, noise), POWER))


def seeds_to_detect(gain: float, *, judged: int, noise: SeedNoise) -> int | None:
    """Return the fewest seeds with which four of five studies call such a gain one.

    Args:
        gain: In mAP50-95.
        judged: As for `chance`.
        noise: Likewise.

    Returns:
        None where `MOST_SEEDS` are not enough, as where the validation images are too few.
    """
    low, high = LEAST_SEEDS - 1, LEAST_SEEDS
    while chance(gain, seeds=high, judged=judged, noise=noise) < POWER:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(gain, seeds=middle, judged=judged, noise=noise) >= POWER else (middle, high)
    return high


@lru_cache(maxsize=64)
def _needed(seeds: int, judged: int, noise: SeedNoise) -> NDArray[np.float64]:
    """Return, a simulated study each, the gain from which on it would have called one.

    Raises:
        ValueError: Seeds are fewer than `LEAST_SEEDS`, which leaves no scatter to judge by.
    """
    if seeds < LEAST_SEEDS:
        raise ValueError(f"{seeds} seeds leave no scatter to judge by; {LEAST_SEEDS} at least")
    readings = seeds - 1
    images = noise.of_images(readings)
    lasting = images.limit if images.known else 0.0
    draw = np.random.default_rng(0)
    sds = noise.sd * np.sqrt(noise.df / draw.chisquare(noise.df, _STUDIES))
    moved_by_images = lasting * draw.normal(size=_STUDIES)
    return np.array([
        max(_half_widths(scatter, sd, readings, judged, images)) - sd * mean - moved
        for (mean, scatter), sd, moved in zip(_studies(readings, judged), sds, moved_by_images, strict=True)
    ])  # fmt: skip


def _half_widths(scatter: Moderated, sd: float, readings: int, judged: int, images: ImageNoise) -> tuple[float, float]:
    """Compute how large a mean must be for each of a judged candidate's two tests in `statistics.summarise`."""

    def least(noise: Noise, alpha: float) -> float:
        se = noise.sd * sd / math.sqrt(readings)
        on_these = special.stdtrit(noise.df, 1 - alpha) * se
        error, df = on_new_images(se, noise.df, images)
        return float(special.stdtrit(df, 1 - alpha) * error if df > 0 else on_these)

    common = min(least(each, ALPHA * spent(1) / judged) for each in (scatter.pooled, scatter.typical))
    return common, least(scatter.of("0"), min(ALPHA / 2, ALPHA * spent(1) / scatter.with_own))


@cache
def _studies(readings: int, judged: int) -> list[tuple[float, Moderated]]:
    """Simulate what nothing but noise gives, where one seed's gain has a standard deviation of 1.

    Returns:
        A study each: the mean of one of its candidates, and the scatter as the study would estimate it.
    """
    draw = np.random.default_rng(1)
    own = draw.normal(scale=math.sqrt(1 - SHARED_BASELINE), size=(_STUDIES, judged, readings))
    of_baseline = draw.normal(scale=math.sqrt(SHARED_BASELINE), size=(_STUDIES, 1, readings))
    names = np.repeat([str(number) for number in range(judged)], readings)
    columns = {"architecture": names, "seed": np.tile(np.arange(readings), judged)}
    return [
        (
            float(gains[0].mean()),
            moderated_noise(pd.DataFrame({**columns, "gain": gains.ravel()}), "gain", SHARED_BASELINE),
        )
        for gains in own - of_baseline
    ]
