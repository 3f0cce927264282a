"""Depth-wise convolution whose training on CPU does not wait for oneDNN's slow weight gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.blocks.layout import is_traced

# Kernels of 3 pixels keep PyTorch's gradients: there oneDNN has a fast kernel, and ours takes about twice its time.
_SMALLEST_OWN_KERNEL = 5


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with one filter a channel, "same" padding and bias; only its CPU gradients are computed otherwise.

    Args:
        channels: Channels of input and output.
        kernel_size: Side of the kernel, in pixels, odd.
        stride: Stride; with any but 1 everything is PyTorch's.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, stride, kernel_size // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        if not self._gradients_are_slow(x):
            return super().forward(x)
        out: Tensor = _OwnGradients.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return out

    def _gradients_are_slow(self, x: Tensor) -> bool:
        """Return whether PyTorch would take oneDNN's general weight gradients; a compiler decides for itself."""
        return (
            not torch.compiler.is_compiling()
            and not is_traced()
            and torch.is_grad_enabled()
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and self.stride == (1, 1)
            and self.weight.shape[-1] >= _SMALLEST_OWN_KERNEL
        )


class _OwnGradients(torch.autograd.Function):
    """Depth-wise convolution with stride 1, whose gradients are depth-wise convolutions, too.

    The input's: the output's gradient convolved with the flipped kernels. The weights': the map convolved with
    the output's gradient as kernels, as large as the map, an image's channel each; oneDNN takes 0.4 to 2 ms for
    that where its own weight gradients take 1.9 to 37 ms (192 to 1536 channels, 80² to 20², k5 to k9, 2 threads).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _depthwise(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004  # torch's name
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _depthwise(gradient, weight.flip(-2, -1)) if needs_x else None,
            _weight_gradient(x, gradient, weight.shape[-1]) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias else None,
        )


def _weight_gradient(x: Tensor, gradient: Tensor, kernel_size: int) -> Tensor:
    """Sum over pixels of gradient times map, for each shift within the kernel: (C, 1, k, k)."""
    batch, channels, height, width = x.shape
    maps = x.contiguous().view(1, batch * channels, height, width)
    filters = gradient.contiguous().view(batch * channels, 1, height, width)
    out = F.conv2d(maps, filters, padding=kernel_size // 2, groups=batch * channels)
    return out.view(batch, channels, kernel_size, kernel_size).sum(0).unsqueeze(1)


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])
