from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.claims.ledger import Claim, choose_claims
from harness.claims.verdict import Cell, Figure, Finding, Verdict
from harness.record.surroundings import Environment
from harness.report.ledger import ledger_page
from harness.report.renderers import render_html, render_markdown

PARAMS, GAIN, UNREAD = choose_claims(["pooling-cuts-params", "head-gain", "attnconv-equivariance"])[::1]


def entries() -> list[tuple[Claim, Finding]]:
    by_id = {claim.id: claim for claim in (PARAMS, GAIN, UNREAD)}
    return [
        (by_id["attnconv-equivariance"], Finding(verdict=Verdict.REPRODUCED, sentence="It is exact.")),
        (by_id["pooling-cuts-params"], Finding(verdict=Verdict.REFUTED, sentence="It removes none.")),
        (
            by_id["head-gain"],
            Finding(
                verdict=Verdict.UNDECIDED,
                sentence="On digits: a little.",
                figures=(Figure(name="model minus baseline", value=0.0123, low=-0.001, high=0.02, unit="mAP50-95"),),
                rows=({"model": "yolov5n-clo-head", "difference": 0.0123, "readings needed": None},),
                caption="Comparisons",
                to_decide="12 seeds",
                command="nox -s reproduce -- --data coco.yaml",
                scope="digits",
            ),
        ),
    ]


def test_the_headline_counts_and_says_what_is_not_about_coco() -> None:
    page = ledger_page(entries(), Environment(), "clo reproduce")
    assert page.headline == "3 claims: 1 reproduced, 1 refuted, 1 undecided."
    assert page.lead == "1 verdict of these is about digits, not about COCO."


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_every_claim_has_its_verdict_words_and_rule(render: object) -> None:
    text = re.sub(r"\\(.)", r"\1", render(ledger_page(entries(), Environment(), "clo reproduce")))  # type: ignore[operator]
    for claim, finding in entries():
        assert claim.title in text and finding.sentence in text
        assert claim.id in text
    assert "undecided on digits" in text
    assert "对K和V进行了下采样来减少参数量" in text
    assert "(no words of the article could be read for this claim)" in text
    assert "12 seeds" in text and "nox -s reproduce -- --data coco.yaml" in text


def test_a_figure_has_its_interval_and_unit() -> None:
    section = next(s for s in ledger_page(entries(), Environment(), "").sections if s.key == "head-gain")
    assert "model minus baseline: 0.0123 [−0.001, 0.02] mAP50-95." in section.sentences


def test_what_was_not_measured_is_a_dash() -> None:
    section = next(s for s in ledger_page(entries(), Environment(), "").sections if s.key == "head-gain")
    assert [cell.text for cell in section.tables[0].rows[0].cells] == ["yolov5n-clo-head", "0.0123", "—"]


def elsewhere() -> tuple[Claim, Finding]:
    """A gain that is undecided on the digits and shown on a planted task."""
    claim, finding = entries()[2]
    rows: tuple[dict[str, Cell], ...] = tuple(
        {"model": "nearsighted-clo-backbone-last", "minus": minus, "start": "from the trained base", "difference": gain,
         "low": gain - 0.05, "high": gain + 0.05, "readings": 4, "over all": "reproduced"}
        for minus, gain in (("baseline", 0.7), ("base widened to its macs", 0.6), ("base widened to its params", 0.65))
    )  # fmt: skip
    figures = (Figure(name="nearsighted-clo-backbone-last minus baseline, from the trained base", value=0.7),)
    planted = Finding(
        verdict=Verdict.REPRODUCED, sentence="On beacon: much.", figures=figures, rows=rows, scope="beacon"
    )
    return claim, replace(finding, elsewhere=(planted,))


def test_a_claim_has_a_verdict_for_each_data_set() -> None:
    page = ledger_page([entries()[1], elsewhere()], Environment(), "")
    table = page["claims"].tables[0]
    assert [column.name for column in table.columns] == ["Claim", "Verdict", "On beacon", "Kind", "Finding"]
    assert [[row.cells[i].text for i in (1, 2)] for row in table.rows] == [
        ["refuted", "—"], ["undecided on digits", "reproduced"]
    ]  # fmt: skip
    assert page.lead.endswith("On beacon: 1 reproduced.") and "[" not in page.lead
    assert [table.key for table in page["head-gain"].tables] == [
        "head-gain-evidence-digits",
        "head-gain-evidence-beacon",
    ]


def test_the_gain_has_the_worst_of_its_placebos_beside_it() -> None:
    rows = ledger_page([elsewhere()], Environment(), "")["gains"].tables[0].rows
    assert [cell.text for cell in rows[0].cells] == [
        "nearsighted-clo-backbone-last", "beacon", "from the trained base", "+0.7000 [+0.6500, +0.7500]",
        "+0.6000 [+0.5500, +0.6500]", "reproduced",
    ]  # fmt: skip
    claim, finding = elsewhere()
    lacks = {"model": "nearsighted-clo-backbone-last", "minus": "base widened to its macs", "missing": "it failed"}
    short = replace(finding.elsewhere[0], rows=({**finding.elsewhere[0].rows[0], "over all": "undecided"}, lacks))
    rows = ledger_page([(claim, replace(finding, elsewhere=(short,)))], Environment(), "")["gains"].tables[0].rows
    assert [cell.text for cell in rows[0].cells][-2:] == ["—", "undecided"]


def test_provenance_and_command_are_kept() -> None:
    page = ledger_page(entries(), Environment.of({"commit": "0123abc"}), "clo reproduce --seeds 3")
    assert ("commit", "0123abc") in page.sections[-1].pairs
    assert ("This ledger again; nothing is trained twice", "clo reproduce --seeds 3") in page.sections[-2].commands
