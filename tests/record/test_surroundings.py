"""What is known of the machine, the data and the space is typed, and kept as it was written: by any version."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.record.surroundings import LOOKS, Device, Environment, SpaceSummary

WRITTEN: dict[str, Any] = {
    "time": "2026-01-01T00:00:00+00:00", "command": "clo search", "device": {"asked": "0", "name": "H200", "mig": [1]},
    "git": {"commit": "0123abc", "dirty": False}, "of_tomorrow": {"a": None}, "data": None, "uncounted": {"aten::x": 2},
    "latency_aa_check": {"ratio": 1.01, "ratio_ci95": [0.99, 1.03]}, "looks": [2, 4],
}  # fmt: skip


def test_what_was_written_is_given_back_with_what_no_field_knows_in_its_order() -> None:
    found = Environment.of(WRITTEN)
    assert found.to_dict() == WRITTEN and list(found.to_dict()) == list(WRITTEN)
    assert isinstance(found.device, Device) and (found.device.name, found.device.threads) == ("H200", None)
    assert (found.git.commit, found.looks, found.uncounted) == ("0123abc", (2, 4), {"aten::x": 2})
    assert found.latency_aa_check is not None and found.latency_aa_check.ratio_ci95 == (0.99, 1.03)


def test_an_entry_is_changed_and_the_others_stay() -> None:
    found = Environment.of(WRITTEN) | {LOOKS: [2, 4, 6]}
    assert (found.looks, found.to_dict()) == ((2, 4, 6), WRITTEN | {LOOKS: [2, 4, 6]})


def test_a_study_from_before_an_entry_was_kept_has_its_default() -> None:
    for nothing in ({}, {"cpu": None, "git": None, "packages": None, "latency_threads": None, "data_repairs": None}):
        found = Environment.of(nothing)
        assert (found.program, found.device, found.cpu.model, found.git.commit) == ("clo", None, None, None)
        assert (found.packages, found.data_repairs, found.latency_threads) == ({}, (), None)
    assert Environment.of({"device": "Example CPU", "command": ["clo", "search"]}).command == ("clo", "search")
    assert SpaceSummary.of({}) == SpaceSummary() and SpaceSummary().size is None


@pytest.mark.parametrize(
    "wrong",
    [{"device": 3}, {"latency_threads": {"count": -1}}, {"looks": "2"}, {"latency_aa_check": {"ratio": 1.0}}],
)
def test_another_form_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Environment.of(wrong)
