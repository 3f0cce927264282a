"""A training repeats bit for bit, a pair of trainings differs by the block alone, and every end has its reason."""

from __future__ import annotations

import errno
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics import YOLO

from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.detectors import build, resolve_base
from harness.training import accuracy
from harness.training.accuracy import NotANumberError, OutOfMemoryError, Training, initial_model, save_checkpoint, train
from tests.training.watched import (
    BASELINE,
    BLOCKS,
    IMAGES,
    ITERATIONS,
    SCHEDULE,
    Run,
    base_tensors,
    new_tensors,
    same,
    watch,
)

pytestmark = pytest.mark.usefixtures("torch_as_it_was")
STILL = dict.fromkeys(accuracy._AUGMENTATION, 0.0)


# --- Seeds ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_repeats_bit_for_bit(run: Callable[..., Run]) -> None:
    first = run(BLOCKS)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - whatever went on in the process before makes no difference
    torch.manual_seed(5)
    second = run(BLOCKS, attempt=1)
    assert first.result is not None and second.result is not None
    assert (first.result.map50_95, first.result.map50) == (second.result.map50_95, second.result.map50)
    assert first.batches == second.batches
    assert same(first.final(), second.final())


@pytest.mark.slow
def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(run: Callable[..., Run]) -> None:
    order = run(BLOCKS).order
    one, two = order[:IMAGES], order[IMAGES:]
    assert len(set(one)) == IMAGES
    assert sorted(one) == sorted(two)
    assert one != two


@pytest.mark.slow
def test_another_seed_shows_the_images_in_another_order(run: Callable[..., Run]) -> None:
    first, second = run(BLOCKS), run(BLOCKS, seed=1)
    assert sorted(first.order) == sorted(second.order)
    assert first.order != second.order


@pytest.mark.slow
def test_another_seed_augments_differently(run: Callable[..., Run]) -> None:
    first, second = run(BLOCKS), run(BLOCKS, seed=1)
    assert not first.images & second.images


def test_another_seed_draws_other_new_blocks_on_the_same_base(training: Callable[..., Training]) -> None:
    first, second = (initial_model(training(BLOCKS, seed))[0] for seed in (0, 1))
    assert same(base_tensors(first), base_tensors(second))
    drawn = [name for name in new_tensors(first) if name.endswith(".weight") and "norm" not in name]
    assert drawn
    assert not any(torch.equal(new_tensors(first)[name], new_tensors(second)[name]) for name in drawn)


def test_from_scratch_another_seed_draws_everything_anew(training: Callable[..., Training]) -> None:
    first, second = (initial_model(training(BASELINE, seed, base_weights=None))[0] for seed in (0, 1))
    assert not torch.equal(first.state_dict()["model.0.conv.weight"], second.state_dict()["model.0.conv.weight"])


@pytest.mark.slow
def test_candidate_and_baseline_of_one_seed_see_the_same_batches(run: Callable[..., Run]) -> None:
    candidate, baseline = run(BLOCKS), run(BASELINE)
    assert len(baseline.steps) == ITERATIONS
    assert candidate.order == baseline.order
    assert candidate.batches == baseline.batches


# --- The start ------------------------------------------------------------------------------------


@pytest.mark.parametrize("from_scratch", [False, True])
def test_before_the_first_step_the_candidate_is_its_base_bit_for_bit(
    training: Callable[..., Training], from_scratch: bool
) -> None:
    others = {"base_weights": None} if from_scratch else {}
    (candidate, moved), (baseline, _) = (initial_model(training(a, seed=3, **others)) for a in (BLOCKS, BASELINE))
    tensors = len(baseline.state_dict())
    assert (moved.arrived, moved.total) == (tensors, tensors)
    assert moved.new == set(candidate.state_dict()) - set(base_tensors(candidate))
    assert same(dict(enumerate_values(base_tensors(candidate))), dict(enumerate_values(baseline.state_dict())))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(candidate.eval()(image)[0], baseline.eval()(image)[0])


