from __future__ import annotations

import math

import pandas as pd
import pytest

from harness.analysis.knee import chord_distances, knee


def frame(**points: tuple[float, float]) -> pd.DataFrame:
    """Label to (gain, cost)."""
    return pd.DataFrame.from_dict(points, orient="index", columns=["gain", "cost"])


def test_the_distance_is_that_of_a_point_to_the_line_x_equals_y() -> None:
    # normalised: (cost 0, gain 0), (0.25, 0.75), (1, 1); |0.75 − 0.25| / √2
    found = chord_distances(frame(a=(0, 10), b=(3, 15), c=(4, 30)), "gain", "cost")
    assert dict(found) == pytest.approx({"a": 0.0, "b": 0.5 / math.sqrt(2), "c": 0.0})


def test_a_quarter_circle_bends_most_at_45_degrees() -> None:
    angles = [i * math.pi / 16 for i in range(9)]  # from (cost 0, gain 0) to (1, 1), bulging towards less cost
    circle = frame(**{f"p{i}": (math.sin(a), 1 - math.cos(a)) for i, a in enumerate(angles)})
    assert knee(circle, "gain", "cost", list(circle.index)) == "p4"
    assert chord_distances(circle, "gain", "cost")["p4"] == pytest.approx(1 - math.sqrt(0.5))


@pytest.mark.parametrize(("gain_unit", "cost_unit"), [(1, 1), (1e-3, 1e9), (100, 0.01)])
def test_units_do_not_matter(gain_unit: float, cost_unit: float) -> None:
    points = frame(a=(0, 1), b=(3, 2), c=(3.5, 4), d=(4, 9)) * [gain_unit, cost_unit]
    assert knee(points, "gain", "cost", ["a", "b", "c", "d"]) == "b"


def test_a_point_below_the_chord_is_passed_over_for_the_end() -> None:
    points = frame(baseline=(0, 1.0), under=(1, 1.5), top=(4, 2.0))
    assert chord_distances(points, "gain", "cost")["under"] < 0
    assert knee(points, "gain", "cost", ["under", "top"]) == "top"


def test_what_may_not_be_picked_still_holds_the_chord() -> None:
    points = frame(baseline=(0, 1.0), near=(3, 1.2), top=(4, 2.0))
    assert knee(points, "gain", "cost", ["near", "top"]) == "near"
    assert knee(points, "gain", "cost", ["top"]) == "top"


def test_the_dominated_and_the_unmeasured_are_never_picked() -> None:
    points = frame(a=(1, 1), beaten=(0.5, 2), unknown=(9, float("nan")), endless=(9, float("inf")))
    assert knee(points, "gain", "cost", ["beaten", "unknown", "endless"]) is None
    assert list(chord_distances(points, "gain", "cost").index) == ["a"]
    assert knee(points[:0], "gain", "cost", []) is None


def test_of_two_ends_and_of_copies_the_cheapest_is_picked() -> None:
    assert knee(frame(dear=(2, 2), cheap=(1, 1)), "gain", "cost", ["dear", "cheap"]) == "cheap"
    assert knee(frame(a=(1, 1), copy=(1, 1)), "gain", "cost", ["a", "copy"]) == "a"
