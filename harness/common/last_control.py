"""The last control of this version on this machine: what `clo control` found, kept where trained bases are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from harness.common.atomic import write_whole
from harness.common.digest import json_digest
from harness.common.isolation import cache_folder
from harness.common.machine import device_kind
from harness.common.version import version


class LastControl(TypedDict):
    """What was found, and when; `passed` is None where no control was run.

    `quick` says whether it was the short one.
    """

    passed: bool | None
    quick: bool
    when: str


def keep_control(device: str, *, passed: bool, quick: bool) -> None:
    """Keep a control's result for the reports that follow.

    Args:
        device: `cpu` or numbers of CUDA devices, comma-separated.
        passed: Whether all its checks held.
        quick: Whether it was the short one.
    """
    found: LastControl = {"passed": passed, "quick": quick, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    write_whole(_file(device), json.dumps(found).encode())


def last_control(device: str) -> LastControl:
    """Return the last control of this version on this kind of device, or that there is none.

    Args:
        device: As for `keep_control`.
    """
    path = _file(device)
    never: LastControl = {"passed": None, "quick": False, "when": ""}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a file that is not whole is no control
        return never
    return {**never, **found} if isinstance(found, dict) else never


def _file(device: str) -> Path:
    return cache_folder() / "controls" / f"{json_digest([version(), device_kind(device)])[:16]}.json"
