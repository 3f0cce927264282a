"""A registered block tried on a map, so that its faults come to light before anything is trained."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from harness.blocks.registry import BlockError, block_entry

_SIDE = 32
"""Side of the map, in pixels."""


@lru_cache(maxsize=1024)
def probe(name: str, options: tuple[tuple[str, Any], ...], channels: int) -> None:
    """Build a registered block and run it once; random numbers drawn later are not disturbed.

    Raises:
        BlockError: It is unknown, cannot be built with these options, or does not keep the map's shape.
    """
    entry = block_entry(name)
    shown = ", ".join(f"{option} {value}" for option, value in options) or "its default options"
    block = f"block '{name}' with {shown} on {channels} channels"
    full = entry.full_options(dict(options))
    x = torch.zeros(1, channels, _SIDE, _SIDE)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            shape = tuple(entry.build(channels, **full).eval()(x).shape)
    except Exception as error:  # whatever a user's block raises is one sentence to them
        raise BlockError(f"{block} cannot be used: {type(error).__name__}: {error}") from error
    if shape != tuple(x.shape):
        raise BlockError(f"{block} turns a map {tuple(x.shape)} into {shape}; a block keeps the map's shape")
