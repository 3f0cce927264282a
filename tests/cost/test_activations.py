"""Peak activation memory beside sums of bytes done by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

from harness.cost.activations import observe, peak_activation_bytes
from harness.detectors import resolve_base

FLOAT = 4


def bytes_of(*maps: tuple[int, int, int]) -> int:
    return FLOAT * sum(channels * height * width for channels, height, width in maps)


def test_of_layers_in_a_row_the_image_and_the_largest_input_with_its_output() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 1, 1), nn.Conv2d(16, 4, 3, 2, 1), nn.Conv2d(4, 64, 1)
    )
    image, *maps = (3, 12, 10), (8, 12, 10), (16, 12, 10), (4, 6, 5), (64, 6, 5)
    by_hand = bytes_of(image) + max(bytes_of(maps[0]), *(bytes_of(before, after) for before, after in pairwise(maps)))
    assert peak_activation_bytes(model, (1, *image)) == by_hand == bytes_of(image, maps[0], maps[1])


class Skips(nn.Module):
    """A map that a later layer reads stays alive until then."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 16, 1)])

    def forward(self, x: Tensor) -> Tensor:
        saved = self.layers[0](x)
        x = self.layers[2](self.layers[1](saved))
        return torch.cat([saved, x], dim=1)


def test_a_saved_output_is_alive_until_it_is_read() -> None:
    by_hand = bytes_of((3, 6, 6), (8, 6, 6), (16, 6, 6), (24, 6, 6))  # image, saved, third layer's, joined
    assert peak_activation_bytes(Skips(), (1, 3, 6, 6)) == by_hand


@pytest.mark.parametrize(
    ("layer", "more"),
    [
        (nn.ReLU(inplace=True), 0),
        (nn.Flatten(), 0),
        (nn.ReLU(), bytes_of((8, 6, 6))),
        (nn.BatchNorm2d(8), bytes_of((8, 6, 6))),
    ],
    ids=["in place", "a view", "a new map", "a norm"],
)
def test_views_and_work_in_place_take_no_memory(layer: nn.Module, more: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), layer)
    assert peak_activation_bytes(model, (1, 3, 6, 6)) == bytes_of((3, 6, 6), (8, 6, 6)) + more


def test_what_a_layer_frees_inside_itself_counts_while_it_is_alive() -> None:
    class Widens(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x] * 10, dim=1).sum(dim=1, keepdim=True)

    by_hand = bytes_of((3, 6, 6), (30, 6, 6), (1, 6, 6))
    assert peak_activation_bytes(Widens(), (1, 3, 6, 6)) == by_hand


def test_weights_are_no_activations_and_batches_multiply_them() -> None:
    assert peak_activation_bytes(nn.Conv2d(3, 512, 1), (1, 3, 1, 1)) == bytes_of((3 + 512, 1, 1))
    assert peak_activation_bytes(nn.Conv2d(3, 512, 1), (4, 3, 1, 1)) == 4 * bytes_of((3 + 512, 1, 1))


@pytest.mark.parametrize("name", ["yolov8n", "yolov7-tiny", "cloformer-xxs"])
def test_of_a_detector_no_less_than_what_its_graph_keeps_between_layers(name: str) -> None:
    """Second oracle, by Ultralytics' own saved outputs: image, outputs saved so far, a layer's input and output."""
    model = resolve_base(name).build()
    peak, shapes = observe(model, (1, 3, 64, 64), {f"model.{i}": layer for i, layer in enumerate(model.model)})
    between = bytes_of((3, 64, 64)) + graph_peak(model, [shapes[f"model.{i}"] for i in range(len(model.model))])
    assert between <= peak <= 3 * between


def graph_peak(model: DetectionModel, shapes: list[tuple[tuple[int, ...], ...]]) -> int:
    sizes = [FLOAT * sum(torch.Size(shape).numel() for shape in outputs) for outputs in shapes]
    most = 0
    for layer, size in zip(model.model[:-1], sizes, strict=False):
        alive = {index for index in model.save if index < layer.i} | ({layer.i - 1} if layer.i else set())
        most = max(most, size + sum(sizes[index] for index in alive))
    return most


def test_it_is_the_same_each_time_and_the_model_stays_as_it_was() -> None:
    model = resolve_base("yolov5n").build().train()
    model.model[-1].shape = before = model.model[-1].shape
    first, second = (peak_activation_bytes(model, (1, 3, 64, 64)) for _ in range(2))
    assert first == second
    assert model.training and model.model[-1].shape is before
    assert not any(layer._forward_hooks for layer in model.modules())
