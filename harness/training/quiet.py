"""Ultralytics' trainers without what they print, send and leave behind."""

from __future__ import annotations

from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.engine import validator as ultralytics_validator
from ultralytics.utils import LOGGER

from harness.data.check import description
from harness.data.loader import read_data_our_way


def make_ultralytics_quiet() -> None:
    """No log lines, no experiment trackers, no files beside the user's data, no downloads of it, no other data.

    Of this process; idempotent.
    """
    LOGGER.setLevel("ERROR")
    ultralytics_trainer.callbacks.add_integration_callbacks = lambda _instance: None
    read_data_our_way()
    for module in (ultralytics_trainer, ultralytics_validator):
        module.check_det_dataset = description
