from __future__ import annotations

import io

import matplotlib.image
import pytest

from harness.analysis.statistics import summarise
from harness.records import StudyRecord
from harness.report.figures import AXES, front_figure
from harness.report.png import draw_png
from tests.report import example


@pytest.mark.parametrize("record", [example.winning(), example.record(example.frame())], ids=["winning", "empty"])
def test_the_picture_is_a_png_at_print_quality(record: StudyRecord) -> None:
    figures = [front_figure(record, summarise(record.trials), axis, 3) for axis in AXES]
    image = matplotlib.image.imread(io.BytesIO(draw_png(figures, "a study", "an answer")))
    assert image.shape[0] >= 1000 and image.shape[1] >= 2000
    assert image.min() < 0.5 < image.max()


def test_a_name_that_looks_like_mathematics_is_drawn_as_it_is() -> None:
    record = example.winning()
    figures = [front_figure(record, summarise(record.trials), AXES[0], 3)]
    assert draw_png(figures, r"$\frac{1}{$ \undefined", "$x^{$").startswith(b"\x89PNG")
