"""The ledger of the article's claims as a page: each with its verdict, its numbers and what is left to do."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.architecture import BASELINE
from harness.claims.ledger import Claim, Source
from harness.claims.published import PublishedBaseline
from harness.claims.verdict import OVER_ALL, Finding, Verdict
from harness.claims.verdict import Cell as Value
from harness.common.atomic import write_whole
from harness.record.surroundings import Environment
from harness.report import tables, words
from harness.report.page import Page, Section, Tile
from harness.report.renderers import write_page
from harness.report.tables import Cell, Column, Table, cell, worded

Entry = tuple[Claim, Finding]
_ARTICLE = "《YOLO改进系列之注意力机制(CloAttention模型介绍)》"
_RULES = (
    "A gain is reproduced when its corrected 95 % interval lies above the lower end of what is claimed, refuted when "
    "it lies below it, else undecided, with the number of seeds that would decide. Corrected: Bonferroni, over all "
    "comparisons that the ledger reads from a study.",
    "A verdict needs every comparison that its rule names. Reproduced is what passes all of them: an arm that failed, "
    "cannot be built or has not run leaves the claim undecided, and is named. Refuted is what one of them refutes, in "
    "each reading of the claim; a reading that was not trained is not refuted.",
    "A number of seeds is for a difference as large as measured, tested with the correction of its study: power 80 % "
    "if the noise is as estimated. Beside it stands its power on average over what the noise may be.",
    "What is counted or measured down to rounding is reproduced or refuted; where a negative control does not fail as "
    "it must, the check is worth nothing and the claim stays undecided.",
    "A verdict on accuracy is about the data, base and budget that stand in it. On the embedded digits it is a verdict "
    "about these, never about COCO. Each data set has its own: noise is not pooled over them.",
    "On nearby and beacon an effect was planted, in a detector that does not see far enough: there the same rule must "
    "say reproduced. That is a control of the rule, and says nothing of photographs.",
    "The article's detector is the anchor-based YOLOv5s (7.2 M parameters, 16.5 GFLOPs, 37.4 mAP published); "
    "Ultralytics builds the anchor-free one (9.15 M, 24.2 GFLOPs), and that one is what is tested here.",
)


def ledger_page(
    entries: Sequence[Entry], environment: Environment, command: str, baselines: Sequence[PublishedBaseline] = ()
) -> Page:
    """Build the page of the ledger; `environment` may be empty, `baselines` are the protocol's own on COCO."""
    counts = Counter(finding.verdict for _, finding in entries)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)
    scoped = Counter(finding.scope for _, finding in entries if finding.scope)
    about = "".join(
        f" {words.count(number, 'verdict')} of these {'is' if number == 1 else 'are'} about {scope}, not about COCO."
        for scope, number in scoped.items()
    )
    trained = [found.command for claim, found in entries if claim.kind == "accuracy" and found.command]
    full = next(iter(trained), "nox -s reproduce -- --data coco.yaml --device 0 --epochs 300 --seeds 3")
    gains = [entry for entry in entries if entry[0].id in {"backbone-gain", "head-gain"}]
    others = Counter((each.scope, each.verdict) for _, finding in entries for each in finding.elsewhere)
    for scope in dict.fromkeys(scope for scope, _ in others):
        said = ", ".join(f"{others[scope, verdict]} {verdict}" for verdict in Verdict if others[scope, verdict])
        about += f" On {scope}: {said}."
    return Page(
        name=f"of {_ARTICLE}",
        kind="clo-nas ledger",
        headline=f"{words.count(len(entries), 'claim')}: {told}.",
        lead=about.strip() or "No claim on accuracy was asked for.",
        tiles=tuple(
            Tile(
                label=str(verdict),
                value=str(counts[verdict]),
                detail=", ".join(claim.id for claim, finding in entries if finding.verdict is verdict) or "none",
            )
            for verdict in Verdict
        ),
        sections=(
            *_published(baselines),
            *_gains(gains),
            Section(title="All claims", key="claims", tables=(_overview(entries),)),
            *(_claim(claim, finding) for claim, finding in entries),
            Section(title="The rules", key="rules", sentences=_RULES),
            Section(
                title="Reproduce",
                key="reproduce",
                commands=(
                    *((("This ledger again; nothing is trained twice", command),) if command else ()),
                    ("One claim", "nox -s reproduce -- --claim head-gain"),
                    ("The full protocol on COCO", full),
                ),
            ),
            Section(
                title="Provenance",
                key="provenance",
                pairs=tuple((name, str(value)) for name, value in environment.to_dict().items()),
            ),
        ),
    )


