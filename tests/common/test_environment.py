from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.common.machine import PACKAGES, Surroundings, environment
from harness.common.version import version


def on_cpu(**changes: Any) -> Surroundings:
    return environment(**{"device": "cpu", "data_fingerprint": "abc", "command": ["clo", "search"], **changes})


def git(folder: Path, *arguments: str) -> str:
    nobody = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *nobody, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_it_is_plain_json() -> None:
    found = on_cpu(seeds=range(3))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["seeds"] == [0, 1, 2]


def test_it_names_versions_processor_and_threads() -> None:
    found = on_cpu()
    assert found["python"] == platform.python_version()
    assert found["clo_nas"] == version()
    assert set(found["packages"]) == set(PACKAGES)
    assert str(found["packages"]["torch"]).split("+")[0] == torch.__version__.split("+")[0]
    assert found["cpu"]["model"]
    assert 1 <= found["cpu"]["usable_cores"] <= (found["cpu"]["cores"] or 0)
    assert found["device"] == {"asked": "cpu", "threads": torch.get_num_threads(), "name": "cpu"}
    assert found["data"] == "abc"


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.common.machine.PACKAGES", ("no-such-distribution",))
    assert on_cpu()["packages"] == {"no-such-distribution": None}


def test_the_command_can_be_pasted_into_a_shell() -> None:
    words = ["clo", "search", "--study", "it's mine", "--data", "a b.yaml", "$HOME", "*"]
    assert shlex.split(on_cpu(command=words)["command"]) == words


def test_neither_host_nor_user_nor_home_folder_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "very-private-person"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(socket, "gethostname", lambda: "very-private-host")
    text = json.dumps(on_cpu(command=[str(home / "bin/clo"), "search", str(home)]))
    assert "very-private" not in text
    assert "~/bin/clo" in text


def test_the_time_is_utc_wherever_it_was_taken() -> None:
    noon_in_karachi = datetime(2026, 1, 2, 12, 0, 0, 123, tzinfo=timezone(timedelta(hours=5)))
    assert on_cpu(now=noon_in_karachi)["time"] == "2026-01-02T07:00:00+00:00"
    assert datetime.now(UTC) - datetime.fromisoformat(on_cpu()["time"]) < timedelta(minutes=1)


def test_a_checkout_has_its_commit_and_is_dirty_once_a_file_changed(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert on_cpu(source=checkout)["git"] == {"commit": commit, "dirty": False}
    (checkout / "file").write_text("two")
    assert on_cpu(source=checkout)["git"] == {"commit": commit, "dirty": True}


def test_a_package_inside_a_foreign_checkout_does_not_claim_its_commit(checkout: Path) -> None:
    inside = checkout / "site-packages"
    inside.mkdir()
    assert on_cpu(source=inside)["git"] == {"commit": None, "dirty": None}


def test_a_hook_of_another_checkout_does_not_lead_git_astray(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("other")))
    assert on_cpu(source=checkout)["git"]["dirty"] is False


def test_a_checkout_without_a_commit_fails_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert on_cpu(source=tmp_path)["git"] == {"commit": None, "dirty": False}


def test_neither_git_nor_a_driver_is_needed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert on_cpu(source=checkout)["git"] == {"commit": None, "dirty": None}
    found = on_cpu(device="0")["device"]
    assert (found["asked"], found["name"], found["driver"]) == ("0", None, None)


@pytest.mark.parametrize("device", ["1", "cuda:1", "1,0"])
def test_a_cuda_device_is_named(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 8

        def __init__(self, index: int) -> None:
            self.name = f"GPU number {index}"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    found = on_cpu(device=device)["device"]
    assert (found["name"], found["memory_bytes"]) == ("GPU number 1", 8)


def test_the_processor_is_named_where_linux_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert on_cpu()["cpu"]["model"] == "arm"


def test_ultralytics_is_not_imported() -> None:
    code = (
        "import sys; from harness.common.machine import environment; "
        "environment(device='cpu', data_fingerprint=None, command=[]); "
        "assert 'ultralytics' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ.copy(), check=False)
    assert done.returncode == 0
