"""No command connects to anything or looks a name up but what the user named, in no process that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.command_line import space_with, write

WATCHED = Path(__file__).with_name("watched")
ROOT = Path(__file__).parents[2]


def clo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in processes that note whom they reach for."""
    paths = os.pathsep.join(map(str, (WATCHED, ROOT)))
    watched = {**os.environ, "PYTHONPATH": paths, "CLO_NAS_TEST_REACHED": str(folder / "reached")}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, env=watched, capture_output=True, text=True, timeout=1200, check=False)


def reached(folder: Path) -> list[str]:
    notes = folder / "reached"
    return notes.read_text().splitlines() if notes.is_file() else []


def test_the_watch_sees_a_look_up(tmp_path: Path) -> None:
    watched = {**os.environ, "PYTHONPATH": str(WATCHED), "CLO_NAS_TEST_REACHED": str(tmp_path / "reached")}
    look_up = "import socket; socket.getaddrinfo('example.org', 443)"
    said = subprocess.run([sys.executable, "-c", look_up], env=watched, capture_output=True, check=False)
    assert said.returncode and reached(tmp_path) == ["socket.getaddrinfo example.org"]


@pytest.mark.slow
def test_a_search_on_classes_with_chinese_names_reaches_for_nobody(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for part in ("images", "labels"):
            (tmp_path / part / split).mkdir(parents=True)
        for number in range(16):
            image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "images" / split / f"{number}.png"), image)
            (tmp_path / "labels" / split / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.25 0.25\n")
    data = write(
        tmp_path / "数据.yaml",
        {"path": str(tmp_path), "train": "images/train", "val": "images/val", "names": ["红细胞", "血小板"]},
    )
    small = ("--epochs", "1", "--from-scratch", "--trials", "1", "--seeds", "1", "--finalists", "0", "--workers", "1")
    spaces = ("--space", space_with(tmp_path), "--imgsz", "64", "--objectives", "map50_95,macs", "--sampler", "random")
    said = clo(tmp_path, "search", "--data", str(data), "--study", "x", "--quiet", *spaces, *small)
    assert said.returncode == 0, said.stderr
    for command in (("report", "x"), ("export", "x", "baseline"), ("cost", "yolov5n", "--imgsz", "64"), ("--version",)):
        said = clo(tmp_path, *command)
        assert said.returncode == 0, (command, said.stderr)
    assert reached(tmp_path) == []
