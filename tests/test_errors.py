"""What a user is told is one line, whatever stands in the values that it quotes."""

from __future__ import annotations

import pytest

from harness.errors import MOST_LETTERS, UserError


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("--base é: 漢字 × –", "--base é: 漢字 × –"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\udcff\0", "\\udcff\\x00"),
    ],
)
def test_what_is_a_command_to_a_terminal_is_shown_as_its_escape(message: str, shown: str) -> None:
    assert str(UserError(message)) == shown


def test_of_a_message_that_quotes_a_whole_file_the_middle_is_left_out() -> None:
    said = str(UserError("base m.yaml: " + "x" * 100_000 + "; give a list"))
    assert len(said) == MOST_LETTERS + 3
    assert said.startswith("base m.yaml: x") and said.endswith("x; give a list")
