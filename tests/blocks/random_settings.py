"""Random settings and maps for property tests: odd, rectangular and tiny maps are the point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from harness.blocks import CloAttention


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Arguments of `CloAttention`, a map's shape and a seed."""

    heads: tuple[int, ...]
    kernels: tuple[int, ...]
    window: int
    head_dim: int
    shape: tuple[int, int, int]
    seed: int

    @property
    def dim(self) -> int:
        return sum(self.heads) * self.head_dim

    def attention(self) -> CloAttention:
        """The layer, with weights that depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return CloAttention(self.dim, sum(self.heads), self.heads, self.kernels, self.window).eval()

    def map(self) -> Tensor:
        batch, height, width = self.shape
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(batch, self.dim, height, width, generator=generator)


@st.composite
def settings_strategy(
    draw: st.DrawFn, largest_map: int = 11, smallest_head: int = 1, largest_head: int = 5
) -> Settings:
    """Any legal attention on any small map."""
    kernels = draw(st.lists(st.sampled_from([1, 3, 5, 7]), max_size=2))
    local = [draw(st.integers(1, 2)) for _ in kernels]
    global_heads = draw(st.integers(0 if kernels else 1, 2))
    side = st.integers(1, largest_map)
    return Settings(
        heads=(*local, global_heads),
        kernels=tuple(kernels),
        window=draw(st.integers(1, largest_map + 2)),
        head_dim=draw(st.integers(smallest_head, largest_head)),
        shape=(draw(st.integers(1, 2)), draw(side), draw(side)),
        seed=draw(st.integers(0, 2**16)),
    )
