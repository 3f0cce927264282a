from __future__ import annotations

from dataclasses import replace

from harness.analysis.contrasts import gains
from harness.record.study import StudyRecord
from harness.report import words
from harness.report.ablation import ablation_content
from harness.terminal.arms import arms_table
from tests.report.ablated import ablation
from tests.terminal.consoles import text


def lines(record: StudyRecord, key: str, width: int = 100, *, whole: bool = True) -> list[str]:
    return text(arms_table(record, ablation_content(record).page, key, whole=whole), width).splitlines()[1:]


def test_every_arm_has_its_difference_and_interval() -> None:
    for line, (_, row) in zip(lines(ablation(), "gains"), gains(ablation()).iterrows(), strict=True):
        mean, low, high = (words.signed(row[name], 3) for name in ("mean", "low", "high"))
        assert f"{row['verdict']} " in line and f" {mean} [{low}, {high}] " in line
        assert "●" in line and line.rstrip().endswith(str(row["readings"]))


def test_the_strips_of_a_table_share_one_scale() -> None:
    better, _, worse, _ = lines(ablation(), "gains")
    assert better.index("│") == worse.index("│")
    assert worse.index("●") < worse.index("│") and better.index("●") > better.index("│")


def test_where_a_row_is_a_line_names_have_the_strips_room() -> None:
    said = lines(ablation(), "worths", 80, whole=False)
    assert len(said) == 3 and max(map(len, said)) <= 80
    assert said[-1].startswith("base widened to its params ") and "●" not in "".join(said)


def test_arms_of_several_models_say_of_which_they_are() -> None:
    one = ablation()
    assert one.ablation is not None
    arms = one.ablation.to_dict()["arms"]
    other = {**arms[1], "name": "yolov5n-clo-neck", "identity": "dddddddd"}
    two = replace(one, ablation=one.ablation | {"arms": [*arms, other]})
    assert any(line.startswith("gate none of yolov5n-clo-head ") for line in lines(two, "gains", 120))
    assert any(line.startswith("gate none  ") for line in lines(one, "gains", 120))


def test_an_ablation_that_has_only_begun_is_shown() -> None:
    assert all("unmeasured" in line and "●" not in line for line in lines(ablation({}), "gains"))
