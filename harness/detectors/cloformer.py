"""CloFormer as a detector's backbone: its stem and stages as layers of an Ultralytics model YAML.

The stem and the four stages are the rows of the backbone, so that the sites of a CloFormer detector are
the ends of its stages. Stages 1, 2 and 4 give P3, P4 and P5 (strides 8, 16, 32); stage 3 ends with the
downsampling to stride 32.
"""

from __future__ import annotations

from torch import Tensor, nn

from harness.blocks import CloFormer


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
        self.blocks = network.stages[number - 1]
        widths = (*network.widths, network.widths[-1])
        _check((channels, out_channels), widths[number - 1 : number + 1], f"stage {number} of {variant}")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, out_channels, ⌈H/2⌉, ⌈W/2⌉); the fourth stage keeps the map's size."""
        y: Tensor = self.blocks(x)
        return y


def _check(given: tuple[int, int], right: tuple[int, ...], where: str) -> None:
    if given != right:
        raise ValueError(f"{where}: channels {given} in its row; they are {right}")
