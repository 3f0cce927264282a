"""Where and with what a study ran: enough to judge its figures and to run it again.

Nothing that names a person or a machine on a network is kept: no host name, no user, no home folder.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TypedDict

from harness.common.errors import UserError
from harness.common.isolation import program, usable_cores
from harness.common.printable import quoted
from harness.common.version import version

# Distributions whose version bears on the figures.
PACKAGES = ("torch", "torchvision", "ultralytics", "faster-coco-eval", "optuna", "fvcore", "numpy", "pandas")

# The folder that holds the package: the clone, if it runs from one.
_SOURCE = Path(__file__).resolve().parents[2]


class Checkout(TypedDict):
    """The source that runs; both None outside a checkout of our own."""

    commit: str | None
    dirty: bool | None


class Processor(TypedDict):
    """The processor, and of its cores those that this process may run on."""

    model: str | None
    cores: int | None
    usable_cores: int


class Device(TypedDict, total=False):
    """What is trained and measured on; a GPU's part is missing on a processor."""

    asked: str
    threads: int
    name: str | None
    cuda: str | None
    driver: str | None
    memory_bytes: int


class Surroundings(TypedDict):
    """Where and with what something ran, as JSON; `harness.record.surroundings.Environment` reads it."""

    time: str
    command: str
    program: str
    folder: str
    clo_nas: str
    git: Checkout
    python: str
    implementation: str
    platform: str
    packages: dict[str, str | None]
    cpu: Processor
    device: Device
    data: str | None
    seeds: list[int]


def environment(
    *,
    device: str,
    data_fingerprint: str | None,
    command: Sequence[str],
    seeds: Sequence[int] = (),
    now: datetime | None = None,
    source: Path = _SOURCE,
) -> Surroundings:
    """Return where and with what this program runs.

    Args:
        device: `cpu` or a CUDA device by torch's or Ultralytics' name; of several, the first.
        data_fingerprint: Hash of the data set; None where none was used.
        command: The command line, program first.
        seeds: Seeds of the study.
        now: Time to record; default: this moment.
        source: Folder whose git commit is recorded.

    Returns:
        What is not known on this machine is None; a package that is not installed has the version None.
    """
    return {
        "time": (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        "command": " ".join(quoted(without_home(word)) for word in command),
        "program": program(),
        "folder": without_home(str(Path.cwd())),
        "clo_nas": version(),
        "git": _git(source),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "packages": {name: _version_of(name) for name in PACKAGES},
        "cpu": {"model": cpu_model(), "cores": os.cpu_count(), "usable_cores": usable_cores()},
        "device": _device(device),
        "data": data_fingerprint,
        "seeds": list(seeds),
    }


def device_kind(device: str) -> str:
    """Name what figures may be compared on: the models of the GPUs, or the processor's.

    Args:
        device: `cpu` or numbers of CUDA devices, comma-separated.
    """
    if device == "cpu":
        return f"cpu {cpu_model()}"
    import torch

    return " + ".join(sorted({torch.cuda.get_device_name(int(number)) for number in device.split(",")}))


def _version_of(distribution: str) -> str | None:
    try:
        return installed_version(distribution)
    except PackageNotFoundError:
        return None


def _git(folder: Path) -> Checkout:
    """Read the commit, and whether tracked or new files differ from it; both None outside a checkout of our own.

    A package installed into some other project's checkout must not pass that project's commit for
    its own, hence the look at where the checkout begins.
    """
    unknown: Checkout = {"commit": None, "dirty": None}
    top = _git_says(folder, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.resolve():
        return unknown
    commit, changes = _git_says(folder, "rev-parse", "HEAD"), _git_says(folder, "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git_says(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where git is missing, refuses or hangs. Takes no lock, asks nothing."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**_without_git_variables(os.environ), "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _without_git_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Leave out GIT_DIR and its like, which inside a git hook point git at another checkout."""
    return {name: value for name, value in variables.items() if not name.startswith("GIT_")}


def cpu_model() -> str | None:
    """Return the processor's name. `platform.processor()` is empty or just the architecture on most Linuxes."""
    if sys.platform.startswith("linux"):
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or None


def _device(device: str) -> Device:
    import torch

    found: Device = {"asked": device, "threads": torch.get_num_threads(), "name": "cpu"}
    first = device.partition(",")[0].removeprefix("cuda").removeprefix(":").strip()
    if device == "cpu" or not (first.isdigit() or not first):
        return found
    found |= {"name": None, "cuda": torch.version.cuda, "driver": _nvidia_driver()}
    index = int(first or 0)
    if torch.cuda.is_available() and index < torch.cuda.device_count():
        properties = torch.cuda.get_device_properties(index)
        found |= {"name": properties.name, "memory_bytes": properties.total_memory}
    return found


def _nvidia_driver() -> str | None:
    """Read the driver's version, which torch does not tell."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0].strip() or None


def without_home(word: str) -> str:
    """Shorten a path in the home folder, which holds the user's name, to `~`."""
    home = str(Path.home())
    return "~" + word[len(home) :] if word == home or word.startswith(home + os.sep) else word


def resolve_device(device: str) -> str:
    """Resolve a device to `cpu` or CUDA device numbers such as `0` or `0,1`.

    Raises:
        UserError: The device does not exist here.
    """
    import torch

    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "0" if available else "cpu"
    if device == "cpu":
        return device
    numbers = device.removeprefix("cuda:").split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,4}\s*", number) for number in numbers):
        raise UserError(f"--device {device}: not a device; use auto, cpu or a CUDA device's number such as 0")
    missing = [number for number in numbers if int(number) >= available]
    if missing:
        have = f"there are {available}" if available else "there is no CUDA GPU"
        raise UserError(f"--device {device}: CUDA device {missing[0]} does not exist here, {have}; use auto or cpu")
    return ",".join(numbers)
