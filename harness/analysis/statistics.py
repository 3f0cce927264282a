"""What the paired differences of a study say, and how sure that is.

A candidate's gain is its mAP50-95 minus the baseline's of the same seed and epochs. Four things could
make a gain look better than it is; each has its rule here:

- **Noise.** Seeds differ. Each candidate is judged by its own scatter, moderated towards that of the others
  (`moderation`) [1]. The differences of one seed share the baseline's row, which takes away some of the
  degrees of freedom (`noise`).
- **The winner's curse.** The search picks its finalists on the first seed. The best of many noisy
  observations is too good on average, so a selection seed does not judge its pick [2], and says nothing of noise.
- **Many candidates.** With twenty candidates one passes a 5 % test by luck. A gain needs Holm's
  step-down correction over all candidates that were judged [3]; it holds under any dependence.
- **Many looks.** Whoever adds seeds until a gain shows finds one. The k-th time that a study is judged on more seeds,
  6 / (π² k²) of the 5 % may be spent (`noise.spent`).

- **These images.** Another validation set would give another gain. Where the trainings kept what each image
  contributes, verdicts are about new images like these (`new_images`), else about these.

Where candidates are promoted, each is summarised by its longest trainings that have a control, and with their
noise: observations after different numbers of epochs are neither averaged nor pooled.

References:
    1. Smyth, "Linear models and empirical Bayes methods", Stat. Appl. Genet. Mol. Biol. 3(1), 2004.
    2. Cawley and Talbot, "On over-fitting in model selection", JMLR 11, 2010.
    3. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.analysis.fronts import non_dominated
from harness.analysis.moderation import Moderated, moderated_noise
from harness.analysis.new_images import ImageNoise, add_new_images, image_noises
from harness.analysis.noise import ALPHA, SHARED_BASELINE, Noise, holm, pooled_noise, spent
from harness.analysis.selection import expected_maximum
from harness.architecture import BASELINE
from harness.record.state import State

# Columns of a summary of which more is better; of all others less is.
MAXIMIZED = frozenset({"gain_map50_95", "map50_95", "map50"})
DEFAULT_OBJECTIVES = ("gain_map50_95", "latency_ratio")


class Verdict(StrEnum):
    """What the measurements allow to be said about a candidate."""

    # Judged on repeated seeds and better than the baseline after Holm's correction.
    GAIN = "gain"
    # The whole 95 % interval lies below zero.
    LOSS = "loss"
    # The noise does not tell it from the baseline, or only one seed was trained.
    UNDECIDED = "undecided"
    # No seed has both its complete row and the baseline's.
    UNMEASURED = "unmeasured"
    # The baseline itself.
    REFERENCE = "reference"


class Standing(StrEnum):
    """On what evidence a row stands."""

    BASELINE = "baseline"
    # Two or more complete seeds.
    JUDGED = "judged"
    # One complete seed: it may rule a candidate out, never in.
    SCREENING = "screening only"
    UNMEASURED = "unmeasured"


class _Judgement(NamedTuple):
    """A candidate's gain and what it rests on."""

    mean: float
    readings: int
    standing: Standing
    basis: str