def write_ledger(
    entries: Sequence[Entry],
    environment: Environment,
    command: str,
    folder: Path,
    baselines: Sequence[PublishedBaseline] = (),
) -> Path:
    """Write `report.html`, `report.md` and `environment.json`; the path of the first."""
    surroundings = json.dumps(environment.to_dict(), indent=2, ensure_ascii=False, default=str) + "\n"
    write_whole(folder / "environment.json", surroundings.encode())
    return write_page(ledger_page(entries, environment, command, baselines), folder)


def _published(baselines: Sequence[PublishedBaseline]) -> Iterator[Section]:
    """Yield first, on COCO, the baselines beside what is published: a gain over one that is too weak says little."""
    if not baselines:
        return
    names = ("Baseline", "Trained", "Trainings", "mAP50-95", "Published as", "Published mAP50-95", "Difference",
             "Parameters, M", "Published, M", "GFLOPs", "Published GFLOPs")  # fmt: skip
    numeric = {"Trainings", "mAP50-95", "Published mAP50-95", "Difference", *names[7:]}
    rows = tuple(
        (each.base, each.training, each.seeds, each.map50_95, each.model.published_as, each.model.map50_95,
         each.difference, each.params / 1e6, each.model.params_m, 2 * each.macs / 1e9, each.model.gflops)
        for each in baselines
    )  # fmt: skip
    sources = dict.fromkeys(
        f"Published: {each.table.source} (read {each.table.looked_up} in {each.table.read_in})." for each in baselines
    )
    table = Table(
        key="published",
        caption="The protocol's own baseline on COCO val2017, and what is published for this detector",
        columns=tuple(Column(name=name, numeric=name in numeric) for name in names),
        rows=tuple(tables.row("", *(_cell(value) for value in row)) for row in rows),
    )
    yield Section(
        title="The baseline against what is published for it",
        key="published",
        sentences=(*(f"On COCO val2017 {each}." for each in baselines), *sources),
        tables=(table,),
    )


def _gains(entries: Sequence[Entry]) -> Iterator[Section]:
    """Yield what each reading of the article gained on each data set: the question that most readers come with."""
    rows = [
        tables.row("", cell(model), cell(data), cell(start), *map(cell, (gain, placebo, verdict)))
        for claim, finding in entries
        for data, each in ((each.scope or "COCO", each) for each in (finding, *finding.elsewhere))
        for model, start, gain, placebo, verdict in _readings(each)
    ]
    if not rows:
        return
    names = ("Model", "Data", "Trained", "Gain over the baseline", "Least over the widened base", "Gains a point")
    caption = "mAP50-95 with corrected 95 % intervals; -bare is the layer without norm and residual"
    table = Table(key="gains", caption=caption, columns=tuple(map(worded, names)), rows=tuple(rows))
    yield Section(title="What the article's blocks gained", key="gains", tables=(table,))


