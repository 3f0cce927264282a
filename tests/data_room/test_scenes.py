"""One scene: boxes tight around visible ink, digits that stay readable, colours that tell nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.data import scenes as module
from harness.data.scenes import DigitsSettings, PlacedDigit, compose_scene

GLYPHS = load_digits().images.astype(np.float64)
LABELS = load_digits().target.astype(np.int64)


def scene(seed: int, **settings: Any) -> tuple[Any, list[PlacedDigit], Any]:
    rng = np.random.Generator(np.random.PCG64(seed))
    deck = iter(range(20 * seed, 20 * seed + 20))
    return compose_scene(deck, GLYPHS, LABELS, rng, DigitsSettings(**settings))


# --- Boxes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_boxes_are_tight_around_visible_ink(seed: int) -> None:
    _, placed, owner = scene(seed)
    assert placed
    for place, one in enumerate(placed):
        rows, columns = np.nonzero(owner == place)
        assert one.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_ink_differs_from_its_surroundings_where_the_box_says() -> None:
    """Seen from the pixels alone: without noise and blur, a lone digit shows just inside its box."""
    alone = {"digits_min": 1, "digits_max": 1, "contrast_min": 120, "noise_max": 2}
    image, placed, owner = scene(4, **alone)
    left, top, right, bottom = placed[0].box
    inside = np.zeros(owner.shape, bool)
    inside[top:bottom, left:right] = True
    ink, paper = image[owner == 0].mean(0), image[inside & (owner < 0)].mean(0)
    assert np.abs(ink - paper).max() > 60


# --- Places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("covered", "accepted"), [(0, True), (4, True), (5, False), (8, False)])
def test_an_earlier_digit_keeps_its_share_of_ink(covered: int, accepted: bool) -> None:
    """An 8x8 scene has one place for an 8x8 newcomer; a quarter of 16 pixels may be covered."""
    owner = np.full((8, 8), -1, np.int32)
    owner[:, :2] = 0
    newcomer = np.zeros((8, 8), bool)
    newcomer[:, 2:] = True
    newcomer[:covered, 1] = True
    assert (place_in_8x8(newcomer, owner, ink=16) == (0, 0)) == accepted


@pytest.mark.parametrize(("beside", "accepted"), [(12, True), (11, False), (0, False)])
def test_a_newcomer_lies_mostly_beside_other_ink(beside: int, accepted: bool) -> None:
    """Strokes upon strokes cannot be read: 4 pixels on another digit need 12 beside it."""
    owner = np.full((8, 8), -1, np.int32)
    owner[:4] = 0
    newcomer = np.zeros((8, 8), bool)
    newcomer[0, :4] = True
    newcomer[4:].flat[:beside] = True
    assert (place_in_8x8(newcomer, owner, ink=32) == (0, 0)) == accepted


def place_in_8x8(newcomer: Any, owner: Any, ink: int) -> tuple[int, int] | None:
    settings = DigitsSettings(image_size=8, visible_min=0.75, touching=0.0)
    return module._find_place(newcomer, owner, [ink], np.random.default_rng(0), settings)


# --- Colours --------------------------------------------------------------------------------------


def test_digits_come_light_and_dark_and_coloured() -> None:
    """A digit's colour tells nothing about its class, and the set is not grey."""
    lighter: dict[int, list[bool]] = {label: [] for label in range(10)}
    for seed in range(80):
        image, placed, owner = scene(seed)
        grey = image.astype(np.float64).mean(2)
        for place, one in enumerate(placed):
            left, top, right, bottom = one.box
            window, mine = grey[top:bottom, left:right], owner[top:bottom, left:right] == place
            if not mine.all():
                lighter[one.label].append(bool(window[mine].mean() > window[~mine].mean()))
        assert np.ptp(image.reshape(-1, 3).mean(0)) > 0
    shares = [sum(values) / len(values) for values in lighter.values()]
    assert all(0.2 < share < 0.8 for share in shares)
