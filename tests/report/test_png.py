from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import matplotlib.image
import pytest

from harness.analysis.analysis import analyse
from harness.record.study import StudyRecord
from harness.report.figures import AXES, FrontFigure, front_figure
from harness.report.png import draw_png, draw_svg
from tests.report import example


@pytest.mark.parametrize("record", [example.winning(), example.record(example.frame())], ids=["winning", "empty"])
def test_the_picture_is_a_png_at_print_quality(record: StudyRecord) -> None:
    figures = [front_figure(analyse(record), axis) for axis in AXES]
    image = matplotlib.image.imread(io.BytesIO(draw_png(figures, "a study", "an answer")))
    assert image.shape[0] >= 1000 and image.shape[1] >= 2000
    assert image.min() < 0.5 < image.max()


def test_a_name_that_looks_like_mathematics_is_drawn_as_it_is() -> None:
    record = example.winning()
    figures = [front_figure(analyse(record), AXES[0])]
    assert draw_png(figures, r"$\frac{1}{$ \undefined", "$x^{$").startswith(b"\x89PNG")


def sheet() -> list[FrontFigure]:
    record = example.winning()
    return [front_figure(analyse(record), axis) for axis in AXES]


def test_vectors_have_their_text_as_text() -> None:
    texts = {"".join(node.itertext()) for node in ET.fromstring(draw_svg(sheet(), "a study", "an answer")).iter()}
    assert {"a study", "an answer", "3fa9c1d2", AXES[0].title} <= texts


def test_the_same_record_is_the_same_vectors() -> None:
    first, second = (draw_svg(sheet()[:1], "a", "b") for _ in range(2))
    assert first == second
    assert b"<dc:date>" not in first


def test_a_hostile_name_is_only_drawn() -> None:
    root = ET.fromstring(draw_svg(sheet(), "</svg><script>alert(1)</script>\x1b[2J\x00", "&amp; $x^{$"))
    tags = {node.tag.rpartition("}")[2] for node in root.iter()}
    assert "text" in tags and "script" not in tags
    assert any("<script>alert(1)" in (node.text or "") for node in root.iter())
