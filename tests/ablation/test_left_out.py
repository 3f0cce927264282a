"""What an ablation left out stays written down when another file goes on with its study."""

from __future__ import annotations

from harness.ablation.run import still_left_out

PLACEBO = "'m: base widened to its macs' is left out: it cannot be widened so little"


def test_what_an_earlier_file_left_out_is_still_said() -> None:
    assert still_left_out({"left_out": [PLACEBO]}, ["baseline", "m", "m: gate none"]) == [PLACEBO]
    assert still_left_out({}, ["baseline"]) == []


def test_what_could_be_built_this_time_is_no_longer_left_out() -> None:
    assert still_left_out({"left_out": [PLACEBO]}, ["baseline", "m", "m: base widened to its macs"]) == []
