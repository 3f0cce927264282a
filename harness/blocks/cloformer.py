"""CloFormer: the four-stage network that the Clo block comes from.

A convolutional stem brings the image to stride 4; the stages work at strides 4, 8, 16 and 32. Blocks within a
stage keep the map. The last block of each stage but the last is the way into the next: its ConvFFN halves and
widens the map, and so does its skip.

Reference: [1] Fan et al., arXiv:2303.17803, sections 3.1, 3.3 and 4; https://github.com/qhfan/CloFormer (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

from torch import Tensor, nn

from harness.blocks.block import CloBlock
from harness.blocks.official import OfficialModule, OfficialStateDictError, prefixed

Downsample = Literal["official", "article"]

MLP_KERNEL_SIZE = 5
MLP_RATIO = 4


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One published configuration; every tuple has an entry a stage.

    Attributes:
        widths: Channels.
        heads: All heads, local and global.
        groups: Heads of each local group, then of the global branch.
        kernels: Depth-wise kernel of each local group, in pixels.
        windows: Side of the windows over which the global branch averages keys and values, in pixels.
        depths: Blocks.
    """

    widths: tuple[int, ...]
    heads: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...] = ((3,), (5,), (7,), (9,))
    windows: tuple[int, ...] = (8, 4, 2, 1)
    depths: tuple[int, ...] = (2, 2, 6, 2)


_XXS_WIDTHS, _XXS_HEADS = (32, 64, 128, 256), (4, 4, 8, 16)

# XXS, XS and S of [1]; `global` is XXS without local heads, `no_global` XXS without global ones.
VARIANTS: Mapping[str, Variant] = {
    "xxs": Variant(widths=_XXS_WIDTHS, heads=_XXS_HEADS, groups=((3, 1), (2, 2), (4, 4), (4, 12))),
    "xs": Variant(widths=(48, 96, 160, 352), heads=(3, 6, 10, 22), groups=((2, 1), (3, 3), (5, 5), (7, 15))),
    "s": Variant(widths=(64, 128, 224, 448), heads=(4, 8, 14, 28), groups=((3, 1), (4, 4), (7, 7), (7, 21))),
    "global": Variant(widths=_XXS_WIDTHS, heads=_XXS_HEADS, groups=((4,), (4,), (8,), (16,)), kernels=((), (), (), ())),
    "no_global": Variant(widths=_XXS_WIDTHS, heads=_XXS_HEADS, groups=((4, 0), (4, 0), (8, 0), (16, 0))),
}


class ConvStem(OfficialModule):
    """Four 3×3 convolutions with strides 2, 2, 1 and 1, a 1×1 convolution and a norm: image to stride 4.

    Args:
        width: Channels of the output; the first convolution has half of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (3, width // 2, width, width, width)
        self.steps = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU())
                for (before, after), stride in zip(pairwise(widths), (2, 2, 1, 1), strict=True)
            )
        )
        self.project = nn.Conv2d(width, width, 1)
        self.norm = nn.GroupNorm(1, width)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, width, ⌈⌈H/2⌉/2⌉, ⌈⌈W/2⌉/2⌉)."""
        x: Tensor = self.project(self.steps(image))
        normalised: Tensor = self.norm(x.flatten(2))  # a list of pixels: see `_normalised` in block.py
        return normalised.reshape(x.shape)

    def official_tensors(self) -> dict[str, Tensor]:
        """See `OfficialModule.official_tensors`; the official `layernorm` is a GroupNorm."""
        tensors: dict[str, Tensor] = {}
        for number, step in enumerate(self.steps, start=1):
            tensors |= prefixed(f"conv{number}.conv", step.state_dict())
        return tensors | prefixed("conv5", self.project.state_dict()) | prefixed("layernorm", self.norm.state_dict())


