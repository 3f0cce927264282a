"""What AttnConv is compared with, in its socket: other local operators, and AttnConv with a part changed.

Every operator takes what the input projection made for its group of heads and gives the group's map.
The article's figure calls them (a) convolution, (b) local self-attention and (c) AttnConv.

| name            | weights over the neighbours                          | streams |
|-----------------|------------------------------------------------------|---------|
| `conv`          | shared by all pixels                                 | 1       |
| `neighbourhood` | each pixel's own: softmax(QKᵀ/√d), a sliding window  | Q, K, V |
| `window`        | the same, among the pixels of one tile of the map    | Q, K, V |
| `attnconv`      | shared ones, then each pixel's own gate              | Q, K, V |

References: [1] Fan et al., arXiv:2303.17803, section 3.2. [2] Sliding neighbourhood: Ramachandran et al.,
arXiv:1906.05909. [3] Tiles: Liu et al. (Swin), arXiv:2103.14030, here without shift and position bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.blocks.depthwise import DepthwiseConv2d

MapSize = tuple[int, int]
# Parameters and MACs.
PartCost = tuple[int, int]


def _same(x: Tensor) -> Tensor:
    return x


def _softmax_of_a_head(x: Tensor) -> Tensor:
    """Apply softmax over the channels of (B, heads, head_dim, H, W): the gates of a head at a pixel sum to 1."""
    return x.softmax(dim=2)


# Gate non-linearity by name: what stands between its two 1×1 convolutions, and what follows them.
GATES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "swish_tanh": (F.silu, torch.tanh),
    "tanh": (_same, torch.tanh),
    "sigmoid": (_same, torch.sigmoid),
    "softmax": (_same, _softmax_of_a_head),
    "none": (_same, _same),
}


class AblatedAttnConv(nn.Module):
    """AttnConv with parts changed one at a time; as published with the default arguments.

    All gates keep both 1×1 convolutions, so that they differ in nothing but the non-linearity: `tanh` lacks
    the Swish between them, `sigmoid` and `softmax` (over the channels of a head) stand in for tanh without a
    Swish either, and `none` leaves the gate linear.

    Args:
        width: Channels of the group, heads times channels a head.
        heads: Heads of the group.
        kernel_size: Side of the depth-wise kernel, in pixels.
        gate: A key of `GATES`.
        aggregate_qk: Whether the depth-wise convolution runs over queries and keys.
        aggregate_v: Whether it runs over values.

    Raises:
        ValueError: There is no such gate.
    """

    streams: ClassVar[int] = 3

    def __init__(
        self,
        width: int,
        heads: int,
        kernel_size: int,
        gate: str = "swish_tanh",
        aggregate_qk: bool = True,
        aggregate_v: bool = True,
    ) -> None:
        super().__init__()
        if gate not in GATES:
            raise ValueError(f"gate is {gate!r}; it is one of {', '.join(GATES)}")
        self.heads = heads
        self.gate = gate
        self.scale = (width // heads) ** -0.5
        self.aggregate_qk = _local_conv(2 * width, kernel_size) if aggregate_qk else nn.Identity()
        self.aggregate_v = _local_conv(width, kernel_size) if aggregate_v else nn.Identity()
        self.gate_in = nn.Conv2d(width, width, 1)
        self.gate_out = nn.Conv2d(width, width, 1)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (B, 3·width, H, W), queries then keys then values, to (B, width, H, W)."""
        width = qkv.shape[1] // 3
        queries_keys, values = torch.split(qkv, [2 * width, width], dim=1)
        query, key = self.aggregate_qk(queries_keys).chunk(2, dim=1)
        value: Tensor = self.aggregate_v(values)
        between, after = GATES[self.gate]
        gate = self.gate_out(between(self.gate_in(query * key))) * self.scale
        batch, _, *size = gate.shape
        weights = after(gate.reshape(batch, self.heads, width // self.heads, *size)).reshape(gate.shape)
        return weights * value

    @staticmethod
    def cost(
        width: int, kernel_size: int, map_size: MapSize, aggregate_qk: bool = True, aggregate_v: bool = True
    ) -> PartCost:
        """Count in closed form: a depth-wise convolution of what is aggregated, two 1×1 convolutions of the gate."""
        pixels = math.prod(map_size)
        aggregated = width * (2 * aggregate_qk + aggregate_v)
        params = aggregated * (kernel_size**2 + 1) + 2 * width * (width + 1)
        return params, pixels * (aggregated * kernel_size**2 + 2 * width**2)


class ResidualDepthwise(nn.Module):
    """Figure a: a plain depth-wise convolution with a residual; the same weights at every pixel.

    Args:
        width: Channels of the group.
        heads: Heads of the group; a convolution makes nothing of them.
        kernel_size: Side of the kernel, in pixels.
    """

    streams: ClassVar[int] = 1

    def __init__(self, width: int, heads: int, kernel_size: int) -> None:
        super().__init__()
        self.aggregate = _local_conv(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, width, H, W)."""
        out: Tensor = x + self.aggregate(x)
        return out

    @staticmethod
    def cost(width: int, kernel_size: int, map_size: MapSize) -> PartCost:
        """Count in closed form: one depth-wise convolution."""
        return width * (kernel_size**2 + 1), width * kernel_size**2 * math.prod(map_size)


class NeighbourhoodAttention(nn.Module):
    """Figure b: each pixel gathers from the kernel_size² pixels around it; those outside the map are left out.

    Args:
        width: Channels of the group.
        heads: Heads of the group.
        kernel_size: Side of the neighbourhood, in pixels, odd.
    """

    streams: ClassVar[int] = 3

    def __init__(self, width: int, heads: int, kernel_size: int) -> None:
        super().__init__()
        self.heads = heads
        self.kernel_size = kernel_size
        self.scale = (width // heads) ** -0.5

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (B, 3·width, H, W), queries then keys then values, to (B, width, H, W)."""
        batch, channels, height, width = qkv.shape
        pixels, head_dim = height * width, channels // 3 // self.heads
        queries, keys_values = torch.split(qkv, [channels // 3, channels // 3 * 2], dim=1)
        query = (queries * self.scale).reshape(batch, self.heads, head_dim, pixels)
        key, value = self._neighbours(keys_values).reshape(batch, 2, self.heads, head_dim, -1, pixels).unbind(1)
        scores = torch.einsum("bhdn,bhdkn->bhkn", query, key)
        inside = self._neighbours(qkv.new_ones(1, 1, height, width))
        attention = scores.masked_fill(inside == 0, -torch.inf).softmax(dim=2)
        out: Tensor = torch.einsum("bhkn,bhdkn->bhdn", attention, value)
        return out.reshape(batch, channels // 3, height, width)

    def _neighbours(self, x: Tensor) -> Tensor:
        """Gather (B, C, H, W) to (B, C, kernel_size², H·W); zero where a neighbour lies outside the map.

        (Not `F.unfold`, which fake tensors on `cuda` cannot do where PyTorch was built without CUDA.)
        """
        height, width = x.shape[-2:]
        padded = F.pad(x, (self.kernel_size // 2,) * 4)
        offsets = range(self.kernel_size)
        shifted = [padded.narrow(2, i, height).narrow(3, j, width) for i in offsets for j in offsets]
        return torch.stack(shifted, dim=2).flatten(3)

    @staticmethod
    def cost(width: int, kernel_size: int, map_size: MapSize) -> PartCost:
        """Count in closed form: scores and weighted sum over kernel_size² neighbours; no weights of its own."""
        return 0, 2 * width * kernel_size**2 * math.prod(map_size)


class WindowAttention(nn.Module):
    """Figure b, partitioned: each pixel gathers from the pixels of its own tile of the map.

    Tiles that stick out are filled up, and what fills them is left out of the attention. A tile larger
    than the map is the map. Not equivariant to translation, unlike the other operators.

    Args:
        width: Channels of the group.
        heads: Heads of the group.
        kernel_size: Side of a tile, in pixels.
    """

    streams: ClassVar[int] = 3

    def __init__(self, width: int, heads: int, kernel_size: int) -> None:
        super().__init__()
        self.heads = heads
        self.kernel_size = kernel_size

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (B, 3·width, H, W), queries then keys then values, to (B, width, H, W)."""
        batch, channels, height, width = qkv.shape
        rows, columns = min(self.kernel_size, height), min(self.kernel_size, width)
        below, right = -height % rows, -width % columns
        padded = F.pad(qkv, (0, right, 0, below))
        query, key, value = self._tiles(padded, rows, columns)
        mask = None
        if below or right:
            filled = F.pad(qkv.new_ones(1, 1, height, width), (0, right, 0, below))
            mask = _tokens_of_tiles(filled, 1, rows, columns).squeeze(-1).unsqueeze(-2) > 0  # (1, tiles, 1, 1, tokens)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        grid = ((height + below) // rows, (width + right) // columns)
        out = out.reshape(batch, *grid, self.heads, rows, columns, -1).permute(0, 3, 6, 1, 4, 2, 5)
        out = out.reshape(batch, channels // 3, height + below, width + right)
        return out.narrow(2, 0, height).narrow(3, 0, width)

    def _tiles(self, qkv: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cut the map into queries, keys and values, each (B, tiles, heads, tokens, head_dim)."""
        query, key, value = (_tokens_of_tiles(part, self.heads, rows, columns) for part in qkv.chunk(3, dim=1))
        return query, key, value

    @staticmethod
    def cost(width: int, kernel_size: int, map_size: MapSize) -> PartCost:
        """Count in closed form: scores and weighted sum over a tile, for every pixel of the filled-up map."""
        rows, columns = (min(kernel_size, side) for side in map_size)
        tokens = math.ceil(map_size[0] / rows) * rows * math.ceil(map_size[1] / columns) * columns
        return 0, 2 * width * tokens * rows * columns


# Every local operator by the name that a placement gives it.
LOCAL_OPERATORS: dict[str, type[AblatedAttnConv | ResidualDepthwise | NeighbourhoodAttention | WindowAttention]] = {
    "attnconv": AblatedAttnConv,
    "conv": ResidualDepthwise,
    "neighbourhood": NeighbourhoodAttention,
    "window": WindowAttention,
}


def local_operator(
    name: str, width: int, heads: int, kernel_size: int, gate: str, aggregate_qk: bool, aggregate_v: bool
) -> nn.Module:
    """Build a local operator; the last three are AttnConv's and unused by others."""
    kind = LOCAL_OPERATORS[name]
    if kind is AblatedAttnConv:
        return AblatedAttnConv(width, heads, kernel_size, gate, aggregate_qk, aggregate_v)
    return kind(width, heads, kernel_size)


def _local_conv(channels: int, kernel_size: int) -> DepthwiseConv2d:
    return DepthwiseConv2d(channels, kernel_size)


def _tokens_of_tiles(x: Tensor, heads: int, rows: int, columns: int) -> Tensor:
    """Cut (B, C, H, W) into (B, tiles, heads, rows·columns, C / heads); the tiles fill the map."""
    batch, channels, height, width = x.shape
    grid = (height // rows, width // columns)
    tiled = x.reshape(batch, heads, channels // heads, grid[0], rows, grid[1], columns)
    tiled = tiled.permute(0, 3, 5, 1, 4, 6, 2)
    return tiled.reshape(batch, grid[0] * grid[1], heads, rows * columns, channels // heads)
