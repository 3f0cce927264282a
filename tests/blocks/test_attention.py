from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.blocks import CloAttention
from harness.blocks.attention import AttnConv, mean_over_windows
from tests.blocks import golden
from tests.blocks.plain import plain_attention
from tests.blocks.random_settings import Settings, settings_strategy
from tests.blocks.slow import slow_attention, slow_window_means


@pytest.mark.parametrize("name", golden.names("attention"))
def test_equals_the_official_code(name: str) -> None:
    case = golden.load(name)
    attention = CloAttention(**case.arguments).eval()
    attention.load_official_state_dict(case.weights)
    with torch.no_grad():
        torch.testing.assert_close(attention(case.input), case.output, atol=1e-5, rtol=0)


def test_every_golden_file_of_the_attention_is_there() -> None:
    assert len(golden.names("attention")) == 6


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 13), width=st.integers(1, 13), window=st.integers(1, 15), seed=st.integers(0, 2**16))
def test_kv_windows_are_clipped_at_the_border(height: int, width: int, window: int, seed: int) -> None:
    image = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
    means = mean_over_windows(image[None], window)[0]
    assert means.shape == (3, -(-height // window), -(-width // window))
    np.testing.assert_allclose(means.numpy(), slow_window_means(image.double().numpy(), window), atol=1e-6)


@pytest.mark.parametrize("window", [3, 5, 100])
def test_a_map_within_one_window_gives_one_token_its_mean(window: int) -> None:
    image = torch.arange(6.0).view(1, 1, 2, 3)
    assert mean_over_windows(image, window).tolist() == [[[[2.5]]]]


def test_a_window_at_the_corner_averages_only_the_pixels_inside() -> None:
    # 0 1 | 2       means of 0 1 3 4 | 2 5
    # 3 4 | 5                6 7     | 8
    # 6 7 | 8
    image = torch.arange(9.0).view(1, 1, 3, 3)
    assert mean_over_windows(image, 2).tolist() == [[[[2.0, 3.5], [6.5, 8.0]]]]


@settings(deadline=None, max_examples=40)
@given(case=settings_strategy(largest_map=5, largest_head=3))
def test_equals_loops_over_pixels_on_every_map(case: Settings) -> None:
    attention, x = case.attention(), case.map()
    expected = slow_attention(x, attention.official_tensors(), case.heads, case.kernels, case.window)
    with torch.no_grad():
        np.testing.assert_allclose(attention(x).numpy(), expected, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(case=settings_strategy())
def test_equals_the_published_equations_on_every_map(case: Settings) -> None:
    attention, x = case.attention(), case.map()
    with torch.no_grad():
        expected = plain_attention(x, attention.official_tensors(), case.heads, case.kernels, case.window)
        torch.testing.assert_close(attention(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        Settings(heads=heads, kernels=kernels, window=window, head_dim=4, shape=shape, seed=0)
        for shape in ((2, 4, 4), (2, 16, 16), (1, 20, 21), (1, 41, 40))
        for heads, kernels, window in (
            ((8,), (), 2), ((8,), (), 8), ((4, 4), (5,), 4), ((4, 4), (7,), 8), ((8, 0), (9,), 1),
        )
    ],
    ids=str,
)  # fmt: skip
def test_every_path_gives_the_published_function_and_gradients(case: Settings, channels_last: bool) -> None:
    """Few and many windows, small and large kernels and maps; without gradients another path than with."""
    attention = case.attention()
    weights = {key: tensor.clone().requires_grad_() for key, tensor in attention.official_tensors().items()}
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    x = case.map().contiguous(memory_format=memory_format).requires_grad_()
    theirs = x.detach().clone().requires_grad_()
    expected = plain_attention(theirs, weights, case.heads, case.kernels, case.window)
    with torch.no_grad():
        inferred = attention(x)
        assert inferred.is_contiguous(memory_format=memory_format)
        torch.testing.assert_close(inferred, expected, atol=1e-5, rtol=1e-5)
    out = attention(x)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.autograd.backward([out.square().sum(), expected.square().sum()])
    torch.testing.assert_close(x.grad, theirs.grad, atol=1e-4, rtol=1e-4)
    for index, branch in enumerate(attention.local_branch):
        assert isinstance(branch, AttnConv)
        own, official = branch.aggregate.weight.grad, _gradient(weights[f"convs.{index}.weight"])
        torch.testing.assert_close(own, official, atol=1e-3, rtol=1e-4)


def test_a_map_that_the_official_code_scrambles_is_right() -> None:
    """20×20 with window 7 and 2 global heads: the official reshape mixes heads without an error."""
    case = Settings(heads=(2, 2), kernels=(5,), window=7, head_dim=4, shape=(1, 20, 20), seed=0)
    attention, x = case.attention(), case.map()
    expected = slow_attention(x, attention.official_tensors(), case.heads, case.kernels, case.window)
    with torch.no_grad():
        np.testing.assert_allclose(attention(x).numpy(), expected, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(case=settings_strategy(), needs_grad=st.booleans(), channels_last=st.booleans())
def test_gradients_equal_those_of_the_published_equations(
    case: Settings, needs_grad: bool, channels_last: bool
) -> None:
    attention, x = case.attention(), case.map()
    weights = {key: tensor.clone().requires_grad_() for key, tensor in attention.official_tensors().items()}
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    ours = x.clone(memory_format=memory_format).requires_grad_(needs_grad)
    theirs = x.clone().requires_grad_(needs_grad)
    energy = attention(ours).square().sum()
    expected = plain_attention(theirs, weights, case.heads, case.kernels, case.window).square().sum()
    torch.autograd.backward([energy, expected])
    if needs_grad:
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4)
    projections = [f"qkvs.{index}.weight" for index in range(len(case.kernels))]
    projections += ["global_q.weight"] if case.heads[-1] else []
    fused = torch.cat([_gradient(weights[key]) for key in projections])
    torch.testing.assert_close(attention.project_in.weight.grad, fused, atol=1e-4, rtol=1e-4)


def test_one_input_projection_serves_all_groups() -> None:
    attention = CloAttention(48, 6, [2, 1, 3], [3, 7], 2)
    local, global_queries = 3 * (2 + 1) * 8, 3 * 8
    assert attention.project_in.weight.shape == (local + global_queries, 48, 1, 1)


def test_no_global_heads_leave_no_global_parameters() -> None:
    names = [name for name, _ in CloAttention(32, 4, [4, 0], [5], 4).named_parameters()]
    assert not any("global" in name for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_split": [1, 2]}, r"group_split \[1, 2\] sums to 3; it sums to num_heads, 4"),
        ({"kernel_sizes": [3, 5]}, r"group_split \[2, 2\] has 2 entries for 2 kernel_sizes \[3, 5\]"),
        ({"kernel_sizes": [4]}, r"kernel_sizes \[4\]: 4 is not odd and positive"),
        ({"kernel_sizes": [-3]}, r"kernel_sizes \[-3\]: -3 is not odd and positive"),
        ({"kernel_sizes": [0]}, "0 is not odd and positive"),
        ({"dim": 30}, "dim is 30; it is a positive multiple of num_heads, 4"),
        ({"dim": 0}, "dim is 0"),
        ({"window_size": 0}, "window_size is 0; it is 1 or more"),
        ({"group_split": [5, -1]}, r"group_split \[5, -1\]: the global branch .* has 0 heads or more"),
        ({"group_split": [0, 4]}, r"group_split \[0, 4\]: every local group .* has 1 head or more"),
        ({"num_heads": 0, "group_split": [0], "kernel_sizes": []}, "num_heads is 0; at least one head"),
        ({"group_split": [], "kernel_sizes": []}, r"group_split \[\] has 0 entries"),
    ],
)
def test_bad_arguments_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "dim": 32, "num_heads": 4, "group_split": [2, 2], "kernel_sizes": [3], "window_size": 4,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        CloAttention(**(good | changes))


def _gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad
