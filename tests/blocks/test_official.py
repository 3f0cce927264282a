from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.blocks import CloAttention, CloBlock, ConvFFN
from harness.blocks.official import OfficialModule, OfficialStateDictError, prefixed
from tests.blocks import golden

MODULES: dict[str, Callable[[], OfficialModule]] = {
    "attention": lambda: CloAttention(16, 4, [1, 1, 2], [3, 5], 4),
    "ffn": lambda: ConvFFN(4, 8, 5, 1, 6),
    "block": lambda: CloBlock(16, 24, 4, [2, 2], [3], 4, 5, 2, 2, init="official"),
}


@pytest.fixture(params=sorted(MODULES))
def module(request: pytest.FixtureRequest) -> OfficialModule:
    return MODULES[request.param]()


@pytest.fixture
def weights(module: OfficialModule) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(place.shape, generator=generator).to(place.dtype)
        for key, place in module.official_tensors().items()
    }


@pytest.mark.parametrize("name", golden.names("attention") + golden.names("block"))
def test_keys_are_exactly_the_official_ones(name: str) -> None:
    case = golden.load(name)
    module = (
        CloAttention(**case.arguments) if name.startswith("attention") else CloBlock(**case.arguments, init="official")
    )
    assert set(module.official_tensors()) == set(case.weights)


def test_every_value_of_a_module_has_an_official_key(module: OfficialModule) -> None:
    places = module.official_tensors().values()
    assert sum(place.numel() for place in places) == sum(own.numel() for own in module.state_dict().values())


def test_what_is_loaded_is_what_is_there(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    module.load_official_state_dict(weights)
    for key, place in module.official_tensors().items():
        assert torch.equal(place, weights[key]), key


def test_loading_needs_gradients_of_none(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    module.load_official_state_dict(weights)
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in module.parameters())


def test_missing_keys_are_all_named(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    first, second, *_ = sorted(weights)
    del weights[first], weights[second]
    with pytest.raises(OfficialStateDictError, match=f"missing: {first}, {second}"):
        module.load_official_state_dict(weights)


def test_unexpected_keys_are_all_named(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    extra = {"head.weight": torch.zeros(1), "head.bias": torch.zeros(1)}
    with pytest.raises(OfficialStateDictError, match=r"unexpected: head\.bias, head\.weight"):
        module.load_official_state_dict(weights | extra)


def test_a_shape_that_does_not_fit_is_named(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    key = min(weights)
    with pytest.raises(OfficialStateDictError, match=rf"{key} is \(1, 2, 3\) instead of"):
        module.load_official_state_dict(weights | {key: torch.zeros(1, 2, 3)})


def test_a_refused_state_dict_changes_nothing(module: OfficialModule, weights: dict[str, Tensor]) -> None:
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(ValueError):
        module.load_official_state_dict(weights | {"stranger": torch.zeros(1)})
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_prefixed_puts_a_dot_between() -> None:
    assert list(prefixed("attn", {"proj.bias": torch.zeros(1)})) == ["attn.proj.bias"]
