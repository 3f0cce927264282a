"""In which order a map lies in memory while a block works on it, and when shapes may choose the way."""

from __future__ import annotations

import torch
from torch import Tensor


def working_layout(x: Tensor) -> Tensor:
    """Lay a map out so that the block's convolutions run fast; values and shape stay.

    On CPU that is channels_last: oneDNN's depth-wise convolutions take about half the time there and
    attention needs no transposition. Elsewhere the caller's layout is kept.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def in_layout_of(x: Tensor, original: Tensor) -> Tensor:
    """Undo `working_layout`: lay `x` out as `original`, so that a block leaves its neighbours alone."""
    if original.device.type != "cpu":
        return x
    if original.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()


def is_traced() -> bool:
    """Return whether a trace is being made, to count or to export: it takes the paths that suit every size."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
