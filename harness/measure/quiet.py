"""Ultralytics' trainers without what they print, send and leave behind."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from ultralytics.data import dataset as ultralytics_dataset
from ultralytics.data import utils as ultralytics_utils
from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.utils import LOGGER

from harness.isolation import cache_folder


def make_ultralytics_quiet() -> None:
    """No log lines, no experiment trackers, no label caches beside the user's data, no downloads of it.

    Of this process; idempotent.
    """
    LOGGER.setLevel("ERROR")
    # Nothing is plotted, and a class name beyond ASCII would have a font looked up on the network.
    ultralytics_utils.check_font = lambda _font=None: None
    ultralytics_trainer.callbacks.add_integration_callbacks = lambda _instance: None
    if not hasattr(ultralytics_dataset, "_clo_nas_redirected"):
        load, save = ultralytics_dataset.load_dataset_cache_file, ultralytics_dataset.save_dataset_cache_file
        ultralytics_dataset.load_dataset_cache_file = lambda path: load(_label_cache(path))
        ultralytics_dataset.save_dataset_cache_file = lambda prefix, path, x, version: save(
            prefix, _label_cache(path), x, version
        )
        ultralytics_dataset._clo_nas_redirected = True
        # A data set's `download` may be Python code. Its images were there when it was checked, so it is never needed.
        check = ultralytics_trainer.check_det_dataset
        ultralytics_trainer.check_det_dataset = functools.partial(check, autodownload=False)


def _label_cache(path: Path) -> Path:
    folder = cache_folder() / "labels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]}.cache"
