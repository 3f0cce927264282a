"""Public names stay: options, columns, keys of files, imports."""

from __future__ import annotations

from pathlib import Path

from tests.characterisation.compared import check
from tests.characterisation.names import CASES


def test_public_names_are_as_before(empty: Path) -> None:
    check(".", "public_names", CASES["public_names"]())


def test_what_users_import_can_be_imported() -> None:
    from harness.analysis import non_dominated, summarise
    from harness.blocks import CBAM, CloAttention, CloBlock, CloFormer, ConvFFN, SqueezeExcitation, register_block

    assert all(map(callable, (non_dominated, summarise, register_block)))
    assert all(isinstance(each, type) for each in (CBAM, CloAttention, CloBlock, CloFormer, ConvFFN, SqueezeExcitation))
