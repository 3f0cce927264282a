"""The pretrained baseline: trained once, kept in the cache under a hash of everything that determines it.

That of a study on several machines is made by one of them, and is the same file for all.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.common.atomic import remove_left_overs, whole, write_whole
from harness.common.cache import BASES, hold, trim
from harness.common.digest import file_digest, json_digest
from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.common.version import version
from harness.detectors import Base, Transfer, build, transfer
from harness.jobs.place import Place
from harness.jobs.setting import Prepared
from harness.jobs.trial import train_base
from harness.record.rates import FROM_SCRATCH
from harness.record.state import Failure
from harness.record.study import BASE
from harness.storage.study import SearchStudy
from harness.training.accuracy import Schedule, Training

# Folder in the results folder that keeps pretrained baselines which a cluster's nodes have to see.
SHARED_BASES = ".bases"


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

    def __str__(self) -> str:
        return f"pretrained baseline: {self.origin}" + (f", mAP50-95 {self.map50_95:.3f}" if self.map50_95 else "")


RANDOM_WEIGHTS = CommonBase(weights=None, origin="none: every training starts from random weights")


def common_base(
    prepared: Prepared,
    schedule: Schedule,
    *,
    seed: int,
    loader_workers: int,
    results: Path,
    on_progress: Callable[[Any], None] = lambda _: None,
    on_phase: Callable[[str], None] = lambda _: None,
    log: Path | None = None,
) -> CommonBase:
    """Find the trained base in the cache, or train it.

    A checkpoint with the data's classes is taken as it is. One with other classes lacks their outputs, and nothing
    else (`class_width`): it is trained on from there, as a description without weights is from random ones.

    Args:
        prepared: The detector, its data, and where it is trained.
        schedule: The base's own.
        seed: Of its training.
        loader_workers: Image-loading processes on CUDA.
        results: The results folder; of a cluster it keeps trained bases, else the cache folder does.
        on_progress: Called in this process.
        on_phase: Told before it is trained, and only then.
        log: Takes what the training prints.

    Raises:
        UserError: The base cannot be trained.
    """
    base, data, classes = prepared.base, prepared.data, prepared.classes
    device, threads = prepared.devices[0], prepared.threads_alone
    moved = _moved(base, classes)
    if moved and not moved.left_behind:
        return CommonBase(weights=base.checkpoint, origin=f"{base.name}, {moved}")
    key = {
        "base": base.fingerprint,
        "data": data.fingerprint,
        "schedule": asdict(schedule),
        "seed": seed,
        "device": "cpu" if device == "cpu" else "cuda",
        "threads": threads,
        **({"arrived": moved.arrived} if moved else {}),
        "versions": {
            "clo-nas": version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "ultralytics")},
        },
    }
    path = _folder(prepared, results) / f"{base.name}-{json_digest(key)[:16]}.pt"
    note = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        remove_left_overs(path.parent)
        if not _is_whole(path, note):
            on_phase(f"training the pretrained baseline {base.name}, seed {seed} ({schedule.epochs} epochs, kept)")
            result = prepared.run_alone(
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
                "sha256": file_digest(path),
                "key": key,
            }
            write_whole(note, json.dumps(about, default=str).encode())
        accuracy = json.loads(note.read_text())["map50_95"]
        hold(path)
    trim(path.parent)
    origin = _taken(base, moved, classes) + ";" if moved else f"{base.name},"
    trained = f"trained {schedule.epochs} epoch{'s'[: schedule.epochs != 1]}"
    return CommonBase(weights=path, origin=f"{origin} {trained}", map50_95=accuracy)


def _moved(base: Base, classes: int) -> Transfer | None:
    """Find what of a checkpoint fits the data's classes; None where the base has no weights."""
    if base.checkpoint is None:
        return None
    return transfer(base.load(), build(base.config, classes), {i: i for i in range(_layers(base))})


def _taken(base: Base, moved: Transfer, classes: int) -> str:
    return (
        f"{moved.arrived} of {moved.total} tensors from {base.name}; {len(moved.left_behind)} of the class outputs "
        f"start anew: {base.config['nc']} classes → {classes}"
    )


def base_notes(prepared: Prepared, base_epochs: int, epochs: int | None = None) -> list[str]:
    """Return sentences for the plan: what of a checkpoint with other classes is used, how long the rest is trained.

    Args:
        prepared: The detector and its data.
        base_epochs: Of the pretrained baseline.
        epochs: Of all trainings that start from it, where that is known.
    """
    moved = _moved(prepared.base, prepared.classes)
    if moved is None or not moved.left_behind:
        return []
    share = f", {base_epochs / (base_epochs + epochs):.0%} of all epochs" if epochs else ""
    return [
        f"base: {_taken(prepared.base, moved, prepared.classes)}; trained on these data for {base_epochs} "
        f"epoch{'s'[: base_epochs != 1]}{share}, before anything is compared"
    ]


def _is_whole(path: Path, note: Path) -> bool:
    """Return whether weights are what their note says; one from before notes had a digest is trusted."""
    if not (path.is_file() and note.is_file()):
        return False
    said = json.loads(note.read_text()).get("sha256")
    return said is None or said == file_digest(path)


def _folder(place: Place, results: Path) -> Path:
    """Return where trained bases are kept: a cluster's nodes have to see them, and need not see the cache folder."""
    return results.absolute() / SHARED_BASES if place.cluster else cache_folder() / BASES


def known_pace(prepared: Prepared, imgsz: int, results: Path) -> float | None:
    """Return the seconds that an epoch of this base on these data took when it was last trained there, if it was.

    Args:
        prepared: The detector, its data, and where it is trained.
        imgsz: Side of the image, in pixels.
        results: The results folder.
    """
    base, data = prepared.base, prepared.data
    notes = _folder(prepared, results).glob(f"{base.name}-*.json")
    for note in sorted(notes, key=lambda each: each.stat().st_mtime, reverse=True):
        about = json.loads(note.read_text())
        key = about["key"]
        if (key["base"], key["data"], key["schedule"]["imgsz"]) == (base.fingerprint, data.fingerprint, imgsz):
            return float(about["train_seconds"] / key["schedule"]["epochs"])
    return None


def base_schedule(schedule: Schedule, base_epochs: int) -> Schedule:
    """Return the schedule of the base itself: from random weights, at the rate that suits them."""
    return replace(schedule, epochs=base_epochs, **FROM_SCRATCH._asdict())


def _layers(base: Base) -> int:
    return len(base.config["backbone"]) + len(base.config["head"])


# In the study's folder.
FILE = "base.pt"


def shared_base(
    study: SearchStudy, make: Callable[[], CommonBase], waits: Callable[[], None] = lambda: None
) -> CommonBase:
    """Return the base that the study has; made, and put down in the study's folder, by the first that asks.

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
            if (file_digest(path) if path.is_file() else None) != known["sha256"]:
                raise UserError(
                    f"{path}: is not the pretrained baseline that study {study.settings.study} was begun with; every "
                    "machine needs the same --results folder, on a file system that they share"
                )
            return CommonBase(weights=path, origin=known["origin"], map50_95=known["map50_95"])
        made = make()
        assert made.weights is not None, "only a study from scratch has no base"
        with whole(path) as part:
            shutil.copyfile(made.weights, part)
        known = {"sha256": file_digest(path), "origin": made.origin, "map50_95": made.map50_95}
        study.optuna.set_user_attr(BASE, known)
        return replace(made, weights=path)
