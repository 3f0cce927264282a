from __future__ import annotations

from harness.analysis.contrasts import model_pairs
from tests.report.ablated import ablation


def test_claims_are_read_from_models_against_the_baseline_and_against_what_was_made_of_them() -> None:
    pairs = [(pair.minuend, pair.subtrahend) for pair in model_pairs(ablation())]
    assert pairs == [
        ("aaaaaaaa", "baseline"),
        ("aaaaaaaa", "bbbbbbbb"),
        ("aaaaaaaa", "cccccccc"),
        ("aaaaaaaa", "wide-params-01234567"),
    ]


def test_differences_to_an_arm_that_starts_elsewhere_are_of_another_kind() -> None:
    record = ablation()
    record.arms[3].starts_as_base = False
    kinds = {pair.subtrahend: pair.kind for pair in model_pairs(record)}
    assert kinds["cccccccc"] == "one starts elsewhere"
    assert kinds["bbbbbbbb"] == kinds["baseline"] == "both start as the base"


def test_from_scratch_all_are_of_one_kind() -> None:
    record = ablation()
    assert record.ablation is not None
    record.ablation.file.from_scratch = True
    record.arms[3].starts_as_base = False
    assert {pair.kind for pair in model_pairs(record)} == {"from scratch"}
