"""Clo attention: convolution with attention-like, context-aware weights beside pooled attention.

The official function (`EfficientAttention`), computed with fewer kernels and right for every map
size. Some heads are local: their queries, keys and values are gathered from the neighbourhood by
depth-wise convolutions and gate each other (AttnConv). The others are global: every pixel attends to
all windows of the map, each averaged to one token.

Reference: [1] Fan et al., arXiv:2303.17803, section 3.2; https://github.com/qhfan/CloFormer (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.blocks.depthwise import DepthwiseConv2d
from harness.blocks.layout import in_layout_of, is_traced, working_layout
from harness.blocks.official import OfficialModule, OfficialStateDictError, convolution
from harness.blocks.operators import GATES, LOCAL_OPERATORS, local_operator


class AttnConv(nn.Module):
    """The local branch: one group of heads that share a depth-wise kernel size.

    Args:
        width: Channels of the group, heads times channels a head.
        kernel_size: Side of the depth-wise kernel, in pixels.
        scale: Factor before tanh; the official code's is `head_dim ** -0.5`.
    """

    def __init__(self, width: int, kernel_size: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.aggregate = DepthwiseConv2d(3 * width, kernel_size)
        self.gate_in = nn.Conv2d(width, width, 1)
        self.gate_out = nn.Conv2d(width, width, 1)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map (B, 3·width, H, W), queries then keys then values, to (B, width, H, W)."""
        mixed: Tensor = self.aggregate(qkv)
        query, key, value = mixed.chunk(3, dim=1)
        hidden: Tensor = self.gate_in(query * key)
        gate: Tensor
        if torch.is_grad_enabled() or is_traced():
            # In place only between the two: autograd needs silu's input and tanh's output.
            gate = self.gate_out(F.silu(hidden)).mul_(self.scale).tanh_()
            return gate * value
        gate = self.gate_out(F.silu(hidden, inplace=True))
        if gate.device.type == "cpu" and gate.dtype == value.dtype == torch.float32:
            # tanh(z)·v = v - 2·sigmoid(-2z)·v, to float32's precision of v; sigmoid takes 0.9 ns a value, tanh 2.
            return torch.addcmul(value, gate.mul_(-2 * self.scale).sigmoid_(), value, value=-2)
        return gate.mul_(self.scale).tanh_().mul_(value)