class CloFormer(OfficialModule):
    """Stem, four stages of Clo blocks, norm, global average pooling, one fully connected layer.

    The article and the published code disagree on the skip between two stages. The code, our default, uses a full
    5×5 convolution with stride 2 that mixes all c channels, BatchNorm and a 1×1 convolution; the published parameter
    counts and weights are its. The article writes of a depth-wise convolution and a fully connected layer: no mixing
    before the 1×1 convolution, no BatchNorm, and 25·c² − 23·c parameters fewer at each of the three transitions.

    | parameters | xxs       | xs        | s          | global    | no_global |
    |------------|-----------|-----------|------------|-----------|-----------|
    | official   | 4,166,728 | 7,172,216 | 12,345,576 | 3,998,024 | 4,733,256 |
    | article    | 3,634,280 | 6,251,208 | 10,588,744 | 3,465,576 | 4,200,808 |

    Blocks have no layer scale, as published. The official training's stochastic depth (rate 0 to 0.06, off in
    evaluation) is left out.

    Args:
        variant: Widths, heads and so on of the stages; `from_variant` knows the published ones.
        num_classes: Outputs of the fully connected layer; 0 leaves it out, so that the network gives pooled features.
        downsample: Skip between stages: `official` or `article`.

    Raises:
        ValueError: An argument is not allowed.
    """

    def __init__(self, variant: Variant, num_classes: int = 1000, downsample: Downsample = "official") -> None:
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}; it is 0 (no fully connected layer) or more")
        if downsample not in ("official", "article"):
            raise ValueError(f"downsample is {downsample!r}; it is 'official' or 'article'")
        self.downsample = downsample
        self.widths = variant.widths
        self.stem = ConvStem(variant.widths[0])
        self.stages = nn.ModuleList(_stage(variant, index, downsample) for index in range(len(variant.widths)))
        self.norm = nn.GroupNorm(1, variant.widths[-1])
        self.head = nn.Linear(variant.widths[-1], num_classes) if num_classes else nn.Identity()

    @classmethod
    def from_variant(cls, name: str, num_classes: int = 1000, downsample: Downsample = "official") -> Self:
        """Build a published configuration with fresh weights.

        Args:
            name: A key of `VARIANTS`: `xxs`, `xs`, `s`, `global` or `no_global`.
            num_classes: See the class.
            downsample: See the class.

        Raises:
            ValueError: There is no such variant, or an argument is not allowed.
        """
        if name not in VARIANTS:
            raise ValueError(f"variant is {name!r}; it is one of {', '.join(VARIANTS)}")
        return cls(VARIANTS[name], num_classes, downsample)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) to logits (B, num_classes)."""
        deepest = self.forward_features(image)[-1]
        pooled = self.norm(deepest.flatten(2)).mean(dim=-1)
        logits: Tensor = self.head(pooled)
        return logits

    def forward_features(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, 3, H, W) to what a detector's neck reads: P3, P4 and P5.

        These are the outputs of the first, second and fourth stage, with strides 8, 16 and 32 (sides rounded up at
        each halving) and `feature_widths` channels. The third stage's, the fourth's input, has stride 32 already.
        """
        first, second, third, fourth = self.stages
        p3 = first(self.stem(image))
        p4 = second(p3)
        return p3, p4, fourth(third(p4))

    @property
    def feature_widths(self) -> tuple[int, ...]:
        """Channels of the maps that `forward_features` returns."""
        return self.widths[1:]

    def official_tensors(self) -> dict[str, Tensor]:
        """See `OfficialModule.official_tensors`."""
        tensors = prefixed("patch_embed", self.stem.official_tensors())
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, nn.Sequential)
            for index, block in enumerate(stage):
                assert isinstance(block, CloBlock)
                tensors |= prefixed(f"layers.{number}.blocks.{index}", block.official_tensors())
        return tensors | prefixed("norm", self.norm.state_dict()) | prefixed("head", self.head.state_dict())

    def load_official_state_dict(self, mapping: Mapping[str, Tensor]) -> None:
        """See `OfficialModule.load_official_state_dict`.

        Raises:
            OfficialStateDictError: The network downsamples as the article says, for which there are no official
                weights, or the keys do not fit.
        """
        if self.downsample != "official":
            raise OfficialStateDictError(
                f"this CloFormer was built with downsample={self.downsample!r}, for which no official weights exist: "
                'build it with downsample="official" to load them'
            )
        super().load_official_state_dict(mapping)


def _stage(variant: Variant, index: int, downsample: Downsample) -> nn.Sequential:
    """Build the blocks of one stage; the last leads to the next stage, if there is one."""
    width, depth = variant.widths[index], variant.depths[index]
    next_width = variant.widths[index + 1] if index + 1 < len(variant.widths) else None
    attention = (variant.heads[index], variant.groups[index], variant.kernels[index], variant.windows[index])
    blocks = [
        CloBlock(width, width, *attention, MLP_KERNEL_SIZE, MLP_RATIO, stride=1, init="official")
        for _ in range(depth if next_width is None else depth - 1)
    ]
    if next_width is not None:
        transition = CloBlock(width, next_width, *attention, MLP_KERNEL_SIZE, MLP_RATIO, stride=2, init="official")
        if downsample == "article":
            transition.downsample = _article_skip(width, next_width)
        blocks.append(transition)
    return nn.Sequential(*blocks)


def _article_skip(width: int, next_width: int) -> nn.Sequential:
    """Build a depth-wise convolution with stride 2, then a fully connected layer at each pixel."""
    return nn.Sequential(
        nn.Conv2d(width, width, MLP_KERNEL_SIZE, 2, MLP_KERNEL_SIZE // 2, groups=width),
        nn.Conv2d(width, next_width, 1),
    )
