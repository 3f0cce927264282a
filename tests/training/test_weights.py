"""Weights are kept for the rung above and no longer; what is lost is made again from the rung below it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.common.atomic import part_of
from harness.record.ladder import parse_rungs
from harness.training.accuracy import Schedule, Training
from harness.training.weights import KeptWeights

TRAINING = Training(
    config={}, data="", classes=1, schedule=Schedule(epochs=1, batch=1, imgsz=32, learning_rate=1e-3), seed=7,
    device="cpu", threads=1, base_config={}, base_weights=None, layers={},
)  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> KeptWeights:
    (tmp_path / "weights").mkdir()
    return KeptWeights(tmp_path / "weights", parse_rungs("3x1, 6x1, 12x1"))


def write(kept: KeptWeights, epochs: int, content: bytes = b"weights") -> str:
    kept.path("a", epochs, 7).write_bytes(content)
    digest = kept.digest("a", epochs, 7)
    assert digest is not None
    return digest


def chain(kept: KeptWeights, epochs: int, digests: dict[int, str]) -> list[tuple[int, int]]:
    """Epochs behind each training of the chain, and those that it adds."""
    return [(each.trained_epochs, each.schedule.epochs) for each in kept.chain(TRAINING, "a", epochs, digests)]


def test_a_step_trains_what_its_level_adds_and_saves_unless_it_is_the_last(kept: KeptWeights) -> None:
    [first] = kept.chain(TRAINING, "a", 3, {})
    assert (first.start, first.trained_epochs, first.schedule.epochs) == (None, 0, 3)
    assert first.save_to == kept.path("a", 3, 7)
    digests = {3: write(kept, 3), 6: write(kept, 6)}
    [last] = kept.chain(TRAINING, "a", 12, digests)
    assert (last.start, last.trained_epochs, last.schedule.epochs) == (kept.path("a", 6, 7), 6, 6)
    assert last.save_to is None


def test_lost_weights_are_made_again_from_the_highest_that_are_sound(kept: KeptWeights) -> None:
    digests = {3: write(kept, 3), 6: write(kept, 6)}
    write(kept, 6, b"damaged")
    assert chain(kept, 12, digests) == [(3, 3), (6, 6)]
    kept.forget("a", 3, 7)
    assert chain(kept, 12, digests) == [(0, 3), (3, 3), (6, 6)]
    write(kept, 3)
    assert chain(kept, 12, {}) == [(0, 3), (3, 3), (6, 6)]  # there, but of no training that was recorded


def test_with_one_number_of_epochs_nothing_is_kept(tmp_path: Path) -> None:
    flat = KeptWeights(tmp_path / "weights", parse_rungs("3x1, 3x3"))
    [only] = flat.chain(TRAINING, "a", 3, {})
    assert (only.start, only.save_to) == (None, None)
    flat.keep_only([])
    assert not (tmp_path / "weights").exists()


def test_what_nobody_goes_on_from_is_removed(kept: KeptWeights, tmp_path: Path) -> None:
    write(kept, 3)
    kept.path("b", 3, 7).write_bytes(b"weights")
    written_now = part_of(tmp_path / "weights" / "a-3-7.pt")
    left_half = written_now.with_name(written_now.name.replace(f".{os.getpid()}.", ".99999999."))
    for half in (written_now, left_half):
        half.write_bytes(b"half")
    kept.keep_only(["a"])
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {"a-3-7.pt", written_now.name}
    written_now.unlink()
    kept.keep_only([])
    assert not (tmp_path / "weights").exists()
