"""Half-sentences that the answer, the tables and the notes share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from harness.analysis.breakthrough import Breakthrough
from harness.analysis.fronts import broken
from harness.analysis.moderation import p_of_equal_noise
from harness.analysis.new_images import Target
from harness.analysis.noise import ALPHA, SHARED_BASELINE, Noise
from harness.analysis.power import POWER, NoNumber, SampleSize, df_of_a_seed, growing_df, sample_size
from harness.analysis.progress import enough, further_gain
from harness.analysis.statistics import Standing, Verdict, best_by_chance, gain_noise, scattering_rows
from harness.architecture import BASELINE
from harness.record.constraints import Bound, Constraints
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import Control
from harness.report import words

# The gain, in mAP50-95, for which the report says how many seeds would show it.
WANTED_GAIN = 0.01
_TARGETS = {Target.NEW_IMAGES: "on new images like these", Target.THESE_IMAGES: "on these images"}
# Standard deviations that a test at 5 % sees in four of five studies.
_SEEN = float(stats.norm.isf(ALPHA / 2) + stats.norm.ppf(POWER))
# Images below which the intervals' coverage falls below 93 % (`benchmarks/image_coverage.py`).
_FEW = 60
COMPARED = (Standing.JUDGED, Standing.SCREENING)
# Hypervolume, as a share of what there is, below which more candidates are said not to pay.
WORTH_GOING_ON = 0.01


def noise_sentence(noise: Noise, summary: pd.DataFrame) -> str:
    """Say how much one seed's paired difference scatters, and what that costs in seeds."""
    if noise.df == 0:
        return (
            "No candidate was trained with two seeds, so the noise of a paired difference is not known here "
            "and no gain can be told from it."
        )
    if not noise.usable:
        return (
            "The paired differences do not vary between seeds at all. That is no evidence of precision: "
            "either the seeds change nothing or all candidates equal the baseline. No interval is given."
        )
    digits, many = noise.digits, lengths(summary)
    repeated = lengths(summary[(summary.index != BASELINE) & (summary["seeds"] > 1)])
    epochs = f" after {(repeated or many)[-1]} epochs" if len(many) > 1 else ""
    sentence = (
        f"Over {words.count(noise.architectures, 'candidate')}, the gain under one seed has a standard deviation of "
        f"{words.plain(noise.sd, digits)} {words.interval(noise.low, noise.high, digits)} mAP50-95{epochs}; to see a "
        f"true gain of {WANTED_GAIN} takes"
    )
    if _SEEN * _limit_of_images(summary) > WANTED_GAIN:
        return f"{sentence} more validation images: no number of seeds shows it on so few."
    tests = max(1, int(summary["p_value"].notna().sum()))  # over which the verdict is corrected
    needed = _seeds_for(noise, summary, tests)
    if isinstance(needed.seeds, NoNumber):
        return f"{sentence} {needed.seeds} seeds."
    most = needed.cautious
    return (
        f"{sentence} {words.count(needed.seeds, 'seed')} a candidate besides the one that picks it, in four of five "
        f"studies{f' with {tests} judged candidates' if tests > 1 else ''}; "
        f"{f'{most} seeds' if isinstance(most, NoNumber) else words.count(most, 'seed')} if the noise is as large as "
        "its interval allows."
    )


def _seeds_for(noise: Noise, summary: pd.DataFrame, tests: int) -> SampleSize:
    """Estimate the evaluation seeds for the verdict *gain* on `WANTED_GAIN`, every judged candidate having them.

    The verdict is Holm's; a gain that stands alone has to pass his first and strictest step, α over all judged.
    """
    judged = summary[summary["standing"] == Standing.JUDGED]
    longest = judged[judged["epochs"] == judged["epochs"].max()]
    # with one fresh seed each the noise is that of two, the one that picked being the other
    seeds = max(2.0, float(longest["gain_seeds"].mean())) if len(longest) else 2.0
    freedom = growing_df(noise.df, seeds, df_of_a_seed(noise.architectures))
    return sample_size(noise.sd, noise.df, WANTED_GAIN, lambda number: freedom(max(2, number)), ALPHA / tests)


