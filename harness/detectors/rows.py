"""The rows of a model description: which layers there are to name, and which row is to blame where none is built."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from ultralytics.nn import tasks

from harness.common.errors import UserError
from harness.detectors.model_yaml import Description, Row

# Attention layers that `forks` reads as people write them.
FORKS_OWN = ("CBAM", "SE", "CloAttention")
# Side of the image that a description is tried on, in pixels.
_SIDE = 256
# What Ultralytics' parser and its layers raise where a description is wrong.
BUILD_ERRORS = (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError, AssertionError)


def check_names(rows: Sequence[Row], spec: str) -> None:
    """Refuse a description that names a layer which there is not.

    Raises:
        UserError: The row, the name, and the names that there are.
    """
    for number, row in enumerate(rows):
        if not isinstance(row[3], list):
            raise UserError(f"base {spec}: {_shown(number, row)}: its arguments, last, are not a list")
        if not _is_layer(row[2]):
            raise UserError(f"base {spec}: {_shown(number, row)}: no layer '{row[2]}'; there are {_names()}")


def faulty_row(config: Description, error: Exception) -> str:
    """Say why a description is not built, in a sentence that names the row if one is to blame.

    Args:
        config: The description, which could not be built.
        error: What came of it.
    """
    rows = [*config["backbone"], *config["head"]]
    for number, row in enumerate(rows):
        if not _is_layer(row[2]):
            return f"{_shown(number, row)}: '{row[2]}' is no layer"
        try:
            _parsed(config, rows[: number + 1])
        except BUILD_ERRORS as fault:
            if number == 0 and "activation" in str(fault):
                return f"its activation {config.get('activation')!r} is no torch.nn layer with plain arguments"
            return f"{_shown(number, row)}: it does not accept these arguments ({_sentence(fault)})"
    number, why = _first_that_does_not_run(config, rows)
    return f"{_shown(number, rows[number])}: {why}" if why else _sentence(error)


def input_channels(config: Description, rows: Sequence[Row], numbers: Sequence[int]) -> dict[int, int]:
    """Find the channels that reach some rows, each of which keeps them.

    Args:
        config: The description without its rows.
        rows: All rows.
        numbers: Whose input is asked for.

    Raises:
        UserError: A row before them cannot be built.
    """
    plain = [[row[0], 1, "nn.Identity", []] if number in numbers else row for number, row in enumerate(rows)]
    plain = plain[: max(numbers) + 1]
    channels: dict[int, int] = {}

    def noting(number: int) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            channels[number] = output.shape[1]

        return hook

    layers = _parsed(config, plain)
    for number in numbers:
        layers[number].register_forward_hook(noting(number))
    _run(layers)
    return channels


def _parsed(config: Description, rows: Sequence[Row]) -> Any:
    described = {**copy.deepcopy(dict(config)), "backbone": copy.deepcopy(list(rows)), "head": []}
    layers, _ = tasks.parse_model(described, ch=3, verbose=False)
    return layers.eval()


def _run(layers: Any) -> int:
    """Run layers as Ultralytics does; return how many ran."""
    outputs: list[Any] = []
    x: Any = torch.zeros(1, 3, _SIDE, _SIDE)
    with torch.no_grad():
        for layer in layers:
            if layer.f != -1:
                x = outputs[layer.f] if isinstance(layer.f, int) else [x if j == -1 else outputs[j] for j in layer.f]
            x = layer(x)
            outputs.append(x)
    return len(outputs)


def _first_that_does_not_run(config: Description, rows: Sequence[Row]) -> tuple[int, str]:
    layers = _parsed(config, rows)
    for number in range(len(rows)):
        try:
            _run(layers[: number + 1])
        except BUILD_ERRORS as fault:
            return number, _sentence(fault)
    return 0, ""


def _is_layer(name: Any) -> bool:
    if name in FORKS_OWN or str(name).startswith("torchvision.ops."):
        return True
    place, _, attribute = str(name).rpartition(".")
    found = getattr({"": tasks, "nn": nn}.get(place), attribute, None)
    return isinstance(found, type) and issubclass(found, nn.Module)


def _names() -> str:
    """List all layers by name; those that are whole models are none."""
    found = {
        name
        for name, value in vars(tasks).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and not issubclass(value, tasks.BaseModel)
    }
    return f"{', '.join(sorted(found | set(FORKS_OWN)))}, and those of torch.nn as nn.NAME"


def _shown(number: int, row: Row) -> str:
    text = ", ".join(str(part) for part in row)
    return f"layer {number}, [{text}]"


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or "its arguments do not fit"