class PooledAttention(nn.Module):
    """The global branch: softmax attention of every pixel to the means of windows.

    Args:
        dim: Channels of the input.
        heads: Global heads.
        head_dim: Channels a head.
        window_size: Side of a window, in pixels; 1 leaves every pixel its own token.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, window_size: int) -> None:
        super().__init__()
        self.heads = heads
        self.window_size = window_size
        self.key_value = nn.Conv2d(dim, 2 * heads * head_dim, 1)

    def forward(self, x: Tensor, query: Tensor) -> Tensor:
        """Map (B, dim, H, W) and queries (B, heads·head_dim, H, W) to the queries' shape."""
        key, value = self.key_value(mean_over_windows(x, self.window_size)).chunk(2, dim=1)
        if few_windows(x, self.window_size):
            return self._attend_to_few(query, key, value)
        attended = F.scaled_dot_product_attention(self._tokens(query), self._tokens(key), self._tokens(value))
        return attended.transpose(-1, -2).reshape(query.shape)

    def _attend_to_few(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Compute attention as two products with channels before pixels, as maps lie: nothing is transposed."""
        head_dim = query.shape[1] // self.heads
        queries, keys, values = (x.reshape(-1, head_dim, x.shape[2] * x.shape[3]) for x in (query, key, value))
        scores = torch.bmm((keys * head_dim**-0.5).transpose(1, 2), queries)
        return torch.bmm(values, torch.softmax(scores, dim=1)).reshape(query.shape)

    def _tokens(self, x: Tensor) -> Tensor:
        """Turn a map into (B, heads, pixels, head_dim).

        PyTorch's fused kernels want a head's channels side by side and fall back to plain matrix products
        where they are not; a channels_last map has them so. (Not `contiguous()`: fake tensors on `cuda`
        cannot do that where PyTorch was built without CUDA.)
        """
        batch, channels, height, width = x.shape
        tokens = x.reshape(batch, self.heads, channels // self.heads, height * width).transpose(-1, -2)
        return tokens if tokens.stride(-1) == 1 else tokens.clone(memory_format=torch.contiguous_format)


class CloAttention(OfficialModule):
    """Local and global heads side by side, then one projection. Keeps channels and map size.

    Args:
        dim: Channels of input and output; `num_heads` divides it.
        num_heads: All heads, local and global.
        group_split: Heads of each local group, the last entry the global branch's (0: none).
        kernel_sizes: Depth-wise kernel of each local group, in pixels, odd; one fewer than `group_split`.
        window_size: Side of the windows over which keys and values of the global branch are averaged,
            in pixels. Windows are clipped at the border of the map.
        operator: The local operator, a key of `LOCAL_OPERATORS`; all but `attnconv` are for comparison.
        gate: AttnConv's non-linearity, a key of `GATES`; unused by other operators, as the next two.
        aggregate_qk: Whether AttnConv's depth-wise convolution runs over queries and keys.
        aggregate_v: Whether it runs over values.

    Raises:
        ValueError: An argument is not allowed or two contradict each other.

    Example: two heads in AttnConv of kernel 5, two global ones whose K and V are averaged over 2 × 2 pixels.
        >>> import torch
        >>> attention = CloAttention(32, num_heads=4, group_split=[2, 2], kernel_sizes=[5], window_size=2)
        >>> attention(torch.zeros(1, 32, 16, 16)).shape
        torch.Size([1, 32, 16, 16])
    """

    def __init__(  # noqa: PLR0913, PLR0917  # the official constructor's
        self,
        dim: int,
        num_heads: int,
        group_split: Sequence[int],
        kernel_sizes: Sequence[int],
        window_size: int,
        operator: str = "attnconv",
        gate: str = "swish_tanh",
        aggregate_qk: bool = True,
        aggregate_v: bool = True,
    ) -> None:
        super().__init__()
        _check_attention(dim, num_heads, group_split, kernel_sizes, window_size)
        _check_operator(operator, gate)
        self.is_official = (operator, gate, aggregate_qk, aggregate_v) == ("attnconv", "swish_tanh", True, True)
        head_dim = dim // num_heads
        self.local_widths = [heads * head_dim for heads in group_split[:-1]]
        self.global_width = group_split[-1] * head_dim
        self.kernels_are_large = all(kernel_size >= 7 for kernel_size in kernel_sizes)
        # All that is read at full resolution: q, k, v of each local group, then q of the global branch.
        self.input_widths = [LOCAL_OPERATORS[operator].streams * width for width in self.local_widths]
        if self.global_width:
            self.input_widths.append(self.global_width)
        self.project_in = nn.Conv2d(dim, sum(self.input_widths), 1)
        self.local_branch = nn.ModuleList(
            AttnConv(width, kernel_size, head_dim**-0.5)
            if self.is_official
            else local_operator(operator, width, width // head_dim, kernel_size, gate, aggregate_qk, aggregate_v)
            for width, kernel_size in zip(self.local_widths, kernel_sizes, strict=True)
        )
        self.global_branch = PooledAttention(dim, group_split[-1], head_dim, window_size) if self.global_width else None
        self.project_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, H, W) to (B, dim, H, W)."""
        work = x if self._may_stay(x) else working_layout(x)
        parts = self.project_in(work).split(self.input_widths, dim=1)
        heads = [branch(part) for branch, part in zip(self.local_branch, parts, strict=False)]
        if self.global_branch is not None:
            heads.append(self.global_branch(work, parts[-1]))
        return in_layout_of(self.project_out(heads[0] if len(heads) == 1 else torch.cat(heads, dim=1)), x)

    def _may_stay(self, x: Tensor) -> bool:
        """Return whether the map's own layout serves as well as the working layout, so that conversions are saved.

        oneDNN's 9×9 depth-wise convolutions take 0.39 ms contiguous and 0.59 to 0.94 ms channels_last (384 channels
        at 40², 1536 at 20²); 7×7 0.27 and 0.34; smaller kernels are the other way about. Its 1×1 convolutions
        differ by a fifth up to 40² (128 channels: 0.39 and 0.32 ms), but at 80² take 5.8 and 1.4 ms.
        """
        if not self.kernels_are_large or x.shape[-2] * x.shape[-1] > 1600:
            return False
        return self.global_branch is None or few_windows(x, self.global_branch.window_size)

    def load_official_state_dict(self, mapping: Mapping[str, Tensor]) -> None:
        """See `OfficialModule.load_official_state_dict`.

        Raises:
            OfficialStateDictError: The local operator is not the published one, or the keys do not fit.
        """
        self.check_official()
        super().load_official_state_dict(mapping)

    def check_official(self) -> None:
        """Refuse official weights for an operator that they are not of.

        Raises:
            OfficialStateDictError: The local operator is not the published one.
        """
        if self.local_widths and not self.is_official:
            raise OfficialStateDictError(
                "this CloAttention has another local operator than the published AttnConv, whose official weights "
                "do not fit it: build it with the default operator, gate and aggregation to load them"
            )

    def official_tensors(self) -> dict[str, Tensor]:
        """See `OfficialModule.official_tensors`; the official projections are slices of `project_in`."""
        tensors: dict[str, Tensor] = {}
        first = 0
        for index, branch in enumerate(self.local_branch):
            assert isinstance(branch, AttnConv)
            tensors |= convolution(f"qkvs.{index}", self.project_in, first, self.input_widths[index])
            tensors |= convolution(f"convs.{index}", branch.aggregate)
            tensors |= convolution(f"act_blocks.{index}.act_block.0", branch.gate_in)
            tensors |= convolution(f"act_blocks.{index}.act_block.2", branch.gate_out)
            first += self.input_widths[index]
        if self.global_branch is not None:
            tensors |= convolution("global_q", self.project_in, first)
            tensors |= convolution("global_kv", self.global_branch.key_value)
        return tensors | convolution("proj", self.project_out)


def mean_over_windows(x: Tensor, window_size: int) -> Tensor:
    """Average (B, C, H, W) over windows that are clipped at the lower and right border.

    Returns:
        (B, C, ⌈H/window⌉, ⌈W/window⌉); each value is the mean of the pixels that its window really
        covers, so a map smaller than the window gives its plain mean.
    """
    if window_size == 1:
        return x
    return F.avg_pool2d(x, window_size, ceil_mode=True, count_include_pad=False)


def few_windows(x: Tensor, window_size: int) -> bool:
    """Return whether attention to all windows is faster on CPU as plain products than as a fused kernel.

    Measured (plain and fused, ms of both threads): 25 windows of 40² 0.5 and 1.3, 100 of 20² 0.7 and 0.7, in
    training 2.3 and 2.7; 100 of 40² 2.1 and 1.8; 400 of 40² 18 and 5; 16 of 4² 0.13 and 0.06. 256 of 16² were
    undecided at batch 1, and a third slower plain in training at batch 16, where the scores no longer fit the cache.

    Never in a trace: what is counted or exported is the same function at every size.
    """
    if is_traced():
        return False
    height, width = x.shape[-2:]
    scores = -(-height // window_size) * -(-width // window_size) * height * width
    return x.device.type == "cpu" and height * width >= 64 and scores <= (50_000 if torch.is_grad_enabled() else 2**16)


def _check_operator(operator: str, gate: str) -> None:
    if operator not in LOCAL_OPERATORS:
        raise ValueError(f"operator is {operator!r}; it is one of {', '.join(LOCAL_OPERATORS)}")
    if gate not in GATES:
        raise ValueError(f"gate is {gate!r}; it is one of {', '.join(GATES)}")


def _check_attention(
    dim: int, num_heads: int, group_split: Sequence[int], kernel_sizes: Sequence[int], window_size: int
) -> None:
    """Refuse what makes no attention, naming the value and what is allowed."""
    groups, kernels = list(group_split), list(kernel_sizes)
    if num_heads < 1:
        raise ValueError(f"num_heads is {num_heads}; at least one head is needed")
    if dim < 1 or dim % num_heads:
        raise ValueError(f"dim is {dim}; it is a positive multiple of num_heads, {num_heads}")
    if len(groups) != len(kernels) + 1:
        raise ValueError(
            f"group_split {groups} has {len(groups)} entries for {len(kernels)} kernel_sizes {kernels}; "
            "it has one for each kernel and a last one for the global branch"
        )
    if any(heads < 1 for heads in groups[:-1]):
        raise ValueError(f"group_split {groups}: every local group (all entries but the last) has 1 head or more")
    if groups[-1] < 0:
        raise ValueError(f"group_split {groups}: the global branch (the last entry) has 0 heads or more")
    if sum(groups) != num_heads:
        raise ValueError(f"group_split {groups} sums to {sum(groups)}; it sums to num_heads, {num_heads}")
    for kernel_size in kernels:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_sizes {kernels}: {kernel_size} is not odd and positive (3, 5, 7, 9, …)")
    if window_size < 1:
        raise ValueError(f"window_size is {window_size}; it is 1 or more")
