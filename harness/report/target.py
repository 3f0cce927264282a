"""Words for what an interval or a verdict speaks of: new images like those of the validation set, or these alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from scipy import stats

from harness.analysis.new_images import Target
from harness.analysis.noise import ALPHA
from harness.analysis.power import POWER
from harness.analysis.statistics import Standing, Verdict
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import words

_WORDS = {Target.NEW_IMAGES: "on new images like these", Target.THESE_IMAGES: "on these images"}
_SEEN = float(stats.norm.isf(ALPHA / 2) + stats.norm.ppf(POWER))
"""Standard deviations that a test at 5 % sees in four of five studies."""
_FEW = 60
"""Images below which the intervals' coverage falls below 93 % (`benchmarks/image_coverage.py`)."""
_COMPARED = (Standing.JUDGED, Standing.SCREENING)


def on(targets: Iterable[str]) -> str:
    """Return ` on new images like these`, or ` on these images` where one of several speaks of no more; else nothing.

    Args:
        targets: Those of the rows that a sentence is about.
    """
    found = {Target(target) for target in targets}
    if not found:
        return ""
    return f" {_WORDS[Target.THESE_IMAGES if Target.THESE_IMAGES in found else Target.NEW_IMAGES]}"


def of_gains(summary: pd.DataFrame) -> str:
    """Return `on` of a headline: of those that are said to gain, where there are any, else of all that were judged."""
    winners = summary[summary["verdict"] == Verdict.GAIN]
    rows = winners if len(winners) else summary[summary["standing"] == Standing.JUDGED]
    return on(rows["gain_target"])


def image_sentence(summary: pd.DataFrame, digits: int, images: Any = None) -> str:
    """Return how much the choice of validation images moves a gain, which no further seed changes; else nothing.

    Args:
        summary: From `summarise`.
        digits: Decimals of an mAP.
        images: How many validation images there are, where that is known.
    """
    rows = summary[summary["standing"].isin(_COMPARED) & (summary["gain_target"] == Target.NEW_IMAGES)]
    if rows.empty:
        return ""
    sd, limit = (float(rows[name].median()) for name in ("image_sd", "image_sd_limit"))
    of = f"the {images:,} validation images" if isinstance(images, int) else "the validation images"
    least = words.plain(_SEEN * limit, digits)
    seen = (
        f" With any number of seeds a true gain below {least} would be seen on new images in fewer than four of five "
        "studies: that takes more images."
    )
    few = ""
    if isinstance(images, int) and images < _FEW:
        few = f" Of fewer than {_FEW} images the intervals are a little too short: 92 % where 95 % is said."
    return (
        f"The choice of {of} moves a gain by a standard deviation of {words.plain(sd, digits)} (median); the intervals "
        f"hold it.{seen if least != words.plain(0.0, digits) else ''}{few}"
    )


def is_beyond_seeds(row: Any) -> bool:
    """Whether so few validation images hide a gain of this size on new images, however many seeds there are."""
    return bool(row["gain_target"] == Target.NEW_IMAGES and row["gain_map50_95"] < _SEEN * row["image_sd_limit"])


def unknown_images(record: StudyRecord) -> str:
    """Return what the study cannot say of other images; empty where every training kept what its images contribute."""
    complete = record.trials[record.trials["state"] == State.COMPLETE]
    kept = complete["image_influence"].fillna("").astype(str).str.contains(" ")
    if len(complete) and kept.all():
        return ""
    return (
        "Gains on other images: trainings of this study did not keep what each validation image contributes, so that "
        "their intervals hold the scatter of training, not that of another sample of images."
    )
