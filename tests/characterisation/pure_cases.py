"""What is characterised: architectures as plain data, blocks with their arguments, searches that are replayed.

All is written out here as a user's files write it, so that a change of the code's own classes changes nothing here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

YOLOBENCH = Path(__file__).parents[1] / "data" / "yolobench" / "voc_scratch_100epochs.csv"
SPACES = ("control", "default", "inside", "landscape", "operators", "replaced", "small")
"""The files of `search_spaces/`."""
BASE, IMGSZ = "yolov8n", 128
"""At 128 px the maps at P3, P4 and P5 are 16, 8 and 4 pixels wide, so that some windows cover one."""

Plain = dict[str, Any]


def _p(site: str, kind: str = "block", groups: list[list[int]] | None = None, **rest: Any) -> Plain:
    """Return a placement as a file has it, with four local heads of kernel 5 unless said."""
    return {"site": site, "kind": kind, "groups": [[5, 4]] if groups is None else groups, **rest}


def _one(site: str, kind: str = "block", groups: list[list[int]] | None = None, **rest: Any) -> list[Plain]:
    return [_p(site, kind, groups, **{"global_heads": 4, "kv_pool": 2, **rest})]


def _local(site: str, groups: list[list[int]], **rest: Any) -> list[Plain]:
    return [_p(site, "attention", groups, **rest)]


def _other(site: str, kind: str, **rest: Any) -> Plain:
    return {"site": site, "kind": kind, **rest}


PLACEMENTS: dict[str, list[Plain]] = {
    "baseline": [],
    "block": _one("neck.P4"),
    "block, ratio 2": _one("neck.P4", ffn_ratio=2.0),
    "block, ratio 2 as a whole number": _one("neck.P4", ffn_ratio=2),
    "block, FFN kernel 3": _one("neck.P4", ffn_kernel=3),
    "block, plain FFN": _one("neck.P4", ffn="plain"),
    "block, plain FFN, idle FFN kernel": _one("neck.P4", ffn="plain", ffn_kernel=9),
    "block, official": _one("neck.P4", init="official"),
    "block inside": _one("neck.P4", mode="inside"),
    "block in place": _one("backbone.P5", mode="replace"),
    "block at another site": _one("backbone.P4"),
    "block at SPPF": _one("backbone.SPPF"),
    "attention": _one("neck.P4", "attention"),
    "attention, idle FFN": _one("neck.P4", "attention", ffn_ratio=2.0, ffn_kernel=7, ffn="plain"),
    "attention inside": _one("neck.P4", "attention", mode="inside"),
    "attention in place": _one("backbone.P5", "attention", mode="replace"),
    "bare": _one("neck.P4", "bare"),
    "bare, idle start": _one("neck.P4", "bare", init="official"),
    "bare inside": _one("neck.P3", "bare", mode="inside", init="official"),
    "bare in place": _one("backbone.P5", "bare", mode="replace"),
    "all global": _one("neck.P5", "attention", [], global_heads=8, kv_pool=1),
    "all global, pool 4": _one("neck.P5", "attention", [], global_heads=8, kv_pool=4),
    "all global, pool over the map": _one("neck.P5", "attention", [], global_heads=8, kv_pool=16),
    "all global, idle gate": _one(
        "neck.P5", "attention", [], global_heads=8, kv_pool=1, gate="tanh", operator="conv", aggregate_v=False
    ),
    "all local": _local("neck.P3", [[3, 4], [7, 4]]),
    "all local, other order": _local("neck.P3", [[7, 4], [3, 4]]),
    "all local, idle pool": _local("neck.P3", [[3, 4], [7, 4]], kv_pool=8),
    "all local, groups apart": _local("neck.P3", [[3, 2], [3, 2], [7, 4]]),
    "gate tanh": _one("neck.P3", "attention", gate="tanh"),
    "gate softmax": _one("neck.P3", "attention", gate="softmax"),
    "gate none": _one("neck.P3", "attention", gate="none"),
    "Q and K not aggregated": _one("neck.P3", "attention", aggregate_qk=False),
    "V not aggregated": _one("neck.P3", "attention", aggregate_v=False),
    "nothing aggregated": _one("neck.P3", "attention", aggregate_qk=False, aggregate_v=False),
    "nothing aggregated, idle kernel": _one("neck.P3", "attention", [[9, 4]], aggregate_qk=False, aggregate_v=False),
    "convolution": _local("neck.P3", [[5, 8]], operator="conv"),
    "convolution, as many groups as heads": _local("neck.P3", [[5, 4], [5, 4]], operator="conv"),
    "convolution, idle heads": _local("neck.P3", [[5, 2]], operator="conv", gate="sigmoid"),
    "convolution, two kernels": _local("neck.P3", [[3, 2], [5, 2]], operator="conv"),
    "convolution, two kernels, fewer heads": _local("neck.P3", [[5, 1], [3, 1]], operator="conv"),
    "neighbourhood": _one("neck.P4", "attention", operator="neighbourhood"),
    "neighbourhood, groups of one kernel": _one("neck.P4", "attention", [[5, 1], [5, 3]], operator="neighbourhood"),
    "window": _one("neck.P4", "attention", operator="window"),
    "window, covering, full K and V": _one("neck.P5", "attention", [[7, 8]], global_heads=0, operator="window"),
    "window, covering, pooled": _one("neck.P5", "attention", [[5, 4]], operator="window"),
    "window, covering with more": _one("neck.P5", "attention", [[9, 2], [7, 2]], operator="window"),
    "se": [_other("neck.P4", "se")],
    "se, its default spelled out": [_other("neck.P4", "se", options={"reduction": 16})],
    "se, reduction 4": [_other("neck.P4", "se", options={"reduction": 4})],
    "se inside": [_other("neck.P4", "se", mode="inside", init="official")],
    "cbam": [_other("neck.P5", "cbam")],
    "cbam, options": [_other("neck.P5", "cbam", options={"kernel_size": 3, "reduction": 8})],
    "cbam, options in another order": [_other("neck.P5", "cbam", options={"reduction": 8, "kernel_size": 3})],
    "three sites": [
        *_one("backbone.P4"),
        *_one("neck.P3", "bare", mode="inside"),
        *_local("neck.P5", [[3, 4]], operator="conv"),
    ],
    "three sites, other order": [
        *_local("neck.P5", [[3, 4]], operator="conv"),
        *_one("backbone.P4"),
        *_one("neck.P3", "bare", mode="inside"),
    ],
    "Clo block and controls": [*_one("neck.P3"), _other("neck.P4", "cbam"), _other("neck.P5", "se")],
}
"""By name, what is inserted; several of one function are meant."""

ARTICLE = tuple(f"yolov5n-clo-{part}{bare}" for part in ("backbone", "backbone-last", "head") for bare in ("", "-bare"))
"""Models that are asked for by name."""

INSERTED = (
    "block", "block inside", "block in place", "block, plain FFN", "bare inside", "all global", "convolution",
    "gate tanh", "se, reduction 4", "cbam, options", "three sites", "Clo block and controls",
)  # fmt: skip
"""Names of `PLACEMENTS` that are written as model YAMLs, built and counted."""
OTHER_BASES = {
    "yolov5n": [*_one("neck.P4"), *_one("backbone.P5", "bare", mode="inside")],
    "yolov7-tiny": [*_one("neck.P4"), *_one("backbone.P4", "attention")],
    "cloformer-xxs": [*_one("neck.P4"), *_local("neck.P5", [[3, 4]], operator="window")],
}
"""A base to what is inserted into it."""

COUNTED_BY_NAME = "yolov5n-clo-head"
"""The one of `ARTICLE` whose cost is counted, which takes seconds each."""

SIMULATED = {1: 14, 8: 18}
"""Workers to trainings of a replayed search; see `test_simulate`."""
SEEDS = (0, 1, 2)
COMMAND_BUDGET, COMMAND_SEEDS = 10, 2
"""Of `clo simulate` itself."""
SPACE_PROPOSALS = {"small": 8, "operators": 6, "default": 6}
"""Search space to proposals in it."""
SPACE_SEEDS = (0, 1)

_SHAPE: Plain = {"num_heads": 4, "group_split": [2, 2], "kernel_sizes": [5], "window_size": 2}
_CLO: Plain = {"dim": 16, **_SHAPE}
_BLOCK: Plain = {**_CLO, "out_dim": 16, "mlp_kernel_size": 5, "mlp_ratio": 2, "stride": 1}
BLOCKS: dict[str, tuple[str, Plain]] = {
    "attention": ("CloAttention", _CLO),
    "attention, all local": ("CloAttention", {**_CLO, "group_split": [1, 3, 0], "kernel_sizes": [3, 7]}),
    "attention, all global": ("CloAttention", {**_CLO, "group_split": [4], "kernel_sizes": [], "window_size": 4}),
    "attention, full K and V": ("CloAttention", {**_CLO, "window_size": 1}),
    "attention, gate softmax": ("CloAttention", {**_CLO, "gate": "softmax"}),
    "attention, gate sigmoid": ("CloAttention", {**_CLO, "gate": "sigmoid"}),
    "attention, gate tanh": ("CloAttention", {**_CLO, "gate": "tanh"}),
    "attention, gate none": ("CloAttention", {**_CLO, "gate": "none"}),
    "attention, Q and K not aggregated": ("CloAttention", {**_CLO, "aggregate_qk": False}),
    "attention, V not aggregated": ("CloAttention", {**_CLO, "aggregate_v": False}),
    "attention, convolution": ("CloAttention", {**_CLO, "operator": "conv"}),
    "attention, neighbourhood": ("CloAttention", {**_CLO, "operator": "neighbourhood"}),
    "attention, window": ("CloAttention", {**_CLO, "operator": "window"}),
    "block": ("CloBlock", _BLOCK),
    "block, official": ("CloBlock", {**_BLOCK, "init": "official"}),
    "block, official, plain FFN": ("CloBlock", {**_BLOCK, "init": "official", "ffn": "plain"}),
    "block, without FFN": ("CloBlock", {**_BLOCK, "mlp_ratio": 0}),
    "block, stride 2": ("CloBlock", {**_BLOCK, "out_dim": 24, "stride": 2, "init": "official"}),
    "se": ("RegisteredBlock", {"channels": 16, "spec": {"name": "se"}, "init": "official"}),
    "cbam": ("RegisteredBlock", {"channels": 16, "spec": {"name": "cbam", "kernel_size": 3}, "init": "official"}),
    "se, identity": ("RegisteredBlock", {"channels": 16, "spec": {"name": "se"}}),
    "cbam, identity": ("RegisteredBlock", {"channels": 16, "spec": {"name": "cbam"}}),
    "ConvFFN": (
        "ConvFFN",
        {"in_channels": 16, "hidden_channels": 32, "kernel_size": 5, "stride": 1, "out_channels": 16},
    ),
    "CloFormer": ("CloFormer", {"variant": "xxs"}),
}
"""By name, a class of `harness.blocks` and its arguments."""

TINY_BASE: Plain = {
    "nc": 3,
    "scales": {"n": [0.33, 0.0625, 1024]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 3, "C2f", [256, True]],
        [-1, 1, "SPPF", [256, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 3, "C2f", [128]],
        [-1, 1, "Conv", [128, 3, 2]],
        [[-1, 7], 1, "Concat", [1]],
        [-1, 3, "C2f", [256]],
        [[10, 13], 1, "Detect", ["nc"]],
    ],
}
"""A detector small enough to be stored: two levels, 8 and 16 channels."""
LAYERS_BASE: Plain = {
    "nc": 3,
    "scales": {"n": [1.0, 1.0, 1024]},
    "backbone": [
        [-1, 1, "CloFormerStem", [3, 32, "xxs"]],
        [-1, 1, "CloFormerStage", [32, 64, "xxs", 1]],
        [-1, 1, "ELAN", [64, 16, 8, 8, 2, 1]],
        [-1, 1, "MPConv", [16, 32]],
        [-1, 1, "SPPCSPC", [32, 16, True]],
    ],
    "head": [
        [2, 1, "RepConvolution", [16, 16]],
        [[5, 4], 1, "Detect", ["nc"]],
    ],
}
"""One with a row of every layer of ours that changes the channels."""
STORED: dict[str, tuple[Plain, list[Plain]]] = {
    "blocks": (
        TINY_BASE,
        [
            *_one("backbone.P3", "attention", [[3, 1]], global_heads=1, mode="inside"),
            *_one("backbone.P4", "block", [[3, 2], [5, 1]], global_heads=1, aggregate_qk=False),
            *_local("backbone.SPPF", [[3, 4]], operator="conv"),
            *_one("neck.P3", "bare", [[5, 2]], global_heads=2, init="official"),
            _other("neck.P4", "cbam", init="official"),
        ],
    ),
    "operators": (
        TINY_BASE,
        [
            *_one("backbone.P3", "attention", [[3, 2]], global_heads=2, operator="window", init="official"),
            *_one(
                "backbone.P4", "block", [[3, 4]], global_heads=4, operator="neighbourhood", ffn="plain", mode="replace"
            ),
            _other("neck.P3", "se"),
            *_one("neck.P4", "attention", [[3, 4]], global_heads=4, gate="none", aggregate_v=False),
        ],
    ),
    "layers": (LAYERS_BASE, []),
}
"""By file name in `checkpoint/`, a base and what is inserted into it."""
STORED_IMGSZ = 64
