"""A base's trained weights into the detector with blocks; what arrived is counted, not hoped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What became of the base's tensors.

    Attributes:
        arrived: Tensors of the base that the new detector took over.
        total: Tensors that the base has.
        left_behind: Names, in the base, of those with no place of their shape, and why.
        new: Names, in the detector, of those that nothing arrived in.
        grown: Names of those that are larger than the base's, each with the mask of its new elements; only a
            widened base has any.
    """

    arrived: int
    total: int
    left_behind: dict[str, str]
    new: frozenset[str]
    grown: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        text = f"{self.arrived} of {self.total} base tensors transferred"
        return text + (f"; left behind: {', '.join(self.left_behind)}" if self.left_behind else "")


def transfer(base: nn.Module, detector: nn.Module, layers: Mapping[int, int]) -> Transfer:
    """Copy every tensor of `base` to its layer's new place in `detector`.

    Args:
        base: Trained detector; its tensors are named `model.<layer>.<rest>`.
        detector: Detector with blocks; changed in place.
        layers: Layer of the base to layer of the detector, from `index_map`; a layer that it lacks was replaced.
    """
    target = detector.state_dict()
    left_behind: dict[str, str] = {}
    new = set(target)
    source = base.state_dict()
    with torch.no_grad():
        for name, tensor in source.items():
            _, layer, rest = name.split(".", 2)
            if int(layer) not in layers:
                left_behind[name] = "its layer was replaced"
                continue
            new_name = f"model.{layers[int(layer)]}.{rest}"
            place = target.get(new_name)
            if place is None:
                left_behind[name] = "no such tensor"
            elif place.shape != tensor.shape:
                left_behind[name] = f"shape {tuple(tensor.shape)} against {tuple(place.shape)}"
            else:
                place.copy_(tensor)
                new.discard(new_name)
    return Transfer(
        arrived=len(source) - len(left_behind), total=len(source), left_behind=left_behind, new=frozenset(new)
    )
