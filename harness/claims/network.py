"""CloFormer as published: its shape, observed while it runs, its parameters and operations, counted.

The published figures are those of arXiv:2303.17803's table: millions of parameters, and GFLOPs (meaning
multiply-accumulates) at 224 × 224 pixels. docs/cost.md looks into why its two columns do not fit one network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from harness.blocks import CloBlock, CloFormer
from harness.blocks.cloformer import Downsample
from harness.claims.verdict import Cell, Figure, Finding, judge
from harness.cost.counts import Cost, module_cost

IMGSZ = 224
# Millions, as published.
PARAMS = {"xxs": 4.2, "xs": 7.2, "s": 12.3}
# As published; multiply-accumulates.
GFLOPS = {"xxs": 0.6, "xs": 1.1, "s": 2.0}
STEM_STRIDES = (2, 2, 1, 1)
STAGES = 4
# Variant and skip to a network.
Build = Callable[[str, Downsample], nn.Module]


def has_the_published_shape(network: CloFormer | None = None) -> Finding:
    """Check the stem's strides, the number of stages, what they are made of, and what the classifier takes."""
    network = network or CloFormer.from_variant("xxs")
    strides = stem_strides(network)
    blocks = [[type(block).__name__ for block in _blocks(stage)] for stage in network.stages]
    complete = [_is_complete(stage) for stage in network.stages]
    pooled = takes_the_mean(network)
    rows: list[dict[str, Cell]] = [
        {"part": f"stem, convolution {number}", "found": f"stride {stride}"}
        for number, stride in enumerate(strides, start=1)
    ]
    rows += [
        {"part": f"stage {number}", "found": f"{len(names)} × {', '.join(sorted(set(names)))}"}
        for number, names in enumerate(blocks, start=1)
    ]
    rows.append({"part": "classifier", "found": "the mean over all pixels" if pooled else "not the mean of all pixels"})
    return Finding(
        verdict=judge(strides == STEM_STRIDES and len(complete) == STAGES and all(complete) and pooled),
        sentence=(
            f"The stem's convolutions have strides {', '.join(map(str, strides))}; {sum(complete)} of {len(complete)} "
            f"stages are Clo blocks with ConvFFN; the classifier {'takes' if pooled else 'does not take'} the mean "
            "over all pixels."
        ),
        figures=(
            Figure(name="stages", value=len(complete)),
            Figure(name="of them Clo blocks with ConvFFN", value=sum(complete)),
        ),
        rows=tuple(rows),
        caption="CloFormer, as observed in a forward pass.",
    )


def has_the_published_params(build: Build | None = None) -> Finding:
    """Check the parameters of the published code's network against the published ones, at their one decimal."""
    build = build or _network
    counted = {name: _params(build(name, "official")) / 1e6 for name in PARAMS}
    in_text = {name: _params(build(name, "article")) / 1e6 for name in PARAMS}
    fitting = _fitting(counted, PARAMS)
    rows: tuple[dict[str, Cell], ...] = tuple(
        {"variant": name, "published": PARAMS[name], "published code": counted[name], "paper's text": in_text[name]}
        for name in PARAMS
    )
    return Finding(
        verdict=judge(fitting == len(PARAMS)),
        sentence=f"Counted are {_list(counted)} million: {fitting} of {len(PARAMS)} round to the published number.",
        figures=tuple(Figure(name=f"CloFormer {k.upper()}", value=v, unit="M parameters") for k, v in counted.items()),
        rows=rows,
        caption="Millions of parameters, 1000 classes; the text describes a depth-wise skip between stages.",
    )


