"""CloFormer as a detector's backbone: its stem and stages as layers of an Ultralytics model YAML.

The stem and the four stages are the rows of the backbone, so that the sites of a CloFormer detector are
the ends of its stages. Stages 1, 2 and 4 give P3, P4 and P5 (strides 8, 16, 32); stage 3 ends with the
downsampling to stride 32.

The neck and the head are YOLOv8's: the CloFormer article [1] detects with RetinaNet and Mask R-CNN, so a
neck of ours is a choice, and the one that the other families have makes backbones comparable. Each level
of the neck has the width that the backbone has there.

Reference: [1] Fan et al., arXiv:2303.17803, section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from harness.blocks import CloFormer
from harness.blocks.block import CloBlock
from harness.blocks.cloformer import VARIANTS
from harness.blocks.official import OfficialModule, OfficialStateDictError, prefixed
from harness.common.errors import UserError
from harness.detectors.model_yaml import Description

# What the names of these detectors begin with; the variant's follows.
CLOFORMER_PREFIX = "cloformer-"
# YOLOv8n's and YOLOv8s' share of the bottlenecks in the neck: one a layer.
_NECK_DEPTH = 0.33
# Of the running statistics: Ultralytics' own, as in the other layers of a detector.
_MOMENTUM = 0.03


class OfficialNorm(nn.BatchNorm2d):
    """Batch norm with the official code's eps.

    Ultralytics sets the eps of every `BatchNorm2d` of a detector to 1e-3, but not of subclasses. Official weights
    were trained with PyTorch's 1e-5, and another eps is another network.

    Args:
        norm: The norm whose place this takes; its weights are shared.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, eps=norm.eps, momentum=_MOMENTUM)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var


class CloFormerStem(nn.Module):
    """The four convolutions in front of a CloFormer's stages: image to stride 4.

    Args:
        channels: Channels of the image, 3.
        out_channels: Channels of the output; the variant's, spelled out for whoever reads the YAML.
        variant: A published configuration, see `CloFormer.from_variant`.

    Raises:
        ValueError: The channels are not the variant's.
    """

    def __init__(self, channels: int, out_channels: int, variant: str) -> None:
        super().__init__()
        network = CloFormer.from_variant(variant, num_classes=0)
        self.stem = network.stem
        _keep_eps(self.stem)
        _check((channels, out_channels), (3, network.widths[0]), f"stem of {variant}")

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, out_channels, ⌈⌈H/2⌉/2⌉, ⌈⌈W/2⌉/2⌉)."""
        x: Tensor = self.stem(image)
        return x


class CloFormerStage(nn.Module):
    """One of a CloFormer's four stages; the first three end with the transition to the next one's width.

    Args:
        channels: Channels of the input; the variant's, as `out_channels`.
        out_channels: Channels of the output.
        variant: See `CloFormerStem`.
        number: 1 to 4.

    Raises:
        ValueError: The channels are not the variant's.
    """

    def __init__(self, channels: int, out_channels: int, variant: str, number: int) -> None:
        super().__init__()
        network = CloFormer.from_variant(variant, num_classes=0)
        stage = network.stages[number - 1]
        assert isinstance(stage, nn.Sequential)
        self.blocks = stage
        _keep_eps(self.blocks)
        widths = (*network.widths, network.widths[-1])
        _check((channels, out_channels), widths[number - 1 : number + 1], f"stage {number} of {variant}")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out_channels, ⌈H/2⌉, ⌈W/2⌉); the fourth stage keeps the map's size."""
        y: Tensor = self.blocks(x)
        return y


def cloformer_config(variant: str) -> Description:
    """Describe a detector with a CloFormer backbone, in Ultralytics' form.

    Args:
        variant: A published configuration: `xxs`, `xs`, `s`, `global` or `no_global`.

    Raises:
        UserError: There is no such variant.
    """
    if variant not in VARIANTS:
        known = ", ".join(f"{CLOFORMER_PREFIX}{name}" for name in VARIANTS)
        raise UserError(f"base {CLOFORMER_PREFIX}{variant}: no such CloFormer; there are {known}")
    widths = VARIANTS[variant].widths
    stages = [
        [-1, 1, "CloFormerStage", [before, after, variant, number]]
        for number, (before, after) in enumerate(pairwise((*widths, widths[-1])), start=1)
    ]
    _, p3, p4, p5 = widths
    return {
        "nc": 80,
        "scales": {variant: [_NECK_DEPTH, 1.0, p5]},
        "scale": variant,
        "backbone": [[-1, 1, "CloFormerStem", [3, widths[0], variant]], *stages, [-1, 1, "SPPF", [p5, 5]]],
        "head": [
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 2], 1, "Concat", [1]],
            [-1, 3, "C2f", [p4]],  # 8
            [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
            [[-1, 1], 1, "Concat", [1]],
            [-1, 3, "C2f", [p3]],  # 11, P3
            [-1, 1, "Conv", [p3, 3, 2]],
            [[-1, 8], 1, "Concat", [1]],
            [-1, 3, "C2f", [p4]],  # 14, P4
            [-1, 1, "Conv", [p4, 3, 2]],
            [[-1, 5], 1, "Concat", [1]],
            [-1, 3, "C2f", [p5]],  # 17, P5
            [[11, 14, 17], 1, "Detect", ["nc"]],
        ],
    }


def load_official_backbone(detector: nn.Module, mapping: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy the official code's CloFormer weights into a detector's stem and stages: all of them, or none.

    Args:
        detector: Detector with a CloFormer backbone; blocks that were inserted stay as they are.
        mapping: State dict of the official CloFormer, as its `state_dict()` returns it.

    Returns:
        Keys of the classifier, which a detector does not have: its norm and its fully connected layer.

    Raises:
        UserError: The detector has no CloFormer backbone, or the weights are not those of its variant.
    """
    backbone = CloFormerBackbone(detector)
    unused = tuple(key for key in mapping if key.startswith(("norm.", "head.")))
    try:
        backbone.load_official_state_dict({key: value for key, value in mapping.items() if key not in unused})
    except OfficialStateDictError as error:
        raise UserError(f"these weights do not fit the detector's CloFormer backbone: {error}") from error
    return unused


class CloFormerBackbone(OfficialModule):
    """A detector's stem and stages under the names that the official network gives them."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        stems = [module.stem for module in detector.modules() if isinstance(module, CloFormerStem)]
        self.stages = [module.blocks for module in detector.modules() if isinstance(module, CloFormerStage)]
        if len(stems) != 1 or not self.stages:
            raise UserError("this detector has no CloFormer backbone to load weights into; build one of cloformer-*")
        self.stem = stems[0]

    def official_tensors(self) -> dict[str, Tensor]:
        """See `OfficialModule.official_tensors`."""
        tensors = prefixed("patch_embed", self.stem.official_tensors())
        for number, blocks in enumerate(self.stages):
            for index, block in enumerate(blocks):
                assert isinstance(block, CloBlock)
                tensors |= prefixed(f"layers.{number}.blocks.{index}", block.official_tensors())
        return tensors


def _keep_eps(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, OfficialNorm(child))


def _check(given: tuple[int, int], right: tuple[int, ...], where: str) -> None:
    if given != right:
        raise ValueError(f"{where}: channels {given} in its row; they are {right}")
