"""Do Clo blocks go into YOLOv5, YOLOv7 and YOLOv8: built, run, trained by a gradient, with the base's weights?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.blocks import CloAttention, CloBlock
from harness.claims.verdict import Cell, Figure, Finding, judge
from harness.cost.counts import tensors
from harness.detectors import find_detector, transfer

# Side of the images that are run, in pixels: two pixels at stride 32.
IMGSZ = 64
YOLOV5 = ("yolov5s-clo-backbone", "yolov5s-clo-head", "yolov5s-clo-backbone-bare", "yolov5s-clo-head-bare")
YOLOV7 = ("yolov7-tiny-clo-backbone", "yolov7-tiny-clo-head", "yolov7-clo-head")
YOLOV8 = ("yolov8n-clo-backbone", "yolov8n-clo-head", "yolov8s-clo-head-bare")


@dataclass(frozen=True, kw_only=True)
class Insertion:
    """What became of a model of the article.

    Attributes:
        name: What a command calls the model.
        sites: Where its blocks are.
        blocks: How many Clo blocks or attentions stand in its graph.
        same_shapes: Whether the outputs have the shapes of the base's.
        arrived: Tensors of the base that arrived.
        expected: Tensors of the base.
        reached: Parameter tensors of the blocks that a gradient reaches.
        trainable: Parameter tensors of the blocks.
        starts_as_base: Whether it gives the base's output bit for bit; None where its blocks don't promise that.
        new_params: Parameters more than the base.
        base_params: Parameters of the base.
    """

    name: str
    sites: tuple[str, ...]
    blocks: int
    same_shapes: bool
    arrived: int
    expected: int
    reached: int
    trainable: int
    starts_as_base: bool | None
    new_params: int
    base_params: int

    @property
    def holds(self) -> bool:
        """Whether nothing is amiss."""
        is_there = self.blocks == len(self.sites) > 0 and self.new_params > 0
        arrived, trains = self.arrived == self.expected, self.reached == self.trainable > 0
        return is_there and self.same_shapes and arrived and trains and self.starts_as_base is not False


def goes_into_yolov5() -> Finding:
    """Check the article's YOLOv5s, both parts and both interpretations."""
    return goes_into(YOLOV5)


def goes_into_yolov7() -> Finding:
    """Check YOLOv7-tiny, both parts, and the full YOLOv7."""
    return goes_into(YOLOV7)


def goes_into_yolov8() -> Finding:
    """Check YOLOv8n, both parts, and YOLOv8s with the bare layer."""
    return goes_into(YOLOV8)


def goes_into(names: Sequence[str], imgsz: int = IMGSZ) -> Finding:
    """Check models by name."""
    return judge_insertions([examine(name, imgsz) for name in names])


def judge_insertions(insertions: Sequence[Insertion]) -> Finding:
    """Return the finding that follows from what became of the models."""
    failed = [one.name for one in insertions if not one.holds]
    return Finding(
        verdict=judge(bool(insertions) and not failed),
        sentence=(
            f"{len(insertions) - len(failed)} of {len(insertions)} models build, keep every output's shape, take over "
            "every tensor of the base and pass a gradient to every parameter of their blocks"
            + (f"; these do not: {', '.join(failed)}." if failed else ".")
        ),
        figures=(
            Figure(name="models", value=len(insertions)),
            Figure(name="of them without fault", value=len(insertions) - len(failed)),
        ),
        rows=tuple(_row(one) for one in insertions),
        caption="What the insertion changed; tensors that arrived, and parameter tensors that a gradient reached.",
    )


def examine(name: str, imgsz: int = IMGSZ) -> Insertion:
    """Build a model and its base, hand over the base's random weights, and run both forward and backward.

    Args:
        name: Any that `find_detector` knows.
        imgsz: Side of the images, in pixels, a multiple of the largest stride.
    """
    detector = find_detector(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base, model = detector.base.load(), detector.load()
    arrived = transfer(base, model, detector.layers) if detector.sites else transfer(base, model, _itself(base))
    images = torch.rand(2, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = (list(tensors(network.eval()(images))) for network in (base, model))
    blocks = clo_parts(model)
    same_shapes = [one.shape for one in found] == [one.shape for one in expected]
    starts_as_base: bool | None = None
    if all(isinstance(block, CloBlock) for block in blocks):
        starts_as_base = same_shapes and all(map(torch.equal, found, expected))
    reached, trainable = gradients(model, blocks, images)
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (base, model)]
    return Insertion(
        name=name,
        sites=tuple(placement.site for placement in detector.architecture.placements),
        blocks=len(blocks),
        same_shapes=same_shapes,
        arrived=arrived.arrived,
        expected=arrived.total,
        reached=reached,
        trainable=trainable,
        starts_as_base=starts_as_base,
        new_params=counts[1] - counts[0],
        base_params=counts[0],
    )


def clo_parts(model: nn.Module) -> list[nn.Module]:
    """List the Clo blocks and bare Clo attentions of a model, without those inside others."""
    found = [module for module in model.modules() if isinstance(module, CloBlock | CloAttention)]
    inner = {id(part) for module in found for part in module.modules() if part is not module}
    return [module for module in found if id(module) not in inner]


def gradients(model: nn.Module, blocks: Sequence[nn.Module], images: Tensor) -> tuple[int, int]:
    """Count the blocks' parameter tensors that a gradient of the outputs in training reaches, and all of them.

    Layer scales are set to 1 first: at 0, as they start, they alone get a gradient in the first step.
    """
    with torch.no_grad():
        for block in blocks:
            for name, parameter in block.named_parameters():
                if "layer_scale" in name:
                    parameter.fill_(1)
    model.requires_grad_(True).train()
    generator = torch.Generator().manual_seed(1)
    outputs = [one for one in tensors(model(images)) if one.requires_grad]
    total = torch.stack([(one * torch.randn(one.shape, generator=generator)).sum() for one in outputs]).sum()
    own = [parameter for block in blocks for parameter in block.parameters()]
    got: Sequence[Tensor | None] = torch.autograd.grad(total, own, allow_unused=True) if own else ()
    reached = [one is not None and bool(torch.isfinite(one).all()) and bool((one != 0).any()) for one in got]
    return sum(reached), len(own)


def _itself(base: nn.Module) -> dict[int, int]:
    layers = base.get_submodule("model")
    return {index: index for index in range(len(list(layers.children())))}


def _row(one: Insertion) -> dict[str, Cell]:
    return {
        "model": one.name,
        "blocks at": ", ".join(one.sites),
        "new parameters": one.new_params,
        "of the base's": one.new_params / one.base_params,
        "base tensors arrived": f"{one.arrived} of {one.expected}",
        "block tensors reached": f"{one.reached} of {one.trainable}",
        "output shapes kept": one.same_shapes,
        "starts as the base": one.starts_as_base,
    }
