"""Reads the official code's outputs kept in `tests/data/reference/`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "data" / "reference"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One layer of the official code: how it was built, its weights, an input and its output."""

    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    input: Tensor
    output: Tensor


def names(kind: str) -> list[str]:
    """All files of a kind, `attention` or `block`."""
    return sorted(path.stem for path in FOLDER.glob(f"{kind}_*.npz"))


def load(name: str) -> Golden:
    """One file by its name without suffix."""
    with np.load(FOLDER / f"{name}.npz") as data:
        arrays = {key: torch.from_numpy(np.asarray(data[key])) for key in data.files if key != "meta"}
        arguments = json.loads(str(data["meta"]))
    del arguments["kind"]
    weights = {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}
    return Golden(arguments=arguments, weights=weights, input=arrays["input"], output=arrays["output"])
