"""A detector with a Clo block at every site of its base, and what one needs to compare the two."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.blocks import CloBlock
from harness.detectors import Base, Transfer, build, find_sites, index_map, insert, resolve_base, transfer
from harness.detectors.model_yaml import Description

Module = TypeVar("Module", bound=nn.Module)
CLASSES = 10


def placement(site: str, kind: Kind = Kind.BLOCK) -> Placement:
    return Placement(site=site, kind=kind, groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=2)


def blocks_everywhere(base: Base) -> tuple[Description, dict[int, int]]:
    """The description with a block at every site, and where each layer of the base went."""
    sites = find_sites(base)
    architecture = Architecture(base=base.name, placements=tuple(placement(site) for site in sites))
    return insert(base, architecture, sites=sites, classes=CLASSES), index_map(base, architecture, sites)


def pair(name: str) -> tuple[DetectionModel, DetectionModel, Transfer]:
    """The base as if it were trained, the detector with blocks and the base's weights, and what arrived."""
    base = resolve_base(name)
    config, layers = blocks_everywhere(base)
    torch.manual_seed(0)
    original = as_if_trained(base.build(CLASSES))
    detector = build(config)
    moved = transfer(original, detector, layers)
    return original.eval(), detector.eval(), moved


def as_if_trained(model: Module) -> Module:
    """Nothing of its norms at its neutral value."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return model


def awaken(detector: nn.Module) -> list[CloBlock]:
    """Give every inserted block something to say; return them."""
    blocks = [layer for layer in detector.modules() if isinstance(layer, CloBlock) and layer.layer_scale1 is not None]
    with torch.no_grad():
        for block in blocks:
            for scale in (block.layer_scale1, block.layer_scale2):
                assert scale is not None
                scale.fill_(0.5)
    return blocks


def raw(detector: DetectionModel, images: Tensor) -> Tensor:
    """Boxes and scores of every anchor before decoding, from the branch that inference uses.

    Returns:
        (B, 4 · reg_max + classes, anchors).
    """
    with torch.no_grad():
        predictions = detector(images)[1]
    if "boxes" not in predictions:
        predictions = predictions["one2one" if detector.end2end else "one2many"]
    return torch.cat([predictions["boxes"], predictions["scores"]], dim=1)
