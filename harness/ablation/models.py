"""What each arm of an ablation is as a network: its description, what it takes over from the base, what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.architecture import BASELINE
from harness.architecture.choices import Size
from harness.common.digest import text_digest
from harness.common.errors import UserError
from harness.cost.counts import model_cost
from harness.detectors import Base, Site, build, index_map, insert, to_yaml, widened
from harness.detectors.model_yaml import Description
from harness.record.arms import Arm, Role


@dataclass(frozen=True, kw_only=True)
class ArmModel:
    """An arm that can be trained.

    Attributes:
        config: Ultralytics model description.
        layers: Base layer to layer in it.
        is_widened: Whether it is the base with more channels, rather than with blocks.
        params: Its parameters.
        macs: Of one image.
        yaml: The description as a trainable file.
    """

    arm: Arm
    config: Description
    layers: Mapping[int, int]
    is_widened: bool
    params: int
    macs: float
    yaml: str


def arm_models(
    arms: Sequence[Arm], base: Base, sites: Mapping[str, Site], *, imgsz: int, classes: int
) -> tuple[list[ArmModel], list[str]]:
    """Build every arm's network.

    Args:
        arms: From `make_arms`; a model comes before its placebos.
        base: What they are arms of.
        sites: The base's sites.
        imgsz: Side of the square input, in pixels.
        classes: Number of classes of the data.

    Returns:
        The models, in order; and a sentence for each arm that cannot be.

    Raises:
        UserError: A model of the ablation cannot be built.
    """
    found: dict[str, ArmModel] = {}
    left_out: list[str] = []
    for arm in arms:
        try:
            found[arm.name] = _model(arm, base, sites, imgsz, classes, found)
        except UserError as error:
            if arm.role in {Role.BASELINE, Role.MODEL}:
                raise
            left_out.append(f"'{arm.name}' is left out: {error}")
    return list(found.values()), left_out


def _model(
    arm: Arm, base: Base, sites: Mapping[str, Site], imgsz: int, classes: int, found: Mapping[str, ArmModel]
) -> ArmModel:
    if arm.placebo is None:
        config = insert(base, arm.architecture, sites=sites, classes=classes)
        layers = index_map(base, arm.architecture, sites)
    else:
        model, bare = found[arm.model], found[BASELINE]
        added = model.params - bare.params if arm.placebo is Size.PARAMS else model.macs - bare.macs
        config = widened(base, size=arm.placebo, added=round(added), imgsz=imgsz, classes=classes).config
        layers = {index: index for index in range(len(config["backbone"]) + len(config["head"]))}
        arm = replace(arm, identity=_identity(arm.placebo, config))
    params, macs = _size(config, imgsz)
    comment = f"{arm.identity}: {arm.name}\nbase {base.name}; made by clo-nas; needs `import harness`"
    return ArmModel(
        arm=arm,
        config=config,
        layers=layers,
        is_widened=arm.placebo is not None,
        params=int(params),
        macs=macs,
        yaml=to_yaml(config, comment),
    )


def _identity(size: Size, config: Description) -> str:
    """Name a widened base: what was widened to two models of one size is one training."""
    text = json.dumps([config["backbone"], config["head"]], default=str)
    return f"wide-{size}-{text_digest(text)[:8]}"


def _size(config: Description, imgsz: int) -> tuple[float, float]:
    """Count the parameters, and the MACs of one image."""
    cost = model_cost(build(config), imgsz)
    return cost.params, cost.macs
