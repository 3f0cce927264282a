from __future__ import annotations

import dataclasses
import re

from harness.report.renderers import code, difference, escape, render_markdown
from harness.report.search import search_content
from tests.report import example

TEXT = render_markdown(search_content(example.winning()).page)


def test_the_answer_stands_at_the_top() -> None:
    lines = [line for line in TEXT.splitlines() if line]
    assert lines[0] == "# clo-nas study demo"
    assert lines[1] == "**Take 77e0b1aa: +0.011 mAP50-95 for 1.06× the latency.**"
    assert lines[2].startswith("Its gain is +0.011 ")
    assert lines[3].startswith("Price: 1.06× ")
    assert lines[4].startswith("Rule: ")
    assert lines[5] == (
        "**2 of 3 judged architectures beat the baseline on these images at 95 % confidence "
        "(8 more were only screened, under one seed).**"
    )
    assert lines[6].startswith("The baseline reaches mAP50-95 0.497")


def test_a_difference_keeps_its_lines_and_cannot_leave_its_fence() -> None:
    assert difference(["+a", "-b ```", "…"]).splitlines() == ["````diff", "+a", "-b ```", "…", "````"]
    assert difference(["+a\n# head"]).splitlines()[1:-1] == ["+a # head"]


def test_the_picture_is_beside_it() -> None:
    assert "](pareto.png)" in TEXT


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    for block in re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
        assert len(block.splitlines()) > 2


def test_what_comes_from_outside_cannot_become_markup() -> None:
    record = example.winning()
    hostile = "<script>x</script>|[a](javascript:b)`c`\n# head"
    trials = record.trials.assign(reason=record.trials["reason"].where(record.trials["reason"] == "", hostile))
    rendered = render_markdown(search_content(dataclasses.replace(record, name=hostile, trials=trials)).page)
    prose = re.sub(r"(`{3,})shell\n.*?\n\1", "", rendered, flags=re.DOTALL)
    assert "script" in prose
    assert re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript|(?<!\\)`c", prose) is None
    assert "\n# head" not in rendered


def test_escaping_leaves_plain_text_readable() -> None:
    assert escape("neck.P4 (2×k5), +0.012") == "neck.P4 (2×k5), +0.012"
    assert escape("a|b\n*c* <d>") == r"a\|b \*c\* \<d\>"


def test_a_fence_is_longer_than_any_run_of_backticks_in_it() -> None:
    assert code("a ```` b").splitlines()[0] == "`````shell"
    assert code("a\nb").splitlines() == ["```shell", "a b", "```"]


def test_an_empty_study_has_a_report_too() -> None:
    rendered = render_markdown(search_content(example.record(example.frame())).page)
    assert "**No training has finished.**" in rendered
    assert "none yet" in rendered
