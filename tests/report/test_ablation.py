from __future__ import annotations

import io
import json
import re

import pytest
from PIL import Image

from harness.report import closing
from harness.report.ablation import ablation_content, forest_range
from harness.report.page import Page
from harness.report.png import draw_forest
from harness.report.renderers import render_html, render_markdown
from harness.terminal.arms import strip
from tests.report.ablated import ARMS, GAINS, ablation


def texts(page: Page, key: str) -> dict[str, list[str]]:
    table = next(section for section in page.sections if section.key == key).tables[0]
    return {row.cells[0].text: [cell.text for cell in row.cells] for row in table.rows}


def test_every_arm_is_compared_with_the_baseline_and_the_model_with_what_was_made_of_it() -> None:
    said = ablation_content(ablation())
    assert list(said.gains["minuend"]) == list(GAINS)
    assert set(said.gains["subtrahend"]) == {"baseline"}
    assert list(said.worths["subtrahend"]) == ["bbbbbbbb", "cccccccc", "wide-params-01234567"]
    assert set(said.worths["minuend"]) == {"aaaaaaaa"}
    gate = said.worths.set_index("subtrahend").loc["cccccccc"]
    assert gate["mean"] == pytest.approx(0.021 + 0.031 / 3)


def test_the_answer_names_the_model_its_gain_and_what_size_explains() -> None:
    page = ablation_content(ablation()).page
    assert (page.headline, page.outcome) == ("yolov5n-clo-head beats the baseline on these images.", "better")
    gain = ablation_content(ablation()).gains.iloc[0]
    ends = f"[{gain['low_corrected']:+.3f}, {gain['high_corrected']:+.3f}]"
    assert f"yolov5n-clo-head +0.021 {ends}; over the base widened to its params +0.021 [" in page.lead
    assert "Of 3 changes to the models 2 are told from none." in page.lead


def test_a_model_that_the_noise_hides_is_said_to_be_so() -> None:
    page = ablation_content(ablation({"aaaaaaaa": [0.02, -0.03, 0.01]})).page
    assert page.headline == "yolov5n-clo-head is not told from the baseline on these images, given this noise."


def test_a_model_that_loses_is_said_to_lose() -> None:
    page = ablation_content(ablation({"aaaaaaaa": [-0.020, -0.021, -0.022]})).page
    assert (page.headline, page.outcome) == ("yolov5n-clo-head is worse than the baseline on these images.", "worse")


def test_an_ablation_that_has_only_begun_says_that() -> None:
    assert ablation_content(ablation({})).page.headline == "No model has been compared with the baseline yet."


def test_each_row_has_verdict_interval_cost_and_seeds() -> None:
    cells = texts(ablation_content(ablation()).page, "gains")["yolov5n-clo-head"]
    assert cells[1] == "better"
    assert cells[2] == "+0.021"
    assert cells[4:] == ["+20.0 %", "+20.0 %", "3"]


def test_the_strip_holds_each_interval_in_its_order() -> None:
    page = ablation_content(ablation()).page
    table = next(section for section in page.sections if section.key == "gains").tables[0]
    for row in table.rows:
        spark = row.cells[3].spark
        assert spark is not None and spark.outer_low is not None and spark.outer_high is not None
        assert spark.low is not None and spark.high is not None
        assert 0 <= spark.outer_low <= spark.low <= spark.mid <= spark.high <= spark.outer_high <= 100
    firm = table.rows[0].cells[3].spark
    assert firm is not None and firm.outer_low is not None and firm.outer_low > firm.zero, "above zero, as it says"


# --- Unknown noise ----------------------------------------------------------------------------------

UNKNOWN = {
    "one seed": {name: gains[:1] for name, gains in GAINS.items()},
    "the seeds do not differ at all": {name: gains[:1] * 3 for name, gains in GAINS.items()},
}


