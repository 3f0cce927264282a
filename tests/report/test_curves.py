from __future__ import annotations

import io

import numpy as np
import pandas as pd
from matplotlib import image

from harness.report.png import draw_sampler_curves

CURVES = pd.DataFrame(
    {
        "sampler": ["cost-aware"] * 3 + ["random"] * 3, "trainings": [1, 2, 3] * 2, "low": [0.1, 0.2, 0.3] * 2,
        "median": [0.2, 0.4, 0.5] * 2, "high": [0.3, 0.6, 0.9] * 2,
    }
)  # fmt: skip


def test_a_png_has_a_line_and_a_band_of_each_sampler() -> None:
    pixels = image.imread(io.BytesIO(draw_sampler_curves(CURVES, "mine.csv", "png")))[..., :3]
    for color in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert (np.abs(pixels - np.array(color) / 255).max(axis=-1) < 0.02).sum() > 200


def test_an_svg_is_the_same_each_time_and_a_title_is_no_mathematics() -> None:
    svg = draw_sampler_curves(CURVES, "a $x_1 table", "svg").decode()
    assert svg.startswith("<?xml") and "</svg>" in svg and "<dc:date>" not in svg
    assert svg == draw_sampler_curves(CURVES, "a $x_1 table", "svg").decode()


def test_one_training_is_drawn_too() -> None:
    assert draw_sampler_curves(CURVES[CURVES.trainings == 1], "mine.csv", "png").startswith(b"\x89PNG")
