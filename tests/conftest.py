"""What holds for every test: no network, no files in the home folder, few threads.

Tests of one session share a cache folder, so that the digits data set is written once.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Ultralytics reads these when it is imported, and child processes inherit them.
_CACHE = Path(tempfile.mkdtemp(prefix="clo-nas-tests-"))
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ |= {
    "CLO_NAS_CACHE": str(_CACHE),
    "YOLO_CONFIG_DIR": str(_CACHE),
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": str(_CACHE / "matplotlib"),
    "TORCHINDUCTOR_CACHE_DIR": str(_CACHE / "torchinductor"),
    "ORT_DISABLE_TELEMETRY": "1",  # else ONNX Runtime makes an identifier of the machine and sends events
    "NO_COLOR": "1",
}
beside_others = "PYTEST_XDIST_WORKER" in os.environ
os.environ.setdefault("OMP_NUM_THREADS", "1" if beside_others else str(min(2, os.cpu_count() or 1)))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin for work slow the other processes down

hypothesis.settings.register_profile("no-deadline", deadline=None)  # a busy machine is no fault of the code's
hypothesis.settings.load_profile("no-deadline")

_THIS_MACHINE = ("127.", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with most slow tests first; skip what needs a GPU where there is none.

    Side by side each file is one process's: a long one that began last would leave the others idle. Torch is imported
    only if a test asks for a GPU.
    """
    if beside_others:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])  # stable: those of a file stay together and in order
    asking = [item for item in items if item.get_closest_marker("cuda")]
    if not asking:
        return
    import torch

    if not torch.cuda.is_available():
        for item in asking:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection that would leave this machine, and every look-up of another's name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_to_this_machine(getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, _only_this_machine(getattr(socket, name)))
        yield


@pytest.fixture(autouse=True)
def threads_as_they_were() -> Iterator[None]:
    """A test that set torch's threads would slow down all that follow, and those of the other processes."""
    before = _torch_threads()
    yield
    after = _torch_threads()
    if after is not None and after != (before or int(os.environ["OMP_NUM_THREADS"])):
        sys.modules["torch"].set_num_threads(before or int(os.environ["OMP_NUM_THREADS"]))


def _torch_threads() -> int | None:
    return sys.modules["torch"].get_num_threads() if hasattr(sys.modules.get("torch"), "get_num_threads") else None


@pytest.fixture(scope="session")
def digits() -> Path:
    """The embedded data set's YAML, written once a session."""
    from harness.data.digits import ensure_digits

    return ensure_digits(_CACHE)


def _only_this_machine(look_up: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        if not name.startswith((*_THIS_MACHINE, "0.0.0.0")) and name != socket.gethostname():
            raise RuntimeError(f"a test looked up {name}; tests run without a network")
        return look_up(host, *rest, **named)

    return guarded


def _only_to_this_machine(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        is_internet = self.family in {socket.AF_INET, socket.AF_INET6}
        if is_internet and not str(address[0]).startswith(_THIS_MACHINE):
            raise RuntimeError(f"a test reached for the network, {address}; tests run without one")
        return connect(self, address)

    return guarded
