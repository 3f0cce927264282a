"""A widened base is as large as asked, by an independent count, and is the base otherwise."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.architecture.choices import Size
from harness.common.errors import UserError
from harness.cost.counts import Cost, model_cost
from harness.detectors import Base, Widening, build, find_sites, resolve_base, to_yaml, widened
from harness.detectors.model_yaml import Description
from harness.detectors.widen import expansion

IMGSZ = 64
CASES = [
    *((name, size) for name in ("yolov5n", "yolo11n") for size in Size),
    ("yolov8n", Size.MACS),
    ("yolo26n", Size.PARAMS),
    ("yolov7-tiny", Size.MACS),
    ("yolov9t", Size.PARAMS),
]


@functools.cache
def base(name: str) -> Base:
    return resolve_base(name)


def cost(config: Description) -> Cost:
    return model_cost(build(config, 10), IMGSZ)


@functools.cache
def base_cost(name: str) -> Cost:
    return cost(base(name).config)


def widen(name: str, size: Size, added: int) -> Widening:
    return widened(base(name), size=size, added=added, imgsz=IMGSZ, classes=10)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_it_is_as_large_as_asked(name: str, size: Size) -> None:
    wanted = int(0.05 * getattr(base_cost(name), size))
    found = widen(name, size, wanted)
    counted = cost(found.config)
    assert counted.params - base_cost(name).params == found.params
    assert counted.macs - base_cost(name).macs == found.macs
    assert getattr(found, size) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("share", [0.005, 1.5])
def test_a_little_or_much_can_be_added(share: float) -> None:
    wanted = int(share * base_cost("yolov5n").params)
    found = widen("yolov5n", Size.PARAMS, wanted)
    assert cost(found.config).params - base_cost("yolov5n").params == found.params
    assert found.params == pytest.approx(wanted, rel=0.03)


def test_all_layers_are_widened_by_about_one_factor() -> None:
    found = widen("yolov5n", Size.PARAMS, 500_000)
    assert list(found.widths) == [2, 4, 6, 8, 13, 17, 20, 23]
    narrowest = min(after / before for before, after in found.widths.values())
    assert narrowest > 1.1
    for before, after in found.widths.values():
        assert abs(after - narrowest * before) <= 4 + 0.5 * narrowest  # a rounded step, and one more


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n"])
def test_sites_and_maps_between_layers_stay(name: str, tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(to_yaml(widen(name, Size.PARAMS, 200_000).config))

    def places(detector: Base) -> dict[str, tuple[int, int, int]]:
        return {site.name: (site.layer, site.channels, site.stride) for site in find_sites(detector).values()}

    assert places(resolve_base(str(path))) == places(base(name))


@pytest.mark.parametrize("name", ["yolov5n", "yolov7-tiny"])
def test_its_yaml_is_the_same_detector(name: str, tmp_path: Path) -> None:
    config = widen(name, Size.PARAMS, 100_000).config
    path = tmp_path / "wide.yaml"
    path.write_text(to_yaml(config))
    shapes = [
        {key: tensor.shape for key, tensor in model.state_dict().items()}
        for model in (build(config), resolve_base(str(path)).build())
    ]
    assert shapes[0] == shapes[1]


def test_rows_that_are_not_widened_stay_as_written() -> None:
    found = widen("yolov8n", Size.MACS, 500_000)
    rows = [*found.config["backbone"], *found.config["head"]]
    written = [*base("yolov8n").config["backbone"], *base("yolov8n").config["head"]]
    changed = {number for number, (row, old) in enumerate(zip(rows, written, strict=True)) if row[2:] != old[2:]}
    assert changed == set(found.widths)
    assert base("yolov8n").config == resolve_base("yolov8n").config


def test_ultralytics_own_forms_of_a_scale_are_kept() -> None:
    config = resolve_base("yolo11m").config  # where every C3k2 has C3k inside, whatever its row says
    medium = Base(name="thin yolo11m", config={**config, "scales": {"m": [0.5, 0.25, 512]}})
    found = widened(medium, size=Size.PARAMS, added=100_000, imgsz=IMGSZ, classes=10)
    wide, original = build(found.config, 10), medium.build(10)
    assert sum(p.numel() for p in wide.parameters()) - sum(p.numel() for p in original.parameters()) == found.params
    assert [type(m).__name__ for m in wide.modules()] == [type(m).__name__ for m in original.modules()]


@pytest.mark.parametrize("added", [-1000, 0, 10])
def test_less_than_a_step_is_refused(added: int) -> None:
    with pytest.raises(UserError, match=rf"yolov5n: cannot be widened by {added:,} params; the smallest step adds 9"):
        widen("yolov5n", Size.PARAMS, added)


def test_a_base_without_layers_to_widen_is_refused() -> None:
    with pytest.raises(UserError, match=r"yolov3-tiny: has no layer whose hidden channels can be widened; such are C3"):
        widen("yolov3-tiny", Size.PARAMS, 100_000)


@given(outputs=st.integers(8, 2048), share=st.floats(0.01, 8))
@example(outputs=100, share=0.29)
def test_an_expansion_gives_exactly_the_channels_meant(outputs: int, share: float) -> None:
    hidden = max(1, round(outputs * share))
    e = expansion(hidden, outputs)
    assert int(outputs * e) == hidden
    assert len(str(e)) <= 8
