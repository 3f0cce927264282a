"""The claims as data: complete, quoted with their source, chosen by id."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from harness.claims.ledger import Claim, ClaimKind, Source, choose_claims, load_claims
from harness.common.errors import UserError

EXPECTED = [
    "attnconv-equivariance",
    "attnconv-content",
    "local-branch-high-frequency",
    "pooling-cuts-flops",
    "pooling-keeps-global-field",
    "pooling-cuts-params",
    "attnconv-beats-convolution",
    "attnconv-beats-local-attention",
    "gate-nonlinearity",
    "convffn-local-information",
    "convffn-downsamples",
    "convffn-accuracy",
    "cloformer-shape",
    "cloformer-params",
    "cloformer-flops",
    "insertion-yolov5",
    "insertion-yolov7",
    "insertion-yolov8",
    "backbone-gain",
    "head-gain",
]


def test_every_claim_of_the_article_is_in_the_ledger_once() -> None:
    assert [claim.id for claim in load_claims()] == EXPECTED


def test_a_quotation_is_a_clause_in_chinese() -> None:
    quoted = [claim for claim in load_claims() if claim.quote_zh]
    assert len(quoted) >= 10
    for claim in quoted:
        assert len(claim.quote_zh) <= 40, claim.id
        assert any("\u4e00" <= character <= "\u9fff" for character in claim.quote_zh), claim.id


def test_the_gain_is_quoted_from_the_brief_and_says_what_it_leaves_open() -> None:
    for claim in choose_claims(["backbone-gain", "head-gain"]):
        assert claim.source is Source.BRIEF
        assert "1-3%" in claim.quote_zh
        for said in ("some improved YOLOv5 models", "per cent", "assumption", "7.2 M", "9.15 M", "24.2", "37.4"):
            assert said in claim.reading, (claim.id, said)


def test_the_claim_about_parameters_is_quoted_literally() -> None:
    (claim,) = choose_claims(["pooling-cuts-params"])
    assert claim.quote_zh == "对K和V进行了下采样来减少参数量"


@pytest.mark.parametrize("changes", [{"quote_zh": "某句话", "source": "unread"}, {"quote_zh": "", "source": "article"}])
def test_words_have_a_source_and_a_source_has_words(changes: dict[str, str]) -> None:
    one = load_claims()[0].model_dump()
    with pytest.raises(ValidationError, match="words have a source"):
        Claim.model_validate({**one, **changes})


def test_claims_are_chosen_by_id_and_keep_the_order_of_the_ledger() -> None:
    chosen = choose_claims(["head-gain", "attnconv-content"])
    assert [claim.id for claim in chosen] == ["attnconv-content", "head-gain"]
    assert choose_claims() == load_claims()


def test_an_unknown_claim_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"claim head-gains: there is no such claim; there are: attnconv-eq.*head-gain"):
        choose_claims(["head-gains"])


def test_a_claim_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="claim head-gain: given 2 times; name each claim once"):
        choose_claims(["head-gain", "attnconv-content", "head-gain"])


def test_accuracy_claims_are_decided_by_trainings() -> None:
    for claim in load_claims():
        assert (claim.kind is ClaimKind.ACCURACY) == claim.check.startswith("accuracy."), claim.id


def test_ledger_and_verdicts_are_read_without_torch() -> None:
    program = (
        "import sys, harness.claims.ledger as l, harness.claims.verdict; l.load_claims(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
