"""The straight path, for real: trained by `clo train`, exported, loaded in a fresh process, run on an image."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import harness
from tests.cli.command_line import read, run_here
from tests.export.exportable import BLOCK, IDENTITY, begun_with, their_block

pytestmark = pytest.mark.slow


def seen(folder: Path, image: Path, *paths: str) -> str:
    """What `load.py` prints of an image, started by somebody else in another folder."""
    done = subprocess.run(
        [sys.executable, str(folder / "load.py"), str(image)],
        cwd=folder.parent,
        env={"PATH": "", "PYTHONPATH": ":".join(paths), "YOLO_CONFIG_DIR": str(folder.parent), "YOLO_OFFLINE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_trained_architecture_with_a_block_of_its_users_goes_home_as_pt_and_as_onnx(
    tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    file, theirs = their_block(tmp_path / "theirs", "mixing_export")
    begun_with(tmp_path / "results", (BLOCK, theirs), classes=10, data=str(small_data))
    command = ("train", "x", IDENTITY, "--epochs", "2", "--seeds", "1", "--from-scratch", "--workers", "1")
    trained = run_here(monkeypatch, capsys, *command, "--threads", "1")
    assert trained.code == 0, trained.err
    image = sorted((small_data.parent / "images" / "val").iterdir())[0]

    said = read(run_here(monkeypatch, capsys, "export", "x", IDENTITY, "--to", "pt", "--out", "pt", "--json"))
    assert said["verified"] == {"max_difference": 0.0, "engine": f"torch {torch.__version__}"}
    [kept] = (tmp_path / "results" / "x" / "trained").glob(f"{IDENTITY}-*.pt")
    weights, taken = (torch.load(p, weights_only=False)["model"] for p in (kept, tmp_path / "pt" / f"{IDENTITY}.pt"))
    assert all(torch.equal(tensor, taken.state_dict()[name]) for name, tensor in weights.state_dict().items())
    assert yaml.safe_load((tmp_path / "pt" / f"{IDENTITY}.yaml").read_text())["blocks"] == [file.name]
    assert set(said["files"]) == {f"{IDENTITY}.pt", f"{IDENTITY}.yaml", "README.md", "load.py", file.name}
    here = str(file.parent).encode()
    assert not [name for name in said["files"] if here in (tmp_path / "pt" / name).read_bytes()]
    assert image.name in seen(tmp_path / "pt", image, str(Path(harness.__file__).parents[1]))

    said = read(run_here(monkeypatch, capsys, "export", "x", IDENTITY, "--to", "onnx", "--out", "onnx", "--json"))
    assert 0 < said["verified"]["max_difference"] < 0.01
    lines = seen(tmp_path / "onnx", image).splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"\d 0\.\d{3}, x [-.\d]+ y [-.\d]+ w [-.\d]+ h [-.\d]+", line) for line in lines)
    scores = [float(line.split()[1].rstrip(",")) for line in lines]
    assert scores == sorted(scores, reverse=True)
    card = (tmp_path / "onnx" / "README.md").read_text()
    assert "2 epochs, 16 images a step, 64 pixels, seed" in card and "Started from random weights." in card
