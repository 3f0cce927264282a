"""What blocks and detectors with blocks make of a picture, from the same seed.

Processors add in other orders: numbers are compared to 1e-4. A seed also fixes the order in which weights are drawn;
another order would be another training of every study.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.characterisation import pure_door, pure_figures
from tests.characterisation.pure_cases import BASE, BLOCKS, INSERTED, PLACEMENTS

EXPECTED = pure_figures.expected("golden")
TOLERANCE = 1e-4
SAME = 1e-6
STARTS_AS_BASE = (
    "block",
    "block inside",
    "block, plain FFN",
    "all global",
    "convolution",
    "gate tanh",
    "se, reduction 4",
)


def assert_near(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found["shape"] == wanted["shape"]
    for key in ("mean", "std", "some"):
        assert found[key] == pytest.approx(wanted[key], rel=TOLERANCE, abs=TOLERANCE), key


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_makes_the_same_of_a_picture(name: str) -> None:
    found, wanted = pure_figures.of_block(name), EXPECTED["blocks"][name]
    assert found["parameters"] == wanted["parameters"]
    assert_near(found["started"], wanted["started"])
    assert_near(found["awake"], wanted["awake"])


@pytest.mark.parametrize("name", INSERTED)
def test_a_detector_with_blocks_makes_the_same_of_a_picture(name: str) -> None:
    found, wanted = pure_figures.of_detector(name), EXPECTED["detectors"][name]
    assert found["transfer"] == wanted["transfer"]
    assert_near(found["boxes"], wanted["boxes"])
    assert_near(found["scores"], wanted["scores"])


@pytest.mark.parametrize("name", STARTS_AS_BASE)
def test_a_detector_with_blocks_starts_as_its_base(name: str) -> None:
    torch.manual_seed(0)
    base, inserted, _ = pure_door.base_and_inserted(BASE, PLACEMENTS[name])
    with torch.no_grad():
        before, after = (pure_figures.detections(network, 64) for network in (base, inserted))
        torch.testing.assert_close(after, before, rtol=SAME, atol=SAME)
        pure_figures.wake(inserted)
        assert not torch.allclose(pure_figures.detections(inserted, 64)[1], before[1], rtol=1e-2)


def test_nothing_is_accepted_that_is_not_asked_for() -> None:
    assert (set(EXPECTED["blocks"]), set(EXPECTED["detectors"])) == (set(BLOCKS), set(INSERTED))
