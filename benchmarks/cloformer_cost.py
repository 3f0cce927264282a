"""CloFormer's published cost beside ours at 224 pixels, part by part, and which part's absence explains the difference.

The article gives 0.6, 1.1 and 2.0 GFLOPs, which are multiply-accumulates, for XXS, XS and S; the published code
counts 9 to 12 % more. How the authors counted isn't known, and the published code has no counter. So each part,
then each set of up to three parts, is left out in turn, and what is left is compared with the published figure at
the one decimal that it has.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from harness.blocks import CloFormer
from harness.blocks.cloformer import Downsample
from harness.cost.counts import PRODUCT_NAMES, trace
from harness.cost.operators import ATTENTION

IMGSZ = 224
PUBLISHED = {"xxs": 0.6, "xs": 1.1, "s": 2.0}
"""GFLOPs, by arXiv:2303.17803."""
ATTENTION_PRODUCTS = "attention products"
SKIP = "5×5 convolution of the skips"
PARTS = {
    "stem": r"^stem",
    SKIP: r"downsample\.0$",
    "1×1 convolution of the skips": r"downsample\.",
    "input projections (q, k, v)": r"project_in$",
    "depth-wise convolutions of AttnConv": r"aggregate$",
    "gates of AttnConv": r"gate_(in|out)$",
    "pooled keys and values": r"key_value$",
    ATTENTION_PRODUCTS: r"global_branch$",
    "output projections": r"project_out$",
    "1×1 convolutions of ConvFFN": r"mlp\.fc\d$",
    "depth-wise convolutions of ConvFFN": r"mlp\.dwconv$",
    "classifier": r"^head$",
}
"""What a network is made of and the names of the modules that make it; the first that fits a name."""
BEGIN, END = "<!-- table: benchmarks/cloformer_cost.py -->", "<!-- end of table -->"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One variant.

    Attributes:
        macs: Multiply-accumulates by part; their sum is the network's.
        norms: Operations of norms by fvcore's formulas, which fvcore adds to its total.
    """

    macs: Mapping[str, int]
    norms: int

    def giga(self, *, without: Collection[str] = (), norms: bool = False) -> float:
        """GMACs without some parts, with the norms if asked."""
        return (sum(n for part, n in self.macs.items() if part not in without) + norms * self.norms) / 1e9


@cache
def parts(variant: str, downsample: Downsample = "official") -> Parts:
    """Count a variant with its 1000 classes."""
    network = CloFormer.from_variant(variant, 1000, downsample)
    traced = trace(network, (1, 3, IMGSZ, IMGSZ))
    macs = dict.fromkeys(PARTS, 0)
    for name, module in network.named_modules():
        counts: Mapping[str, float] = traced.by_module.get(name, {})
        own = counts.get(ATTENTION, 0) if name.endswith("global_branch") else 0
        if not list(module.children()):
            own = sum(counts.get(operator, 0) for operator in PRODUCT_NAMES)
        if own:
            macs[next(part for part, pattern in PARTS.items() if re.search(pattern, name))] += int(own)
    return Parts(macs=macs, norms=int(sum(traced.total[f"{kind}_norm"] for kind in ("batch", "group", "layer"))))


def fits(figures: Mapping[str, float]) -> bool:
    """Whether all three variants round to what is published."""
    return all(round(figures[variant], 1) == published for variant, published in PUBLISHED.items())


def fitting(size: int, *, norms: bool) -> list[tuple[str, ...]]:
    """The sets of so many parts without which all three variants fit."""
    return [
        chosen
        for chosen in combinations(PARTS, size)
        if fits({variant: parts(variant).giga(without=chosen, norms=norms) for variant in PUBLISHED})
    ]


def lines() -> Iterator[str]:
    """The tables, as Markdown."""
    variants = {variant: parts(variant) for variant in PUBLISHED}
    yield from _head("MACs, M", *(text for variant in PUBLISHED for text in (variant, "share")))
    for part in PARTS:
        cells = [(found.macs[part], found.macs[part] / sum(found.macs.values())) for found in variants.values()]
        yield _line(part, *(text for macs, share in cells for text in (f"{macs / 1e6:.1f}", f"{share:.1%}")))
    yield _line("all", *(text for found in variants.values() for text in (f"{found.giga() * 1e3:.1f}", "")))
    yield ""
    yield from _head("G", *PUBLISHED, "fits all three")
    yield _line("published", *(f"{published:.1f}" for published in PUBLISHED.values()), "")
    yield _figures("MACs of the published code", {v: found.giga() for v, found in variants.items()})
    yield _figures("the same and norms, as fvcore counts", {v: found.giga(norms=True) for v, found in variants.items()})
    article = {variant: parts(variant, "article") for variant in PUBLISHED}
    yield _figures("MACs with the article's skip", {v: found.giga() for v, found in article.items()})
    yield _figures("the same and norms", {v: found.giga(norms=True) for v, found in article.items()})
    for part in PARTS:
        for norms in (False, True):
            left = {v: found.giga(without=[part], norms=norms) for v, found in variants.items()}
            yield _figures(f"without {part}{', with norms' if norms else ''}", left)
    for size in (2, 3):
        counts = [
            f"{len(fitting(size, norms=norms))} {how} norms" for norms, how in ((False, "without"), (True, "with"))
        ]
        total = len(list(combinations(PARTS, size)))
        yield _line(f"sets of {size} parts left out that fit", "", "", "", f"{' and '.join(counts)}, of {total}")


def main(write: Annotated[Path | None, typer.Option(help="Markdown file whose table is renewed.")] = None) -> None:
    """Print the tables, and write them where asked."""
    table = "\n".join(lines())
    print(table)
    if write:
        before, _, rest = write.read_text(encoding="utf-8").partition(BEGIN)
        write.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _figures(what: str, figures: Mapping[str, float]) -> str:
    return _line(what, *(f"{figure:.5f}" for figure in figures.values()), "yes" if fits(figures) else "no")


def _head(*cells: str) -> list[str]:
    return [_line(*cells), _line("---", *["---:"] * (len(cells) - 1))]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    typer.run(main)
