"""The Clo block: attention and ConvFFN, each with its norm and a residual.

Reference: [1] Fan et al., arXiv:2303.17803, section 3.1; the official code's `EfficientBlock`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from harness.blocks.attention import CloAttention
from harness.blocks.ffn import ConvFFN
from harness.blocks.official import OfficialModule, OfficialStateDictError, prefixed

Init = Literal["identity", "residual", "official"]
# What layer scales start at; why not at 0: docs/decisions/0004-defaults-from-noise.md.
LAYER_SCALES: Mapping[str, float] = {"identity": 0.0, "residual": 1.0}


class CloBlock(OfficialModule):
    """`x + scale₁·attn(norm₁(x))`, then `skip(x) + scale₂·mlp(norm₂(x))`.

    With `init="identity"` both layer scales (one learnable factor a channel) start at zero, so that a
    block put into a trained network changes nothing, bit for bit, until it has learned something. That
    needs stride 1: with stride 2 the branches start at zero all the same and the block starts as its
    downsampling skip. With `init="residual"` they start at one: what lies behind a scale of zero learns
    nothing until the scale has left it, which takes most of a short training. With `init="official"` there are no
    layer scales, as in the published code.

    Args:
        dim: Channels of the input.
        out_dim: Channels of the output; other than `dim` only with stride 2.
        num_heads: See `CloAttention`, as for the next three.
        group_split: Heads of each local group, then of the global branch.
        kernel_sizes: Depth-wise kernel of each local group, in pixels.
        window_size: Side of the global branch's windows, in pixels.
        mlp_kernel_size: Depth-wise kernel of ConvFFN and kernel of the skip's convolution, in pixels.
        mlp_ratio: Hidden channels of ConvFFN over `dim`, rounded down; 0 leaves ConvFFN out.
        stride: 1, or 2 to halve the map (rounding up).
        init: `identity`, `residual` or `official`.
        operator: See `CloAttention`, as for the next three.
        gate: AttnConv's non-linearity.
        aggregate_qk: Whether AttnConv's depth-wise convolution runs over queries and keys.
        aggregate_v: Whether it runs over values.
        ffn: `conv` for ConvFFN, `plain` for the same without its depth-wise convolution.

    Raises:
        ValueError: An argument is not allowed or two contradict each other.

    Example: as the identity, it changes nothing until it has learned something.
        >>> import torch
        >>> block = CloBlock(32, 32, 4, [2, 2], [5], window_size=2, mlp_kernel_size=5, mlp_ratio=2, stride=1)
        >>> x = torch.rand(1, 32, 16, 16)
        >>> torch.equal(block(x), x)
        True
    """

    def __init__(  # noqa: PLR0913, PLR0917  # the official constructor's
        self,
        dim: int,
        out_dim: int,
        num_heads: int,
        group_split: Sequence[int],
        kernel_sizes: Sequence[int],
        window_size: int,
        mlp_kernel_size: int,
        mlp_ratio: float,
        stride: int,
        init: Init = "identity",
        operator: str = "attnconv",
        gate: str = "swish_tanh",
        aggregate_qk: bool = True,
        aggregate_v: bool = True,
        ffn: str = "conv",
    ) -> None:
        super().__init__()
        _check_block(dim, out_dim, mlp_kernel_size, mlp_ratio, stride, init)
        if ffn not in ("conv", "plain"):
            raise ValueError(f"ffn is {ffn!r}; it is 'conv' or 'plain'")
        self.init = init
        self.norm1 = nn.GroupNorm(1, dim)
        self.attn = CloAttention(
            dim, num_heads, group_split, kernel_sizes, window_size, operator, gate, aggregate_qk, aggregate_v
        )
        self.layer_scale1 = _layer_scale(dim, init)
        self.norm2: nn.GroupNorm | None = None
        self.mlp: ConvFFN | None = None
        self.layer_scale2: nn.Parameter | None = None
        self.downsample: nn.Sequential | None = None
        if mlp_ratio:
            self.norm2 = nn.GroupNorm(1, dim)
            self.mlp = ConvFFN(dim, int(dim * mlp_ratio), mlp_kernel_size, stride, out_dim, ffn == "conv")
            self.layer_scale2 = _layer_scale(out_dim, init)
        if stride == 2:
            self.downsample = nn.Sequential(
                nn.Conv2d(dim, dim, mlp_kernel_size, stride, mlp_kernel_size // 2),
                nn.BatchNorm2d(dim),
                nn.Conv2d(dim, out_dim, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, H, W) to (B, out_dim, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = _residual(x, self.attn(_normalised(x, self.norm1)), self.layer_scale1)
        if self.mlp is None or self.norm2 is None:
            return x
        skip = x if self.downsample is None else self.downsample(x)
        return _residual(skip, self.mlp(_normalised(x, self.norm2)), self.layer_scale2)

    def official_tensors(self) -> dict[str, Tensor]:
        """See `OfficialModule.official_tensors`."""
        others = {key: tensor for key, tensor in self.state_dict().items() if not key.startswith("attn.")}
        return others | prefixed("attn", self.attn.official_tensors())

    def load_official_state_dict(self, mapping: Mapping[str, Tensor]) -> None:
        """See `OfficialModule.load_official_state_dict`.

        Raises:
            OfficialStateDictError: The block has layer scales, which would silence the weights, or the
                keys do not fit.
        """
        if self.layer_scale1 is not None:
            raise OfficialStateDictError(
                f'this CloBlock was built with init="{self.init}" and has layer scales, which official weights '
                'lack: build it with init="official" to load them'
            )
        self.attn.check_official()
        super().load_official_state_dict(mapping)


def _layer_scale(channels: int, init: Init) -> nn.Parameter | None:
    return nn.Parameter(torch.full((channels,), LAYER_SCALES[init])) if init in LAYER_SCALES else None


def _normalised(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Normalise the map as a list of pixels.

    A trap: on CPU, PyTorch's GroupNorm of a channels_last map that needs no gradient (a frozen base
    before the block) dies of a segmentation fault in the backward pass. A list of pixels has no such layout.
    """
    normalised: Tensor = norm(x.flatten(2))
    return normalised.reshape(x.shape)