def summarise(trials: pd.DataFrame, look: int = 1) -> pd.DataFrame:
    """Summarise each architecture in a row: its gain with interval and verdict, its costs, its states.

    Costs are medians over the rows in which they were measured; the interval of the latency ratio is
    the median of the rows' intervals and is not narrowed, as rows may repeat one measurement. Zero,
    negative and infinite latencies and costs count as not measured.

    Args:
        trials: `StudyRecord.trials`; two complete rows of one architecture and seed count once, the
            later one. Columns that are absent count as not measured; without `epochs` all rows have the same.
        look: How many times the study has been judged, this time included, each time on more seeds.

    Returns:
        Indexed by architecture, the baseline first (present even where it has no row), then in order
        of appearance. Columns: `epochs` (that the row speaks of; NaN where nothing is complete), `standing`,
        `verdict`, `seeds` (complete, of those epochs), `gain_map50_95` (mean),
        `gain_low`, `gain_high` (95 %, of `gain_target`, as are the tests and the verdict; see `new_images`), `gain_se`
        (standard error) and `gain_df` (its degrees of freedom: the interval is the gain ± Student's t of as many times
        the standard error; NaN without one), `gain_low_these_images`, `gain_high_these_images`, `image_sd`,
        `image_sd_limit`,
        `gain_seeds` (seeds the gain rests on), `gain_basis`,
        `p_value`, `p_holm`, `map50_95`, `map50` (means over complete seeds) with `_low` and `_high`,
        `latency_ms_p50`, `latency_ms_p90`, `latency_ratio` with `_low` and `_high`, `macs`, `params`,
        `macs_ratio`, `params_ratio`, `complete`, `failed` (rows), `reason` (of the last failure).
    """
    complete = _longest(_complete(trials))
    names = [BASELINE, *(name for name in trials["architecture"].unique() if name != BASELINE)]
    summary = pd.DataFrame(index=pd.Index(names, name="architecture"))
    counts = complete.groupby("architecture").size()
    summary["epochs"] = complete.groupby("architecture")["epochs"].first().reindex(names)
    summary["seeds"] = counts.reindex(names, fill_value=0).astype(int)
    _add_gains(summary, complete, trials, look)
    for column in ("map50_95", "map50"):
        _add_mean(summary, complete, column)
    _add_costs(summary, trials)
    _add_states(summary, trials)
    return summary


def gain_noise(trials: pd.DataFrame, epochs: float | None = None) -> Noise:
    """Estimate the scatter of the paired difference of one seed, over all candidates with two or more.

    Args:
        trials: `StudyRecord.trials`.
        epochs: Of trainings of so many; by default of the most for which it is known.
    """
    return gain_scatter(trials, epochs).pooled


def gain_scatter(trials: pd.DataFrame, epochs: float | None = None) -> Moderated:
    """Estimate the same, with each candidate's own: what a summary's intervals and verdicts rest on.

    Args:
        trials: `StudyRecord.trials`.
        epochs: As for `gain_noise`.
    """
    return next(
        (
            noise
            for rows in scattering_rows(trials, epochs)
            if (noise := moderated_noise(rows, "gain_map50_95", SHARED_BASELINE)).pooled.df > 0
        ),
        Moderated(pooled=Noise.of(float("nan"), 0), typical=Noise.of(float("nan"), 0)),
    )


def scattering_rows(trials: pd.DataFrame, epochs: float | None = None) -> list[pd.DataFrame]:
    """List the rows whose scatter is noise, for each number of epochs, the most first.

    Args:
        trials: `StudyRecord.trials`.
        epochs: Only these.
    """
    complete = _complete(trials)
    candidates = complete[complete["architecture"] != BASELINE]
    levels = sorted(candidates["epochs"].unique(), reverse=True) if epochs is None else [epochs]
    return [_scatter(candidates, level) for level in levels]


def _scatter(candidates: pd.DataFrame, epochs: float) -> pd.DataFrame:
    """Return the rows whose scatter is noise: of evaluation seeds, if any candidate has two of these.

    Whoever is picked for one high observation scatters more over all its seeds than over the others.
    """
    rows = candidates[(candidates["epochs"] == epochs) & candidates["gain_map50_95"].notna()]
    fresh = rows[~rows["selected_on"].astype(bool)]
    return fresh if fresh["architecture"].duplicated().any() else rows


def best_by_chance(trials: pd.DataFrame) -> tuple[int, float]:
    """Estimate the winner's curse: candidates screened, and the gain of the best if none did anything.

    Returns:
        How many have a gain on the selection seed; the expected highest of so many, NaN without noise.
    """
    complete = _complete(trials)
    screened = complete[complete["selected_on"].astype(bool) & (complete["architecture"] != BASELINE)]
    candidates = screened.loc[screened["gain_map50_95"].notna(), "architecture"].nunique()
    noise = gain_noise(trials, screened["epochs"].min())
    if not candidates or not noise.usable:
        return candidates, float("nan")
    return candidates, expected_maximum(candidates, noise.sd, SHARED_BASELINE)


