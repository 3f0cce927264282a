from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from harness.record.surroundings import AA_CHECK
from harness.report import write_report
from harness.report.evidence import METADATA_KEY, MOST_MARKS, MOST_ROWS, WIDTH, Rounds, latency_section
from harness.report.renderers import render_html
from harness.report.search import Beside, search_content
from tests.report import example

FRONT = ["3fa9c1d2", "77e0b1aa", BASELINE, "09ab33f1"]


def checked() -> StudyRecord:
    """The winning study with its A/A check."""
    found = example.winning()
    return replace(found, environment=found.environment | {AA_CHECK: {"ratio": 1.0, "ratio_ci95": [0.99, 1.01]}})


def measured(ratio: float, count: int = 40) -> Rounds:
    """Rounds evenly spread by 0.05 on either side of a ratio."""
    ratios = ratio + np.linspace(-0.05, 0.05, count)
    return Rounds(ratios=ratios, ratio=ratio, low=ratio - 0.01, high=ratio + 0.01)


KNOWN = {BASELINE: measured(1.0), "3fa9c1d2": measured(1.21), "77e0b1aa": measured(1.06), "09ab33f1": measured(1.03)}


def test_the_check_comes_first_then_the_members_of_the_front_as_they_are_ranked() -> None:
    (section,) = latency_section(checked(), FRONT, KNOWN.get)
    (table,) = section.tables
    assert [row.cells[0].text for row in table.rows] == [BASELINE, "3fa9c1d2", "77e0b1aa", "09ab33f1"]
    assert table.rows[0].cells[0].details == ("beside its own copy: A/A",)
    first = table.rows[1].cells
    assert (first[2].text, first[2].details) == ("1.210×", ("[1.200, 1.220]",))
    assert (first[3].text, first[4].text) == ("[1.185, 1.235]", "40")


def test_all_strips_share_one_scale_that_holds_one() -> None:
    (section,) = latency_section(checked(), FRONT, KNOWN.get)
    (table,) = section.tables
    strips = {row.cells[0].text: row.cells[1].strip for row in table.rows}
    check, candidate = strips[BASELINE], strips["3fa9c1d2"]
    assert check is not None and candidate is not None
    assert check.one == candidate.one == check.mid  # the check's ratio is 1
    assert 0 < check.low < check.mid < check.high < candidate.low < candidate.mid < candidate.high < WIDTH
    unit = (candidate.mid - check.mid) / 0.21
    assert (candidate.high - candidate.low) / unit == pytest.approx(0.02, abs=0.001)
    assert all(0 < mark < WIDTH for mark in candidate.marks)


def test_many_rounds_are_drawn_as_quantiles_and_one_wild_round_at_the_edge() -> None:
    wild = measured(1.06, 10_000)
    wild.ratios[0] = 50.0
    (section,) = latency_section(checked(), ["77e0b1aa"], {"77e0b1aa": wild}.get)
    (table,) = section.tables
    strip = table.rows[0].cells[1].strip
    assert strip is not None and len(strip.marks) == MOST_MARKS
    assert strip.mid > 0.3 * WIDTH


def test_a_file_of_another_measurement_is_not_drawn_and_said() -> None:
    known = {**KNOWN, "3fa9c1d2": measured(1.34)}
    (found,) = latency_section(checked(), FRONT, known.get)
    assert "3fa9c1d2" not in [row.cells[0].text for row in found.tables[0].rows]
    assert found.sentences[-1] == "Not drawn, for want of a file of the same measurement: 3fa9c1d2."


def test_without_files_one_sentence_says_so() -> None:
    nothing: dict[str, Rounds] = {}
    for read in (None, nothing.get):
        (found,) = latency_section(checked(), FRONT, read)
        assert found.tables == ()
        assert len(found.sentences) == 1 and "not drawn" in found.sentences[0]


def test_where_no_latency_was_measured_nothing_is_said() -> None:
    record = example.winning()
    bare = replace(record, trials=record.trials.assign(latency_ratio=float("nan")))
    assert list(latency_section(bare, FRONT, KNOWN.get)) == []