def _residual(skip: Tensor, branch: Tensor, scale: Tensor | None) -> Tensor:
    """Add a branch to its skip, in the skip's dtype even where autocast computed the branch in another."""
    if scale is not None:
        branch = branch * scale.view(-1, 1, 1)
    return skip + branch.to(skip.dtype)


def _check_block(dim: int, out_dim: int, mlp_kernel_size: int, mlp_ratio: float, stride: int, init: str) -> None:
    """Refuse what only the block can refuse, naming the value and what is allowed."""
    if init not in get_args(Init):
        raise ValueError(f"init is {init!r}; it is one of {', '.join(get_args(Init))}")
    if stride not in (1, 2):
        raise ValueError(f"stride is {stride}; it is 1 or 2")
    if stride == 1 and out_dim != dim:
        raise ValueError(f"out_dim is {out_dim}; with stride 1 it is dim, {dim}")
    if out_dim < 1:
        raise ValueError(f"out_dim is {out_dim}; it is 1 or more")
    if mlp_kernel_size < 1 or mlp_kernel_size % 2 == 0:
        raise ValueError(f"mlp_kernel_size is {mlp_kernel_size}; it is odd and positive (3, 5, 7, 9, …)")
    if mlp_ratio < 0 or 0 < mlp_ratio * dim < 1:
        raise ValueError(f"mlp_ratio is {mlp_ratio}; it is 0 (no ConvFFN) or {1 / dim:g} (one hidden channel) or more")
    if not mlp_ratio and stride == 2:
        raise ValueError("stride is 2 and mlp_ratio is 0; without ConvFFN nothing can downsample: stride is 1")
