"""The common base: trained once, kept in the cache under a hash of everything that determines it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness._version import version
from harness.cache import BASES, hold, trim
from harness.data.check import DatasetInfo
from harness.detectors import Base, build, transfer
from harness.errors import UserError
from harness.half_written import part_of, remove_left_overs
from harness.isolation import cache_folder
from harness.measure.accuracy import Accuracy, Schedule, Training
from harness.search.executors import run_in_child
from harness.search.outcome import Failure
from harness.search.trial import train_base

SHARED_BASES = ".bases"
"""Folder in the results folder that keeps common bases which a cluster's nodes have to see."""
Run = Callable[[Callable[..., Accuracy], Training, Callable[[Any], None], Path | None], Accuracy | Failure]
"""Runs one training; see `run_in_child`."""


@dataclass(frozen=True, kw_only=True)
class CommonBase:
    """The weights that every candidate starts from.

    Attributes:
        weights: Checkpoint, or None when everything is trained from scratch.
        origin: Where they come from, for people.
        map50_95: Accuracy of the base itself where it was trained here.
    """

    weights: Path | None
    origin: str
    map50_95: float | None = None


def common_base(
    base: Base,
    data: DatasetInfo,
    schedule: Schedule,
    *,
    seed: int,
    device: str,
    threads: int,
    loader_workers: int,
    on_progress: Callable[[Any], None],
    log: Path | None = None,
    run: Run | None = None,
    folder: Path | None = None,
) -> CommonBase:
    """Find the trained base in the cache, or train it.

    A checkpoint with the data's classes is taken as it is. One with other classes lacks class outputs:
    it is trained on from there, as a description without weights is from random ones.

    Args:
        base: The detector.
        data: The data set.
        schedule: The base's own.
        seed: Of its training.
        device: `cpu` or the number of a CUDA device.
        threads: CPU threads.
        loader_workers: Image-loading processes on CUDA.
        on_progress: Called in this process.
        log: Takes what the training prints.
        run: Trains it; here by default.
        folder: Where trained bases are kept; the cache folder's by default.

    Raises:
        UserError: The base cannot be trained.
    """
    classes = len(data.names)
    moved = None
    if base.checkpoint:
        moved = transfer(base.load(), build(base.config, classes), {i: i for i in range(_layers(base))})
        if not moved.left_behind:
            return CommonBase(weights=base.checkpoint, origin=f"{base.name}, {moved}")
    key = {
        "base": base.fingerprint,
        "data": data.fingerprint,
        "schedule": asdict(schedule),
        "seed": seed,
        "device": "cpu" if device == "cpu" else "cuda",
        "threads": threads,
        **({"devices": device.count(",") + 1} if "," in device else {}),
        "versions": {
            "clo-nas": version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "ultralytics")},
        },
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]
    path = (folder or cache_folder() / BASES) / f"{base.name}-{digest}.pt"
    note = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        remove_left_overs(path.parent)
        if not _is_whole(path, note):
            result = (run or run_in_child)(
                train_base,
                Training(
                    config=base.config,
                    base_config=base.config,
                    base_weights=base.checkpoint,
                    layers={i: i for i in range(_layers(base))},
                    data=str(data.path),
                    data_fingerprint=data.fingerprint,
                    classes=classes,
                    schedule=schedule,
                    seed=seed,
                    device=device,
                    threads=threads,
                    loader_workers=loader_workers,
                    save_to=path,
                ),
                on_progress,
                log,
            )
            if isinstance(result, Failure):
                raise UserError(f"base {base.name} cannot be trained: {result.reason}")
            about = {
                "map50_95": result.map50_95,
                "train_seconds": result.train_seconds,
                "sha256": _digest(path),
                "key": key,
            }
            part = part_of(note)
            part.write_text(json.dumps(about, default=str))
            part.replace(note)
        accuracy = json.loads(note.read_text())["map50_95"]
        hold(path)
    trim(path.parent)
    origin = f"{base.name}, trained {schedule.epochs} epoch{'s'[: schedule.epochs != 1]}"
    return CommonBase(weights=path, origin=f"{origin} from {moved}" if moved else origin, map50_95=accuracy)


def _is_whole(path: Path, note: Path) -> bool:
    """Whether weights are what their note says; one from before notes had a digest is believed."""
    if not (path.is_file() and note.is_file()):
        return False
    said = json.loads(note.read_text()).get("sha256")
    return said is None or said == _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_pace(base: Base, data: DatasetInfo, imgsz: int, folder: Path | None = None) -> float | None:
    """Seconds that an epoch of this base on these data took when it was last trained here, if it was.

    Args:
        base: The detector.
        data: The data set.
        imgsz: Side of the image, in pixels.
        folder: Where trained bases are kept; the cache folder's by default.
    """
    for note in sorted((folder or cache_folder() / BASES).glob(f"{base.name}-*.json")):
        about = json.loads(note.read_text())
        key = about["key"]
        if (key["base"], key["data"], key["schedule"]["imgsz"]) == (base.fingerprint, data.fingerprint, imgsz):
            return float(about["train_seconds"] / key["schedule"]["epochs"])
    return None


def base_schedule(schedule: Schedule, base_epochs: int) -> Schedule:
    """The schedule of the base itself: from random weights, at the rate that suits them."""
    return replace(schedule, epochs=base_epochs, learning_rate=2e-3, block_rate_factor=1.0)


def _layers(base: Base) -> int:
    return len(base.config["backbone"]) + len(base.config["head"])
