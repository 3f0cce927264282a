"""Paired differences between trained arms, each with its interval, corrected for how many are looked at.

A difference is one arm's mAP50-95 minus another's under the same base and seed, averaged over those. Its interval
rests on its own scatter, moderated towards that of differences of one kind [1] (`moderation`): those between arms that
both start as the base's own function scatter several times less than others. Where the base itself was trained
several times, a base counts as one observation (the mean over its seeds): seeds of one base say nothing of another.

Where both arms kept what each validation image contributes, intervals and verdicts are about new images like these,
else about these images (`new_images`).

The corrected interval is Bonferroni's, and never narrower than the difference's own: all of a family's hold at once
with 95 % [2] (`Moderated.corrected_half_width`). Verdicts rest on it.

References:
    1. Smyth, "Linear models and empirical Bayes methods", Stat. Appl. Genet. Mol. Biol. 3(1), 2004.
    2. Dunn, "Multiple comparisons among means", JASA 56, 1961.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.moderation import Moderated, moderated_noise
from harness.analysis.new_images import (
    ImageNoise,
    Target,
    image_noise,
    paired_influence,
    stated,
)
from harness.analysis.noise import ALPHA, SHARED_BASELINE, Noise
from harness.analysis.power import df_of_a_seed, growing_df, in_table, seeds_needed
from harness.architecture import BASELINE
from harness.record.arms import Role
from harness.record.data_dictionary import CONTRASTS
from harness.record.form import TrainedArm
from harness.record.state import State
from harness.record.study import StudyRecord

COLUMNS = tuple(name for name in CONTRASTS if name != "family")  # a report joins families


class Verdict(StrEnum):
    """What a corrected interval allows to be said."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    # No seed has both.
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """What one architecture gains over the mean of random members of its space.

    Attributes:
        mean: Its mean gain minus theirs.
        low: Lower end of the 95 % interval (Welch, adjusted for the choice); its seeds and the members vary.
        high: Upper end.
        members: The members' mean gain.
        spread: Standard deviation between members.
    """

    mean: float
    low: float
    high: float
    members: float
    spread: float


def advantage(own: Sequence[float], members: Sequence[float], looks: int) -> Advantage | None:
    """Compare one architecture's gains, a seed each, with the mean gains of random members.

    Both are over the same baseline under some of the same seeds, which makes the interval too long, if anything.

    Args:
        own: Gains of the architecture under evaluation seeds.
        members: Mean gain of each member.
        looks: Architectures among which it was chosen by these gains; the interval is adjusted for them (Bonferroni).

    Returns:
        None with fewer than two of either.
    """
    if len(own) < 2 or len(members) < 2:
        return None
    test = stats.ttest_ind(own, members, equal_var=False)
    low, high = test.confidence_interval(1 - ALPHA / max(1, looks))
    mean, spread = float(np.mean(members)), float(np.std(members, ddof=1))
    return Advantage(mean=float(np.mean(own)) - mean, low=float(low), high=float(high), members=mean, spread=spread)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms to be compared.

    Attributes:
        name: For people.
        minuend: Identity of the arm from whose mAP the other's is taken.
        subtrahend: Identity of the other.
        kind: Differences of one kind share their scatter.
    """

    name: str
    minuend: str
    subtrahend: str
    kind: str


def contrasts(trials: pd.DataFrame, pairs: Sequence[Pair], *, share: bool = True) -> pd.DataFrame:
    """Compare arms in pairs, as one family.

    Args:
        trials: Rows with `architecture`, `base_seed`, `seed`, `state` and `map50_95` (`StudyRecord.trials`).
        pairs: What is compared.
        share: Whether the pairs have an arm in common, so that their observations of one seed correlate.

    Returns:
        `COLUMNS`, a row a pair, in order. `readings` are seeds, or bases where there are several; `readings_needed`
        is how many it takes of every arm for the corrected interval to exclude 0 for a true difference of this size in
        four of five studies, were `sd` the true one (infinite where 10,000 are not enough, NaN where the noise is not
        known); `df_per_reading` is what one more reading of all adds to `df`, `comparisons` how many are corrected for.
    """
    readings = _readings(trials, pairs)
    noises = {
        kind: moderated_noise(rows, "difference", SHARED_BASELINE if share else 0.0)
        for kind, rows in readings.groupby("kind")
    }
    family = max(1, readings["architecture"].nunique())
    none = moderated_noise(readings[:0], "difference")
    complete = trials[(trials["state"] == State.COMPLETE) & trials["map50_95"].notna()]
    by_arm = dict(list(complete.groupby("architecture")))
    unit = "base_seed" if len(complete["base_seed"].unique()) > 1 else "seed"
    counts = readings.groupby(["kind", "architecture"]).size()
    seeds = counts[counts >= 2].groupby(level="kind").mean().to_dict()
    rows = []
    for place, pair in enumerate(pairs):
        mine = readings.loc[readings["architecture"] == str(place), "difference"]
        scatter = noises.get(pair.kind, none)
        a_seed = df_of_a_seed(scatter.pooled.architectures, SHARED_BASELINE if share else 0.0)
        minuend, subtrahend = (by_arm.get(arm, complete[:0]) for arm in (pair.minuend, pair.subtrahend))
        images = image_noise(paired_influence(minuend, subtrahend, unit))
        rows.append(_row(pair, str(place), mine, scatter, images, family, (seeds.get(pair.kind, 1.0), a_seed)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _readings(trials: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return one row a pair and observation; named as `pooled_noise` wants them."""
    complete = trials[(trials["state"] == State.COMPLETE) & trials["map50_95"].notna()]
    keys = ["base_seed", "seed"]
    complete = complete.drop_duplicates(["architecture", *keys], keep="last")
    arms = {str(name): rows.set_index(keys)["map50_95"] for name, rows in complete.groupby("architecture")}
    empty = complete[:0].set_index(keys)["map50_95"]
    several = len(complete["base_seed"].unique()) > 1
    parts = [pd.DataFrame({"architecture": [], "kind": [], "seed": [], "difference": []})]
    for place, pair in enumerate(pairs):
        difference = (arms.get(pair.minuend, empty) - arms.get(pair.subtrahend, empty)).dropna()
        by_unit = difference.groupby(level="base_seed" if several else "seed").mean()
        parts.append(
            pd.DataFrame(
                {"architecture": str(place), "kind": pair.kind, "seed": by_unit.index, "difference": by_unit.to_numpy()}
            )
        )
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _row(
    pair: Pair,
    place: str,
    readings: pd.Series[float],
    scatter: Moderated,
    images: ImageNoise,
    family: int,
    growth: tuple[float, float],
) -> tuple[object, ...]:
    """Judge one difference; `growth` are the seeds that the pooled noise rests on, and what one more adds to its df."""
    count = len(readings)
    mean = float(readings.mean()) if count else float("nan")
    noise = scatter.of(place)
    on_target = stated(noise, count, images)
    plain = on_target.half_width(count)
    corrected = scatter.corrected_half_width(place, count, family, images)
    these_images = noise.half_width(count)
    is_of_new = images.known and noise.usable and count > 0
    own = (float(count), noise.df / max(1, count - 1))  # its degrees of freedom grow with its own seeds
    needed = max(  # of the two tests that have to agree, see `Moderated.corrected_half_width`
        _needed(scatter.pooled, mean, family, growth), _needed(noise, mean, min(family, scatter.with_own), own)
    )
    verdict = Verdict.UNMEASURED
    if count:
        below, above = mean + corrected < 0, mean - corrected > 0
        verdict = Verdict.BETTER if above else Verdict.WORSE if below else Verdict.UNDECIDED
    return (
        pair.name, pair.minuend, pair.subtrahend, count, mean, noise.sd, noise.df, *_about(mean, plain),
        *_about(mean, corrected), on_target.p_value(mean, count), str(verdict),
        needed, own[1], family, str(Target.NEW_IMAGES if is_of_new else Target.THESE_IMAGES), images.sd,
        *_about(mean, these_images),
    )  # fmt: skip


