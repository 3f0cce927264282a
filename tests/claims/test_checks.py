"""Every claim has its check, and the checks that need no training run."""

from __future__ import annotations

import importlib
import json

import pytest

from harness.claims.checks import CHECKS, needs_training, run_check
from harness.claims.ledger import Claim, choose_claims, load_claims
from harness.claims.verdict import Verdict
from harness.common.errors import UserError

FOUND = {
    "attnconv-equivariance": Verdict.REPRODUCED,
    "attnconv-content": Verdict.REPRODUCED,
    "local-branch-high-frequency": Verdict.UNDECIDED,
    "pooling-cuts-flops": Verdict.REPRODUCED,
    "pooling-keeps-global-field": Verdict.REPRODUCED,
    "pooling-cuts-params": Verdict.REFUTED,
    "convffn-local-information": Verdict.REPRODUCED,
    "convffn-downsamples": Verdict.REPRODUCED,
    "cloformer-shape": Verdict.REPRODUCED,
    "cloformer-params": Verdict.REPRODUCED,
    "cloformer-flops": Verdict.REFUTED,
    "insertion-yolov5": Verdict.REPRODUCED,
    "insertion-yolov7": Verdict.REPRODUCED,
    "insertion-yolov8": Verdict.REPRODUCED,
}
"""What this project believes about the article, of what needs no training."""


def test_every_claim_that_needs_no_training_has_a_check_and_every_check_a_claim() -> None:
    named = {claim.check for claim in load_claims() if not needs_training(claim)}
    assert named == set(CHECKS)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_check_is_found_under_its_name(name: str) -> None:
    module, _, function = name.partition(".")
    assert getattr(importlib.import_module(f"harness.claims.{module}"), function) is CHECKS[name]


def test_a_claim_that_needs_training_is_not_decided_in_passing() -> None:
    with pytest.raises(UserError, match=r"claim head-gain: its check accuracy.head_gain is none of those"):
        run_check(choose_claims(["head-gain"])[0])


@pytest.mark.parametrize("claim", ["pooling-cuts-params", "convffn-local-information", "local-branch-high-frequency"])
def test_a_claim_is_decided_by_its_id(claim: str) -> None:
    finding = run_check(choose_claims([claim])[0])
    assert finding.verdict is FOUND[claim]
    json.dumps(finding.to_dict(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("claim", [claim for claim in load_claims() if not needs_training(claim)], ids=lambda c: c.id)
def test_every_verdict_is_what_this_project_believes(claim: Claim) -> None:
    finding = run_check(claim)
    assert finding.verdict is FOUND[claim.id]
    json.dumps(finding.to_dict(), allow_nan=False)
