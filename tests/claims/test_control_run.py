"""The smallest control: a real search, from the command line, finds a planted effect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from harness.architecture import BASELINE, Architecture, Init, Kind, Placement
from harness.claims.control import BASE, CHANCE, PLANTED_TASK, SPACE
from harness.detectors import to_yaml


@pytest.mark.slow
def test_a_search_finds_what_was_planted(tmp_path: Path) -> None:
    """Two minutes on one core: the base, then the baseline and a block with global heads, 240 steps each."""
    block = Placement(site="backbone.P3", kind=Kind.ATTENTION, init=Init.RESIDUAL, global_heads=4, kv_pool=8)
    file = tmp_path / "global.yaml"
    file.write_text(to_yaml(Architecture(base=BASE, placements=(block,)).to_dict()), encoding="utf-8")
    command = [
        "search", "--base", BASE, "--data", PLANTED_TASK, "--space", SPACE, "--base-epochs", "3", "--trials", "1",
        "--include", str(file), "--seeds", "1", "--finalists", "0", "--latency-seconds", "0.5",
        "--objectives", "map50_95,macs", "--workers", "1", "--study", "small", "--json",
    ]  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert json.loads(said.stdout)["finished"] == 1
    rows = pd.read_csv(tmp_path / "results" / "small" / "trials.csv").set_index("architecture")
    (found,) = set(rows.index) - {BASELINE}
    assert rows.map50_95[BASELINE] < CHANCE
    assert rows.gain_map50_95[found] > 0.3
