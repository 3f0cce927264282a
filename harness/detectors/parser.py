"""The one place where Ultralytics learns our layers.

Ultralytics' `parse_model` has no hook. It looks a layer's class up among its module's globals; a
class that it does not know keeps its input's channels (`c2 = ch[f]`) and gets the YAML's arguments
untouched. For blocks that keep channels, making their name known is all that it takes. Three things are
more, and `parse_model` is wrapped for them:

- A layer of ours that changes the channels, such as `[-1, 1, ELAN, [128, 256, 64]]`: its row spells
  the channels of input and output out, first and second. Ultralytics parses a stand-in that has these
  output channels, and the layer takes its place.
- A head whose class branches are as wide as those of the checkpoint that it goes on from (`class_width`): Ultralytics
  makes them max(channels of P3, min(classes, 100)) wide, and would lose them all with another number of classes.
  It parses the description with as many classes, and the head gets outputs for those that there are.
- Blocks inside a layer of Ultralytics' own, such as
  `[-1, 3, C2f, [128, True, {inside: {CloBlock: [...]}}]]`: Ultralytics parses the row without the
  last argument, so that it still sees its own class (it picks the head's form by the classes it saw),
  and the blocks go into the bottlenecks that were built.

A model may also name files under `blocks`, whose blocks are registered before (see
`harness.blocks.registry`). Should a new Ultralytics parse differently, we refuse instead of building
something else than the YAML says.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv

from harness.blocks import CloAttention, CloBlock, RegisteredBlock, import_block_file
from harness.common.errors import UserError
from harness.detectors.checkpoints import BLOCK_FILES, SWITCH, load_safely
from harness.detectors.cloformer import CloFormerStage, CloFormerStem
from harness.detectors.inside import put_inside
from harness.detectors.model_yaml import Description
from harness.detectors.yolov7 import YOLOV7_LAYERS

# Layers that keep the channels of their input.
KEEPING: tuple[type[nn.Module], ...] = (CloAttention, CloBlock, RegisteredBlock)
_KEEPING_BY_NAME = {layer.__name__: layer for layer in KEEPING}
# Layers that do not: their first two arguments are the channels of input and output.
CHANGING: dict[str, type[nn.Module]] = {
    layer.__name__: layer for layer in (CloFormerStem, CloFormerStage, *YOLOV7_LAYERS)
}
# Key of the argument that says what goes into a layer's bottlenecks: {inside: {class name: arguments}}.
INSIDE = "inside"

_RELIED_ON = (
    "globals()[m]",
    "c2 = ch[f]",
    "m(*args)",
    'd["backbone"] + d["head"]',
    "frozenset({TorchVision, Index})",
    "args = [*args[1:]]",
    "m_.i, m_.f, m_.type = i, f, t",
    "Conv.default_act = _SafeLoad.activation(act) if restricted else eval(act)",
    "Conv.default_act = default_act",
)
_WRAPPED = "_clo_nas_wraps"
# Classes beyond which Ultralytics makes class branches no wider.
_MOST_COUNTED = 100

Parser = Callable[..., tuple[nn.Sequential, list[int]]]


def register(tasks: ModuleType) -> None:
    """Make our layers known to the parser in `ultralytics.nn.tasks`. Idempotent.

    Raises:
        UserError: This version of Ultralytics parses models in a way we do not know.
    """
    original = getattr(tasks.parse_model, _WRAPPED, tasks.parse_model)
    source = inspect.getsource(original)
    missing = [line for line in _RELIED_ON if line not in source]
    if missing:
        import ultralytics

        raise UserError(
            f"Ultralytics {ultralytics.__version__} parses models differently from what clo-nas was checked "
            f"with (no `{missing[0]}` in parse_model); install ultralytics>=8.4.190,<8.5"
        )
    for layer in (*KEEPING, *CHANGING.values()):
        known = tasks.__dict__.get(layer.__name__)
        if known not in (None, layer):
            raise UserError(f"Ultralytics has a layer named {layer.__name__} of its own; clo-nas cannot add its one")
        setattr(tasks, layer.__name__, layer)
    tasks.parse_model = _wrap(original)  # type: ignore[attr-defined]
    load_safely(tasks)


def _wrap(original: Parser) -> Parser:
    @functools.wraps(original)
    def parse_model(d: Description, ch: Any, verbose: bool = True) -> tuple[nn.Sequential, list[int]]:
        import_block_files(d)
        rows = [*d["backbone"], *d["head"]]
        plain = [_as_ultralytics_knows_it(row) for row in rows]
        parts = {"backbone": plain[: len(d["backbone"])], "head": plain[len(d["backbone"]) :]}
        ours = any(row[2] in CHANGING or _inside(row) for row in rows)
        with _activation(d.get("activation") if ours else None):
            width = d.get("class_width")
            layers, save = original({**d, **parts, "nc": width or d.get("nc")}, ch, verbose)
            if width:
                _give_classes(layers[-1], d["nc"])
            for index, row in enumerate(rows):
                if row[2] in CHANGING:
                    layers[index] = _in_place_of(layers[index], row)
                elif inside := _inside(row):
                    name, arguments = inside
                    if name not in _KEEPING_BY_NAME:
                        raise ValueError(f"inside: {name} is none of {', '.join(_KEEPING_BY_NAME)}")
                    put_inside(layers[index], functools.partial(_KEEPING_BY_NAME[name], *arguments))
                    layers[index].np = _parameters(layers[index])  # type: ignore[assignment]
        return layers, save

    setattr(parse_model, _WRAPPED, original)
    return parse_model


@contextmanager
def _activation(named: str | None) -> Iterator[None]:
    """Let convolutions be built with the activation that a description names, if it names one.

    `Conv.default_act` is a state of the whole process. Ultralytics restores it before our layers are
    built, and not at all when a row cannot be built. Only `torch.nn` classes with literal arguments are
    taken: the expression comes from a file.
    """
    from ultralytics.nn import tasks

    before = Conv.default_act
    try:
        if named:
            Conv.default_act = tasks._SafeLoad.activation(named)
        yield
    finally:
        Conv.default_act = before


def import_block_files(description: Mapping[str, Any]) -> None:
    """Import the files of blocks that a model description names.

    Raises:
        BlockError: One cannot be imported.
        TypeError: Ultralytics is to load nothing but what it knows.
    """
    from ultralytics.nn import tasks

    files = description.get(BLOCK_FILES) or ()
    asked = os.environ.get(SWITCH, "").lower() in {"1", "true"}
    loading = getattr(tasks._SafeLoad._local, "active", False)
    if files and (asked or loading):  # for the whole process, or for the running load
        raise TypeError(f"the model names a file of blocks, {files[0]}, which {SWITCH} keeps from running")
    for file in files:
        import_block_file(_located(Path(file), description))


def _located(file: Path, description: Mapping[str, Any]) -> Path:
    """Locate a file of blocks: a relative one lies beside the model's YAML.

    A checkpoint has forgotten where its YAML lay; its blocks were imported before it could be read.
    """
    beside = Path(description.get("yaml_file") or "").parent / file
    imported = getattr(sys.modules.get(file.stem), "__file__", None)
    if imported and Path(imported).name == file.name and not beside.is_file() and not file.is_absolute():
        return Path(imported)
    return beside


def _as_ultralytics_knows_it(row: Sequence[Any]) -> list[Any]:
    """Return the row that Ultralytics parses for ours; its own rows are copied, because it writes into them."""
    source, repeats, module, arguments = row
    if module in CHANGING:
        if repeats != 1:
            raise ValueError(f"{module} is repeated {repeats} times; its row gives one layer, so repeats is 1")
        return [source, 1, "Index", [arguments[1], 0]]
    return [source, repeats, module, list(arguments[:-1] if _inside(row) else arguments)]


def _in_place_of(stand_in: nn.Module, row: Sequence[Any]) -> nn.Module:
    layer = CHANGING[row[2]](*row[3])
    layer.i, layer.f, layer.type = stand_in.i, stand_in.f, type(layer).__name__  # type: ignore[assignment]
    layer.np = _parameters(layer)  # type: ignore[assignment]
    return layer


def _give_classes(head: Any, classes: int) -> None:
    """Give a head that was built for another number of classes the outputs of its own."""
    for name in ("cv3", "one2one_cv3"):
        for branch in getattr(head, name, None) or ():
            branch[-1] = nn.Conv2d(branch[-1].in_channels, classes, 1)
    head.no += classes - head.nc
    head.nc = classes
    head.np = _parameters(head)


def class_width(head: Any) -> int | None:
    """Return the channels of a head's class branches; None where its number of classes has no part in them."""
    try:
        width, least = head.cv3[0][-1].in_channels, head.cv2[0][0].conv.in_channels
    except (AttributeError, IndexError, TypeError):  # no head of Ultralytics', or a fused one
        return None
    return None if width == least == max(least, min(head.nc, _MOST_COUNTED)) else int(width)


def _inside(row: Sequence[Any]) -> tuple[str, list[Any]] | None:
    """Return class name and arguments of what goes into a row's bottlenecks, if anything does."""
    last = row[3][-1] if row[3] else None
    if isinstance(last, dict) and set(last) == {INSIDE}:
        [(name, arguments)] = last[INSIDE].items()
        return name, arguments
    return None


def _parameters(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())
