"""Write every committed report anew from its tables, and the figures that pages quote from them: `nox -s render`.

A page marks what is generated, within a line or around whole paragraphs:

    <!-- generated: NAME -->…<!-- end -->

and what its own words state of the ledger, where it is no figure but has to hold: `<!-- holds: VERDICT CLAIM … -->`.
No mark begins a line of text: Markdown would take the line for HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from harness.analysis.statistics import Standing, summarise
from harness.claims.control import picked_of
from harness.claims.reproduce import read_findings
from harness.claims.verdict import Finding, Verdict
from harness.cli.rendering import find_all, render
from harness.record.tables import read_study
from harness.report import words
from harness.report.page import Page
from harness.report.search import search_content

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference"
SEARCH, LEDGER, PLANTED = REFERENCE / "default", REFERENCE / "reproduce", REFERENCE / "control" / "beacon"
PAGES = tuple(ROOT / name for name in ("README.md", "README.zh-CN.md"))
GENERATED = re.compile(r"(<!-- generated: (.+?) -->)(.*?)(<!-- end -->)", re.DOTALL)
HOLDS = re.compile(r"<!-- holds: (\S+) (.+?) -->")
_DIGITS = 4
"""Of an mAP, as in the reports."""


def filled(text: str) -> str:
    """Return a page with everything that is generated as the reports say it now.

    Raises:
        ValueError: A mark names nothing that there is, or the ledger says otherwise than a sentence states.
    """
    for verdict, claims in HOLDS.findall(text):
        for claim in claims.split():
            if claim not in findings() or findings()[claim].verdict != verdict:
                raise ValueError(f"a sentence says that {claim} is {verdict}, and {LEDGER} does not: rewrite it")
    return GENERATED.sub(lambda found: f"{found[1]}{snippet(found[2])}{found[4]}", text)


def snippet(name: str) -> str:
    """Return what a mark stands for: one of `SNIPPETS`, or `gain CLAIM | FIGURE` (`loss`: with its sign turned).

    ` @ DATA` behind it is for the figure on other data than the digits.
    """
    if name in SNIPPETS:
        return SNIPPETS[name]()
    kind, _, rest = name.partition(" ")
    claim, _, figure = rest.partition(" | ")
    figure, _, data = figure.partition(" @ ")
    answers = (findings()[claim], *findings()[claim].elsewhere) if claim in findings() else ()
    for found in (each for answer in answers if not data or answer.scope == data for each in answer.figures):
        if found.name == figure and kind == "gain":
            return f"{words.signed(found.value, _DIGITS)} {words.interval(found.low, found.high, _DIGITS, sign=True)}"
        if found.name == figure and kind == "loss":
            return f"{words.plain(-found.value, _DIGITS)} {words.interval(-found.high, -found.low, _DIGITS)}"
    raise ValueError(f"'{name}': neither one of {', '.join(SNIPPETS)}, nor a figure of the ledger's")


@cache
def findings() -> dict[str, Finding]:
    """Return the committed ledger's findings."""
    return read_findings(LEDGER)


def headline(folder: Path) -> str:
    """Return the advice of a search's report with its figures, as a quotation."""
    page = _page(folder)
    then = dict(page.then)
    price = {question: said for question, said, _ in page.asked}.get("What does it cost?")
    figures = " ".join(filter(None, (page.lead, then["second"], price and f"Price: {price}")))
    return f"\n\n> **{page.headline}** {figures}\n\n"


def headline_in_chinese() -> str:
    """Return the gist of the same.

    Raises:
        ValueError: The search has a gain: the sentences are those of one that has none.
    """
    summary = summarise(read_study(SEARCH).trials)
    if (summary["verdict"] == "gain").any():
        raise ValueError(f"{SEARCH} has a gain: write its Chinese sentences in docs/render.py")
    best = summary[summary["standing"] == Standing.JUDGED].sort_values("gain_map50_95").iloc[-1]
    judged, screened = (int((summary["standing"] == each).sum()) for each in (Standing.JUDGED, Standing.SCREENING))
    alone = judged == 1
    nobody = "经复核的那一个结构未被证明胜过基线" if alone else f"{judged} 个经复核的结构没有一个被证明胜过基线"
    gain = f"{best.name} 的增益为" if alone else f"经复核的最大增益是 {best.name} 的"
    largest = "Its gain is" if alone else "largest judged gain is"
    zero = "包含零" if best["gain_low"] <= 0 <= best["gain_high"] else "不包含零"
    noise = re.search(r"standard deviation of (\d[\d.]*)", dict(_page(SEARCH).then)["second"])
    return (
        f"保留基线。在这些图像上，{nobody}"
        f"（另有 {screened} 个只在一个种子下筛选过）。"
        f"基线的 mAP50-95 为 {_said(SEARCH, 'reaches mAP50-95')}；"
        f"{gain} {_said(SEARCH, largest)}，其区间{zero}。"
        + (f"单个种子的配对差的标准差为 {noise[1]}。" if noise else "")
    )


def planted_in_chinese() -> str:
    """Return the gist of the control's report on planted data.

    Raises:
        ValueError: The search missed the effect: the sentence is that of one that found it.
    """
    record = read_study(PLANTED)
    picked = picked_of(record)
    if picked is None:
        raise ValueError(f"{PLANTED} has no pick: write its Chinese sentence in docs/render.py")
    return (
        f"采用 {picked}（{record.architectures[picked].describe()}）：基线的 mAP50-95 为 "
        f"{_said(PLANTED, 'reaches mAP50-95')}，只能猜类别；它的增益为 "
        f"{_said(PLANTED, 'Its gain is')}，判定为 gain。"
    )


def _said(folder: Path, words: str) -> str:
    """Return the figure that follows these words in a report: the two READMEs state the same digits.

    Raises:
        ValueError: The report does not have the words.
    """
    found = re.search(rf"{re.escape(words)} ([+−]?[0-9.]*[0-9])", (folder / "report.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{folder}/report.md does not say '{words}'")
    return found[1]


@cache
def _page(folder: Path) -> Page:
    """Return what a search's report says."""
    return search_content(read_study(folder)).page


def verdicts(claims: str, parts: dict[Verdict, str], comma: str) -> str:
    """Return how many claims came to which verdict.

    Args:
        claims: What follows the number of claims.
        parts: Verdict to what follows its number.
        comma: Between them.
    """
    counts = Counter(finding.verdict for finding in findings().values())
    return f"{len(findings())} {claims}" + comma.join(f"{counts[verdict]} {part}" for verdict, part in parts.items())


SNIPPETS: dict[str, Callable[[], str]] = {
    "headline": lambda: headline(SEARCH),
    "headline of the control": lambda: headline(PLANTED),
    "headline of the control, in Chinese": planted_in_chinese,
    "headline, in Chinese": headline_in_chinese,
    "verdicts": lambda: verdicts("claims: ", {verdict: str(verdict) for verdict in Verdict}, ", "),
    "verdicts, in Chinese": lambda: verdicts(
        "条说法：",
        {Verdict.REPRODUCED: "条已复现", Verdict.REFUTED: "条被推翻", Verdict.UNDECIDED: "条未决"},
        "，",
    ),
}


def main() -> None:
    """Render everything."""
    for folder in find_all(REFERENCE):
        print(render(folder).relative_to(ROOT))
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
