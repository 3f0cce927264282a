"""Ultralytics' trainers without what they print, send and leave behind."""

from __future__ import annotations

import torch
from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.engine import validator as ultralytics_validator
from ultralytics.utils import LOGGER, torch_utils

from harness.data.check import description
from harness.data.loader import read_data_our_way


def use_threads(count: int) -> None:
    """Compute with so many CPU threads in this process, whatever Ultralytics thinks.

    A trap: wherever it chooses the CPU, Ultralytics sets one thread fewer than the machine has cores, eight at most.
    """
    torch.set_num_threads(count)
    torch_utils.NUM_THREADS = count


def make_ultralytics_quiet() -> None:
    """Prevent log lines, experiment trackers, files beside the user's data, downloads of it, and the use of other data.

    Of this process; idempotent.
    """
    LOGGER.setLevel("ERROR")
    ultralytics_trainer.callbacks.add_integration_callbacks = lambda _instance: None
    read_data_our_way()
    for module in (ultralytics_trainer, ultralytics_validator):
        module.check_det_dataset = description
