"""The data's table: what is known is shown, hostile names are text, older studies have none."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.report.renderers import render_html
from harness.report.search import search_content
from tests.report import example

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
