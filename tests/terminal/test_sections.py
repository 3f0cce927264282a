"""A view has no more lines than the terminal: what matters least goes first."""

from __future__ import annotations

from rich.text import Text

from harness.terminal.live import Screen, Section
from tests.terminal.consoles import text

HEAD = Section(content=Text("head"), rank=9, least=1)
TABLE = Section(content=Text("\n".join(f"row {n}" for n in range(6))), rank=5, least=3)
NOTES = Section(content=Text("old\nnew"), rank=0, newest_last=True)


def shown(height: int) -> list[str]:
    return text(Screen([HEAD, TABLE, NOTES]), 20, height).splitlines()


def test_all_is_shown_where_there_is_room() -> None:
    assert shown(9) == ["head", *(f"row {n}" for n in range(6)), "old", "new"]


def test_the_oldest_note_goes_first() -> None:
    assert shown(8) == ["head", *(f"row {n}" for n in range(6)), "new"]


def test_a_list_that_is_cut_says_how_much_is_missing() -> None:
    assert shown(5) == ["head", "row 0", "row 1", "row 2", "… and 3 more"]


def test_what_is_left_of_the_least_important_goes_before_the_most_important() -> None:
    assert shown(2) == ["head", "row 0"]
    assert shown(1) == ["head"]
