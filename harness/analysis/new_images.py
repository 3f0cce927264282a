"""What the choice of validation images adds to a mean difference's uncertainty.

Seeds on one set of images say how sure the gain *on these images* is. A user wants it *on new images like these*: seeds
and images vary both, as crossed random effects. Of a mean over n seeds

    variance = σ²(seeds)/n + σ²(images) + σ²(seeds × images)/n.

The scatter between seeds, measured on the same images, holds the first and the third; the images' influences, averaged
over the seeds, the second and the third [1]. Their sum would count the third twice: what the influences differ between
seeds says how large it is, and it is taken from the seeds' part, which never falls below 0. The degrees of freedom are
Satterthwaite's [2], each part with its own: the images' by the fourth moments of the blocks' influences, since few
images that matter make for an uncertain sum of squares.

The choice of images is no smaller for more seeds: it sets the gain that a validation set can show at all.

References:
    1. Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 21 (infinitesimal jackknife).
    2. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bull. 2, 1946.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from harness.analysis.noise import ALPHA, NO_VARIATION
from harness.architecture import BASELINE

INFLUENCE = "image_influence"
"""Column of trials: the influence of each block of validation images on the mAP50-95, as text."""

Floats = NDArray[np.float64]


class Target(StrEnum):
    """What an interval is of."""

    NEW_IMAGES = "new images"
    """The mean over seeds and over images like those of the validation set."""
    THESE_IMAGES = "these images"
    """The mean over seeds, on the validation set as it is."""


@dataclass(frozen=True, kw_only=True)
class ImageNoise:
    """How much a mean difference owes to the choice of images.

    Attributes:
        sd: Standard deviation of the mean by the choice of images; NaN where it is not known.
        shared: Part of it that differs from seed to seed, so that the scatter between seeds holds it too.
        df: Degrees of freedom of `sd`².
    """

    sd: float
    shared: float
    df: float

    @property
    def known(self) -> bool:
        """Whether there is anything to add."""
        return self.df > 0 and self.sd > NO_VARIATION


UNKNOWN = ImageNoise(sd=math.nan, shared=math.nan, df=0)


def image_noise(influences: Floats) -> ImageNoise:
    """Return how much the choice of images moves the mean of some readings.

    Args:
        influences: Of the difference; shape (readings, blocks of images).
    """
    readings, blocks = influences.shape
    if not readings or blocks < 2 or not np.isfinite(influences).all():
        return UNKNOWN
    squares = influences.mean(axis=0) ** 2
    variance = float(squares.sum())
    if math.sqrt(variance) <= NO_VARIATION:
        return UNKNOWN
    shared = float(influences.var(axis=0, ddof=1).sum()) / readings if readings > 1 else 0.0
    spread = float((squares**2).sum()) - variance**2 / blocks
    df = blocks - 1.0 if spread <= 0 else min(blocks - 1.0, 2 * variance**2 / spread)
    return ImageNoise(sd=math.sqrt(variance), shared=math.sqrt(min(shared, variance)), df=df)


def on_new_images(se: float, df: float, images: ImageNoise) -> tuple[float, float]:
    """Return a mean difference's standard error and degrees of freedom on new images like these.

    Args:
        se: Its standard error between seeds, on these images.
        df: Degrees of freedom of `se`².
        images: What the choice of images adds.

    Returns:
        NaN and 0 where either is not known.
    """
    if not (images.known and df > 0 and se > 0):
        return math.nan, 0.0
    variance = images.sd**2 + max(0.0, se**2 - images.shared**2)
    return math.sqrt(variance), variance**2 / (se**4 / df + images.sd**4 / images.df)


def half_width(se: float, df: float, images: ImageNoise, alpha: float = ALPHA) -> float:
    """Return half of the interval on new images; NaN where it is not known.

    Never less than on these images: with few degrees of freedom of the seeds' part alone, adding a part that is well
    known can make t's quantile fall faster than the standard error grows.

    Args:
        se: As in `on_new_images`, as are `df` and `images`.
        df: See there.
        images: See there.
        alpha: One minus the confidence.
    """
    total, freedom = on_new_images(se, df, images)
    if not freedom > 0:
        return math.nan
    return max(float(stats.t.ppf(1 - alpha / 2, of)) * error for error, of in ((se, df), (total, freedom)))


def p_value(mean: float, se: float, df: float, images: ImageNoise) -> float:
    """Return the two-sided p-value of no difference on new images, to which `half_width` belongs; NaN where unknown."""
    total, freedom = on_new_images(se, df, images)
    if not freedom > 0 or math.isnan(mean):
        return math.nan
    return max(float(2 * stats.t.sf(abs(mean) / error, of)) for error, of in ((se, df), (total, freedom)))


def add_new_images(summary: pd.DataFrame, judging: pd.DataFrame, complete: pd.DataFrame) -> None:
    """Let a summary's intervals and p-values speak of new images, where the choice of images is known.

    Args:
        summary: With `gain_map50_95`, `gain_low`, `gain_high`, `gain_se`, `gain_df` and `p_value` of these images, by
            architecture. The ends and the p-value become those of `gain_target`; gets this, `image_sd`, and the ends on
            these images as `gain_low_these_images` and `gain_high_these_images`.
        judging: The rows of trials that the gains rest on.
        complete: All complete rows, the baseline's among them.
    """
    controls = complete[complete["architecture"] == BASELINE]
    rows = dict(list(judging.groupby("architecture")))
    noises = [
        image_noise(paired_influence(rows[name], controls)) if name in rows else UNKNOWN for name in summary.index
    ]
    each = list(zip(summary["gain_map50_95"], summary["gain_se"], summary["gain_df"], noises, strict=True))
    half = np.array([half_width(se, df, images) for _, se, df, images in each])
    known = np.isfinite(half)
    summary["gain_target"] = [str(Target.NEW_IMAGES if is_known else Target.THESE_IMAGES) for is_known in known]
    summary["image_sd"] = [images.sd for images in noises]
    for end, sign in (("gain_low", -1), ("gain_high", 1)):
        summary[f"{end}_these_images"] = summary[end]
        summary[end] = summary[end].mask(known, summary["gain_map50_95"] + sign * half)
    p_values = pd.Series([p_value(*values) for values in each], index=summary.index)
    summary["p_value"] = summary["p_value"].mask(known & summary["p_value"].notna(), p_values)


def paired_influence(minuend: pd.DataFrame, subtrahend: pd.DataFrame, unit: str = "seed") -> Floats:
    """Return the influences on the differences of two arms' rows under the same base, seed and epochs.

    Args:
        minuend: Complete rows of one arm.
        subtrahend: Of the other; each has a row for every one of the first's.
        unit: What counts as a reading: `seed`, or `base_seed` over whose seeds they are averaged.

    Returns:
        Shape (readings, blocks); without readings where a row or its control lacks them, or they are of other images.
    """
    nothing: Floats = np.zeros((0, 0))
    if INFLUENCE not in minuend or INFLUENCE not in subtrahend or minuend.empty:
        return nothing
    keys = [name for name in ("base_seed", "seed", "epochs") if name in minuend]
    other = subtrahend.drop_duplicates(keys, keep="last").set_index(keys)[INFLUENCE]
    readings: dict[object, list[Floats]] = {}
    for row in minuend.to_dict("records"):
        pair = _numbers(row[INFLUENCE]), _numbers(other.get(tuple(row[key] for key in keys), ""))
        if not len(pair[0]) or len(pair[0]) != len(pair[1]):
            return nothing
        readings.setdefault(row[unit], []).append(pair[0] - pair[1])
    means = [np.mean(values, axis=0) for values in readings.values()]
    return np.array(means) if len({len(mean) for mean in means}) == 1 else nothing


def _numbers(text: object) -> Floats:
    """Return what a table keeps; nothing where that is no text of numbers, which a stranger's study may hold."""
    try:
        return np.array(str(text).split(), dtype=np.float64)
    except ValueError:
        return np.zeros(0)
