"""A second oracle of the cost of a module."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def second_oracle(model: nn.Module, *shape: int) -> int:
    """MACs by PyTorch's own counter; attention without the fused kernel, for which it has no formula."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model.eval()(torch.zeros(shape))
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2
