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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from harness.analysis.noise import ALPHA, NO_VARIATION, Noise
from harness.architecture import BASELINE

# Column of trials: the influence of each block of validation images on the mAP50-95, as text.
INFLUENCE = "image_influence"

Floats = NDArray[np.float64]


class Target(StrEnum):
    """What an interval is of."""

    # The mean over seeds and over images like those of the validation set.
    NEW_IMAGES = "new images"
    # The mean over seeds, on the validation set as it is.
    THESE_IMAGES = "these images"


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

    @property
    def limit(self) -> float:
        """The part of `sd` that no number of seeds takes away."""
        return math.sqrt(max(self.sd**2 - self.shared**2, 0.0))  # in this order NaN stays NaN


UNKNOWN = ImageNoise(sd=math.nan, shared=math.nan, df=0)


def image_noise(influences: Floats) -> ImageNoise:
    """Return how much the choice of images moves the mean of some observations.

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

    They are those on these images where that interval is the longer one: with few degrees of freedom of the seeds,
    adding a part that is well known can make Student's t fall faster than the standard error grows, and nothing is
    known of new images that is not known of these.

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
    both = math.sqrt(variance), variance**2 / (se**4 / df + images.sd**4 / images.df)
    return max((se, df), both, key=lambda found: half_width(*found))


def stated(noise: Noise, readings: int, images: ImageNoise) -> Noise:
    """Return the noise that a mean of so many observations has on new images; as it is where the images are not known.

    Args:
        noise: Of one observation, between seeds.
        readings: That the mean rests on.
        images: What the choice of images adds to the mean.
    """
    se, df = on_new_images(noise.sd / math.sqrt(max(1, readings)), noise.df, images)
    return replace(noise, sd=se * math.sqrt(max(1, readings)), df=df) if df > 0 else noise


def half_width(se: float, df: float, alpha: float = ALPHA) -> float:
    """Return half of a mean's interval by Student's t; NaN where it is not known."""
    return float(stats.t.ppf(1 - alpha / 2, df)) * se if df > 0 else math.nan


def p_value(mean: float, se: float, df: float) -> float:
    """Return the two-sided p-value of a mean of 0; NaN where it is not known."""
    return float(2 * stats.t.sf(abs(mean) / se, df)) if df > 0 else math.nan


def image_noises(names: Iterable[Any], judging: pd.DataFrame, complete: pd.DataFrame) -> list[ImageNoise]:
    """Return what the choice of images adds to each architecture's gain.

    Args:
        names: Of the architectures.
        judging: The rows of trials that the gains rest on.
        complete: All complete rows, the baseline's among them.
    """
    controls = complete[complete["architecture"] == BASELINE]
    rows = dict(list(judging.groupby("architecture")))
    return [image_noise(paired_influence(rows[name], controls)) if name in rows else UNKNOWN for name in names]


def add_new_images(summary: pd.DataFrame, noises: Sequence[ImageNoise]) -> None:
    """Let a summary's intervals and p-values speak of new images, where the choice of images is known.

    Args:
        summary: With `gain_map50_95`, `gain_low`, `gain_high`, `gain_se`, `gain_df`, `p_value` and `gain_basis` of
            these images, by architecture. All but the first become those of `gain_target`; gets this, `image_sd`,
            `image_sd_limit`, and the ends on these images as `gain_low_these_images` and `gain_high_these_images`.
        noises: What the choice of images adds, by row; see `image_noises`.
    """
    errors = [
        on_new_images(se, df, images)
        for se, df, images in zip(summary["gain_se"], summary["gain_df"], noises, strict=True)
    ]
    known = np.array([df > 0 for _, df in errors])
    half = np.array([half_width(*error) for error in errors])
    p_values = [p_value(mean, *error) for mean, error in zip(summary["gain_map50_95"], errors, strict=True)]
    summary["gain_target"] = [str(Target.NEW_IMAGES if is_known else Target.THESE_IMAGES) for is_known in known]
    summary["image_sd"], summary["image_sd_limit"] = zip(*((each.sd, each.limit) for each in noises), strict=True)
    has_interval = summary["gain_low"].notna() & (summary.index != BASELINE)
    summary["gain_basis"] += ("; on " + summary["gain_target"]).where(has_interval, "")
    for end in ("gain_low", "gain_high"):
        summary[f"{end}_these_images"] = summary[end]
    for name, values in {
        "gain_low": summary["gain_map50_95"] - half,
        "gain_high": summary["gain_map50_95"] + half,
        "gain_se": [se for se, _ in errors],
        "gain_df": [df for _, df in errors],
        "p_value": np.where(summary["p_value"].notna(), p_values, np.nan),
    }.items():
        summary[name] = summary[name].mask(known, pd.Series(values, index=summary.index))


def paired_influence(minuend: pd.DataFrame, subtrahend: pd.DataFrame, unit: str = "seed") -> Floats:
    """Return the influences on the differences of two arms' rows under the same base, seed and epochs.

    Args:
        minuend: Complete rows of one arm.
        subtrahend: Of the other.
        unit: What counts as an observation: `seed`, or `base_seed` over whose seeds they are averaged.

    Returns:
        Shape (readings, blocks); without readings where a pair lacks them, or they are of other images.
    """
    nothing: Floats = np.zeros((0, 0))
    if INFLUENCE not in minuend or INFLUENCE not in subtrahend:
        return nothing
    keys = [name for name in ("base_seed", "seed", "epochs") if name in minuend]
    place, controls = keys.index(unit), _by_key(subtrahend, keys)
    readings: dict[object, list[Floats]] = {}
    for key, own in _by_key(minuend, keys).items():
        if key not in controls:
            continue
        values, others = _numbers(own), _numbers(controls[key])
        if not len(values) or len(values) != len(others):
            return nothing
        readings.setdefault(key[place], []).append(values - others)
    lengths = {len(each) for several in readings.values() for each in several}
    return np.array([np.mean(each, axis=0) for each in readings.values()]) if len(lengths) == 1 else nothing


def _by_key(rows: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[float, ...], str]:
    """Return the influences by base, seed and epochs, the last of several; a merge takes ten times as long."""
    columns = [rows[name].astype(float).fillna(-1).tolist() for name in keys]
    return dict(zip(zip(*columns, strict=True), map(str, rows[INFLUENCE].tolist()), strict=True))


@lru_cache(maxsize=256)  # every candidate's is held against the same few of the baseline
def _numbers(text: str) -> Floats:
    """Return what a table keeps; nothing where that is no text of numbers, which a stranger's study may hold."""
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError:
        return np.zeros(0)