def has_the_published_flops(build: Build | None = None, imgsz: int = IMGSZ) -> Finding:
    """Check the MACs of the network with the published parameters, with and without norms."""
    build = build or _network
    costs = {(name, skip): module_cost(build(name, skip), (1, 3, imgsz, imgsz)) for name in GFLOPS for skip in _SKIPS}
    columns = {
        f"{what}{', with norms' if norms else ''}": {name: _giga(costs[name, skip], norms) for name in GFLOPS}
        for skip, what in _SKIPS.items()
        for norms in (False, True)
    }
    fitting = {column: _fitting(figures, GFLOPS) for column, figures in columns.items()}
    code = [column for column in columns if column.startswith(_SKIPS["official"])]
    best = max(code, key=lambda column: fitting[column])
    plain = columns[code[0]]
    fits = [column for column, number in fitting.items() if number == len(GFLOPS)]
    return Finding(
        verdict=judge(fitting[best] == len(GFLOPS)),
        sentence=(
            f"Counted are {_list(plain)} GMACs of the network with the published parameters, {_excess(plain)}; "
            f"all three round to the published figures for: {'; '.join(fits) or 'none of the countings'}."
        ),
        figures=tuple(Figure(name=f"CloFormer {k.upper()}", value=v, unit="GMACs") for k, v in plain.items()),
        rows=tuple(
            {
                "variant": name,
                "published": GFLOPS[name],
                **{column: figures[name] for column, figures in columns.items()},
            }
            for name in GFLOPS
        ),
        caption=f"GMACs at {imgsz} × {imgsz} pixels; norms as fvcore counts them.",
    )


def stem_strides(network: CloFormer) -> tuple[int, ...]:
    """Measure by how much each convolution of the stem shrinks the map, from its sizes; 1×1 ones left out."""
    found: list[int] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(round(inputs[0].shape[-1] / output.shape[-1]))

    convolutions = [m for m in network.stem.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    handles = [convolution.register_forward_hook(note) for convolution in convolutions]
    try:
        with torch.no_grad():
            network.stem.eval()(torch.zeros(1, 3, 64, 64))
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def takes_the_mean(network: CloFormer, imgsz: int = 96) -> bool:
    """Check whether the classifier's input is the mean over all pixels of the last stage, normalised."""
    seen: list[Tensor] = []
    handles = [
        network.stages[-1].register_forward_hook(lambda _m, _i, output: seen.append(output)),
        network.head.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0])),
    ]
    try:
        with torch.no_grad():
            network.eval()(torch.randn(2, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0)))
    finally:
        for handle in handles:
            handle.remove()
    deepest, taken = seen
    mean = network.norm(deepest.flatten(2)).mean(dim=-1)
    return taken.shape == mean.shape and torch.allclose(taken, mean, atol=1e-5)


_SKIPS: dict[Downsample, str] = {"official": "published code", "article": "paper's text"}


def _network(name: str, skip: Downsample) -> nn.Module:
    return CloFormer.from_variant(name, 1000, skip)


def _blocks(stage: nn.Module) -> list[nn.Module]:
    return list(stage.children())


def _is_complete(stage: nn.Module) -> bool:
    """Return whether a stage has nothing but Clo blocks, all with a ConvFFN and its depth-wise convolution."""
    blocks = _blocks(stage)
    return bool(blocks) and all(
        isinstance(block, CloBlock) and block.mlp is not None and isinstance(block.mlp.dwconv, nn.Conv2d)
        for block in blocks
    )


def _params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _giga(cost: Cost, norms: bool) -> float:
    own = sum(cost.elementwise.get(f"{kind}_norm", 0) for kind in ("batch", "group", "layer"))
    return (cost.macs + norms * own) / 1e9


def _fitting(counted: Mapping[str, float], published: Mapping[str, float]) -> int:
    return sum(round(counted[name], 1) == published[name] for name in published)


def _list(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{figure:.3f}" for figure in figures.values())


def _excess(counted: Mapping[str, float]) -> str:
    ratios = [counted[name] / GFLOPS[name] - 1 for name in GFLOPS]
    return f"{min(ratios):+.0%} to {max(ratios):+.0%} of the published ones"