def enumerate_values(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Layers have other numbers in a detector with blocks, but the same order."""
    return ((str(number), tensor) for number, tensor in enumerate(tensors.values()))


def test_a_training_that_goes_on_begins_where_the_shorter_one_ended(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    ended = training(BLOCKS)
    shorter = initial_model(ended)[0]
    with torch.no_grad():
        for tensor in shorter.state_dict().values():
            tensor.add_(1)
    save_checkpoint(shorter, tmp_path / "shorter.pt")
    longer, moved = initial_model(replace(ended, start=tmp_path / "shorter.pt", trained_epochs=2))
    assert same(longer.state_dict(), shorter.state_dict())
    assert moved == initial_model(ended)[1]  # the new blocks keep their rate


@pytest.mark.slow
def test_a_training_that_goes_on_sees_batches_of_its_own(
    run: Callable[..., Run], training: Callable[..., Training], tmp_path: Path
) -> None:
    first = run(BLOCKS)
    going_on = replace(training(BLOCKS), start=first.saved, trained_epochs=2)
    second = watch(replace(going_on, schedule=replace(SCHEDULE, epochs=1)), tmp_path / "longer.pt")
    assert len(second.steps) == ITERATIONS // 2
    assert sorted(second.order) == sorted(first.order[:IMAGES])
    assert second.order not in (first.order[:IMAGES], first.order[IMAGES:])
    assert not first.images & second.images
    assert second.steps[0].rates > first.steps[-1].rates  # warmed up again
    assert not same(first.final(), second.final())


def test_a_base_with_other_classes_says_what_stayed_behind(training: Callable[..., Training], tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    save_checkpoint(build(resolve_base("yolov5n").config, 3), other)
    _, moved = initial_model(training(BLOCKS, base_weights=other))
    assert "base tensors transferred; left behind: model." in str(moved)


# --- Every end has its reason ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_training(training: Callable[..., Training]) -> None:
    hot = training(BLOCKS, schedule=replace(SCHEDULE, learning_rate=1e30))
    with pytest.raises(NotANumberError, match=r"loss is (nan|inf) at iteration [234]"):
        train(hot)


@pytest.mark.slow
def test_too_little_memory_ends_the_training_instead_of_halving_the_batch(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []

    def too_large(self: Any, batch: dict[str, Any]) -> dict[str, Any]:
        batches.append(len(batch["img"]))
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(accuracy.Trainer, "preprocess_batch", too_large)
    with pytest.raises(OutOfMemoryError, match="out of memory with batch 8 on cpu"):
        train(training(BLOCKS))
    assert batches == [8]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_a_gpu_that_is_not_there_is_the_users_error(training: Callable[..., Training]) -> None:
    with pytest.raises(UserError, match="--device 7: no such CUDA device here; use cpu or auto"):
        train(training(BLOCKS, device="7"))


def test_an_accuracy_that_is_no_number_is_a_failure(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pretend(self: Any) -> None:
        figures = {"map50_95": math.nan, "map50": 0.5, "evaluator": "anyone"}
        self.validator = SimpleNamespace(figures=lambda: figures)

    monkeypatch.setattr(accuracy.Trainer, "train", pretend)
    with pytest.raises(NotANumberError, match="mAP is nan after training"):
        train(training(BLOCKS, save_to=tmp_path / "x.pt"))
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.slow
def test_weights_that_are_no_numbers_after_the_last_step_are_a_failure(training: Callable[..., Training]) -> None:
    one_step = replace(SCHEDULE, batch=48, epochs=1, learning_rate=math.nan)  # its only loss is still finite
    with pytest.raises(NotANumberError, match=r"not finite|is nan"):
        train(training(BLOCKS, schedule=one_step))


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_is_written_beside_the_users_data(run: Callable[..., Run], data: Path) -> None:
    run(BLOCKS)
    kinds = {path.suffix for path in data.parent.rglob("*") if path.is_file()}
    assert kinds == {".png", ".txt", ".yaml", ".json"}
    assert list((cache_folder() / "labels").glob("*.cache"))


def test_what_a_training_writes_meanwhile_lies_in_the_cache_and_goes_with_it(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def look(self: Any) -> None:
        folders.append(self.save_dir)
        (self.save_dir / "weights").mkdir(parents=True, exist_ok=True)
        raise NotANumberError("loss is nan")

    monkeypatch.setattr(accuracy.Trainer, "train", look)
    with pytest.raises(NotANumberError):
        train(training(BLOCKS))
    [folder] = folders
    assert folder.is_relative_to(cache_folder())
    assert not folder.exists()


@pytest.mark.slow
def test_what_is_saved_is_what_was_validated_and_loads_with_plain_ultralytics(run: Callable[..., Run]) -> None:
    trained = run(BLOCKS)
    assert trained.averaged is not None
    assert same(trained.averaged.state_dict(), trained.final())
    detector = YOLO(trained.saved)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = trained.averaged.eval()(image)[0]
        found = detector.model.float().eval()(image)[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)  # boxes, in pixels; other memory format
    picture = (image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    (predicted,) = detector.predict(picture, imgsz=64, device="cpu", verbose=False, save=False)
    assert predicted.names == {number: str(number) for number in range(10)}


def test_a_checkpoint_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a file's size")
    model = build(resolve_base("yolov5n").config, 3)
    path = tmp_path / "new" / "base.pt"
    save_checkpoint(model, path)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))  # to Python, a disk that has no more room
    try:
        with pytest.raises(OSError, match="too large") as error:
            save_checkpoint(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["base.pt"]


@pytest.mark.slow
def test_augmentation_can_be_chosen(training: Callable[..., Training], run: Callable[..., Run], tmp_path: Path) -> None:
    still = training(BASELINE, schedule=replace(SCHEDULE, augmentation=STILL))
    steps = watch(still, tmp_path / "still.pt").steps
    by_file = [dict(zip(step.files, step.images, strict=True)) for step in steps]
    first, second = by_file[0] | by_file[1], by_file[2] | by_file[3]
    assert first == second  # the same image is the same in every epoch
    assert not set(first.values()) & run(BASELINE).images


@pytest.mark.parametrize(("native", "amp"), [(True, "bf16"), (False, True)])
def test_a_gpu_gets_mixed_precision_and_images_from_memory(
    native: bool, amp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulated bfloat16, as on a T4, is slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert accuracy._for_the_device("0") == {"amp": amp, "cache": "ram"}
    assert accuracy._for_the_device("cpu") == {"amp": False, "cache": False}


@pytest.mark.parametrize(("epochs", "without"), [(1, 0), (2, 1), (3, 1), (14, 1), (16, 2), (100, 10)])
def test_mosaic_ends_with_ultralytics_share_of_a_training(
    epochs: int, without: int, training: Callable[..., Training], tmp_path: Path
) -> None:
    def arguments(augmentation: Mapping[str, float]) -> Any:
        asked = training(BASELINE, schedule=replace(SCHEDULE, epochs=epochs, augmentation=augmentation))
        return accuracy.Trainer(*initial_model(asked)[:1], asked, initial_model(asked)[1], tmp_path, None).args

    own = arguments(accuracy.PUBLISHED_AUGMENTATION)
    assert (own.close_mosaic, own.mosaic, own.workers) == (without, 1.0, 0)
    assert arguments({}).close_mosaic == 0


@pytest.mark.slow
def test_a_training_with_mosaic_repeats_bit_for_bit_and_its_last_epoch_has_none(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    mosaic = training(BASELINE, schedule=replace(SCHEDULE, augmentation={**STILL, "mosaic": 1.0}))
    first, second = (watch(mosaic, tmp_path / f"{attempt}.pt") for attempt in "ab")
    still = watch(training(BASELINE, schedule=replace(SCHEDULE, augmentation=STILL)), tmp_path / "still.pt")
    assert first.batches == second.batches
    in_epoch = [{image for step in first.steps[start : start + 2] for image in step.images} for start in (0, 2)]
    assert not in_epoch[0] & still.images
    assert in_epoch[1] <= still.images