def _readings(finding: Finding) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield model, start, gains and verdict of what a finding rests on; what is merely shown beside it is left out."""
    groups: dict[tuple[str, str], list[Mapping[str, Value]]] = {}
    for row in finding.rows:
        if row.get(OVER_ALL):
            groups.setdefault((str(row["model"]), str(row["start"])), []).append(row)
    for (model, start), rows in groups.items():
        over = [row for row in rows if row["minus"] == BASELINE]
        placebos = sorted((row for row in rows if row not in over), key=lambda row: _float(row["difference"]))
        gain, least = (_gain(each[0]) if each else words.DASH for each in (over, placebos))
        yield model, start, gain, least, str(rows[0][OVER_ALL])


def _gain(row: Mapping[str, Value]) -> str:
    return words.with_interval(_float(row["difference"]), _float(row["low"]), _float(row["high"]), 4)


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _overview(entries: Sequence[Entry]) -> Table:
    scopes = dict.fromkeys(each.scope for _, finding in entries for each in finding.elsewhere)
    return Table(
        key="claims",
        caption="Every claim, its verdict and the numbers behind it",
        columns=(
            worded("Claim", "id"),
            worded("Verdict"),
            *(worded(f"On {scope}") for scope in scopes),
            worded("Kind"),
            worded("Finding"),
        ),
        rows=tuple(
            tables.row(
                str(finding.verdict),
                cell(claim.title, claim.id),
                cell(finding.told),
                *(cell(on.get(scope, words.DASH)) for scope in scopes),
                cell(str(claim.kind)),
                cell(finding.sentence),
            )
            for claim, finding in entries
            for on in [{each.scope: str(each.verdict) for each in reversed(finding.elsewhere)}]
        ),
    )


def _claim(claim: Claim, finding: Finding) -> Section:
    said = {
        Source.ARTICLE: f"“{claim.quote_zh}”",
        Source.BRIEF: f"“{claim.quote_zh}” (as quoted to us; the sentence itself was not in the copy that we read)",
        Source.UNREAD: "(no words of the article could be read for this claim)",
    }[claim.source]
    return Section(
        title=claim.title,
        key=claim.id,
        verdict=finding.told,
        quote=(said, claim.meaning_en),
        sentences=(
            finding.sentence,
            *(f"{figure.name}: {_figure(figure.value, figure.low, figure.high)} {figure.unit}".strip() + "."
              for figure in finding.figures),
            *((f"To decide it: {finding.to_decide}.",) if finding.to_decide else ()),
            *(f"{each.told}: {each.sentence}" for each in finding.elsewhere),
            f"What would refute it: {claim.refuted_by}",
            f"How it is read: {claim.reading}",
            f"Needs: {claim.needs_hardware}; data: {claim.needs_data}.",
        ),
        tables=tuple(_evidence(claim, each) for each in (finding, *finding.elsewhere) if each.rows),
        commands=(("What is left", finding.command),)
        if finding.command and (finding.to_decide or finding.scope) else (),
        minor=True,
        folded=True,
    )  # fmt: skip


def _evidence(claim: Claim, finding: Finding) -> Table:
    names = list(dict.fromkeys(name for row in finding.rows for name in row))
    numeric = {name for name in names if all(_is_number(row.get(name)) for row in finding.rows)}
    return Table(
        key=f"{claim.id}-evidence{f'-{finding.scope}' if finding.scope else ''}",
        caption=f"{finding.caption or 'Evidence'}{f', on {finding.scope}' if finding.scope else ''}",
        columns=tuple(Column(name=name, numeric=name in numeric and name != names[0]) for name in names),
        rows=tuple(tables.row("", *(_cell(row.get(name)) for name in names)) for row in finding.rows),
    )


def _is_number(value: Value) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Value) -> Cell:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return cell(words.DASH, sort=math.nan)
    if isinstance(value, bool):
        return cell("yes" if value else "no")
    return cell(_number(value), sort=float(value)) if isinstance(value, int | float) else cell(str(value))


def _number(value: float) -> str:
    """Format a whole number whole; others with four significant digits."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", words.MINUS)


def _figure(value: float, low: float, high: float) -> str:
    ends = f" [{_number(low)}, {_number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    return (_number(value) if math.isfinite(value) else words.DASH) + ends
