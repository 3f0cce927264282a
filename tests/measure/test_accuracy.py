"""A training repeats bit for bit, a pair of trainings differs by the block alone, and every end has its reason."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.utils import LOGGER

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.blocks import CloBlock
from harness.data.digits import DigitsSettings, ensure_digits
from harness.detectors import build, find_sites, index_map, insert, resolve_base
from harness.errors import UserError
from harness.isolation import cache_folder
from harness.measure import accuracy
from harness.measure.accuracy import (
    Accuracy,
    NotANumberError,
    OutOfMemoryError,
    Schedule,
    Training,
    initial_model,
    save_checkpoint,
    train,
)
from harness.measure.coco import Truth
from harness.measure.image_bootstrap import weighted_map50_95
from harness.torchvision_compat import ensure_torchvision

SCHEDULE = Schedule(
    epochs=2, batch=8, imgsz=64, learning_rate=1e-3, block_rate_factor=5.0, warmup=0.25, averaged_tail=0.3
)
IMAGES, ITERATIONS = 16, 4  # two epochs of two batches
BASELINE = Architecture(base="yolov5n")
BLOCKS = Architecture(
    base="yolov5n",
    placements=(
        Placement(site="neck.P4", groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2, ffn_ratio=2),
        Placement(site="neck.P5", kind=Kind.ATTENTION, global_heads=2),
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _leave_torch_as_it_was() -> Iterator[None]:
    """A training happens in a process of its own, so it may set what is global; these run in the tests' process."""
    threads, level = torch.get_num_threads(), LOGGER.level
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    LOGGER.setLevel(level)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = DigitsSettings(train_images=IMAGES, val_images=8, height_min=24, height_max=60)
    return ensure_digits(tmp_path_factory.mktemp("data"), few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base's checkpoint; what is in it does not matter here, so it is not trained."""
    torch.manual_seed(77)
    path = tmp_path_factory.mktemp("base") / "base.pt"
    save_checkpoint(build(resolve_base("yolov5n").config, 10), path)
    return path


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step of a training saw and left."""

    files: list[str]
    images: list[str]  # hashes, one an image
    rates: list[float]
    weights: dict[str, torch.Tensor]


@dataclass(kw_only=True)
class Run:
    """A training, watched."""

    result: Accuracy | None = None
    steps: list[Step] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    averaged: nn.Module | None = None
    saved: Path

    @property
    def order(self) -> list[str]:
        return [Path(file).name for step in self.steps for file in step.files]

    @property
    def batches(self) -> list[list[str]]:
        return [step.images for step in self.steps]

    @property
    def images(self) -> set[str]:
        return {image for batch in self.batches for image in batch}

    def final(self) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = torch.load(self.saved, weights_only=False)["model"].state_dict()
        return state


@pytest.fixture(scope="module")
def training(data: Path, weights: Path) -> Callable[..., Training]:
    base = resolve_base("yolov5n")
    sites = find_sites(base)

    def describe(architecture: Architecture, seed: int = 0, **others: Any) -> Training:
        return replace(
            Training(
                config=insert(base, architecture, sites=sites, classes=10),
                data=str(data),
                classes=10,
                schedule=SCHEDULE,
                seed=seed,
                device="cpu",
                threads=1,
                base_config=base.config,
                base_weights=weights,
                layers=index_map(base, architecture, sites),
            ),
            **others,
        )

    return describe


@pytest.fixture(scope="module")
def run(training: Callable[..., Training], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Train, or give what the same training yielded before; `attempt` asks for another go at the same."""
    done: dict[tuple[Any, ...], Run] = {}

    def once(architecture: Architecture, seed: int = 0, attempt: int = 0) -> Run:
        key = architecture, seed, attempt
        if key not in done:
            done[key] = watch(training(architecture, seed), tmp_path_factory.mktemp("run") / "trained.pt")
        return done[key]

    return once


def watch(training: Training, saved: Path) -> Run:
    """Train with an eye on every batch and step."""
    run = Run(saved=saved)
    batch: dict[str, list[str]] = {}
    trainer = accuracy._Trainer
    preprocess, step, end = trainer.preprocess_batch, trainer.optimizer_step, trainer.final_eval

    def keep_batch(self: Any, given: dict[str, Any]) -> dict[str, Any]:
        batch.update(files=list(given["im_file"]), images=[_hash(image) for image in given["img"]])
        return preprocess(self, given)  # type: ignore[no-any-return]

    def keep_step(self: Any) -> None:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        step(self)
        after = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        run.steps.append(Step(**batch, rates=rates, weights=after))

    def keep_average(self: Any) -> None:
        run.averaged = copy.deepcopy(self.ema.ema)
        end(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "preprocess_batch", keep_batch)
        patch.setattr(trainer, "optimizer_step", keep_step)
        patch.setattr(trainer, "final_eval", keep_average)
        run.result = train(
            replace(training, save_to=saved, keep_matches=True), lambda done, total: run.progress.append((done, total))
        )
    return run


def _hash(image: torch.Tensor) -> str:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()


def new_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What the new blocks add."""
    return {
        f"{name}.{key}": tensor
        for name, module in model.named_modules()
        if isinstance(module, CloBlock)
        for key, tensor in module.state_dict().items()
    }


def base_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    new = new_tensors(model)
    return {name: tensor for name, tensor in model.state_dict().items() if name not in new}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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


# --- The schedule ---------------------------------------------------------------------------------

SHARES = st.floats(0.0, 0.9)
PROGRESS = st.floats(0.0, 1.0)


def schedule(warmup: float, final_rate: float) -> Schedule:
    return replace(SCHEDULE, warmup=warmup, final_rate=final_rate)


@given(warmup=SHARES, final_rate=PROGRESS)
def test_the_rate_peaks_after_warm_up_and_ends_where_it_should(warmup: float, final_rate: float) -> None:
    rate = schedule(warmup, final_rate).rate
    assert rate(warmup) == pytest.approx(1)
    assert rate(1.0) == pytest.approx(final_rate)
    assert rate((warmup + 1) / 2) == pytest.approx((1 + final_rate) / 2)  # the cosine's middle


@given(warmup=st.floats(1e-6, 0.9), share=st.floats(0.0, 1.0, exclude_max=True))
def test_the_rate_rises_linearly_in_warm_up(warmup: float, share: float) -> None:
    assert schedule(warmup, 0.01).rate(share * warmup) == pytest.approx(share)


@given(warmup=SHARES, final_rate=PROGRESS, a=PROGRESS, b=PROGRESS)
def test_the_rate_rises_then_falls_and_stays_in_its_bounds(
    warmup: float, final_rate: float, a: float, b: float
) -> None:
    rate = schedule(warmup, final_rate).rate
    early, late = sorted((a, b))
    assert 0 <= rate(a) <= 1 + 1e-12
    if late <= warmup:
        assert rate(early) <= rate(late) + 1e-12
    elif early >= warmup:
        assert rate(early) + 1e-12 >= rate(late) >= final_rate - 1e-12


@pytest.mark.slow
def test_every_iteration_has_its_rate_and_new_blocks_theirs(run: Callable[..., Run]) -> None:
    for number, step in enumerate(run(BLOCKS).steps, 1):
        expected = 1e-3 * SCHEDULE.rate(number / ITERATIONS)
        assert sorted(step.rates) == pytest.approx([expected, expected, 5 * expected, 5 * expected])


@pytest.mark.slow
def test_progress_is_told_after_every_iteration(run: Callable[..., Run]) -> None:
    assert run(BLOCKS).progress == [(number, ITERATIONS) for number in range(1, ITERATIONS + 1)]


def test_new_blocks_learn_faster_and_vectors_do_not_decay(training: Callable[..., Training]) -> None:
    model, moved = initial_model(training(BLOCKS))
    trainer = SimpleNamespace(_training=training(BLOCKS), _new=moved.new)
    optimizer = accuracy._Trainer.build_optimizer(trainer, model)  # type: ignore[arg-type]
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    new = {id(p) for m in model.modules() if isinstance(m, CloBlock) for p in m.parameters()}
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(found) == len(parameters)
    assert new < set(found)
    for name, parameter in parameters.items():
        rate = 5e-3 if id(parameter) in new else 1e-3
        decay = 5e-4 if parameter.ndim > 1 else 0.0
        assert found[id(parameter)] == pytest.approx((rate, decay)), name
    scales = [name for name in parameters if "layer_scale" in name]
    assert scales and all(found[id(parameters[name])][1] == 0 for name in scales)


# --- The average of the tail ----------------------------------------------------------------------


@given(data=st.data(), steps=st.integers(1, 12))
def test_the_tails_average_is_the_mean_of_its_weights(data: st.DataObject, steps: int) -> None:
    first = data.draw(st.integers(1, steps))
    values = data.draw(st.lists(st.floats(-10, 10, width=32), min_size=steps, max_size=steps))
    model = nn.Linear(1, 1)
    average = accuracy._TailAverage(model, first=first)
    for number, value in enumerate(values, 1):
        nn.init.constant_(model.weight, value)
        average.update(model)
        tail = values[min(first, number) - 1 : number] if number >= first else [value]
        assert average.ema.weight.item() == pytest.approx(sum(tail) / len(tail), abs=1e-4)


@pytest.mark.slow
def test_what_is_kept_is_the_mean_of_the_last_steps_weights(run: Callable[..., Run]) -> None:
    trained = run(BLOCKS)
    tail = trained.steps[2:]  # 0.3 of four iterations: from the third on
    final = trained.final()
    assert len(tail) == 2
    for name, kept in final.items():
        if kept.is_floating_point():
            mean = torch.stack([step.weights[name] for step in tail]).mean(0)
            torch.testing.assert_close(kept, mean, rtol=1e-5, atol=1e-6, msg=name)
    last = tail[-1].weights
    assert not same({name: final[name] for name in last}, last)


# --- Two evaluators see the same detections -------------------------------------------------------

LETTERBOX = ((0.32, 0.32), (0.0, 16.0))  # an image of 200 × 100 pixels in 64 × 64, 16 rows of padding above
ON_DISK = np.array([[10.0, 20.0, 60.0, 70.0], [100.0, 10.0, 190.0, 90.0]])


def letterboxed(boxes: np.ndarray) -> torch.Tensor:
    return torch.tensor(boxes * 0.32 + np.array([0, 16, 0, 16]), dtype=torch.float32)


@pytest.fixture
def validator(tmp_path: Path) -> Any:
    """A validator that has not seen an image yet."""
    ensure_torchvision()
    made: Any = accuracy._Validator(args={"plots": False}, save_dir=tmp_path)
    made.data, made.device = {"val": "val"}, torch.device("cpu")
    made.init_metrics(SimpleNamespace(names={0: "cat", 1: "dog"}))
    return made


def show(validator: Any, detections: np.ndarray) -> dict[str, Any]:
    """One image with a cat and a dog, and what was detected there as rows of box, score and class."""
    boxes = letterboxed(ON_DISK)
    centres = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / 64
    batch = {
        "img": torch.zeros(1, 3, 64, 64), "batch_idx": torch.zeros(2), "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": centres, "ori_shape": [(100, 200)], "ratio_pad": [LETTERBOX], "im_file": ["/data/val/7.jpg"],
    }  # fmt: skip
    found = {
        "bboxes": letterboxed(detections[:, :4]), "conf": torch.tensor(detections[:, 4], dtype=torch.float32),
        "cls": torch.tensor(detections[:, 5], dtype=torch.float32), "extra": torch.zeros(len(detections), 0),
    }  # fmt: skip
    validator.update_metrics([found], batch)
    validator.get_stats()
    figures: dict[str, Any] = validator.figures()
    return figures


PERFECT = np.column_stack([ON_DISK, [0.9, 0.8], [0, 1]])


def test_detections_are_kept_in_pixels_of_the_image_on_disk(validator: Any) -> None:
    show(validator, PERFECT)
    [(name, truth, found)] = validator._images
    assert name == "7.jpg"
    np.testing.assert_allclose(found.boxes, ON_DISK, atol=1e-3)
    np.testing.assert_allclose(truth.boxes, ON_DISK, atol=1e-3)
    assert (found.classes.tolist(), truth.classes.tolist(), truth.crowd.any()) == ([0, 1], [0, 1], False)
    np.testing.assert_allclose(truth.areas, [50 * 50, 90 * 80], rtol=1e-4)


def test_where_there_are_no_coco_annotations_the_headline_is_ultralytics(validator: Any) -> None:
    result = Accuracy(**show(validator, PERFECT), train_seconds=1.0, transferred="")
    assert result.evaluator.startswith("Ultralytics 8.") and result.evaluator.endswith("validator")
    assert (result.map50_95, result.map50) == pytest.approx((0.995, 0.995))
    assert result.per_class == pytest.approx({"cat": 0.995, "dog": 0.995})
    assert (result.ultralytics_map50_95, result.coco_map50_95, result.coco_map50) == pytest.approx((0.995, 1, 1))
    assert (result.coco_map_medium, math.isnan(result.coco_map_small)) == (1, True)
    assert "coco_map_small" not in result.figures() and "matches" not in result.figures()


def test_on_coco_data_the_headline_is_cocoevals_and_crowds_excuse(validator: Any) -> None:
    crowd = np.array([[120.0, 20.0, 180.0, 80.0]])
    validator.annotations = {
        "7.jpg": Truth(
            boxes=np.vstack([ON_DISK, crowd]),
            classes=np.array([0, 1, 1]),
            crowd=np.array([False, False, True]),
            areas=np.array([2500.0, 7200.0, 3600.0]),
        )
    }
    surest_in_crowd = np.array([[125.0, 25.0, 150.0, 60.0, 0.95, 1]])
    figures = show(validator, np.vstack([surest_in_crowd, PERFECT]))
    assert figures["evaluator"].startswith("COCOeval (faster-coco-eval")
    assert figures["evaluator"].endswith("COCO annotations")
    assert figures["map50_95"] == figures["coco_map50_95"] == 1
    assert figures["per_class"] == {"cat": 1, "dog": 1}
    assert figures["ultralytics_map50_95"] < 0.8  # it knows no crowd, so the surest dog is false


def test_an_earlier_validations_images_are_forgotten(validator: Any) -> None:
    show(validator, PERFECT)
    validator.init_metrics(SimpleNamespace(names={0: "cat", 1: "dog"}))
    assert show(validator, PERFECT[:1])["coco_map50_95"] == 0.5  # one class found, one not


def test_what_is_kept_for_the_bootstrap_gives_ultralytics_figure(validator: Any) -> None:
    figures = show(validator, PERFECT[:1])
    one_as_it_is = np.ones((1, 1), int)
    assert weighted_map50_95(validator.matches, one_as_it_is) == pytest.approx([figures["ultralytics_map50_95"]])
    assert figures["ultralytics_map50_95"] == pytest.approx(0.995 / 2)


@pytest.mark.slow
def test_a_training_brings_along_all_that_its_validation_saw(run: Callable[..., Run]) -> None:
    result = run(BASELINE).result
    assert result is not None and result.matches is not None
    assert len(result.matches.target) == 8  # images
    assert set(result.per_class) == {str(int(n)) for n in np.unique(np.concatenate(result.matches.target))}
    assert math.isfinite(result.coco_map50_95)


def asked_to_validate(training: Training, root: Path, labels: list[list[int]], images: list[str]) -> Any:
    """What a trainer makes of a validation set, before it trains."""
    ensure_torchvision()
    dataset = SimpleNamespace(labels=[{"cls": label} for label in labels], im_files=images)
    trainer = SimpleNamespace(
        test_loader=SimpleNamespace(dataset=dataset), save_dir=root, args=get_cfg(), callbacks={"on_val_start": []},
        data={"path": root, "val": str(root / "images" / "val"), "names": {0: "cat"}}, _training=training,
    )  # fmt: skip
    return accuracy._Trainer.get_validator(trainer)  # type: ignore[arg-type]


def test_a_validation_set_without_a_readable_label_is_refused_before_the_training(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"The validation set of .*\.yaml has no label that Ultralytics can read"):
        asked_to_validate(training(BASELINE), tmp_path, [[], []], ["1.jpg", "2.jpg"])


def test_annotations_beside_the_data_are_taken_if_they_list_every_image(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    assert asked_to_validate(training(BASELINE), tmp_path, [[0]], ["1.jpg"]).annotations is None
    (tmp_path / "annotations").mkdir()
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 5, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 5, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 1}],
    }
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(content))
    taken = asked_to_validate(training(BASELINE), tmp_path, [[0]], ["/data/1.jpg"]).annotations
    assert taken["1.jpg"].crowd.tolist() == [True]
    with pytest.raises(UserError, match=r"instances_val\.json does not list the validation image 2\.jpg"):
        asked_to_validate(training(BASELINE), tmp_path, [[0], [0]], ["1.jpg", "2.jpg"])


def test_without_the_evaluator_nothing_is_trained(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.measure.coco.find_spec", lambda _name: None)
    monkeypatch.setattr(accuracy._Trainer, "train", lambda _self: pytest.fail("it was trained"))
    with pytest.raises(UserError, match="faster-coco-eval is not installed"):
        train(training(BASELINE))


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

    monkeypatch.setattr(accuracy._Trainer, "preprocess_batch", too_large)
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

    monkeypatch.setattr(accuracy._Trainer, "train", pretend)
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


def test_a_checkpoint_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(resolve_base("yolov5n").config, 3)
    path = tmp_path / "new" / "base.pt"
    save_checkpoint(model, path)
    before = path.read_bytes()

    def torn(_content: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(model, path)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_augmentation_can_be_chosen(training: Callable[..., Training], run: Callable[..., Run], tmp_path: Path) -> None:
    plain = dict.fromkeys(accuracy._AUGMENTATION, 0.0)
    still = training(BASELINE, schedule=replace(SCHEDULE, augmentation=plain))
    steps = watch(still, tmp_path / "still.pt").steps
    by_file = [dict(zip(step.files, step.images, strict=True)) for step in steps]
    first, second = by_file[0] | by_file[1], by_file[2] | by_file[3]
    assert first == second  # the same image is the same in every epoch
    assert not set(first.values()) & run(BASELINE).images
