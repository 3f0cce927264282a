"""Layers of YOLOv7 and YOLOv7-tiny, which Ultralytics lacks.

The published descriptions have a row for every convolution, a hundred of them; ours have a row for each
of the units that the article draws. All are made of Ultralytics' `Conv`, so that `model.fuse()` works on
them, and with its default activation, which a YAML's `activation` sets (YOLOv7-tiny: LeakyReLU).

Reference: [1] Wang, Bochkovskiy, Liao, "YOLOv7: Trainable bag-of-freebies sets new state-of-the-art for
real-time object detectors", arXiv:2207.02696; the training definitions of the authors' repository.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.conv import Conv, RepConv


class ELAN(nn.Module):
    """Efficient layer aggregation: a chain of 3×3 convolutions whose outputs are joined on the way.

    Two 1×1 convolutions read the input; the chain begins at the second. Both and every `step`-th output
    of the chain are concatenated and mixed by a last 1×1 convolution.

    | in [1]            | inner     | depth | step |
    |-------------------|-----------|-------|------|
    | backbone          | width     | 4     | 2    |
    | neck (ELAN-W)     | width / 2 | 4     | 1    |
    | YOLOv7-tiny       | width     | 2     | 1    |

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output.
        width: Channels of each 1×1 convolution.
        inner: Channels of each convolution of the chain.
        depth: Convolutions of the chain.
        step: Which of their outputs are joined: every one (1), every second (2), and so on.

    Raises:
        ValueError: The chain's last output would not be joined.
    """

    def __init__(self, channels: int, out_channels: int, width: int, inner: int, depth: int, step: int) -> None:
        super().__init__()
        if step < 1 or depth < 1 or depth % step:
            raise ValueError(f"ELAN joins every {step}th of {depth} outputs; the last one has to be among them")
        self.side = Conv(channels, width, 1)
        self.start = Conv(channels, width, 1)
        self.chain = nn.ModuleList(Conv(inner if index else width, inner, 3) for index in range(depth))
        self.mix = Conv(2 * width + depth // step * inner, out_channels, 1)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out_channels, H, W)."""
        y = self.start(x)
        joined = [self.side(x), y]
        for number, convolution in enumerate(self.chain, start=1):
            y = convolution(y)
            if number % self.step == 0:
                joined.append(y)
        mixed: Tensor = self.mix(torch.cat(joined[::-1], 1))  # the published order: last first
        return mixed


class MPConv(nn.Module):
    """Half the map in two ways, half of the channels each: max pooling and a convolution with stride 2.

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output, even.

    Raises:
        ValueError: The channels of the output are odd.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"MPConv has {out_channels} output channels; it has two halves, so they are even")
        half = out_channels // 2
        self.pooled = nn.Sequential(nn.MaxPool2d(2, 2), Conv(channels, half, 1))
        self.convolved = nn.Sequential(Conv(channels, half, 1), Conv(half, half, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out_channels, H/2, W/2); H and W are even."""
        return torch.cat([self.convolved(x), self.pooled(x)], 1)


class SPPCSPC(nn.Module):
    """Spatial pyramid pooling on one of two branches: max pooling over 5, 9 and 13 pixels.

    Pooling over 5 pixels twice is pooling over 9, thrice over 13, so each step takes the one before.

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output and of everything between.
        tiny: YOLOv7-tiny's form, without the three further convolutions of the pooled branch.
    """

    def __init__(self, channels: int, out_channels: int, tiny: bool = False) -> None:
        super().__init__()
        width = out_channels
        further = [] if tiny else [Conv(width, width, 3), Conv(width, width, 1)]
        self.before = nn.Sequential(Conv(channels, width, 1), *further)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.after = nn.Sequential(Conv(4 * width, width, 1), *([] if tiny else [Conv(width, width, 3)]))
        self.side = Conv(channels, width, 1)
        self.mix = Conv(2 * width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out_channels, H, W)."""
        pyramid = [self.before(x)]
        for _ in range(3):
            pyramid.append(self.pool(pyramid[-1]))
        y: Tensor = self.mix(torch.cat([self.after(torch.cat(pyramid, 1)), self.side(x)], 1))
        return y


class RepConvolution(RepConv):
    """Re-parameterisable 3×3 convolution: beside it a 1×1 one and, where channels stay, the identity.

    `model.fuse()` makes one 3×3 convolution of the three. A class of its own, because Ultralytics' parser
    does not know that its `RepConv` changes channels, and `RepConv` ignores a YAML's activation.

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, act=Conv.default_act, bn=True)


# Their first two arguments are the channels of input and output, as `parser.CHANGING` asks.
YOLOV7_LAYERS: tuple[type[nn.Module], ...] = (ELAN, MPConv, SPPCSPC, RepConvolution)
