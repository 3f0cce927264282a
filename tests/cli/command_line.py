"""Commands run in this process, and what they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from harness.cli import app as cli

SPACE = {
    "name": "mine",
    "sites": ["neck.P4"],
    "max_blocks": 1,
    "placement": {"kind": ["block"], "kernel": [3], "kv_pool": [2], "heads": [4], "local_share": [0.5]},
}


class Said(NamedTuple):
    code: int
    out: str
    err: str


Clo = Callable[..., Said]


def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run `clo` in this process."""
    monkeypatch.setattr(sys, "argv", ["clo", *arguments])
    capsys.readouterr()
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Said(code, *capsys.readouterr())


def sentence(said: Said) -> str:
    """The error of a command: one line, exit code 2, nothing on standard output."""
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ") and said.err.endswith("\n") and said.err.count("\n") == 1, said.err
    return said.err


def usage_error(said: Said) -> str:
    """What the parser of the command line has to say, without its frame."""
    assert said.code == 2 and said.out == "" and "Traceback" not in said.err
    return " ".join(said.err.replace("│", " ").split())


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None), encoding="utf-8")
    return path


def space_with(folder: Path, **placement: object) -> str:
    return str(write(folder / "space.yaml", {**SPACE, "placement": {**SPACE["placement"], **placement}}))  # type: ignore[dict-item]


def search(clo: Clo, *options: str) -> str:
    """The sentence that a search ends with; `--quiet` silences the lines of a search under way."""
    return sentence(clo("search", "--quiet", *options))


def read(said: Said) -> Any:
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)
