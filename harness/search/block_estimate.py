"""What blocks take that there was no time to measure, estimated from those that were.

A space's blocks are combinations of few choices, and what a choice costs is about the same factor whatever stands
beside it: the logarithm of a block's time is a sum over its class, its arguments and its map's size, fitted by ridge
regression. (Of the 620 blocks of the default space on YOLOv5n at 128 px, whose times scatter by 31 %, a tenth foretold
the others to 18 %, a half to 16 %; all were timed on two cores with a load of 10, whose noise is in these figures.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_RIDGE = 0.1
"""Weight of each choice's squared effect beside one squared error: a choice seen twice is believed mostly."""


def estimated(measured: Mapping[str, float], missing: Iterable[str]) -> dict[str, float]:
    """Return times of blocks like those that were measured.

    Args:
        measured: By `block_id`, above 0, at least one; in any unit.
        missing: Names of the same kind.

    Returns:
        In the same unit. What no measured block has in common counts for nothing.
    """
    missing = [*missing]
    choices = {name: set(_choices(json.loads(name))) for name in (*measured, *missing)}
    columns = {choice: place for place, choice in enumerate(sorted(set().union(*choices.values())))}

    def rows(names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([[choice in choices[name] for choice in columns] for name in names], dtype=np.float64)

    if not missing:
        return {}
    seen, logs = rows(measured), np.log([*measured.values()])
    middle = seen.mean(axis=0)
    centred = seen - middle
    effects = np.linalg.solve(centred.T @ centred + _RIDGE * np.eye(len(columns)), centred.T @ (logs - logs.mean()))
    return dict(zip(missing, np.exp(logs.mean() + (rows(missing) - middle) @ effects).tolist(), strict=True))


def _choices(value: Any, place: str = "") -> Iterator[str]:
    """Return what a block is made of, each as its place and its value."""
    if isinstance(value, list | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        yield f"{place}: {len(value)}"
        for key, each in items:
            yield from _choices(each, f"{place}.{key}")
    else:
        yield f"{place} = {value!r}"
