"""CloFormer's published cost beside ours."""

from __future__ import annotations

import pytest

from benchmarks.cloformer_cost import ATTENTION_PRODUCTS, IMGSZ, PUBLISHED, SKIP, fits, fitting, parts
from harness.blocks import CloFormer
from harness.blocks.cloformer import VARIANTS, Downsample
from harness.cost.counts import model_cost

BY_FVCORE = {"xxs": 0.667, "xs": 1.228, "s": 2.182}
"""GMACs that fvcore counts of the official code as it stands."""


@pytest.mark.parametrize("downsample", ["official", "article"])
def test_the_parts_are_the_whole(downsample: Downsample) -> None:
    cost = model_cost(CloFormer.from_variant("xxs", 1000, downsample), IMGSZ)
    found = parts("xxs", downsample)
    assert sum(found.macs.values()) == cost.macs
    assert found.macs[ATTENTION_PRODUCTS] == cost.by_operator["scaled_dot_product_attention"]


@pytest.mark.parametrize("variant", PUBLISHED)
def test_fvcores_figure_of_the_official_code_is_our_macs_and_its_norms(variant: str) -> None:
    found = parts(variant)
    assert found.giga(norms=True) == pytest.approx(BY_FVCORE[variant], abs=0.0005)
    assert 0.005 < found.norms / 1e9 / BY_FVCORE[variant] < 0.01


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_skips_convolution_multiplies_all_channels_of_the_published_code_and_its_own_of_the_articles(
    variant: str,
) -> None:
    skips = list(zip(VARIANTS[variant].widths[:3], (28, 14, 7), strict=True))  # channels and side, strides 8, 16, 32
    assert parts(variant).macs[SKIP] == sum(25 * width**2 * side**2 for width, side in skips)
    assert parts(variant, "article").macs[SKIP] == sum(25 * width * side**2 for width, side in skips)


def test_the_published_figures_are_those_of_the_articles_skip_with_norms() -> None:
    assert not fits({variant: parts(variant).giga() for variant in PUBLISHED})
    assert not fits(BY_FVCORE)
    assert fits({variant: parts(variant, "article").giga(norms=True) for variant in PUBLISHED})
    assert fitting(1, norms=True) == [(SKIP,)]


def test_without_norms_they_miss_the_rounding_of_s_by_a_hair() -> None:
    macs = {variant: parts(variant, "article").giga() for variant in PUBLISHED}
    assert (round(macs["xxs"], 1), round(macs["xs"], 1)) == (0.6, 1.1)
    assert 1.9499 < macs["s"] < 1.95


def test_one_decimal_does_not_prove_it() -> None:
    """Another part alone fits MACs without norms, and many sets of parts do."""
    assert fitting(1, norms=False) == [("output projections",)]
    assert len(fitting(2, norms=True)) > 1
