"""ConvFFN: a feed-forward network whose hidden map passes through a depth-wise convolution.

Reference: [1] Fan et al., arXiv:2303.17803, section 3.3; the official code's `ConvFFN`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from harness.blocks.depthwise import DepthwiseConv2d
from harness.blocks.layout import in_layout_of, working_layout
from harness.blocks.official import OfficialModule


class ConvFFN(OfficialModule):
    """1×1 convolution, GELU, depth-wise convolution, 1×1 convolution.

    Without the depth-wise convolution it is the plain FFN that the article compares it with.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels between the two 1×1 convolutions.
        kernel_size: Side of the depth-wise kernel, in pixels, odd.
        stride: Stride of the depth-wise convolution, 1 or 2.
        out_channels: Channels of the output.
        depthwise: Whether there is a depth-wise convolution; without one the stride is 1.

    Raises:
        ValueError: An argument is not allowed.

    Example:
        >>> import torch
        >>> ConvFFN(32, 64, kernel_size=5, stride=2, out_channels=48)(torch.zeros(1, 32, 16, 16)).shape
        torch.Size([1, 48, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int,
        stride: int,
        out_channels: int,
        depthwise: bool = True,
    ) -> None:
        super().__init__()
        _check(in_channels, hidden_channels, kernel_size, stride, out_channels)
        self.fc1 = nn.Conv2d(in_channels, hidden_channels, 1)
        if not depthwise and stride != 1:
            raise ValueError(f"stride is {stride} without a depth-wise convolution; only that one can have a stride")
        self.dwconv = DepthwiseConv2d(hidden_channels, kernel_size, stride) if depthwise else nn.Identity()
        self.fc2 = nn.Conv2d(hidden_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        hidden = self.dwconv(F.gelu(self.fc1(working_layout(x))))
        return in_layout_of(self.fc2(hidden), x)


def _check(in_channels: int, hidden_channels: int, kernel_size: int, stride: int, out_channels: int) -> None:
    """Refuse what makes no ConvFFN, naming the value and what is allowed."""
    channels = {"in_channels": in_channels, "hidden_channels": hidden_channels, "out_channels": out_channels}
    for name, value in channels.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it is 1 or more")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size}; it is odd and positive (3, 5, 7, 9, …)")
    if stride not in (1, 2):
        raise ValueError(f"stride is {stride}; it is 1 or 2")