def unequal_noise(trials: pd.DataFrame) -> str:
    """Say whether some candidates are noisier than others; empty where fewer than two have repeated seeds."""
    rows = next((each for each in scattering_rows(trials) if each["architecture"].duplicated().any()), trials[:0])
    probability = p_of_equal_noise(rows, "gain_map50_95", SHARED_BASELINE)
    if math.isnan(probability):
        return ""
    sds = rows.groupby("architecture")["gain_map50_95"].std().dropna()
    digits = min(5, max(3, gain_noise(trials).digits + 1))
    found = f"from {words.plain(float(sds.min()), digits)} to {words.plain(float(sds.max()), digits)}"
    if probability >= ALPHA:
        return f"By candidate it is {found}: no more unequal than chance makes it (p = {probability:.2g})."
    return (
        f"Candidates are not equally noisy: by candidate it is {found} (p = {probability:.1g}, Cochran's C). Each is "
        "judged by its own noise as far as its seeds tell it."
    )


def luck_of_many(trials: pd.DataFrame, noise: Noise) -> str:
    """Say what the best single-seed screening result would be if no candidate did anything; empty for a single one."""
    candidates, gain = best_by_chance(trials)
    if candidates < 2 or math.isnan(gain):
        return ""
    return (
        f"The best of {candidates} candidates that do nothing would read {words.signed(gain, noise.digits)} "
        "on the screening seed, on average; that is why this seed judges nobody."
    )


def breakthrough(found: Breakthrough, longer: int = 0) -> str:
    """Say that an architecture learnt under some seeds only; `longer`: epochs of other trainings of it, or 0."""

    def gains(values: Sequence[float]) -> str:
        return words.listed([words.signed(value, 2) for value in values])

    settled = f"It was trained for {longer} epochs under fresh seeds, which judge it."
    advice = f"Search with --epochs {2 * found.epochs} or more, or train it long."
    learnt, seeds = len(found.learnt), len(found.learnt) + len(found.not_learnt)
    return (
        f"{found.architecture} learnt under {learnt} of {seeds} seeds (gains {gains(found.learnt)}) and not under "
        f"{'the other' if seeds - learnt == 1 else 'the others'} ({gains(found.not_learnt)}): that is no noise of one "
        f"effect but a training of {words.epochs(found.epochs)} that is too short to break through each time; its mean "
        f"is that of neither. {settled if longer else advice}"
    )


def verdict_of(row: Any) -> str:
    """Return the verdict as it is shown: one undecided under one seed, or under selection seeds, is not judged."""
    seeds = "one seed: " if row["gain_seeds"] == 1 else ""
    verdict = "not judged" if row["verdict"] == Verdict.UNDECIDED else str(row["verdict"])
    return f"{seeds}{verdict}" if row["standing"] == Standing.SCREENING else str(row["verdict"])


def lengths(summary: pd.DataFrame) -> list[int]:
    """List epochs of the compared trainings, the baseline's too, ascending; several if candidates are promoted."""
    compared = summary[summary["standing"] != Standing.UNMEASURED]
    return sorted(compared["epochs"].astype(int).unique())


def after(row: Any, summary: pd.DataFrame) -> str:
    """Say ` after 12 epochs`, where not all architectures have the same number."""
    return f" after {words.epochs(row['epochs'])}" if len(lengths(summary)) > 1 else ""


def beyond(row: Any, constraints: Constraints) -> tuple[str, ...]:
    """Name the bounds that a row of a summary breaks: `latency above 1.2×`."""
    return tuple(_bound(bound) for bound in constraints.bounds if bound.broken_by(row[bound.column]))


def beyond_bounds(record: StudyRecord, summary: pd.DataFrame) -> str:
    """Say how many measured candidates lie beyond which bound; empty where there are none."""
    candidates = summary[(summary["standing"] != Standing.UNMEASURED) & (summary.index != BASELINE)]
    marks = broken(candidates, record.constraints)
    total = int(marks.any(axis=1).sum())
    if not total:
        return ""
    counts = [(int(marks[bound.name].sum()), _bound(bound)) for bound in record.constraints.bounds]
    each = [f"{count} {what}" for count, what in counts if count]
    verb, they = ("lies", "It stays") if total == 1 else ("lie", "They stay")
    return (
        f"{total} of {words.count(len(candidates), 'measured candidate')} {verb} beyond a bound ({', '.join(each)}). "
        f"{they} in the tables, marked, but on no front and out of this answer."
    )


def _bound(bound: Bound) -> str:
    exact = {"latency_ratio": f"{bound.limit:g}×", "map50_95": f"{bound.limit:g}"}
    limit = exact.get(bound.column, words.amount(bound.limit))
    noun = {"latency_ratio": "latency", "map50_95": "mAP50-95", "params": "parameters", "macs": "MACs"}[bound.column]
    return f"{noun} {'above' if bound.is_upper else 'below'} {limit}"


