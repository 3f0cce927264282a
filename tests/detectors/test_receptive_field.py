from __future__ import annotations

import pytest

from harness.detectors import resolve_base
from harness.detectors.receptive_field import receptive_field


def test_the_detector_of_the_controls_sees_what_its_convolutions_reach() -> None:
    # Strides 2, 2, 8 px steps: Conv 3×3 s2 (3), Conv 3×3 s2 (7), C3 3×3 at 4 px (15), Conv 3×3 s2 (23), C3 3×3 at 8 px
    # (39), two 3×3 of Detect (71).
    reach, step = 1, 1
    for stride, kernel in ((2, 3), (2, 3), (1, 3), (2, 3), (1, 3), (1, 3), (1, 3)):
        reach, step = reach + (kernel - 1) * step, step * stride
    assert reach == 71
    assert receptive_field(resolve_base("nearsighted"), 128) == reach


@pytest.mark.parametrize("name", ["yolov5n", "yolo26n"])
def test_common_detectors_see_the_whole_of_a_small_image(name: str) -> None:
    assert receptive_field(resolve_base(name), 128) == 128
