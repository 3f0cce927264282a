from __future__ import annotations

from harness.analysis.ablation import gains
from harness.report.ablation import ablation_content
from harness.terminal.arms import arms_table
from tests.report.ablated import ablation
from tests.terminal.consoles import text


def test_every_arm_has_its_difference_interval_and_strip() -> None:
    lines = text(arms_table(ablation_content(ablation()).page, "gains", wrap=False), 100).splitlines()[1:]
    for line, (_, row) in zip(lines, gains(ablation()).iterrows(), strict=True):
        assert str(row["verdict"]) in line
        shown = [f"{value:+.3f}".replace("-", "−").replace("+0.000", "0.000") for value in (row["mean"], row["low"])]
        assert f"{shown[0].replace('−0.000', '0.000')} [{shown[1]}, " in line
        assert "●" in line and ("│" in line or "┼" in line or row["verdict"] == "undecided")
        assert line.rstrip().endswith(str(row["readings"]))


def test_the_strips_of_a_table_share_one_scale() -> None:
    lines = text(arms_table(ablation_content(ablation()).page, "gains", wrap=False), 100).splitlines()[1:]
    better, _, worse, _ = lines
    assert better.index("│") == worse.index("│")
    assert worse.index("●") < worse.index("│") and better.index("●") > better.index("│")


def test_an_arm_is_a_line_on_a_narrow_terminal() -> None:
    lines = text(arms_table(ablation_content(ablation()).page, "worths", wrap=False), 80).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= 80


def test_an_ablation_that_has_only_begun_is_shown() -> None:
    begun = ablation({})
    assert "unmeasured" in text(arms_table(ablation_content(begun).page, "gains", wrap=False))
