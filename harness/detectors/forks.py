"""Model YAMLs as public forks of YOLOv5 and Ultralytics write them, in the form that is built here.

YOLOv5's original form has `anchors`, `depth_multiple` and `width_multiple`, and ends in `Detect, [nc, anchors]`. Its
boxes are Ultralytics' here, without anchors. Attention layers are written in several ways, all of which mean the same:

- `CBAM, [512]`, `CBAM, [512, 7]`, `CBAM, [7]`, `CBAM, []`: channels first, of the widest model, to which the width is
  applied; then the kernel, which is odd, or the reduction, which is even;
- `SE, [512]`, `SE, [512, 16]`, `SE, [16]`, `SE, []`: channels, then the reduction;
- `CloAttention, [512]`, `CloAttention, [512, 8]`: channels, then heads. The rest is the forks' shape: 8 heads, half of
  them local with a kernel of 5 pixels, half global with windows of 4.

All keep the channels of their input, which are what counts; channels in a row that are others are a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ultralytics.utils.ops import make_divisible

from harness.blocks.registry import block_entry
from harness.common.errors import UserError
from harness.detectors.model_yaml import Description, Row
from harness.detectors.rows import BUILD_ERRORS, FORKS_OWN, check_names, faulty_row, input_channels

_REGISTERED = {"CBAM": "cbam", "SE": "se"}
_HEADS, _KERNEL, _WINDOW = 8, 5, 4
# Side of a kernel, in pixels, beyond which an odd number is none.
_MOST_KERNEL = 15


def in_our_form(config: Description, spec: str) -> Description:
    """Return the description without anchors, and with its attention layers spelled out.

    Args:
        config: Of one scale.
        spec: What the user gave, for messages.

    Raises:
        UserError: It names a layer that there is not, or one with arguments that cannot be meant.
    """
    backbone = len(config["backbone"])
    rows: list[Row] = [[*row] for row in (*config["backbone"], *config["head"])]
    check_names(rows, spec)
    if config.pop("anchors", None) is not None:
        rows[-1][3] = [one for one in rows[-1][3] if one != "anchors"]
    theirs = [number for number, row in enumerate(rows) if _is_forks(row)]
    if theirs:
        try:
            channels = input_channels(config, rows, theirs)
        except BUILD_ERRORS as error:
            raise UserError(f"base {spec}: cannot be built: {faulty_row(config, error)}") from error
        for number in theirs:
            rows[number] = _ours(rows[number], channels[number], config, f"base {spec}: layer {number}")
    return {**config, "backbone": rows[:backbone], "head": rows[backbone:]}


def _is_forks(row: Row) -> bool:
    """Tell whether a row is a fork's; a CloAttention row of ours lists its heads by group, third."""
    _, _, module, arguments = row
    return module in FORKS_OWN and not any(isinstance(one, list) for one in arguments)


def _ours(row: Row, channels: int, config: Description, where: str) -> Row:
    source, repeats, module, arguments = row
    if not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in arguments):
        raise UserError(f"{where}: {module} takes whole numbers, channels first, not {arguments}")
    own = _without_channels(arguments, channels, config)
    if module == "CloAttention":
        return [source, repeats, module, _clo(own, channels, where)]
    options = _options(module, own, arguments, channels, where)
    return [source, repeats, "RegisteredBlock", [channels, {"name": _REGISTERED[module], **options}, "official"]]


def _without_channels(arguments: Sequence[int], channels: int, config: Description) -> list[int]:
    """Return what stands behind the channels, of input and perhaps of output; the width may be applied already."""
    scales = config.get("scales")
    width, most = scales[config["scale"]][1:3] if scales else (config.get("width_multiple", 1.0), float("inf"))
    own = list(arguments)
    while own and len(arguments) - len(own) < 2 and channels in {own[0], make_divisible(min(own[0], most) * width, 8)}:
        own.pop(0)
    return own


def _options(module: str, own: list[int], written: Sequence[int], channels: int, where: str) -> dict[str, int]:
    known = block_entry(_REGISTERED[module]).options
    options: dict[str, int] = {}
    for value in own:
        is_kernel = "kernel_size" in known and value % 2 and value <= _MOST_KERNEL
        name = "kernel_size" if is_kernel else "reduction"
        if name in options or value > channels:
            raise UserError(
                f"{where}: {module} says {', '.join(map(str, written))}, and {channels} channels reach it; it takes "
                f"[channels, {' or '.join(known)}], the channels before the width is applied"
            )
        options[name] = value
    return options


def _clo(own: list[int], channels: int, where: str) -> list[Any]:
    heads, *more = own or [_HEADS]
    if more or channels % heads or heads < 2:
        raise UserError(
            f"{where}: CloAttention takes [channels, heads], of which {channels} and an even divisor of it fit here; "
            f"[channels, heads, [heads of each group …, global heads], [kernel of each group], window] says all"
        )
    return [channels, heads, [heads - heads // 2, heads // 2], [_KERNEL], _WINDOW]