def not_drawn(record: StudyRecord, summary: pd.DataFrame) -> str:
    """Say what was tried and is in no picture, and what is in one but on no front; empty where there is nothing."""
    candidates = summary[summary.index != BASELINE]
    nothing = candidates[candidates["standing"] == Standing.UNMEASURED]
    failed = int((nothing["failed"] > 0).sum())
    outside = int(broken(candidates[~candidates.index.isin(nothing.index)], record.constraints).any(axis=1).sum())
    parts = [
        (failed, "failed"),
        (len(nothing) - failed, "without a control to compare with"),
        (record.proposals.get("infeasible", 0), "proposed beyond a bound on cost and never trained"),
    ]
    listed = ", ".join(f"{count} {what}" for count, what in parts if count)
    said = [f"Not drawn: {listed}."] if listed else []
    if outside:
        verb = "is" if outside == 1 else "are"
        said.append(f"{outside} beyond a bound of the search {verb} drawn as a cross and {verb} on no front.")
    return " ".join(said)


def name_of(record: StudyRecord, architecture: str) -> str:
    """Format an identity with what it stands for: `3fa9c1d2 (neck.P4 block: …)`."""
    known = record.architectures.get(architecture)
    return f"{architecture} ({known.describe()})" if known else architecture


def included(record: StudyRecord) -> dict[str, str]:
    """Map those that were given with `--include` to what to say of them: they are tried first, in order."""
    trials = record.trials[record.trials["architecture"] != BASELINE]
    tried = map(str, trials.sort_values("trial", kind="stable")["architecture"].unique())
    given = zip(tried, record.settings.include, strict=False)
    return {name: f"included: {Path(spec).stem}" for name, spec in given}


def map_of(row: Any, digits: int) -> str:
    """Format an architecture's own mAP50-95 with its interval."""
    ends = words.interval(row["map50_95_low"], row["map50_95_high"], digits)
    seeds = words.count(int(row["seeds"]), "seed")
    return f"{words.plain(row['map50_95'], digits)} {ends if ends.startswith('[') else f'({seeds}, {ends})'}"


def detects_something(baseline: Any) -> bool:
    """Return whether a baseline reaches any accuracy, if it was measured: its mAP50-95 is other than 0.000."""
    return round(float(baseline["map50_95"]), 3) != 0


def gain_of(row: Any, digits: int) -> str:
    """Format a gain with its interval: `+0.012 [+0.006, +0.018]`."""
    ends = words.interval(row["gain_low"], row["gain_high"], digits, sign=True)
    return f"{words.signed(row['gain_map50_95'], digits)} {ends if ends.startswith('[') else f'({ends})'}"


def chosen_gain_of(row: Any, summary: pd.DataFrame, digits: int) -> str:
    """Format the gain of one chosen by it: `+0.012 [+0.004, +0.020] mAP50-95 (interval adjusted for 3 comparisons)`.

    The intervals of `summary` are `corrected_for_choice`.
    """
    said = gain_of(row, digits)
    return f"{said} mAP50-95{corrected(row, summary) if said.endswith(']') else ''}"


def corrected(row: Any, summary: pd.DataFrame) -> str:
    """Say for how many the interval of a chosen gain is corrected; empty for one."""
    among = (Standing.JUDGED,) if row["standing"] == Standing.JUDGED else COMPARED
    compared = int(summary["standing"].isin(among).sum())
    return f" (interval adjusted for {compared} comparisons)" if compared > 1 else ""


def latency_of(row: Any) -> str:
    """Format a latency as a ratio to the baseline's with its interval; a dash where it was not measured."""
    return words.times(row["latency_ratio"], row["latency_ratio_low"], row["latency_ratio_high"])


def price_of(row: Any) -> str:
    """Say what a gain costs: ` for 1.21× [1.19, 1.23] the latency, +8.0 % MACs and +3.0 % parameters`."""
    ratio = latency_of(row)
    latency = " at a latency not measured" if ratio == words.DASH else f" for {ratio} the latency"
    macs, params = words.percent(row["macs_ratio"]), words.percent(row["params_ratio"])
    return f"{latency}, {macs} MACs and {params} parameters"


