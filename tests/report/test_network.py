from __future__ import annotations

from harness.architecture import Architecture, Kind, LocalGroup, Mode, Operator, Placement
from harness.report.comparison import blocks, network, shape

YOLO = ["backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPF", "neck.P4_up", "neck.P3", "neck.P4", "neck.P5"]


def test_a_pyramid_is_three_columns_with_a_row_for_each_stride() -> None:
    found = {place.site: (place.column, place.row) for place in network(YOLO).places}
    assert found == {
        "backbone.P3": (0, 0), "backbone.P4": (0, 1), "backbone.P5": (0, 2), "backbone.SPPF": (0, 3),
        "neck.P4_up": (1, 1), "neck.P3": (2, 0), "neck.P4": (2, 1), "neck.P5": (2, 2),
    }  # fmt: skip
    assert network(YOLO).rows == 4


def test_places_are_in_the_order_of_the_graph_whatever_order_they_came_in() -> None:
    assert [place.site for place in network(reversed(YOLO)).places] == YOLO


def test_no_two_sites_have_one_place_and_unknown_ones_stand_below() -> None:
    found = network([*YOLO, "neck.P3", "somewhere", "<b>", "else", "more"]).places
    assert len({(place.column, place.row) for place in found}) == len(found) == len(YOLO) + 4
    assert {place.row for place in found if place.site not in YOLO} == {4, 5}
    assert network([]).rows == 0


def test_shapes_are_short_and_texts_whole() -> None:
    clo = Placement(
        site="neck.P4", kind=Kind.ATTENTION, groups=(LocalGroup(9, 6),), global_heads=2, kv_pool=4, mode=Mode.INSIDE
    )
    assert shape(clo) == "6×k9+2g/4"
    window = Placement(site="neck.P4", groups=(LocalGroup(3, 2),), operator=Operator.WINDOW)
    assert shape(window).startswith("2×k3 ")
    registered = Placement(site="neck.P3", kind="se", options=(("reduction", 16),))
    assert shape(registered) == "reduction 16"
    found = blocks(Architecture(base="yolov5n", placements=(clo, registered)))
    assert [(block.site, block.kind) for block in found] == [("neck.P3", "se"), ("neck.P4", "in attention")]
    assert found[1].text == clo.describe()
    assert all(len(block.shape) <= 14 and len(block.kind) <= 14 for block in found)