def _about(mean: float, half_width: float) -> tuple[float, float]:
    """Return the ends of an interval, which no difference of two mAPs is beyond."""
    return float(np.clip(mean - half_width, -1, 1)), float(np.clip(mean + half_width, -1, 1))


def _needed(noise: Noise, mean: float, tests: float, growth: tuple[float, float]) -> float:
    """Estimate the seeds that show a true difference of this size at α over so many tests; see `power.in_table`."""
    return in_table(seeds_needed(noise.sd, mean, growing_df(noise.df, *growth), ALPHA / tests))


def gains(record: StudyRecord) -> pd.DataFrame:
    """Compute every arm minus the baseline; see `contrasts`."""
    arms = [arm for arm in record.arms if arm.role != Role.BASELINE]
    return contrasts(record.trials, [_pair(record, arm.name, arm, _baseline(record)) for arm in arms])


def worths(record: StudyRecord) -> pd.DataFrame:
    """Compute every model minus each arm made of it: the ablation effect of what the arm lacks; see `contrasts`."""
    arms = record.arms
    models = {arm.name: arm for arm in arms if arm.role == Role.MODEL}
    made = [_pair(record, arm.name, models[arm.model], arm) for arm in arms if _is_made_of(arm, models)]
    return contrasts(record.trials, made)


def model_pairs(record: StudyRecord) -> list[Pair]:
    """Pair every model with the baseline and with all that was made of it: what claims are read from."""
    arms = record.arms
    models = {arm.name: arm for arm in arms if arm.role == Role.MODEL}
    over = [_pair(record, arm.name, arm, _baseline(record)) for arm in models.values()]
    made = [_pair(record, arm.name, models[arm.model], arm) for arm in arms if _is_made_of(arm, models)]
    return [*over, *made]


def _baseline(record: StudyRecord) -> TrainedArm:
    return next(arm for arm in record.arms if arm.identity == BASELINE)


def _pair(record: StudyRecord, name: str, minuend: TrainedArm, subtrahend: TrainedArm) -> Pair:
    """Pair two arms; differences scatter alike where both start as the base, and where all start at random."""
    alike = minuend.starts_as_base and subtrahend.starts_as_base
    from_scratch = record.ablation is not None and record.ablation.file.from_scratch
    kind = "from scratch" if from_scratch else "both start as the base" if alike else "one starts elsewhere"
    return Pair(name=name, minuend=minuend.identity, subtrahend=subtrahend.identity, kind=kind)


def _is_made_of(arm: TrainedArm, models: Mapping[str, TrainedArm]) -> bool:
    return arm.model in models and arm.role != Role.MODEL
