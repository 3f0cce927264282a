"""A shifted input gives a shifted output, or the check says that it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.claims import equivariance
from harness.claims.equivariance import attnconv_is_equivariant, foreign_operators, local_attention, shift_error
from harness.claims.verdict import Verdict

FEW = {"kernels": (3, 7), "shifts": ((0, 1), (4, 5)), "seeds": (0,)}


class RowNumber(nn.Module):
    """Knows in which row it is: not equivariant to shifts by rows, equivariant to those by columns."""

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(float(x.shape[-2])).view(-1, 1)
        return (x * 0 + rows).contiguous()


def test_attnconv_is_equivariant_and_tiles_are_not() -> None:
    finding = attnconv_is_equivariant(**FEW)  # type: ignore[arg-type]
    assert finding.verdict is Verdict.REPRODUCED
    error, control, others = (figure.value for figure in finding.figures)
    assert error < 1e-6
    assert control > 0.5
    assert others == 0
    assert len(finding.rows) == 4


def test_attention_within_tiles_is_refuted() -> None:
    assert attnconv_is_equivariant("window", **FEW).verdict is Verdict.REFUTED  # type: ignore[arg-type]


def test_attention_to_the_neighbourhood_is_equivariant_but_made_of_products() -> None:
    finding = attnconv_is_equivariant("neighbourhood", **FEW)  # type: ignore[arg-type]
    assert finding.figures[0].value < 1e-6
    assert finding.verdict is Verdict.REFUTED
    assert "softmax" in finding.sentence


def test_a_blind_check_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivariance, "CONTROL", "conv")
    finding = attnconv_is_equivariant(**FEW)  # type: ignore[arg-type]
    assert finding.verdict is Verdict.UNDECIDED
    assert "blind" in finding.sentence


def test_a_tile_repeats_after_its_own_side() -> None:
    """The trap that the shifts avoid: at a multiple of the tile even tiles look equivariant."""
    assert shift_error("window", 3, (3, 6), (0,)).error < 1e-5
    assert shift_error("window", 3, (3, 5), (0,)).error > 0.1


def test_no_tile_repeats_at_any_shift_of_the_check() -> None:
    for kernel in (3, 5, 7, 9):
        assert all(down % kernel or right % kernel for down, right in equivariance.SHIFTS)


def test_the_error_is_the_difference_over_the_rms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivariance, "local_attention", lambda *_: RowNumber())
    rms = (sum(row**2 for row in range(24)) / 24) ** 0.5
    assert shift_error("attnconv", 3, (0, 4), (0,)).error == 0
    assert shift_error("attnconv", 3, (2, 4), (0,)).error == pytest.approx(2 / rms, rel=1e-5)


def test_what_is_no_convolution_is_named() -> None:
    assert foreign_operators(local_attention("attnconv", 5, 0)) == []
    assert foreign_operators(local_attention("conv", 5, 0)) == []
    assert "scaled_dot_product_attention" in foreign_operators(local_attention("window", 5, 0))
