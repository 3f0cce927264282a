"""Ultralytics' own trainer, as it is built in every process of a multi-GPU training: see `recipe`.

Its launcher finds the class by the name of this module, so that every process imports `harness`, whose parser knows Clo
blocks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG, RANK
from ultralytics.utils.torch_utils import strip_optimizer

from harness.detectors import import_block_files
from harness.detectors.families import read_yaml
from harness.training.orphans import end_with_the_watched
from harness.training.quiet import make_ultralytics_quiet
from harness.training.torchvision_compat import ensure_torchvision
from harness.training.training import OutOfMemoryError, Progress

# The detector's description in the training's folder, beside Ultralytics' own folder.
DESCRIPTION = "detector.yaml"


class PublishedTrainer(DetectionTrainer):
    """Ultralytics' trainer, as it is built in every rank; only what the top of `recipe` lists is different."""

    last: Path
    best: Path

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None) -> None:
        make_ultralytics_quiet()  # in every rank, as all that follows
        ensure_torchvision()
        end_with_the_watched()
        import_block_files(read_yaml(Path((overrides or {})["project"]) / DESCRIPTION))  # a checkpoint may hold them
        super().__init__(cfg, overrides, _callbacks)

    def _build_train_pipeline(self) -> None:
        if self.optimizer is not None:  # Ultralytics comes here again only to halve the batch
            raise OutOfMemoryError(f"out of memory with batch {self.args.batch * 2} on {self.device}")
        super()._build_train_pipeline()

    def save_model(self) -> bool:
        """Write beside, then rename."""
        whole: tuple[Path, Path] = self.last, self.best
        self.last, self.best = (path.with_suffix(".part") for path in whole)
        try:
            saved = bool(super().save_model())
            for part, path in zip((self.best, self.last), reversed(whole), strict=True):  # the last one is what counts
                if part.exists():
                    part.replace(path)
        finally:
            self.last, self.best = whole
        return saved

    def final_eval(self) -> None:
        """Mark the checkpoints as finished, as Ultralytics does; `train_published` validates."""
        if RANK in {-1, 0}:
            for path in (self.best, self.last):
                part = path.with_suffix(".part")
                strip_optimizer(path, str(part))
                part.replace(path)


class Steps:
    """Tells finished and total iterations, those before a resumption included."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = -1

    def __call__(self, trainer: PublishedTrainer) -> None:
        """Tell finished and total iterations after each batch."""
        batches = len(trainer.train_loader)
        self._done = max(self._done + 1, trainer.start_epoch * batches + 1)
        self._progress(self._done, batches * trainer.epochs)