def test_a_large_front_is_cut_and_said() -> None:
    names = [f"{number:08x}" for number in range(MOST_ROWS + 4)]
    record = example.record(example.frame(example.baseline(0), *(example.candidate(name, [0.01]) for name in names)))
    (found,) = latency_section(record, names, lambda _: measured(1.1))
    assert len(found.tables[0].rows) == MOST_ROWS
    assert found.sentences[-1] == "4 further members of the front are not drawn."


def test_the_page_draws_them_in_less_than_200_kb_and_is_whole_without() -> None:
    many = {name: measured(each.ratio, 5000) for name, each in KNOWN.items()}
    drawn, bare = (render_html(search_content(checked(), Beside(rounds=read)).page) for read in (many.get, None))
    assert drawn.count('<svg class="strip"') == 4
    assert 0 < len(drawn) - len(bare) < 50_000  # of 16 rows less than 200 kB
    assert '<svg class="strip"' not in bare and "The single rounds are not drawn" in bare


def test_a_written_report_finds_the_files_beside_it(tmp_path: Path) -> None:
    rounds = pd.DataFrame({"round": np.repeat(range(20), 4), "position": [0, 1, 2, 3] * 20})
    rounds["model"] = ["candidate", "baseline", "baseline", "candidate"] * 20
    rounds["latency_ms"] = [12.1, 10.0, 10.0, 12.1] * 20
    table = pa.Table.from_pandas(rounds)
    figures = json.dumps({"ratio": 1.21, "ratio_ci95": [1.2, 1.22]}).encode()
    folder = tmp_path / "latency"
    folder.mkdir()
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: figures}), folder / "3fa9c1d2.parquet")
    write_report(checked(), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<svg class="strip"') == 1
    assert "want of a file of the same measurement: baseline, 77e0b1aa, 09ab33f1." in page


COUNTS = {
    "images_used": 640, "objects": 3502, "images_unused": {"of 0 bytes": 2},
    "objects_by_class": {"<b>cat": 3000, "dog": 502}, "objects_per_image": [6.0, 8.0, 17.0],
    "box_side_px": [9.2, 20.1, 35.2], "below_a_cell": {"8": 0.0086, "16": 0.3505, "32": 0.8716},
}  # fmt: skip


def test_the_boxes_are_said_at_the_size_of_the_training() -> None:
    record = example.winning()
    counted = replace(record, environment=record.environment | {"data_counts": {"train": COUNTS, "val": COUNTS}})
    page = search_content(counted).page
    rows = {row.cells[0].text: row.cells[1].text for row in page["data"].tables[0].rows}
    assert rows["Images"] == "640" and rows["Images not used"] == "2"
    assert rows["Objects an image: median, 95 % of the images, most"] == "6, 8, 17"
    assert rows["Side of a box, px: 5 % of the boxes, median, 95 %"] == "9.2, 20.1, 35.2"
    assert rows["Boxes below one cell of stride 16 px"] == "35.0 %"
    assert rows["Objects of class <b>cat"] == "3,000"
    assert "128 px" in page["data"].note and "<b>cat" not in render_html(page)


def test_no_two_parts_of_a_page_have_one_name() -> None:
    """A section called `data` once took the place of the scripts' data, and nothing was drawn any more."""
    record = example.winning()
    counted = replace(record, environment=record.environment | {"data_counts": {"train": COUNTS, "val": COUNTS}})
    html = re.sub("<template.*?</template>", "", render_html(search_content(counted).page), flags=re.DOTALL)
    names = re.findall(r'<[a-z][^<>]* id="([^"]+)"', html)
    assert len(names) == len(set(names)) > 20


def test_of_very_many_classes_the_rest_is_summed_up() -> None:
    many = COUNTS | {"objects_by_class": {f"c{at}": 100 - at for at in range(30)}}
    record = example.winning()
    counted = replace(record, environment=record.environment | {"data_counts": {"train": many, "val": many}})
    last = search_content(counted).page["data"].tables[0].rows[-1]
    assert [cell.text for cell in last.cells[:2]] == ["Objects of 10 further classes", str(sum(range(71, 81)))]


def test_a_study_from_before_boxes_were_counted_has_no_such_section() -> None:
    record = example.winning()
    old = replace(record, environment=record.environment | {"data_counts": {"train": {"images_used": 5}}})
    for each in (record, old):
        assert "data" not in {section.key for section in search_content(each).page.sections}
