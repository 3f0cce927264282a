from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.blocks import CloAttention
from harness.common.errors import UserError
from harness.cost.counts import model_cost, module_cost
from tests.cost.oracle import second_oracle


def detector(name: str) -> nn.Module:
    from ultralytics.nn.tasks import DetectionModel

    model: nn.Module = DetectionModel(name, verbose=False)
    return model


# --- Closed forms -------------------------------------------------------------------------------


def test_multi_head_attention_is_counted_although_pytorch_has_an_opaque_fast_path_for_it() -> None:
    class SelfAttention(nn.MultiheadAttention):
        def forward(self, x: Tensor) -> object:  # type: ignore[override]
            return super().forward(x[0], x[0], x[0])

    tokens, dim = 12, 8
    cost = module_cost(SelfAttention(dim, 2, batch_first=True), (1, 1, tokens, dim))
    projections, products = 4 * tokens * dim * dim, 2 * tokens * tokens * dim
    assert cost.macs == projections + products
    assert torch.backends.mha.get_fastpath_enabled()


def test_clo_attention_adds_projections_depthwise_kernels_gates_and_pooled_attention() -> None:
    dim, heads, local, kernel, pool, side = 32, 4, 3, 5, 2, 8
    width, pixels, tokens = dim // heads, side * side, (side // pool) ** 2
    cost = module_cost(CloAttention(dim, heads, [local, heads - local], [kernel], pool), (1, dim, side, side))
    group, rest = local * width, (heads - local) * width
    assert cost.by_operator["conv"] == (
        pixels * dim * (3 * group + rest)  # queries, keys and values of the local heads, queries of the rest
        + tokens * dim * 2 * rest  # keys and values of the global heads, once a window
        + pixels * 3 * group * kernel * kernel  # depth-wise
        + pixels * 2 * group * group  # the gate's two projections
        + pixels * dim * dim  # the last projection
    )
    assert cost.by_operator["scaled_dot_product_attention"] == 2 * pixels * tokens * rest
    assert cost.elementwise == {
        "attention_softmax": (1 + 5) * pixels * tokens * (heads - local),  # scale and softmax
        "avg_pool2d": dim * pixels,
        "bias": pixels * (3 * group + rest + 3 * group + 2 * group + dim) + tokens * 2 * rest,
        "mul": 3 * group * pixels,  # queries with keys, the gate's scale, the gate with values
        "silu": 2 * group * pixels,
        "tanh": group * pixels,
    }


# --- Second oracle ------------------------------------------------------------------------------

SMALL = st.integers(1, 5)


@settings(max_examples=10, deadline=None)
@given(SMALL, SMALL, st.integers(1, 20), st.integers(1, 20))
def test_clo_attention_equals_the_second_oracle_on_every_map(local: int, pool: int, h: int, w: int) -> None:
    attention = CloAttention(48, 6, [local, 6 - local], [3], pool)
    assert module_cost(attention, (2, 48, h, w)).macs == second_oracle(attention, 2, 48, h, w)


@pytest.mark.parametrize("name", ["yolov5n.yaml", "yolov8n.yaml"])
def test_a_detector_equals_the_second_oracle_at_changing_sizes(name: str) -> None:
    model = detector(name)
    for imgsz in (640, 128, 640):
        assert model_cost(model, imgsz).macs == second_oracle(model, 1, 3, imgsz, imgsz)


@pytest.mark.parametrize(
    ("name", "params", "gigaflops"), [("yolov5n.yaml", 2_654_816, 7.7), ("yolov8n.yaml", 3_157_200, 8.7)]
)
def test_a_detector_has_the_published_parameters_and_operations(name: str, params: int, gigaflops: float) -> None:
    cost = model_cost(detector(name), 640)
    assert cost.params == params
    assert round(cost.flops / 1e9, 1) == gigaflops
    assert set(cost.by_operator) == {"conv"}


# --- The model stays as it was ------------------------------------------------------------------


def test_measuring_changes_neither_the_model_nor_what_is_printed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = detector("yolov5n.yaml").train()
    hooks = [len(module._forward_hooks) for module in model.modules()]
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    capfd.readouterr()
    caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model_cost(model, 64)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert model.training
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())


def test_cost_is_additive() -> None:
    first, second = nn.Conv2d(3, 8, 3, padding=1), CloAttention(8, 2, [1, 1], [3], 2)
    whole = model_cost(nn.Sequential(first, second), 16)
    base, block = model_cost(first, 16), module_cost(second, (1, 8, 16, 16))
    assert (whole.params, whole.macs) == (base.params + block.params, base.macs + block.macs)


@pytest.mark.parametrize("imgsz", [0, -32, 100])
def test_an_image_size_that_the_stride_does_not_divide_is_refused(imgsz: int) -> None:
    with pytest.raises(UserError, match=rf"image size {imgsz}: the model's largest stride is 32"):
        model_cost(detector("yolov5n.yaml"), imgsz)
