"""A registered block tried on a map, so that its faults come to light before anything is trained."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from harness.blocks.operators import MapSize
from harness.blocks.registry import BlockError, RegisteredBlock, block_entry

# Side of the map, in pixels.
_SIDE = 32


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


@lru_cache(maxsize=1024)
def probe_training(
    name: str, options: tuple[tuple[str, Any], ...], channels: int, map_size: MapSize, batch: int
) -> str:
    """Train a registered block for one step on a batch of random maps; random numbers drawn later are not disturbed.

    Args:
        name: The block's.
        options: Its options.
        channels: Of the map.
        map_size: Height and width of the map, in pixels.
        batch: Images.

    Returns:
        Why it cannot be trained so; empty if it can.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            block = RegisteredBlock(channels, {"name": name, **dict(options)}).train()
            image = torch.randn(batch, channels, *map_size, requires_grad=True)
            block(image * 1).sum().backward()  # in a network it is no leaf, so that a block may work in place
    except Exception as error:  # noqa: BLE001 - whatever a user's block raises is a reason to them
        return " ".join(str(error).split()) or type(error).__name__
    return ""
