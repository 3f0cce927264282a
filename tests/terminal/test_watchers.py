"""Who watches depends on where the output goes."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from harness.terminal.lines import Lines, Quiet
from harness.terminal.live import LiveView
from harness.terminal.watchers import observer


@pytest.mark.parametrize(
    ("quiet", "machine", "terminal_is_there", "expected"),
    [
        (False, False, True, LiveView),
        (False, False, False, Lines),
        (False, True, True, Lines),
        (True, False, True, Quiet),
        (True, True, False, Quiet),
    ],
)
def test_the_watcher_suits_where_the_output_goes(
    quiet: bool, machine: bool, terminal_is_there: bool, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal_is_there, raising=False)
    monkeypatch.setattr(Console, "is_terminal", property(lambda _: terminal_is_there))
    assert type(observer("x", quiet=quiet, machine=machine)) is expected


def test_beside_json_peoples_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    observer("x", quiet=False, machine=True).phase("baseline")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[0:00] baseline\n"
