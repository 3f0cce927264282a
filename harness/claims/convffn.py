"""Does ConvFFN see the neighbourhood, where the plain FFN sees a pixel; and can it downsample by itself?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from harness.blocks import CloFormer, ConvFFN
from harness.claims.reach import WIDTH, pixels_reached
from harness.claims.verdict import Cell, Figure, Finding, Verdict, judge

# Kernel to a feed-forward network of `WIDTH` channels that keeps the map.
Build = Callable[[int], nn.Module]


def aggregates_neighbours(build: Build | None = None, kernels: Sequence[int] = (3, 5, 7)) -> Finding:
    """Check that an output pixel's gradient reaches the pixels under the kernel, all of them and no others."""
    build = build or (lambda kernel: _ffn(kernel, depthwise=True))
    rows: list[dict[str, Cell]] = []
    for kernel in kernels:
        plain = int(pixels_reached(_ffn(kernel, depthwise=False), 2 * kernel).sum())
        own = pixels_reached(build(kernel), 2 * kernel)
        exact = bool(torch.equal(own, _square(2 * kernel, kernel)))
        rows.append({"kernel": kernel, "pixels": int(own.sum()), "under the kernel": exact, "plain FFN": plain})
    reached, plain_reach = [int(row["pixels"] or 0) for row in rows], [row["plain FFN"] for row in rows]
    figures = (
        Figure(name="fewest pixels that an output pixel hears", value=min(reached)),
        Figure(name="most pixels that the plain FFN's hears", value=max(int(one or 0) for one in plain_reach)),
    )
    caption = "Input pixels that an output pixel's gradient reaches."
    if any(one != 1 for one in plain_reach):
        return Finding(
            verdict=Verdict.UNDECIDED,
            sentence="The plain FFN seems to hear more than its own pixel: the check measures something else.",
            figures=figures,
            rows=tuple(rows),
            caption=caption,
            to_decide="a measurement in which the plain FFN hears its own pixel alone",
        )
    return Finding(
        verdict=judge(all(row["under the kernel"] for row in rows) and min(reached) > 1),
        sentence=f"An output pixel hears {', '.join(map(str, reached))} pixels with kernels of "
        f"{', '.join(map(str, kernels))} pixels; the plain FFN's hears its own alone.",
        figures=figures,
        rows=tuple(rows),
        caption=caption,
    )


def downsamples(
    network: CloFormer | None = None, sizes: Sequence[tuple[int, int]] = ((32, 32), (33, 20), (7, 1))
) -> Finding:
    """Check the shape of a stride-2 ConvFFN, and that in CloFormer nothing else leads from stage to stage."""
    network = network or CloFormer.from_variant("xxs", 0)
    rows: list[dict[str, Cell]] = []
    halved = True
    for height, width in sizes:
        shape = tuple(_ffn(5, True, stride=2)(torch.zeros(1, WIDTH, height, width)).shape[1:])
        halved &= shape == (2 * WIDTH, -(-height // 2), -(-width // 2))
        rows.append({"map": f"{WIDTH} × {height} × {width}", "becomes": " × ".join(map(str, shape))})
    resizing = resizing_modules(network)
    ffns = {name for name, module in network.stages.named_modules() if isinstance(module, ConvFFN)}
    within = [name for name in resizing if name.removesuffix(".dwconv") in ffns]
    skips = [name for name in resizing if ".downsample" in name]
    others = [name for name in resizing if name not in {*within, *skips}]
    transitions = len(network.stages) - 1
    return Finding(
        verdict=judge(halved and len(within) == transitions and not others),
        sentence=(
            f"A stride-2 ConvFFN {'halves' if halved else 'does not halve'} the map and changes its channels; of "
            f"CloFormer's {len(resizing)} convolutions that resize a map after the stem, {len(within)} are ConvFFN's, "
            f"{len(skips)} lie in the skips around them and {len(others)} elsewhere, for {transitions} transitions."
        ),
        figures=(
            Figure(name="transitions between stages", value=transitions),
            Figure(name="resizing convolutions within ConvFFN", value=len(within)),
            Figure(name="in the skips around it", value=len(skips)),
            Figure(name="elsewhere", value=len(others)),
        ),
        rows=tuple(rows),
        caption="Channels, height and width before and after a ConvFFN with stride 2.",
    )


def resizing_modules(network: CloFormer) -> list[str]:
    """List the innermost modules after the stem, by name, that give a map of another size than they take.

    Averaging over windows is no module and makes tokens rather than the next map; it isn't among them.
    """
    found: list[str] = []

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            is_map = inputs[0].ndim == output.ndim == 4
            if is_map and inputs[0].shape[2:] != output.shape[2:]:
                found.append(name)

        return hook

    leaves = [(name, module) for name, module in network.stages.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(note(name)) for name, module in leaves]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, 64, 64))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return found


def _ffn(kernel: int, depthwise: bool, stride: int = 1) -> ConvFFN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(kernel)
        return ConvFFN(WIDTH, 2 * WIDTH, kernel, stride, stride * WIDTH, depthwise)


def _square(side: int, kernel: int) -> Tensor:
    """Mark the kernel's pixels around the middle."""
    inside = (torch.arange(side) - side // 2).abs() <= kernel // 2
    return inside[:, None] & inside[None, :]
