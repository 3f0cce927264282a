"""A block of a user's own, in a folder of theirs: registered by one decorator, searched by one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.detectors import load_model

if TYPE_CHECKING:
    from tests.search.conftest import Clo

pytestmark = pytest.mark.slow

BLOCK = '''
"""Somebody's block; clo-nas knows nothing of it."""
from torch import Tensor, nn
from harness.blocks import register_block


@register_block("shuffle")
class Shuffle(nn.Module):
    def __init__(self, channels: int, groups: int = 2) -> None:
        super().__init__()
        self.shuffle = nn.ChannelShuffle(groups)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.shuffle(x))
'''
SPACE = {
    "name": "theirs",
    "sites": ["neck.P3", "neck.P4"],
    "max_blocks": 1,
    "placement": {
        "kind": ["their_blocks.py:shuffle"],
        "mode": ["after", "inside"],
        "options": {"shuffle": {"groups": [2, 4]}},
    },
}


def test_it_is_searched_exported_trained_and_read_again(
    tmp_path: Path, clo: Clo, small_search: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "their_blocks.py").write_text(BLOCK)
    (tmp_path / "spaces" / "theirs.yaml").write_text(yaml.safe_dump(SPACE))
    command = (*small_search, "--space", "spaces/theirs.yaml", "--trials", "1", "--seeds", "1", "--finalists", "0")
    done = clo(command, tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["finished"], said["failed"]) == (1, 0)

    found = (tmp_path / "results" / "x" / "architectures").glob("*.yaml")
    model = next(file for file in sorted(found) if re.fullmatch("[0-9a-f]{8}", file.stem))
    assert yaml.safe_load(model.read_text())["blocks"] == [str(tmp_path / "spaces" / "their_blocks.py")]
    names = {type(module).__name__ for module in load_model(str(model)).modules()}
    assert {"RegisteredBlock", "Shuffle"} <= names

    trained = clo(
        ("train", str(model), *small_search[1:3], "--imgsz", "64", "--epochs", "1", "--out", "o.pt"), tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    lost = clo(("cost", "o.pt", "--imgsz", "64"), tmp_path)
    assert lost.returncode == 2
    assert "the module 'their_blocks', which cannot be imported here; put the folder of their_blocks.py" in lost.stderr
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "spaces"))
    assert json.loads(clo(("cost", "o.pt", "--imgsz", "64", "--json"), tmp_path).stdout)["macs"] > 0

    (tmp_path / "spaces" / "their_blocks.py").write_text(BLOCK + "# changed\n")
    again = clo(command, tmp_path)
    assert again.returncode == 2
    assert "study x exists with another block_files" in again.stderr
