from __future__ import annotations

import json

import pytest
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.cost.counts import model_cost
from harness.cost.ledger import NOT_COUNTED, fused_ledger, model_ledger
from harness.detectors import resolve_base


class Small(nn.Module):
    """A convolution, a list of two, and an addition of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1, bias=False)
        self.rest = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.SiLU()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        added: Tensor = x + self.rest[1](self.rest[0](x))
        return added


def test_each_layer_has_its_own_row_and_what_is_outside_all_has_the_last() -> None:
    ledger = model_ledger(Small(), 8)
    pixels, shape = 8 * 8, ((1, 4, 8, 8),)
    rows = [(row.name, row.kind, row.params, row.macs, row.elementwise, row.outputs) for row in ledger.layers]
    assert rows == [
        ("first", "Conv2d", 12, 12 * pixels, 0, shape),
        ("rest.0", "Conv2d", 144, 144 * pixels, 0, shape),
        ("rest.1", "SiLU", 0, 0, 2 * 4 * pixels, shape),
        ("other", "", 0, 0, 4 * pixels, ()),
    ]
    assert ledger.layers[0].flops == 24 * pixels
    assert fused_ledger(Small(), 8) is None


def test_a_module_without_children_is_its_own_layer() -> None:
    (row,) = model_ledger(nn.Conv2d(3, 4, 1), 8).layers
    assert (row.kind, row.params, row.macs, row.elementwise) == ("Conv2d", 16, 12 * 64, 4 * 64)


@pytest.mark.parametrize("name", ["yolo26n", "yolov7-tiny"])
def test_the_rows_of_a_detector_add_up_to_its_totals_fused_or_not(name: str) -> None:
    model = resolve_base(name).build()
    as_trained, deployed = model_ledger(model, 64), fused_ledger(model, 64)
    assert deployed is not None and model.training
    for ledger in (as_trained, deployed):
        cost = ledger.cost
        assert len(ledger.layers) == len(model.model)
        assert sum(row.params for row in ledger.layers) == cost.params
        assert sum(row.macs for row in ledger.layers) == cost.macs == sum(cost.by_operator.values())
        assert sum(row.elementwise for row in ledger.layers) == sum(cost.elementwise.values())
        assert all(row.outputs for row in ledger.layers)
    assert as_trained.cost == model_cost(model, 64)
    assert as_trained.cost.elementwise["batch_norm"] > 0 and "batch_norm" not in deployed.cost.elementwise
    assert deployed.cost.elementwise["bias"] > as_trained.cost.elementwise["bias"]
    assert deployed.peak_activation_bytes <= as_trained.peak_activation_bytes


def test_the_list_of_what_is_not_counted_goes_with_every_result() -> None:
    class Sorts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sort().values * (x > 0)

    plain = model_ledger(Sorts(), 8).to_dict()
    assert plain["not_counted"][: len(NOT_COUNTED)] == list(NOT_COUNTED)
    assert plain["not_counted"][len(NOT_COUNTED) :] == [
        "gt (1 calls): one comparison an element, for a mask or an index",
        "sort (1 calls): without a formula",
    ]
    assert {"params", "macs", "flops", "by_operator", "elementwise", "ignored", "uncounted"} < plain.keys()
    assert json.loads(json.dumps(plain))["layers"][0]["outputs"] == [[1, 3, 8, 8]]


def test_an_image_that_the_strides_do_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match="image size 100: the model's largest stride is 32"):
        model_ledger(resolve_base("yolov5n").build(), 100)
