"""Weights under the names that the official CloFormer code gives them.

Our modules fuse what the official code keeps apart, so a tensor of theirs may be a slice of one of
ours. Each module says which, and loading is the same for all: check every name and shape, then copy.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Keys of one fault that a message shows.
_SHOWN = 6


class OfficialStateDictError(ValueError):
    """A state dict that is not the official one of this module; nothing was loaded from it."""


class OfficialModule(nn.Module):
    """A module that can take weights of the official code."""

    def official_tensors(self) -> dict[str, Tensor]:
        """Return every official key with the place in this module's memory where its values belong.

        Returns:
            Detached views: writing to one changes this module. By default the module's own keys.
        """
        return dict(self.state_dict())

    def load_official_state_dict(self, mapping: Mapping[str, Tensor]) -> None:
        """Copy official weights into this module: all of them, or none.

        Args:
            mapping: Official keys to values, as the official module's `state_dict()` returns them.

        Raises:
            OfficialStateDictError: Keys are missing, unexpected or of another shape; all are listed.
        """
        for wrapper in ("model", "state_dict"):
            if isinstance(mapping.get(wrapper), Mapping):
                raise OfficialStateDictError(f"this is a checkpoint; its weights are what it holds under '{wrapper}'")
        places = self.official_tensors()
        faults = _faults(places, mapping)
        if faults:
            raise OfficialStateDictError(
                f"not the official state dict of this {type(self).__name__}: {'; '.join(faults)}"
            )
        with torch.no_grad():
            for key, place in places.items():
                place.copy_(mapping[key])


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors with `prefix` and a dot before every key."""
    return {f"{prefix}.{key}": tensor for key, tensor in tensors.items()}


def convolution(prefix: str, module: nn.Conv2d, first: int = 0, count: int | None = None) -> dict[str, Tensor]:
    """Return weight and bias of a convolution, or of some of its output channels, as views.

    Args:
        prefix: Official name of the convolution.
        module: Our convolution; it has a bias.
        first: First output channel that is the official convolution's.
        count: How many are; all the rest by default.
    """
    stop = None if count is None else first + count
    state = module.state_dict()
    return {f"{prefix}.{name}": state[name][first:stop] for name in ("weight", "bias")}


def _faults(places: Mapping[str, Tensor], mapping: Mapping[str, Tensor]) -> list[str]:
    """Say what keeps `mapping` from being loaded, one phrase a kind of fault."""
    missing = sorted(set(places) - set(mapping))
    unexpected = sorted(set(mapping) - set(places))
    misshapen = [
        f"{key} is {tuple(getattr(mapping[key], 'shape', ()))} instead of {tuple(place.shape)}"
        for key, place in places.items()
        if key in mapping and getattr(mapping[key], "shape", None) != place.shape
    ]
    named = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    return [f"{kind}: {_some(keys)}" for kind, keys in named.items() if keys]


def _some(keys: list[str]) -> str:
    """Format the first keys, and how many there are when that is not all."""
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"
