"""The common base of a study on several machines: made by one of them, and the same file for all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.errors import UserError
from harness.search.base import CommonBase
from harness.search.study import SearchStudy
from harness.study_record import BASE

FILE = "base.pt"
"""In the study's folder."""


def shared_base(
    study: SearchStudy, make: Callable[[], CommonBase], waits: Callable[[], None] = lambda: None
) -> CommonBase:
    """The base that the study has; made, and put down in the study's folder, by the first that asks.

    Two machines that each trained it would get weights that differ in their last digits, and candidates of one
    would be compared with a baseline of the other.

    Args:
        study: Its lock makes the others wait.
        make: Trains the base, or finds it in this machine's cache.
        waits: Called if another does so now.

    Raises:
        UserError: The study has a base, and its file is not in this machine's results folder.
    """
    path = study.settings.folder / FILE
    with study.members.lock("base", waits):
        known = study.optuna.user_attrs.get(BASE)
        if known is not None:
            if _digest(path) != known["sha256"]:
                raise UserError(
                    f"{path}: is not the common base that study {study.settings.study} was begun with; every machine "
                    f"needs the same --results folder, on a file system that they share"
                )
            return CommonBase(weights=path, origin=known["origin"], map50_95=known["map50_95"])
        made = make()
        assert made.weights is not None, "only a study from scratch has no base"
        part = path.with_suffix(".part")
        shutil.copyfile(made.weights, part)
        part.replace(path)
        known = {"sha256": _digest(path), "origin": made.origin, "map50_95": made.map50_95}
        study.optuna.set_user_attr(BASE, known)
        return replace(made, weights=path)


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
