"""A scale for the pick's gain: random members of its space, and the next size of the base's family.

Both are studies of their own beside the search (`harness.ablation.scale`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.analysis.analysis import Analysis
from harness.analysis.contrasts import advantage
from harness.analysis.ruler import ruler_row
from harness.analysis.statistics import Standing
from harness.architecture import BASELINE
from harness.record.settings import unlike
from harness.record.study import StudyRecord
from harness.report import phrases, words
from harness.report.page import Section
from harness.report.tables import Column, Row, Table, cell, row, worded


def scale_sections(
    study: Analysis, members: StudyRecord | None, larger: StudyRecord | None, shown: str | None
) -> Iterator[Section]:
    """Yield what the pick, or else the best, is held against, where that was trained under the search's own settings.

    Args:
        study: The search.
        members: The study of random members of its space.
        larger: The study of the next size of its base.
        shown: The architecture; None where none has a gain.
    """
    settings = study.record.settings.to_dict()
    if members and shown and not unlike(settings, members.settings.to_dict()):
        yield from _random(study, members, shown)
    if larger and not unlike(settings, larger.settings.to_dict(), but={"base", "base_fingerprint"}):
        yield from _ruler(study, larger, shown)


def _random(study: Analysis, members: StudyRecord, pick: str) -> Iterator[Section]:
    """Yield what it gains over random members of its space; nothing where too little was trained."""
    trials, epochs = study.record.trials, float(members.trials["epochs"].max())
    own = trials[(trials["architecture"] == pick) & (trials["epochs"] == epochs) & ~trials["selected_on"].astype(bool)]
    drawn = members.trials[members.trials["architecture"] != BASELINE].dropna(subset="gain_map50_95")
    by_member = drawn.groupby("architecture")["gain_map50_95"].mean().sort_values(ascending=False)
    looks = int((study.summary["standing"] == Standing.JUDGED).sum())
    found = advantage(own["gain_map50_95"].dropna().tolist(), by_member.tolist(), looks)
    if found is None:
        return
    digits = study.digits
    ends = words.interval(found.low, found.high, digits, sign=True)
    beaten = int((by_member < own["gain_map50_95"].mean()).sum())
    yield Section(
        title="Against random members of the space",
        key="random",
        note="What did the search itself find? A random member of a good space may gain as much (Yang et al. 2020).",
        sentences=(
            f"{pick} gains {words.signed(found.mean, digits)} {ends} mAP50-95 more than the mean of "
            f"{words.count(len(by_member), 'random member')} of the space, after {words.epochs(epochs)} "
            f"(Welch, adjusted for {words.count(looks, 'comparison')}; seeds and members vary). They gain "
            f"{words.signed(found.members, digits)} on average, with a standard deviation of "
            f"{words.plain(found.spread, digits)} between them; {beaten} of {len(by_member)} gain less than {pick}.",
        ),
        tables=(
            Table(
                key="random",
                caption="Random members, each the mean over its seeds",
                columns=(worded("Architecture"), Column(name="Gain", unit="mAP50-95")),
                rows=tuple(
                    row(
                        "measured",
                        cell(str(name), members.architectures[str(name)].describe()),
                        cell(words.signed(gain, digits), sort=float(gain)),
                    )
                    for name, gain in by_member.items()
                ),
            ),
        ),
    )


def _ruler(study: Analysis, larger: StudyRecord, shown: str | None) -> Iterator[Section]:
    """Yield what the next size of the base gains and costs; nothing where fewer than two seeds can be compared."""
    found = ruler_row(study.record, larger)
    if found is None:
        return
    record, digits = study.record, study.digits
    base, next_size = str(record.settings.base), str(larger.settings.base)
    rows: list[tuple[str, str, Any]] = [(next_size, "the next size of the family", found)]
    said = f"{next_size} gains {phrases.gain_of(found, digits)} mAP50-95 over {base}{phrases.price_of(found)}."
    if shown:
        own: Any = study.inside.loc[shown]
        rows.insert(0, (shown, record.architectures[shown].describe(), own))
        said += f" {shown} gains {phrases.chosen_gain_of(own, study.inside, digits)}{phrases.price_of(own)}."
    alike = "from random weights" if record.settings.from_scratch else "from a base of its own, trained as the base was"
    yield Section(
        title="Against the next size of the family",
        key="ruler",
        note="Is a block worth more than simply taking the larger model? "
        f"{next_size} was trained {alike}, for {words.epochs(found['epochs'])} under "
        f"{words.count(int(found['gain_seeds']), 'seed')}, on the same data.",
        sentences=(
            said,
            f"One base of each size was trained: what another {next_size} would change is not in its interval.",
        )
        if not record.settings.from_scratch
        else (said,),
        tables=(
            Table(
                key="ruler",
                caption=f"Gain and cost over {base}",
                columns=(
                    worded("Model"),
                    Column(name="Gain", unit="mAP50-95, 95 % interval"),
                    Column(name="Latency", unit="× baseline, 95 % interval"),
                    Column(name="MACs", unit="change"),
                    Column(name="Parameters", unit="change"),
                ),
                rows=tuple(_scaled(name, about, each, digits) for name, about, each in rows),
            ),
        ),
    )


def _scaled(name: str, about: str, found: Any, digits: int) -> Row:
    ratio = words.times(found["latency_ratio"])
    ends = words.interval(found["latency_ratio_low"], found["latency_ratio_high"], 2)
    gain_ends = words.interval(found["gain_low"], found["gain_high"], digits, sign=True)
    return row(
        "measured",
        cell(name, about, f"after {words.epochs(found['epochs'])}"),  # an extended pick is trained longer
        cell(words.signed(found["gain_map50_95"], digits), gain_ends, sort=float(found["gain_map50_95"])),
        cell(ratio, "" if ratio == words.DASH else ends, sort=float(found["latency_ratio"])),
        *(
            cell(words.percent(found[f"{cost}_ratio"]), sort=float(found[f"{cost}_ratio"]))
            for cost in ("macs", "params")
        ),
    )
