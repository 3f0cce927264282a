"""A widened base computes its base's function, and can learn another."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from harness.architecture.choices import Size
from harness.cost.counts import tensors
from harness.detectors import Transfer, build, resolve_base, transfer_widened, widened
from harness.detectors.yolov7 import ELAN

NAMES = ["yolov5n", "yolov8n", "yolo11n", "yolo26n", "yolov7-tiny", "yolov9t"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    base: nn.Module
    wide: nn.Module
    untouched: nn.Module  # the wide one before the transfer
    moved: Transfer


@functools.cache
def pair(name: str) -> Pair:
    """A base with a history in its norms, and its widened form, in double precision."""
    base = resolve_base(name)
    config = widened(base, size=Size.MACS, added=5_000_000, imgsz=64, classes=10).config
    torch.manual_seed(1)
    original, wide, untouched = base.build(10), build(config, 10), build(config, 10)
    for module in original.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                assert tensor is not None
                nn.init.normal_(tensor, std=0.1)
    moved = transfer_widened(original, wide)
    return Pair(base=original.double(), wide=wide.double(), untouched=untouched.double(), moved=moved)


def outputs(model: nn.Module, training: bool) -> list[Tensor]:
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        found = list(tensors(model.train(training)(images)))
    model.load_state_dict(before)  # in training mode norms take note of the images
    return found


def furthest(ones: list[Tensor], others: list[Tensor]) -> float:
    """Largest difference, as a share of the largest output."""
    pairs = list(zip(ones, others, strict=True))
    return max(float((one - other).abs().max() / one.abs().max()) for one, other in pairs)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", NAMES)
def test_a_widened_base_computes_the_bases_function(name: str, training: bool) -> None:
    models = pair(name)
    expected = outputs(models.base, training)
    assert furthest(expected, outputs(models.wide, training)) < 1e-9
    assert furthest(expected, outputs(models.untouched, training)) > 1e-3  # what would be found if it did not


@pytest.mark.parametrize("name", NAMES)
def test_every_base_tensor_is_in_its_widened_form_in_order(name: str) -> None:
    models = pair(name)
    base, wide = models.base.state_dict(), models.wide.state_dict()
    assert (models.moved.arrived, models.moved.total) == (len(base), len(base))
    assert models.moved.left_behind == {} and models.moved.new == frozenset()
    larger = {key for key, tensor in base.items() if tensor.shape != wide[key].shape}
    assert larger and set(models.moved.grown) == larger
    for key, tensor in base.items():
        is_new = models.moved.grown.get(key, torch.zeros(tensor.shape, dtype=torch.bool))
        assert int(is_new.sum()) == wide[key].numel() - tensor.numel()
        assert torch.equal(wide[key][~is_new].flatten(), tensor.flatten()), key


@pytest.mark.parametrize("name", NAMES)
def test_an_old_channel_has_zeros_for_new_inputs_and_a_new_one_weights_of_its_own(name: str) -> None:
    models = pair(name)
    wide = models.wide.state_dict()
    for key, is_new in models.moved.grown.items():
        if is_new.ndim == 4:
            fresh = is_new.flatten(1).all(1)  # output channels that the base lacks
            assert (wide[key][~fresh][is_new[~fresh]] == 0).all()
            rows = wide[key][fresh].flatten(1)
            assert len(rows.unique(dim=0)) == len(rows)  # none is another's copy
            assert (rows != 0).any(1).all()


@pytest.mark.parametrize("name", NAMES[:4])
def test_new_channels_are_read_after_one_step_and_learn_after_that(name: str) -> None:
    models = pair(name)
    wide = models.wide.train()
    before = {key: tensor.clone() for key, tensor in wide.state_dict().items()}
    grown = {key: is_new.flatten(1) for key, is_new in models.moved.grown.items() if is_new.ndim == 4}
    optimizer = torch.optim.SGD(wide.parameters(), lr=1e-2)

    def gradients() -> dict[str, Tensor]:
        optimizer.zero_grad()
        images = torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        loss = torch.stack([out.square().mean() for out in tensors(wide(images)) if out.requires_grad]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        found = {key: p.grad.flatten(1) for key, p in wide.named_parameters() if key in grown and p.grad is not None}
        optimizer.step()
        return found

    try:
        for key, gradient in gradients().items():
            fresh = grown[key].all(1)  # output channels that the base lacks
            assert (gradient[~fresh][grown[key][~fresh]] != 0).all(), key
            assert (gradient[fresh] == 0).all(), key  # nothing reads them yet
        for key, gradient in gradients().items():
            assert (gradient[grown[key].all(1)] != 0).any(1).all(), key
    finally:
        wide.load_state_dict(before)


def test_an_elan_whose_chain_is_narrower_than_its_ends_keeps_its_function() -> None:
    torch.manual_seed(0)
    narrow, wide = ELAN(6, 10, 8, 4, 4, 2).double().eval(), ELAN(6, 10, 12, 6, 4, 2).double().eval()
    models = [nn.Module(), nn.Module()]
    for model, layer in zip(models, (narrow, wide), strict=True):
        model.model = nn.Sequential(layer)
    assert transfer_widened(*models).arrived == len(narrow.state_dict())
    image = torch.rand(1, 6, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(wide(image), narrow(image))


def test_layers_with_attention_stay_as_they_are() -> None:
    grown = {int(key.split(".")[1]) for key in pair("yolo26n").moved.grown}
    assert grown == {2, 4, 6, 8, 13, 16, 19}  # not 10, C2PSA, nor 22, the C3k2 with attention


def test_another_number_of_classes_leaves_only_class_outputs_behind() -> None:
    base = resolve_base("yolov5n")
    wide = build(widened(base, size=Size.PARAMS, added=100_000, imgsz=64, classes=10).config)
    moved = transfer_widened(base.build(80), wide)
    head = len(wide.model) - 1
    assert moved.left_behind and all(key.startswith(f"model.{head}.cv3.") for key in moved.left_behind)
    assert moved.arrived == moved.total - len(moved.left_behind)
    assert moved.new == set(moved.left_behind)