def front(summary: pd.DataFrame, objectives: Sequence[str] = DEFAULT_OBJECTIVES) -> pd.Series[bool]:
    """Mark the architectures that nothing beats; a single-seed observation beats nobody who was judged.

    The baseline and the judged candidates are compared among themselves. A screening candidate is
    marked where neither they nor other screening candidates dominate it: it is worth repeating.

    Args:
        summary: From `summarise`.
        objectives: Its columns; those in `MAXIMIZED` are maximised, the others minimised.

    Returns:
        Aligned with `summary.index`.
    """
    up = [name for name in objectives if name in MAXIMIZED]
    down = [name for name in objectives if name not in MAXIMIZED]
    screening = summary["standing"] == Standing.SCREENING
    firm = non_dominated(summary[~screening], maximize=up, minimize=down)
    on_front = firm.reindex(summary.index, fill_value=False)
    contest = non_dominated(summary[on_front | screening], maximize=up, minimize=down)
    return on_front | (screening & contest.reindex(summary.index, fill_value=False))


def judging_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that candidates' gains rest on: those of `gain_seeds` seeds in `summarise`.

    Of each candidate's longest trainings with a control, those of evaluation seeds; where there are none, all.
    """
    complete = _longest(_complete(trials))
    paired = complete[(complete["architecture"] != BASELINE) & complete["gain_map50_95"].notna()]
    fresh = ~paired["selected_on"].astype(bool)
    return paired[fresh | ~fresh.groupby(paired["architecture"]).transform("any")]


def ended(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trainings that have ended, however they did: one that still runs has not failed.

    A training is written down as interrupted when it begins, so that a kill leaves its name; it has no end then.
    """
    return trials[trials["finished"].fillna("") != ""] if "finished" in trials else trials


def _complete(trials: pd.DataFrame) -> pd.DataFrame:
    """Return complete rows with an accuracy, one per architecture, seed and number of epochs."""
    rows = trials[(trials["state"] == State.COMPLETE) & trials["map50_95"].notna()]
    rows = rows if "epochs" in rows else rows.assign(epochs=0)
    return rows.drop_duplicates(["architecture", "epochs", "seed"], keep="last")


def _longest(complete: pd.DataFrame) -> pd.DataFrame:
    """Return each architecture's longest trainings' rows, of those that have a control where any has one."""
    compared = complete["epochs"].where(complete["gain_map50_95"].notna(), -1)
    highest, longest = (
        each.groupby(complete["architecture"]).transform("max") for each in (compared, complete["epochs"])
    )
    return complete[complete["epochs"] == highest.where(highest >= 0, longest)]


def _judge(name: str, complete: pd.DataFrame) -> _Judgement:
    """Find the seeds that judge a candidate, and their mean."""
    if name == BASELINE:
        if complete.empty:
            return _Judgement(float("nan"), 0, Standing.UNMEASURED, "the baseline has no complete row")
        return _Judgement(0.0, len(complete), Standing.BASELINE, "the baseline: 0 by definition")
    gains = complete["gain_map50_95"].to_numpy(dtype=float)
    known = ~np.isnan(gains)
    if not known.any():
        why = "no complete row" if complete.empty else "the baseline has no complete row of the same seed"
        return _Judgement(float("nan"), 0, Standing.UNMEASURED, why)
    if known.sum() == 1:
        return _Judgement(float(gains[known][0]), 1, Standing.SCREENING, "one seed: only a screening reading")
    paired = complete[known]
    fresh = paired[~paired["selected_on"].astype(bool)]
    if fresh.empty:  # every seed took part in the selection: there is none left to judge with
        gain = float(paired["gain_map50_95"].mean())
        return _Judgement(gain, len(paired), Standing.SCREENING, "every seed took part in the selection")
    seeds = ", ".join(str(seed) for seed in sorted(fresh["seed"]))
    noun = "seed" if len(fresh) == 1 else "seeds"
    left_out = " that did not pick it" if len(fresh) < len(paired) else ""
    basis = f"{len(fresh)} {noun}{left_out} ({seeds})"
    return _Judgement(float(fresh["gain_map50_95"].mean()), len(fresh), Standing.JUDGED, basis)


