"""What a model card says of accuracy and latency: paired with the baseline, each number with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.analysis.statistics import gain_noise, summarise
from harness.architecture import BASELINE
from harness.report import phrases, words
from harness.report.card_training import long_seeds, row_of
from harness.report.long_training import LongTraining, long_training
from harness.report.notes import Pairs, device
from harness.search.exported import Exported, TrainedWeights

if TYPE_CHECKING:
    import pandas as pd

    from harness.study_record import StudyRecord

_DIGITS = 4


def evaluation(record: StudyRecord, exported: Exported) -> Pairs:
    """MAP with the paired gain, by what, and the latency ratio with its device."""
    identity, weights = exported.identity, exported.weights
    trials = record.trials
    before = trials if weights is None else trials[trials["epochs"] != weights.epochs]
    return (
        *(_of_weights(record, identity, weights) if weights else ()),
        *_of_search(record, before, identity),
        ("Evaluator", _evaluators(trials[trials["architecture"] == identity])),
        ("Latency", _latency(summarise(trials).loc[identity], record)),
    )


def _of_weights(record: StudyRecord, identity: str, weights: TrainedWeights) -> Pairs:
    """These very weights, then their kind: the mean over seeds and the paired gain."""
    row = row_of(record, identity, weights)
    seeds = long_seeds(record, identity, weights.epochs)
    found = long_training(record, identity, weights.epochs, seeds)
    itself = (
        f"mAP50-95 of these weights, seed {weights.seed}",
        f"{words.plain(row['map50_95'], _DIGITS)} (mAP50 {words.plain(row['map50'], _DIGITS)})",
    )
    mean = (
        f"mAP50-95 after {words.count(weights.epochs, 'epoch')}, mean",
        f"{words.plain(found.map50_95, _DIGITS)} over {words.count(len(seeds), 'seed')}",
    )
    if identity == BASELINE:
        return (itself, mean)
    return (
        itself,
        mean,
        (
            "Gain over the baseline, same epochs and seeds",
            f"{_gain(found)}; the baseline reaches {words.plain(found.baseline_map50_95, _DIGITS)}",
        ),
    )


def _of_search(record: StudyRecord, trials: pd.DataFrame, identity: str) -> Pairs:
    """The search's own trainings, by which it was found; empty where there are none besides the weights'."""
    complete = trials[(trials["architecture"] == identity) & (trials["state"] == "complete")]
    if complete.empty:
        return ()
    if record.ablation:
        epochs = int(complete["epochs"].max())
        found = long_training(record, identity, epochs, sorted(complete["seed"].unique()))
        text = f"mAP50-95 {words.plain(found.map50_95, _DIGITS)}"
        if identity != BASELINE:
            text += f", gain {_gain(found)}"
        return ((f"In the ablation, {words.count(epochs, 'epoch')}", text),)
    row: Any
    row, digits = summarise(trials, record.look).loc[identity], words.digits_for(gain_noise(trials))
    text = f"mAP50-95 {phrases.map_of(row, digits)}"
    if identity != BASELINE:
        ends = phrases.ci(row["gain_low"], row["gain_high"], digits, sign=True)
        gain = f"{words.signed(row['gain_map50_95'], digits)}, {ends}"
        text += f", gain {gain}: {row['verdict']}; {row['gain_basis']}"
    return ((f"In the search, {words.count(int(row['epochs']), 'epoch')}", text),)


def _gain(found: LongTraining) -> str:
    """`+0.0120, [+0.0060, +0.0180] 95 %, over 3 seeds: better`."""
    ends = phrases.ci(found.gain_low, found.gain_high, _DIGITS, sign=True)
    gain = words.signed(found.gain_map50_95, _DIGITS)
    return f"{gain}, {ends}, over {words.count(found.seeds, 'seed')}: {found.verdict}"


def _evaluators(rows: pd.DataFrame) -> str:
    named = [str(name) for name in rows.loc[rows["state"] == "complete", "evaluator"].unique() if name]
    return (" and ".join(named) or "not recorded") + ", on the validation images; 0 to 1, a mean over classes"


def _latency(row: Any, record: StudyRecord) -> str:
    ratio = row["latency_ratio"]
    if not math.isfinite(ratio):
        return "not measured"
    if row.name == BASELINE:
        return f"the reference of all ratios; {words.milliseconds(row['latency_ms_p50'])} on {device(record)}"
    low, high = row["latency_ratio_low"], row["latency_ratio_high"]
    return (
        f"{words.plain(ratio, 3)} × the baseline's, {phrases.ci(low, high, 3)}, one image a pass, PyTorch, "
        f"on {device(record)}"
    )
