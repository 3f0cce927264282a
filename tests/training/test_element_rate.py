"""Chosen elements learn with a rate of their own, as if they were a parameter of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.training.element_rate import scale_steps

NEW = torch.tensor([[False, False, True], [True, True, True]])
FACTOR = 5.0


def loss(weight: Tensor, step: int) -> Tensor:
    """Not quadratic, with another target every step, and with all elements bound together."""
    target = torch.linspace(-1, 1 + step % 3, 6, dtype=torch.float64).reshape(2, 3)
    return (weight - target).pow(4).sum() + weight.sum().sin()


def start() -> Tensor:
    return torch.tensor([[0.3, -0.7, 1.1], [0.0, 0.0, -2.0]], dtype=torch.float64)


def descend(optimizer: torch.optim.Optimizer, weight: Callable[[], Tensor]) -> Tensor:
    """Thirty steps at a rate that rises and falls."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(30):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - abs(step - 10) / 30)
        optimizer.zero_grad()
        loss(weight(), step).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return weight().detach()


def as_one_tensor(factor: float | None, fused: bool = False) -> Tensor:
    weight = nn.Parameter(start())
    optimizer = torch.optim.AdamW([weight], lr=1e-2, weight_decay=0.1, fused=fused)
    if factor is not None:
        scale_steps(optimizer, {weight: NEW}, factor)
    return descend(optimizer, lambda: weight)


def as_two_tensors() -> Tensor:
    old, new = start()[~NEW].requires_grad_(), start()[NEW].requires_grad_()
    groups = [{"params": [old], "lr": 1e-2}, {"params": [new], "lr": FACTOR * 1e-2}]

    def weight() -> Tensor:
        return torch.zeros(2, 3, dtype=torch.float64).masked_scatter(~NEW, old).masked_scatter(NEW, new)

    return descend(torch.optim.AdamW(groups, weight_decay=0.1), weight)


@pytest.mark.parametrize("fused", [False, True])
def test_it_is_an_adamw_with_both_parts_in_tensors_of_their_own(fused: bool) -> None:
    expected = as_two_tensors()
    torch.testing.assert_close(as_one_tensor(FACTOR, fused), expected, rtol=1e-9, atol=1e-12)
    assert (as_one_tensor(None) - expected).abs().min() > 1e-4  # what would be found if it were not


def test_elements_that_are_not_chosen_are_left_to_the_optimiser_bit_for_bit() -> None:
    plain, scaled = (nn.Parameter(start()) for _ in range(2))
    optimizers = [torch.optim.AdamW([weight], lr=1e-2) for weight in (plain, scaled)]
    scale_steps(optimizers[1], {scaled: NEW}, FACTOR)
    for step in range(3):
        gradient = torch.full((2, 3), 0.1 * (step + 1), dtype=torch.float64)
        for weight, optimizer in zip((plain, scaled), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    assert torch.equal(plain[~NEW], scaled[~NEW])
    torch.testing.assert_close((scaled - start())[NEW], FACTOR * (plain - start())[NEW], rtol=0.05, atol=0)


def test_a_factor_of_one_changes_nothing() -> None:
    assert torch.equal(as_one_tensor(1.0), as_one_tensor(None))
