"""No surprises: Ultralytics without its network, installer, telemetry and home-folder files.

By default Ultralytics asks the network whether it is online, installs packages, sends usage
events and writes `~/.config/Ultralytics`. All of that is decided when it is first imported, so this
runs before: in the command line, in every child process and in the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from harness.common.errors import UserError

_CACHE_VARIABLE = "CLO_NAS_CACHE"
# Set by the noxfile.
_PROGRAM_VARIABLE = "CLO_NAS_PROGRAM"


def cache_folder() -> Path:
    """Return where data sets and pretrained baselines are kept; `CLO_NAS_CACHE` moves it."""
    chosen = os.environ.get(_CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else Path(platformdirs.user_cache_dir("clo-nas"))


def program() -> str:
    """Return what to type for `clo` here: under nox, which installs nothing beside its environment, a session of it."""
    return os.environ.get(_PROGRAM_VARIABLE) or "clo"


def usable_cores() -> int:
    """Return how many cores this process may run on, which a container or `taskset` limits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def isolate_ultralytics() -> None:
    """Switch off what Ultralytics does unasked. Values that the user has set stay.

    Raises:
        UserError: The cache folder cannot be made.
    """
    settings = {
        "YOLO_CONFIG_DIR": str(cache_folder()),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "ORT_DISABLE_TELEMETRY": "1",  # for whoever exports and runs ONNX in the same process
        "TORCHINDUCTOR_CACHE_DIR": str(cache_folder() / "torchinductor"),  # torch.compile's; else in the temp folder
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(cache_folder() / "matplotlib"),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" not in os.environ:
        # Ultralytics would set 1 and cripple CPU training; torch's own default is one a core.
        os.environ["OMP_NUM_THREADS"] = str(usable_cores())
    folder = Path(os.environ["YOLO_CONFIG_DIR"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cache folder {folder}: cannot be made ({error.strerror}); name another one in {_CACHE_VARIABLE}"
        ) from error
