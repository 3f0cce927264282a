"""`suppress` is greedy NMS exactly, and torchvision imports whether or not its extension fits."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.training.torchvision_compat import _CHUNK, ensure_torchvision, suppress


def obvious(boxes: Tensor, scores: Tensor, iou_threshold: float) -> list[int]:
    """The definition, one box against one box: the oracle of this file."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -float(scores[i])):  # sorted() keeps ties in order
        if all(iou(boxes[i].tolist(), boxes[j].tolist()) <= iou_threshold for j in kept):
            kept.append(i)
    return kept


def iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes; 0 where they have no area."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


def random_boxes(count: int, seed: int, levels: int) -> tuple[Tensor, Tensor]:
    """Crowded boxes on a quarter-pixel grid with scores of few levels, so that ties are common."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 80, (count, 2), generator=generator) / 4
    sides = torch.randint(0, 80, (count, 2), generator=generator) / 4
    scores = torch.randint(0, levels, (count,), generator=generator) / levels
    return torch.cat((corners, corners + sides), dim=1), scores


@given(
    count=st.integers(0, 60),
    seed=st.integers(0, 10_000),
    levels=st.sampled_from([1, 5, 1000]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_keeps_what_the_obvious_loop_keeps(count: int, seed: int, levels: int, threshold: float) -> None:
    boxes, scores = random_boxes(count, seed, levels)
    assert suppress(boxes, scores, threshold).tolist() == obvious(boxes, scores, threshold)


def test_a_box_is_suppressed_across_chunks() -> None:
    boxes, scores = random_boxes(2 * _CHUNK + 7, seed=3, levels=50)
    assert suppress(boxes, scores, 0.5).tolist() == obvious(boxes, scores, 0.5)


def test_a_suppressed_box_suppresses_nothing() -> None:
    # Neighbours share 2 of 4 pixels: every second box falls, and so no longer threatens the next.
    boxes = torch.tensor([[float(x), 0.0, x + 3.0, 1.0] for x in range(6)])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert suppress(boxes, scores, 0.4).tolist() == [0, 2, 4]


def test_an_overlap_equal_to_the_threshold_is_kept() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]])  # one half of the other: IoU 1/2
    scores = torch.tensor([0.5, 0.6])
    assert suppress(boxes, scores, 0.5).tolist() == [1, 0]
    assert suppress(boxes, scores, 0.49).tolist() == [1]


def test_boxes_shifted_apart_by_class_do_not_suppress_each_other() -> None:
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(3, 1) + torch.tensor([[0.0], [7680.0], [7680.0]])
    assert suppress(boxes, torch.tensor([0.1, 0.2, 0.3]), 0.7).tolist() == [2, 0]


def test_no_boxes_leave_no_boxes() -> None:
    kept = suppress(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0,) and kept.dtype == torch.int64


def test_half_precision_boxes_are_accepted() -> None:
    boxes, scores = random_boxes(40, seed=5, levels=7)
    kept = suppress(boxes.half(), scores.half(), 0.5)
    assert kept.tolist() == obvious(boxes.half().float(), scores.half().float(), 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_torchvision_nms_agrees(seed: int) -> None:
    ensure_torchvision()
    import torchvision  # a second oracle where its own extension loads

    boxes, scores = random_boxes(100, seed, levels=1000)
    scores = scores + torch.arange(100) * 1e-5  # torchvision leaves ties open
    assert torchvision.ops.nms(boxes, scores, 0.45).tolist() == suppress(boxes, scores, 0.45).tolist()


def test_a_fresh_process_can_ask_twice_and_import_torchvision() -> None:
    program = (
        "from harness.training.torchvision_compat import ensure_torchvision as e; e(); e()\n"
        "import torch, torchvision\n"
        "box = torch.tensor([[0., 0., 2., 2.]]).repeat(2, 1)\n"
        "print(torchvision.ops.nms(box, torch.tensor([.1, .9]), .5).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[1]", done.stderr
    assert done.stderr.count("does not fit") <= 1


def test_another_failure_of_torchvision_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise RuntimeError("compiled with different CUDA major versions")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(RuntimeError, match="different CUDA"):
        ensure_torchvision()
