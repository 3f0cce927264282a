"""mAP by the recipe that detectors are published with: Ultralytics' own training, on one or several GPUs.

Optimiser, learning rate, warm-up, mosaic and its end, moving average, mixed precision, early stopping and the choice of
the best epoch are those of the installed Ultralytics' `default.yaml`. What differs:

- data, epochs, batch, image size, seed, devices, image-loading processes and the folder, as asked for;
- nothing is drawn, sent or downloaded (without a network Ultralytics skips its own check of mixed precision);
- a batch that does not fit ends the training: halved, it would be another recipe than the other arms';
- checkpoints are written whole or not at all, so that a training killed at any moment goes on from the last one;
- the last validation, of the best epoch's averaged weights, is this harness's: COCOeval against the original
  annotations where the data set has them (docs/accuracy.md).

Several GPUs are Ultralytics' own way: its launcher starts one process a GPU from a file that unpickles the trainer's
class by the name of its module, `published_trainer`, so that every rank imports `harness` and its parser knows Clo
blocks; and each rank builds the network from a description in the run's folder, as `yolo train` does.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.common.atomic import scratch_folder
from harness.common.errors import UserError
from harness.detectors import import_block_files, read_checkpoint, to_yaml
from harness.training.accuracy import initial_model, save_checkpoint
from harness.training.coco import require_cocoeval
from harness.training.curve import curve_of_epochs
from harness.training.epoch_table import rows_in, seconds_in, watched
from harness.training.orphans import let_ranks_end_with_me
from harness.training.published_trainer import DESCRIPTION, PublishedTrainer, Steps
from harness.training.quiet import make_ultralytics_quiet, use_threads
from harness.training.torchvision_compat import ensure_torchvision
from harness.training.training import Accuracy, Progress, Training
from harness.training.validation import Validator, require_finite, require_number

# Ultralytics' folder in the training's; its launcher empties it before a first start.
_RUN = "run"
# Arguments that a checkpoint must share with the training that goes on from it.
_ASKED_FOR = ("epochs", "batch", "imgsz", "seed")


def train_published(training: Training, progress: Progress | None = None) -> Accuracy:
    """Train and validate one detector, or go on where an earlier attempt in `training.folder` was stopped.

    Of `training.schedule` only epochs, batch (all devices together) and image size count; `device` may name several
    CUDA devices. Without base weights all weights are drawn from the seed, those of a widened base too.

    Raises:
        NotANumberError: The accuracy or a weight is not finite.
        OutOfMemoryError: The device's memory did not suffice.
        UserError: The device does not exist, faster-coco-eval is not installed, or the validation set has no
            labels or an annotation file that does not fit it.
        RuntimeError: A process of a multi-GPU training failed; what it said is in the log.
    """
    started = time.perf_counter()
    require_cocoeval()
    use_threads(training.threads)
    ensure_torchvision()
    make_ultralytics_quiet()
    with _folder(training) as folder:
        import_block_files(training.config)
        (folder / DESCRIPTION).write_text(to_yaml(training.config), encoding="utf-8")
        earlier = _epochs_behind(training, folder)
        spent = seconds_in(folder / _RUN / "results.csv") if earlier else 0.0
        trainer = _trainer(training, folder, resumes=0 < earlier < training.schedule.epochs)
        validator = _validator(training, trainer, folder)
        if earlier < training.schedule.epochs:
            _train(trainer, progress)
        best = folder / _RUN / "weights" / "best.pt"
        validator(model=str(best))
        model, _ = read_checkpoint(best)
        result = Accuracy(
            **validator.figures(),
            train_seconds=spent + time.perf_counter() - started,
            transferred="trained from scratch" if training.base_weights is None else "began with the base's weights",
            matches=validator.matches if training.keep_matches else None,
            curve=curve_of_epochs(rows_in(folder / _RUN / "results.csv")),
        )
        require_number(result.map50_95)
        require_finite(model)
        if training.save_to is not None:
            save_checkpoint(model, training.save_to)
    return result


@contextmanager
def _folder(training: Training) -> Iterator[Path]:
    """Yield the run's own folder, kept; or one that is gone afterwards."""
    if training.folder is None:
        with scratch_folder() as folder:
            yield folder
    else:
        training.folder.mkdir(parents=True, exist_ok=True)
        yield training.folder.absolute()


def options(training: Training, folder: Path) -> dict[str, str | int]:
    """Return all of Ultralytics' arguments that are not its defaults."""
    return {
        "data": training.data,
        "epochs": training.schedule.epochs,
        "batch": training.schedule.batch,
        "imgsz": training.schedule.imgsz,
        "seed": training.seed,
        "device": training.device,
        "workers": training.loader_workers,
        "project": str(folder),
        "name": _RUN,
        "exist_ok": True,
        "plots": False,
    }


def _trainer(training: Training, folder: Path, *, resumes: bool) -> PublishedTrainer:
    """Build a trainer before its first step, or after its last whole epoch."""
    given = options(training, folder)
    if resumes:
        given["model"] = given["resume"] = str(folder / _RUN / "weights" / "last.pt")
    elif training.base_weights is None:
        given["model"] = str(folder / DESCRIPTION)
    else:
        given["model"] = str(folder / "initial.pt")
        save_checkpoint(initial_model(training)[0], folder / "initial.pt")
    try:
        return PublishedTrainer(overrides=given)
    except ValueError as error:
        if "CUDA" in str(error):
            raise UserError(f"--device {training.device}: no such CUDA device here; use cpu or auto") from error
        raise


def _validator(training: Training, trainer: PublishedTrainer, folder: Path) -> Validator:
    """Build the last validation's validator before the training, so that what it lacks is said in time."""
    schedule = training.schedule
    device = training.device.split(",")[0]
    arguments = {
        "data": training.data, "imgsz": schedule.imgsz, "batch": schedule.batch, "device": device,
        "workers": training.loader_workers if device != "cpu" else 0, "rect": True, "plots": False, "val": False,
    }  # fmt: skip
    validator = Validator(save_dir=folder, args=arguments)
    validator.data, validator.stride, validator.device = trainer.data, 32, trainer.device
    validator.dataloader = validator.get_dataloader(trainer.data["val"], schedule.batch)
    validator.read_truth(trainer.data, training.data)
    return validator


def _train(trainer: PublishedTrainer, progress: Progress | None) -> None:
    if not trainer.ddp:
        if progress:
            trainer.add_callback("on_train_batch_end", Steps(progress))
        trainer.train()
        return
    let_ranks_end_with_me()
    with watched(trainer.csv, trainer.epochs, progress):
        try:
            trainer.train()
        except subprocess.CalledProcessError as error:
            raise RuntimeError(
                f"a process of the training on devices {trainer.args.device} failed (exit code {error.returncode}); "
                "the log beside the study has what it said"
            ) from error


def _epochs_behind(training: Training, folder: Path) -> int:
    """Count epochs of this very training that an earlier attempt left in a checkpoint; all where it was finished."""
    path = folder / _RUN / "weights" / "last.pt"
    if not path.is_file():
        return 0
    _, found = read_checkpoint(path)
    asked = options(training, folder)
    if any(found.get("train_args", {}).get(name) != asked[name] for name in _ASKED_FOR):
        return 0
    finished = found["epoch"] == -1  # Ultralytics' mark, which early stopping leaves too
    return int(training.schedule.epochs if finished else found["epoch"] + 1)
