"""Every command explains itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from harness.cli import app as cli
from harness.record.settings import SearchSettings
from tests.cli.command_line import Clo

# --- Help -----------------------------------------------------------------------------------------

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def test_these_are_the_commands() -> None:
    assert set(COMMANDS) == {
        "search", "report", "fidelity", "sites", "model", "train", "cost", "latency", "export", "simulate",
        "ablate", "reproduce", "control", "cache", "plan", "judge",
    }  # fmt: skip


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_an_answer_and_no_error(clo: Clo, command: list[str]) -> None:
    said = clo(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage: " in said.out
    assert all(name in said.out for name in COMMANDS) or command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_explains_itself(name: str) -> None:
    command = COMMANDS[name]
    assert command.help and command.help.strip().splitlines()[0].endswith(".")
    for parameter in command.params:
        assert len(getattr(parameter, "help", None) or "") > 10, f"{name} {parameter.name}"


def test_the_defaults_in_the_help_are_those_in_use() -> None:
    stated = {
        str(parameter.name): found[1]
        for parameter in COMMANDS["search"].params
        if (found := re.search(r"\[default: (\d[\d.]*)\]", getattr(parameter, "help", None) or ""))
    }
    defaults = SearchSettings().model_dump(mode="json")
    assert stated
    assert stated == {name: str(defaults[name]) for name in stated}


def test_the_defaults_are_to_be_seen(clo: Clo) -> None:
    """Rich takes `[default: 10]` for markup and drops it."""
    said = " ".join(re.sub(r"[│ \n]+", " ", clo("search", "--help").out).split())
    assert "[default: 10; 4 on the embedded data]" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_read_by_a_script(name: str) -> None:
    assert "--json" in [option for parameter in COMMANDS[name].params for option in parameter.opts]
