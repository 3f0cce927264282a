"""A learning rate of its own for some elements of a tensor, where an optimiser knows one rate a tensor.

A widened base has new channels in the tensors of old ones. They have as much to learn as a new block, and would
be a handicapped placebo at the old ones' rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def scale_steps(optimizer: torch.optim.Optimizer, elements: Mapping[nn.Parameter, Tensor], factor: float) -> None:
    """Let the optimiser change some elements by `factor` times what it would change them by.

    That is another learning rate, to rounding, where a step is proportional to the rate and what the optimiser
    keeps does not depend on the weights: in Adam and AdamW, decoupled weight decay included. Elements that are not
    chosen are left as the optimiser leaves them, bit for bit.

    Args:
        optimizer: Changed in place: from now on, each step is followed by the rest of the step.
        elements: Parameter to mask of the elements meant, of the parameter's shape.
        factor: Their rate over the parameter's.
    """
    chosen = {parameter: mask.to(parameter.device) for parameter, mask in elements.items()}
    before: dict[nn.Parameter, Tensor] = {}

    def keep(*_: Any) -> None:
        before.update((parameter, parameter.detach().clone()) for parameter in chosen)

    def go_on(*_: Any) -> None:
        with torch.no_grad():
            for parameter, mask in chosen.items():
                start = before.pop(parameter)
                parameter.copy_(torch.where(mask, start + (parameter - start) * factor, parameter))

    if factor != 1.0:
        optimizer.register_step_pre_hook(keep)
        optimizer.register_step_post_hook(go_on)
