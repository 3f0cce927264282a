"""The program `clo`, as it is installed: Ctrl-C while it still imports is no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CALL = """
import os, signal, sys

class PressCtrlC:
    def find_spec(self, name, *_):
        if name == "harness.cli.app" and {when}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
sys.meta_path.insert(0, PressCtrlC())
sys.argv = ["clo", "--help"]
from {module} import {function}
sys.exit({function}())
"""


def run_installed(*, ctrl_c: bool) -> subprocess.CompletedProcess[str]:
    """What pip's script of the name `clo` does; Ctrl-C is pressed when the command line begins to be imported."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["clo"].partition(":")
    code = CALL.format(module=module, function=function, when=ctrl_c)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_installed_program_is_clo() -> None:
    done = run_installed(ctrl_c=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: clo" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends no program there")
def test_ctrl_c_before_it_has_begun_ends_it_without_a_traceback() -> None:
    done = run_installed(ctrl_c=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