def whole_price(row: Any, trials: pd.DataFrame) -> str:
    """List all that a candidate costs, in one line; `row`: of the summary."""
    ratio = latency_of(row)
    bits = 32 * row["params"]
    parts = [
        "latency not measured" if ratio == words.DASH else f"{ratio} the latency",
        f"{words.percent(row['macs_ratio'])} MACs ({words.amount(row['macs'])})",
        f"{words.percent(row['params_ratio'])} parameters ({words.amount(row['params'])}, "
        f"{bits / 8e6:.3g} MB in float32)",
    ]
    done = trials[(trials["state"] == State.COMPLETE) & (trials["epochs"] == row["epochs"])].groupby("architecture")
    for column, what in (("train_seconds", "time"), ("memory_bytes", "memory")):
        median = done[column].median()
        more = median.get(row.name, math.nan) / median.get(BASELINE, math.nan)
        if math.isfinite(more):
            parts.append(f"about {more:.2g}× the {what} to train")
    return f"{', '.join(parts)}."


def of_control(control: Control | None) -> str:
    """Say whether the instrument was checked on the machine, by the last control of this version."""
    found = {None: "not run on this machine", True: "passed", False: "FAILED"}[control.passed if control else None]
    when = f" on {control.when[:10]}" if control and control.when else ""
    return f"Its control (clo control): {found}{when}."


def going_on(expected_gains: Sequence[float], *, within_noise: bool = False) -> str:
    """Say whether more candidates pay, by the share of hypervolume that the sampler expects of each; empty if unknown.

    `within_noise` is whether nothing beats the baseline, so that there is hardly any hypervolume to have a share of.
    """
    if not expected_gains:
        return ""
    many = words.count(len(expected_gains), "more candidate")
    gain = further_gain(1.0, expected_gains)
    if within_noise and not enough(1.0, expected_gains, WORTH_GOING_ON):
        return (
            f"{many} {_EXPECTED} {words.part(gain, 1)}, but nothing so far is told from the baseline: more seeds or "
            "longer trainings say more than more candidates."
        )
    verdict = "little is left to find" if enough(1.0, expected_gains, WORTH_GOING_ON) else "going on may pay"
    return f"{many} {_EXPECTED} {words.part(gain, 1)}: {verdict}."


_EXPECTED = "are expected by the sampler to enlarge what the front dominates (its hypervolume) by"


def on(targets: Iterable[str]) -> str:
    """Return ` on new images like these`, or ` on these images` where one row speaks of no more; of no row nothing."""
    found = {Target(target) for target in targets}
    if not found:
        return ""
    return f" {_TARGETS[Target.THESE_IMAGES if Target.THESE_IMAGES in found else Target.NEW_IMAGES]}"


def of_gains(summary: pd.DataFrame) -> str:
    """Return `on` of a headline: of those that are said to gain, where there are any, else of all that were judged."""
    winners = summary[summary["verdict"] == Verdict.GAIN]
    rows = winners if len(winners) else summary[summary["standing"] == Standing.JUDGED]
    return on(rows["gain_target"])


def _on_new_images(summary: pd.DataFrame) -> pd.DataFrame:
    return summary[summary["standing"].isin(COMPARED) & (summary["gain_target"] == Target.NEW_IMAGES)]


def _limit_of_images(summary: pd.DataFrame) -> float:
    """Return the part of a gain's standard deviation that no seed takes away: the candidates' median; 0 if unknown."""
    limits = _on_new_images(summary)["image_sd_limit"].dropna()
    return float(limits.median()) if len(limits) else 0.0


def image_sentence(summary: pd.DataFrame, digits: int, images: Any = None) -> str:
    """Return how much the choice of validation images moves a gain, which no further seed changes; else nothing.

    `images`: how many there are, where that is known.
    """
    rows = _on_new_images(summary)
    if rows.empty:
        return ""
    sd, limit = float(rows["image_sd"].median()), _limit_of_images(summary)
    of = f"{images:,} other images" if isinstance(images, int) else "As many other images"
    least = words.plain(_SEEN * limit, digits)
    seen = f" To see a true gain below {least} takes more images, not more seeds."
    few = ""
    if isinstance(images, int) and images < _FEW:
        few = f" Of fewer than {_FEW} images the intervals are a little too short: 92 % where 95 % is said."
    return (
        f"{of} like these would move a gain by a standard deviation of {words.plain(sd, digits)} (median); the "
        f"intervals allow for that.{seen if least != words.plain(0.0, digits) else ''}{few}"
    )