def _add_gains(summary: pd.DataFrame, complete: pd.DataFrame, trials: pd.DataFrame, look: int) -> None:
    """Add each architecture's gain, its interval, its tests and its verdict."""
    known = {epochs: gain_scatter(trials, epochs) for epochs in complete["epochs"].unique()}
    none = gain_scatter(trials[:0])
    scatters = [known.get(epochs, none) for epochs in summary["epochs"]]
    noises = [scatter.of(str(name)) for name, scatter in zip(summary.index, scatters, strict=True)]
    rows = dict(list(complete.groupby("architecture")))
    judged = [_judge(str(name), rows.get(name, complete[:0])) for name in summary.index]
    summary["standing"] = [each.standing for each in judged]
    summary["gain_map50_95"] = [each.mean for each in judged]
    is_baseline = summary["standing"] == Standing.BASELINE
    for column, found in {
        "gain_se": [noise.standard_error(each.readings) for each, noise in zip(judged, noises, strict=True)],
        "gain_df": [noise.df if noise.usable else np.nan for noise in noises],
    }.items():
        summary[column] = pd.Series(found, index=summary.index, dtype=float).mask(is_baseline, 0.0)
    known_half = [noise.half_width(each.readings) for each, noise in zip(judged, noises, strict=True)]
    half = np.where(is_baseline, 0.0, known_half)
    summary["gain_low"] = summary["gain_map50_95"] - half
    summary["gain_high"] = summary["gain_map50_95"] + half
    summary["gain_seeds"] = [each.readings for each in judged]
    summary["gain_basis"] = [
        each.basis + _why_no_interval(each, noise) for each, noise in zip(judged, noises, strict=True)
    ]
    is_judged = summary["standing"] == Standing.JUDGED
    p_values = [noise.p_value(each.mean, each.readings) for each, noise in zip(judged, noises, strict=True)]
    summary["p_value"] = pd.Series(p_values, index=summary.index, dtype=float).where(is_judged)
    images = image_noises(summary.index, judging_rows(trials), _complete(trials))
    add_new_images(summary, images)
    summary["p_holm"] = _corrected(summary, scatters, images, look)
    summary["verdict"] = [
        _verdict(each, p_holm, high)
        for each, p_holm, high in zip(judged, summary["p_holm"], summary["gain_high"], strict=True)
    ]


def _corrected(
    summary: pd.DataFrame, scatters: Sequence[Moderated], images: Sequence[ImageNoise], look: int
) -> pd.Series[float]:
    """Compute p-values of no gain, corrected for how many candidates are judged and how often: below 5 % is a gain.

    A gain is a one-sided claim. Two of its tests have to agree: Holm's over all candidates with the noise that they
    have in common, and each candidate's by its own noise, times how many tests those with noise of their own count for.
    Corrected by Holm alone, the few degrees of freedom of one's own would cost the quiet majority half its power for
    the sake of the noisy few. None is below the plain two-sided p-value, so that no gain's interval holds 0.
    """
    below = (summary["gain_map50_95"] <= 0).to_numpy()
    typical = [
        scatter.p_in_common(mean, readings, noise) / 2
        for mean, readings, scatter, noise in zip(
            summary["gain_map50_95"], summary["gain_seeds"], scatters, images, strict=True
        )
    ]
    common, own = (
        pd.Series(np.where(below, 1 - half, half), index=summary.index, dtype=float).where(summary["p_value"].notna())
        for half in (np.array(typical, dtype=float), summary["p_value"].to_numpy() / 2)
    )
    with_own = np.array([scatter.with_own for scatter in scatters])
    tests = pd.concat([holm(common) / spent(look), own * with_own / spent(look), summary["p_value"]], axis=1)
    corrected: pd.Series[float] = tests.max(axis=1).clip(upper=1.0)
    return corrected


