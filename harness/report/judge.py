"""The page of a verdict: whether a block pays on somebody's images, what it costs, and what to cite."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.contrasts import Verdict as Told
from harness.analysis.new_images import Target
from harness.analysis.statistics import summarise
from harness.architecture import BASELINE
from harness.common.digest import json_digest
from harness.judge.verdict import KEPT, Judged, Verdict
from harness.record.state import State
from harness.report import notes, phrases, words
from harness.report.ablation import contrast_table, digits_of
from harness.report.page import Page, Section, Tile
from harness.report.renderers import write_page

# Folder in the search's folder that takes the page.
VERDICT = "verdict"
_IMAGES = "images.jpg"
_HEADLINES = {
    Verdict.PAYS: "{block} pays on these data.",
    Verdict.DOES_NOT_PAY: "{block} does not pay on these data.",
    Verdict.UNDECIDED: "Whether {block} pays on these data is undecided.",
}
_OUTCOMES = {Verdict.PAYS: "gain", Verdict.DOES_NOT_PAY: "worse", Verdict.UNDECIDED: ""}
_RULES = (
    "The search chooses under its own seeds; the comparison that decides has seeds that chose nothing, and a baseline "
    "of its own, trained as long under the same ones.",
    "Pays: the gain is as large as matters, and the corrected intervals over the baseline, and over the base widened "
    "to as many parameters and to as many MACs, lie above 0. Does not pay: one of these intervals lies below the gain "
    "that matters. Undecided: all else, a comparison that is missing included.",
)


def price(found: Judged) -> dict[str, float | None]:
    """Return what the judged architecture costs over the baseline, as ratios; None where it was not measured."""
    if (row := _judged_row(found)) is None:
        return {}
    ratios = {name: float(row[name]) for name in ("latency_ratio", "macs_ratio", "params_ratio")}
    return {name: ratio if math.isfinite(ratio) else None for name, ratio in ratios.items()}


def _judged_row(found: Judged) -> Any:
    """Return the judged architecture's row of the search's summary; None where there is none."""
    summary = summarise(found.record.trials, found.record.look)
    known = found.architecture is not None and found.architecture in summary.index
    return summary.loc[found.architecture] if known else None


def card(found: Judged) -> dict[str, object]:
    """Return what a verdict is of, and its identifier: equal data, seeds and versions have the same one."""
    record, environment = found.record, found.record.environment
    model = record.architectures.get(found.architecture or "")
    of = {
        "block": found.block,
        "architecture": None if model is None else model.to_dict(),
        "base": {"name": record.settings.base, "fingerprint": record.settings.base_fingerprint},
        "data_fingerprint": record.settings.data_fingerprint,
        "imgsz": record.settings.imgsz,
        "batch": record.settings.batch,
        "epochs": record.settings.epochs,
        "seeds": {
            "search": _seeds(record.trials),
            "comparison": _seeds(found.confirm.trials) if found.confirm else [],
        },
        "versions": {"clo-nas": environment.clo_nas, "commit": environment.git.commit, **environment.packages},
    }
    return {"id": f"clo-{json_digest(of)[:12]}", **of}


def verdict_json(found: Judged) -> dict[str, object]:
    """Return the contract of `clo judge --json`."""
    over = _over_baseline(found)
    new = over is not None and over["target"] == Target.NEW_IMAGES
    return {
        "verdict": str(found.finding.verdict),
        "why": found.finding.why,
        "block": found.block,
        "architecture": found.architecture,
        "gain": None if over is None else _number(over["mean"]),
        "ci95": None if over is None else [_number(over[f"{end}_these_images"]) for end in ("low", "high")],
        "ci95_new_images": [_number(over[end]) for end in ("low", "high")] if over is not None and new else None,
        "ci95_corrected": None if over is None else [_number(over[f"{end}_corrected"]) for end in ("low", "high")],
        "comparisons": [
            {"over": str(row["name"]), "gain": _number(row["mean"]), "seeds": int(row["readings"]),
             "ci95_corrected": [_number(row["low_corrected"]), _number(row["high_corrected"])]}
            for _, row in found.finding.rows.iterrows()
        ],
        "price": price(found),
        "hours": found.spent,
        "seeds_to_decide": _number(found.finding.seeds_needed),
        "notes": list(found.notes),
        "card": card(found),
    }  # fmt: skip


def verdict_page(found: Judged, images: bytes = b"") -> Page:
    """Return everything that is to be said of a verdict, however far it came; `images` is a JPEG, or nothing."""
    record, over = found.record, _over_baseline(found)
    identity, row = card(found), _judged_row(found)
    costs = "Not known: nothing was judged." if row is None else phrases.whole_price(row, record.trials)
    name = found.architecture or ""
    shape = record.architectures[name].describe() if name else ""
    data = "/".join(Path(str(record.settings.data)).parts[-2:])  # without the folders above it
    tried = set(record.trials.loc[record.trials["state"] == State.COMPLETE, "architecture"]) - {BASELINE}
    return Page(
        name=record.name,
        kind="clo-nas verdict",
        outcome=_OUTCOMES[found.finding.verdict],
        headline=_HEADLINES[found.finding.verdict].format(block=found.block),
        lead=" ".join(filter(None, (found.finding.why, _gain(over), _to_decide(found)))),
        tiles=tuple(_tiles(found, over)),
        asked=(
            ("Which was judged?", f"{name}: {shape}." if name else "None.", ""),
            ("What does it cost?", costs, ""),
            ("On these images alone?", _these_images(over), ""),
            ("Is it more than size?", _size(found), "compared" if found.confirm else ""),
            ("After longer training?", _long(found), ""),
            ("Does the instrument work here?", phrases.of_control(found.control), ""),
        ),
        following=_following(found),
        remarks=found.notes,
        sections=(
            *_comparison(found),
            *_pictures(images),
            Section(title="The rule", key="rule", sentences=_RULES, minor=True),
            Section(
                title="What is not known",
                key="unknown",
                sentences=(
                    f"One data set ({data}), one base and {record.settings.epochs} epochs at "
                    f"{record.settings.imgsz} px: elsewhere, larger or longer trained it may be otherwise.",
                    f"What the search did not try: it tried {words.count(len(tried), 'candidate')} of its space.",
                ),
            ),
            Section(
                title="To cite",
                key="card",
                note=f"{identity['id']} stands for these data, seeds and versions.",
                facts=tuple(
                    (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
                    for key, value in identity.items()
                    if key != "architecture"
                ),
            ),
            Section(
                title="Provenance and commands",
                key="reproduce",
                commands=(
                    ("Go on, or repeat it: nothing is trained twice", notes.in_its_folder(record, found.command)),
                ),
                pairs=notes.provenance(record),
            ),
        ),
    )


def write_verdict(found: Judged, folder: Path, out: Path | None = None) -> Path:
    """Write the page into the search's folder, with its JSON files and, if there, `images.jpg`; the page's path."""
    told = {"card.json": card(found), KEPT: found.kept()}
    beside = {name: (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode() for name, value in told.items()}
    if (folder / _IMAGES).is_file():
        beside[_IMAGES] = (folder / _IMAGES).read_bytes()
    return write_page(verdict_page(found, beside.get(_IMAGES, b"")), out or folder / VERDICT, beside)


def _over_baseline(found: Judged) -> Any:
    rows = found.finding.rows
    return None if rows.empty or rows.iloc[0]["verdict"] == Told.UNMEASURED else rows.iloc[0]


def _gain(over: Any) -> str:
    if over is None:
        return ""
    where = phrases.on([over["target"]])
    gain = words.with_interval(over["mean"], over["low_corrected"], over["high_corrected"], 4)
    return (
        f"Gain over the baseline{where}: {gain} mAP50-95 under {words.count(int(over['readings']), 'seed')} that chose "
        "nothing; the interval holds together with those over the placebos."
    )


def _these_images(over: Any) -> str:
    if over is None:
        return "Not compared yet."
    gain = words.with_interval(over["mean"], over["low_these_images"], over["high_these_images"], 4)
    new = words.interval(over["low"], over["high"], 4, sign=True)
    both = f"; on new ones like them {new}" if over["target"] == Target.NEW_IMAGES else ""
    return f"Gain over the baseline {gain} on these images{both}, by itself."


def _tiles(found: Judged, over: Any) -> Iterator[Tile]:
    for _, row in found.finding.rows.iterrows() if over is not None else ():
        corrected = words.interval(row["low_corrected"], row["high_corrected"], 4, sign=True)
        arm = _arm(row)
        label = "gain over the baseline" if arm == BASELINE else f"over the {arm.rpartition(': ')[2]}"
        yield Tile(label=label, value=words.signed(row["mean"], 4), detail=f"{corrected}, mAP50-95")


def _to_decide(found: Judged) -> str:
    seeds = found.finding.seeds_needed
    if found.finding.verdict is not Verdict.UNDECIDED or math.isnan(seeds):
        return ""
    if math.isinf(seeds):
        return "If the differences are as they read, no number of seeds that anyone trains would decide it."
    hours = seeds * _hours_a_seed(found)
    return (
        f"If the differences are as they read, {words.count(int(seeds), 'fresh seed')} of every arm would decide it on "
        f"these images in four of five such comparisons: about {hours:.2g} h."
    )


def _hours_a_seed(found: Judged) -> float:
    """Estimate hours by the clock for a seed of all arms of the comparison, from how long its own trainings took."""
    assert found.confirm is not None, "something was compared"
    done = found.confirm.trials[found.confirm.trials["state"] == State.COMPLETE]
    workers = max(1, int(found.confirm.environment.to_dict().get("workers") or 1))
    return float(done["train_seconds"].mean()) * done["architecture"].nunique() / workers / 3600


def _size(found: Judged) -> str:
    told = []
    for _, row in found.finding.rows.iloc[1:].iterrows():
        better = {Told.BETTER: "yes", Told.WORSE: "no, that is better"}.get(Told(row["verdict"]), "not told apart")
        told.append(f"over the {str(row['name']).rpartition(': ')[2]}: {better}")
    return f"{'; '.join(told)}.".capitalize() if told else "Not compared with placebos yet."


def _long(found: Judged) -> str:
    trials, short = found.record.trials, found.record.settings.epochs
    rows = trials[(trials["architecture"] == found.architecture) & trials["gain_map50_95"].notna()]
    longest = rows[rows["epochs"] == rows["epochs"].max()]
    if rows.empty or longest["epochs"].iloc[0] == short:
        return "Not trained longer."
    gains: pd.Series[float] = longest["gain_map50_95"]
    each = ", ".join(words.signed(gain, 4) for gain in gains)
    return f"After {longest['epochs'].iloc[0]:.0f} epochs under new seeds: {each} over the baseline, a seed each."


def _comparison(found: Judged) -> Iterator[Section]:
    rows = found.finding.rows
    if found.confirm is None or rows.empty:
        return
    named = rows.assign(name=[_arm(row) for _, row in rows.iterrows()])
    yield Section(
        title="What was compared",
        key="compared",
        note=f"{found.block} minus each, under {words.count(int(rows['readings'].max()), 'seed')} that chose "
        "nothing: the baseline, and the base widened to as many parameters and to as many MACs. Right of the "
        "dashed line the block is better. Parameters and MACs are those of what is named.",
        tables=(contrast_table(found.confirm, named, digits_of(rows), key="compared", caption="Gain, mAP50-95"),),
    )


def _arm(row: Any) -> str:
    """Return the arm that the block is compared with."""
    return BASELINE if row["subtrahend"] == BASELINE else str(row["name"])


def _pictures(images: bytes) -> Iterator[Section]:
    if images:
        yield Section(
            title="What it does to images",
            key="images",
            note="The validation images on which a candidate of the search and its baseline differ most; all of them, "
            "with confidence and ground truth to choose, are in the search's report (../report.html).",
            picture=_IMAGES,
            picture_says="Validation images with the boxes of the baseline and of the candidate, the better ones first",
            image=images,
        )


def _following(found: Judged) -> tuple[tuple[str, str], ...]:
    record, name = found.record, found.architecture
    if name is None or found.finding.verdict is not Verdict.PAYS:
        return ()
    export = notes.to_type(record, "export", record.name, name, "--to", "standalone")
    return (("Take it home: plain torch and Ultralytics, without clo-nas", notes.in_its_folder(record, export)),)


def _seeds(trials: pd.DataFrame) -> list[int]:
    return sorted({int(seed) for seed in trials.loc[trials["state"] == State.COMPLETE, "seed"]})


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
