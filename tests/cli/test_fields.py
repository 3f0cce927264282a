"""A command's options are the fields of a model: each kind of field once, and nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from harness.cli.fields import options_of


class Kind(StrEnum):
    ONE = "one"


class Inner(BaseModel):
    depth: int | None = Field(default=None, description="How deep.")


class Model(BaseModel):
    count: int = Field(default=3, description="How many. [default: 3]")
    share: float | None = Field(default=None, description="A part of it.")
    flag: bool = Field(default=False, description="Whether so.")
    names: tuple[str, ...] = Field(default=(), description="Which. Repeatable.")
    kind: Kind = Field(default=Kind.ONE, description="Of which kind.")
    wait: float = Field(default=1.0, description="How long, such as 25m.")
    inner: Inner = Inner()
    hidden: int = 7


def run(*words: str, **how: Any) -> tuple[int, Mapping[str, Any], str]:
    """Exit code, what the command was given, and what was printed."""
    app = typer.Typer()
    seen: dict[str, Any] = {}

    @app.command()
    @options_of(Model, **how)
    def command(given: Mapping[str, Any], own: int = 1) -> None:
        """Do it."""
        seen.update(given, own=own)

    done = CliRunner().invoke(app, words)
    return done.exit_code, seen, done.output


def test_what_is_left_out_is_none_and_what_has_no_description_is_no_option() -> None:
    code, given, _ = run()
    assert code == 0
    assert given == dict.fromkeys(("count", "share", "flag", "names", "kind", "wait", "depth")) | {"own": 1}


def test_each_kind_of_field_is_read_and_a_zero_is_not_lost() -> None:
    numbers = ("--count", "0", "--share", "0", "--wait", "0", "--depth", "0", "--own", "0")
    others = ("--flag", "--names", "a", "--names", "b", "--kind", "one")
    assert run(*numbers, *others)[1] == {
        "count": 0, "share": 0.0, "flag": True, "names": ["a", "b"], "kind": "one", "wait": 0.0, "depth": 0, "own": 0,
    }  # fmt: skip


def test_a_field_may_be_typed_as_a_text_or_be_left_to_another_command() -> None:
    assert run("--wait", "25m", texts=("wait",))[1]["wait"] == "25m"
    assert run("--count", "2", only=("count",))[1] == {"count": 2, "own": 1}
    assert run("--share", "1", only=("count",))[0] == 2


def test_the_help_is_the_description_or_what_is_said_instead() -> None:
    said = " ".join(run("--help", said={"share": "Another help."})[2].replace("│", " ").split())
    assert "How many. [default: 3]" in said and "Another help." in said and "A part of it." not in said
    assert "Do it." in said


def test_a_field_that_there_is_not_is_refused_when_the_command_is_made() -> None:
    with pytest.raises(ValueError, match="Model has no such option: hidden, nobody"):
        options_of(Model, only=("hidden",), texts=("nobody",))(lambda given: None)