@pytest.mark.parametrize(("why", "gains"), UNKNOWN.items())
def test_of_unknown_noise_no_interval_is_drawn_and_no_number_of_seeds_named(
    why: str, gains: dict[str, list[float]]
) -> None:
    record = ablation(gains)
    page = ablation_content(record).page
    table = next(section for section in page.sections if section.key == "gains").tables[0]
    for row in table.rows:
        spark, seeds = row.cells[3].spark, row.cells[6]
        assert spark is not None and (spark.low, spark.high, spark.outer_low, spark.outer_high) == (None,) * 4
        assert set(strip(spark, 40)) == {" ", "│", "●"}
        assert seeds.details == ("noise unknown",)
    sure = " ".join(next(section for section in page.sections if section.key == "sure").sentences)
    assert f"the noise is unknown: {why}" in sure
    html = render_html(page)
    assert 'class="thin"' not in html and 'class="bar"' not in html and 'class="mid"' in html
    for text in (re.sub(r"data:[^\"]*", "", html), render_markdown(page)):
        assert not re.search(r"\bnan\b|10,000|power 80", text.partition("<script>")[0], re.IGNORECASE)
    assert draw_forest([("gain", ablation_content(record).gains)], "a").startswith(b"\x89PNG")


def test_the_numbers_of_seeds_say_what_the_estimated_noise_makes_of_their_power() -> None:
    page = ablation_content(ablation({"aaaaaaaa": [0.02, -0.03, 0.02], "bbbbbbbb": [0.01, -0.01, 0.02]})).page
    sure = " ".join(next(section for section in page.sections if section.key == "sure").sentences)
    shares = re.search(r"the power is (\d+) %(?: to (\d+) %)? on average", sure)
    assert shares and all(50 < int(share) < 80 for share in shares.groups() if share)


def test_one_wild_arm_does_not_press_the_others_together() -> None:
    calm = ablation_content(ablation()).gains
    wild = calm.copy()
    wild.loc[2, ["mean", "low", "high", "low_corrected", "high_corrected"]] = [-0.6, -0.7, -0.5, -0.8, -0.4]
    low, high = forest_range(wild)
    assert low > -0.3 and high == pytest.approx(forest_range(calm)[1])


def test_what_was_left_out_and_what_is_not_known_is_said() -> None:
    html = render_html(ablation_content(ablation()).page)
    assert "kv_pool 4&#39; is left out: it computes what" in html
    assert "One data set (digits)" in html


@pytest.mark.parametrize("renderer", [render_html, render_markdown])
def test_every_arm_is_on_every_page(renderer: object) -> None:
    text = renderer(ablation_content(ablation()).page)  # type: ignore[operator]
    for arm in ARMS[1:]:
        assert arm["name"].rpartition(": ")[2] in text


def test_a_hostile_name_is_text() -> None:
    name = '<script>alert(1)</script>[x](javascript:1)"'
    record = ablation(name=name)
    record.arms[1].name = name
    for arm in record.arms[2:]:
        arm.model = name
    html = render_html(ablation_content(record).page)
    assert html.count("<script>") == 2 and "<script>alert" not in html
    outside_code = re.sub(r"```.*?```", "", render_markdown(ablation_content(record).page), flags=re.DOTALL)
    assert not re.search(r"(?<!\\)\]\(javascript", outside_code)


def test_a_page_asks_for_nothing() -> None:
    html = render_html(ablation_content(ablation()).page)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "default-src 'none'" in html


def test_the_picture_has_a_row_an_arm() -> None:
    said = ablation_content(ablation())

    def height(forests: list[tuple[str, object]]) -> int:
        return Image.open(io.BytesIO(draw_forest(forests, "$x$"))).height  # type: ignore[arg-type]

    one = height([("gain", said.gains.head(1))])
    assert height([("gain", said.gains)]) > one + 60
    assert height([("gain", said.gains[:0])]) > 0


def test_a_script_gets_the_same_numbers() -> None:
    found = closing(ablation())
    json.dumps(found, allow_nan=False)
    assert (found["finished"], found["failed"]) == (15, 0)
    assert found["gains"][0]["mean"] == pytest.approx(0.021)
    assert found["answer"].startswith("yolov5n-clo-head beats the baseline on these images.")


def test_a_script_can_tell_too_many_seeds_from_an_unknown_noise() -> None:
    hidden = {**GAINS, "bbbbbbbb": [0.02, 0.01, -0.03]}
    for gains, needed in ((hidden, "more than 10,000"), (UNKNOWN["one seed"], None)):
        found = closing(ablation(gains))
        json.dumps(found, allow_nan=False)
        assert next(each for each in found["gains"] if each["minuend"] == "bbbbbbbb")["readings_needed"] == needed
