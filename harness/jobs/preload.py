"""What the fork server imports once, so that no trial has to: see `harness.jobs.executors`.

Beside a trial's own imports these are the ones that torch and Ultralytics put off until a first training.
"""

from __future__ import annotations

import contextlib
import gc
import logging

import harness.jobs.trial  # noqa: F401
from harness.training.torchvision_compat import ensure_torchvision

logging.disable()  # the server shares the terminal with a live view
with contextlib.suppress(Exception):  # whatever is wrong is said by the trial that meets it
    ensure_torchvision()
    import matplotlib.font_manager  # noqa: F401
    import torch._dynamo  # noqa: F401
logging.disable(logging.NOTSET)
gc.freeze()  # Ultralytics collects garbage often: not through all these modules, and the pages stay shared