def _why_no_interval(judgement: _Judgement, noise: Noise) -> str:
    """Return what to add to the basis of a gain that has no interval."""
    if judgement.standing not in {Standing.JUDGED, Standing.SCREENING} or noise.usable:
        return ""
    if noise.df == 0:
        return "; no candidate has two seeds, so there is no interval"
    return "; the seeds do not differ at all, so there is no interval"


def _verdict(judgement: _Judgement, p_holm: float, high: float) -> Verdict:
    """Decide the verdict: a gain needs the corrected test; a loss, which nobody selects for, only its interval."""
    if judgement.standing is Standing.BASELINE:
        return Verdict.REFERENCE
    if judgement.standing is Standing.UNMEASURED:
        return Verdict.UNMEASURED
    if judgement.standing is Standing.JUDGED and judgement.mean > 0 and p_holm < ALPHA:
        return Verdict.GAIN
    return Verdict.LOSS if high < 0 else Verdict.UNDECIDED


def _add_mean(summary: pd.DataFrame, complete: pd.DataFrame, column: str) -> None:
    """Add the mean over complete seeds and its interval, which stays within 0 and 1.

    A seed moves all architectures alike, so that others say next to nothing new of how seeds scatter: the interval is
    Student's from an architecture's own seeds. Where it has one seed, or equal figures, the scatter of the others
    stands in, with the degrees of freedom of observations that correlate by 1.
    """
    noises = {epochs: pooled_noise(rows, column, 1.0) for epochs, rows in complete.groupby("epochs")}
    found = complete.groupby("architecture")[column].agg(["mean", "count", "std"]).reindex(summary.index)
    half = np.full(len(summary), np.nan)
    for place, (epochs, count, sd) in enumerate(zip(summary["epochs"], found["count"], found["std"], strict=True)):
        if count >= 1:
            own = Noise.of(sd, count - 1)
            half[place] = (own if own.usable else noises[epochs]).half_width(int(count))
    summary[column] = found["mean"]
    summary[f"{column}_low"], summary[f"{column}_high"] = (
        (found["mean"] + side * half).clip(0.0, 1.0) for side in (-1.0, 1.0)
    )


def _add_costs(summary: pd.DataFrame, trials: pd.DataFrame) -> None:
    """Add the medians of what was measured of cost and latency, and ratios to the baseline."""
    columns = ["latency_ms_p50", "latency_ms_p90", "latency_ratio", "latency_ratio_low", "latency_ratio_high"]
    for column in [*columns, "macs", "params"]:
        values = trials.get(column, pd.Series(np.nan, index=trials.index)).astype(float)
        sound = values.where((values > 0) & np.isfinite(values))
        summary[column] = sound.groupby(trials["architecture"]).median().reindex(summary.index)
    for column in ("macs", "params"):
        summary[f"{column}_ratio"] = summary[column] / summary[column].loc[[BASELINE]].mean()


def _add_states(summary: pd.DataFrame, trials: pd.DataFrame) -> None:
    """Add how many rows are complete and how many failed, and why the last of these did."""
    trials = ended(trials)
    done = (trials["state"] == State.COMPLETE).groupby(trials["architecture"])
    summary[State.COMPLETE.value] = done.sum().reindex(summary.index, fill_value=0).astype(int)
    rows = done.size().reindex(summary.index, fill_value=0).astype(int)
    summary[State.FAILED.value] = rows - summary[State.COMPLETE.value]
    failures = trials[trials["state"] != State.COMPLETE].fillna({"reason": ""})
    reasons = failures["reason"].where(failures["reason"] != "", failures["state"])
    last = reasons.groupby(failures["architecture"]).last()
    summary["reason"] = last.reindex(summary.index).fillna("").astype(str)
