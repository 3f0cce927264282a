"""What a placement chooses between."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.common.errors import UserError

# Height and width of a feature map, in pixels.
MapSize = tuple[int, int]
Option = str | int | float | bool
# The choice that leaves a site empty.
NO_BLOCK = "none"


class Kind(StrEnum):
    """The Clo blocks; any other kind names a registered block (see `harness.blocks.registry`)."""

    # CloAttention with its norm, layer scale and residual.
    ATTENTION = "attention"
    # CloAttention as above, followed by ConvFFN with its own norm, layer scale and residual.
    BLOCK = "block"
    # CloAttention and nothing else, as public forks insert it: no residual, so it cannot start as the identity.
    BARE = "bare"


class Mode(StrEnum):
    """How a block is put at its site."""

    # Behind the site's layer; whatever took the layer's output takes the block's.
    AFTER = "after"
    # Into each bottleneck of the site's layer, behind its convolutions (`C2f_CloAtt`).
    INSIDE = "inside"
    # In place of the site's layer, whose weights are lost.
    REPLACE = "replace"


class Operator(StrEnum):
    """The local operator of a Clo block, by the article's figure."""

    # (a) Depth-wise convolution with a residual.
    CONV = "conv"
    # (b) Self-attention to the pixels around.
    NEIGHBOURHOOD = "neighbourhood"
    # (b) Self-attention within tiles of the map.
    WINDOW = "window"
    # (c) AttnConv.
    ATTNCONV = "attnconv"


class Gate(StrEnum):
    """Non-linearity of AttnConv's gate."""

    SWISH_TANH = "swish_tanh"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


class FeedForward(StrEnum):
    """What follows the attention of a `Kind.BLOCK`."""

    # ConvFFN.
    CONV = "conv"
    # The same without its depth-wise convolution.
    PLAIN = "plain"


class Init(StrEnum):
    """How a new block starts."""

    # Changing nothing (layer scale 0).
    IDENTITY = "identity"
    # A residual branch of full weight (layer scale 1): changes little, and learns from the first step.
    RESIDUAL = "residual"
    # As published, without layer scale.
    OFFICIAL = "official"


class Size(StrEnum):
    """What a widened base has in common with the detector that it is compared with."""

    PARAMS = "params"
    MACS = "macs"


class Recipe(StrEnum):
    """How a detector is trained."""

    # This harness's trainer for few epochs: see docs/accuracy.md.
    SHORT = "short"
    # Ultralytics' own trainer under its defaults, from random weights.
    PUBLISHED = "published"


@dataclass(frozen=True, order=True)
class LocalGroup:
    """Heads of the local branch that share one depth-wise kernel size (official `kernel_sizes`)."""

    kernel: int
    heads: int

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UserError(f"kernel {self.kernel}: a kernel size is odd and positive (3, 5, 7, 9, …)")
        if self.heads < 1:
            raise UserError(f"{self.heads} local heads: a local group has at least one head")


def first_twice(values: Iterable[Hashable]) -> Hashable | None:
    """Return the first value that was there before; None where there is none."""
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
