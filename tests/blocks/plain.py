"""Second oracle: the published equations, transcribed one by one, nothing fused or clever.

Written from the article (arXiv:2303.17803, sections 3.1 to 3.3). Weights come as a dictionary under the
official names. Also what the benchmark compares `CloAttention`'s speed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def plain_attention(
    x: Tensor, weights: Weights, group_split: Sequence[int], kernel_sizes: Sequence[int], window_size: int
) -> Tensor:
    """Local groups, then the global branch, concatenated and projected."""
    head_dim = x.shape[1] // sum(group_split)
    heads = [local_group(x, weights, index, kernel, head_dim) for index, kernel in enumerate(kernel_sizes)]
    if group_split[-1]:
        heads.append(global_branch(x, weights, group_split[-1], head_dim, window_size))
    return conv(torch.cat(heads, dim=1), weights, "proj")


def local_group(x: Tensor, weights: Weights, index: int, kernel: int, head_dim: int) -> Tensor:
    """AttnConv: Q, K, V = DWconv(FC(x)); tanh(FC(Swish(FC(Q ⊙ K))) / √d) ⊙ V."""
    projected = conv(x, weights, f"qkvs.{index}")
    mixed = conv(projected, weights, f"convs.{index}", padding=kernel // 2, groups=projected.shape[1])
    q, k, v = torch.chunk(mixed, 3, dim=1)
    hidden = conv(q * k, weights, f"act_blocks.{index}.act_block.0")
    swish = hidden * torch.sigmoid(hidden)
    context = conv(swish, weights, f"act_blocks.{index}.act_block.2")
    return torch.tanh(context / head_dim**0.5) * v


def global_branch(x: Tensor, weights: Weights, heads: int, head_dim: int, window: int) -> Tensor:
    """Softmax(Q Kᵀ / √d) V, with K and V from the average-pooled map."""
    batch, _, height, width = x.shape
    q = conv(x, weights, "global_q").reshape(batch, heads, head_dim, -1).transpose(-1, -2)
    k, v = conv(window_means(x, window), weights, "global_kv").chunk(2, dim=1)
    k = k.reshape(batch, heads, head_dim, -1).transpose(-1, -2)
    v = v.reshape(batch, heads, head_dim, -1).transpose(-1, -2)
    attended = torch.softmax(q @ k.transpose(-1, -2) / head_dim**0.5, dim=-1) @ v
    return attended.transpose(-1, -2).reshape(batch, heads * head_dim, height, width)


def window_means(x: Tensor, window: int) -> Tensor:
    """The published average pooling; where windows stick out, sums divided by the pixels inside."""
    height, width = x.shape[-2:]
    below, right = -height % window, -width % window
    if not below and not right:
        return F.avg_pool2d(x, window) if window > 1 else x
    inside = F.pad(torch.ones_like(x[:1, :1]), (0, right, 0, below))
    sums = F.avg_pool2d(F.pad(x, (0, right, 0, below)), window) * window**2
    return sums / (F.avg_pool2d(inside, window) * window**2)


def plain_ffn(x: Tensor, weights: Weights, kernel_size: int, stride: int) -> Tensor:
    """ConvFFN: FC(DWconv(GELU(FC(x))))."""
    hidden = F.gelu(conv(x, weights, "fc1"))
    mixed = conv(hidden, weights, "dwconv", stride, kernel_size // 2, hidden.shape[1])
    return conv(mixed, weights, "fc2")


def plain_block(
    x: Tensor,
    weights: Weights,
    group_split: Sequence[int],
    kernel_sizes: Sequence[int],
    window_size: int,
    mlp_kernel_size: int,
    stride: int,
) -> Tensor:
    """Clo block in evaluation mode: attention and ConvFFN, each normalised and added to its input."""
    attention = plain_attention(
        norm(x, weights, "norm1"), below("attn", weights), group_split, kernel_sizes, window_size
    )
    x = x + attention
    skip = x
    if stride == 2:
        skip = conv(x, weights, "downsample.0", stride, mlp_kernel_size // 2)
        mean, variance, weight, bias = (
            weights[f"downsample.1.{name}"].view(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        skip = (skip - mean) / torch.sqrt(variance + 1e-5) * weight + bias
        skip = conv(skip, weights, "downsample.2")
    return skip + plain_ffn(norm(x, weights, "norm2"), below("mlp", weights), mlp_kernel_size, stride)


def norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    """GroupNorm with one group: mean and variance over all channels and pixels of an image."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True)
    scaled = (x - mean) / torch.sqrt(variance + 1e-5)
    return scaled * weights[f"{name}.weight"].view(-1, 1, 1) + weights[f"{name}.bias"].view(-1, 1, 1)


def conv(x: Tensor, weights: Weights, name: str, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
    """One convolution with its bias."""
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding, groups=groups)


def below(prefix: str, weights: Weights) -> dict[str, Tensor]:
    """The entries under a prefix, without it."""
    return {key.removeprefix(f"{prefix}."): value for key, value in weights.items() if key.startswith(prefix + ".")}
