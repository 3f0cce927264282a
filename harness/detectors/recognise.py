"""The architecture in a model YAML that `insert` wrote, as a report has it: found, and proven by writing it again.

A model YAML says every layer of a network and no longer which of them were the base's. Beside the base's own rows
what was inserted is plain to see; a guess is accepted only if inserting it gives the same rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.architecture import Architecture, FeedForward, Gate, Init, Kind, LocalGroup, Mode, Operator, Placement
from harness.blocks import BlockError, import_block_file
from harness.blocks.registry import block_entry, block_names
from harness.common.errors import UserError
from harness.detectors.checkpoints import BLOCK_FILES
from harness.detectors.families import Base
from harness.detectors.insert import insert
from harness.detectors.model_yaml import Description
from harness.detectors.parser import INSIDE
from harness.detectors.sites import Site

_BLOCKS = ("CloBlock", "CloAttention", "RegisteredBlock")
# Layer of the base, mode, class and arguments of each block.
_Found = tuple[tuple[int, Mode, str, list[Any]], ...]


def recognised(config: Description, base: Base, sites: Mapping[str, Site]) -> Architecture | None:
    """Find the architecture whose model a description is; None if it is no model of this base.

    Args:
        config: As in the file, with absolute names of block files.
        base: The base that it may be a model of.
        sites: The base's.
    """
    ours = [*base.config["backbone"], *base.config["head"]]
    theirs = [*config["backbone"], *config["head"]]
    names = {site.layer: site.name for site in sites.values()}
    for found in _alignments(ours, theirs, 0, 0):
        if not all(layer in names for layer, *_ in found):
            continue
        try:
            placements = tuple(_placement(names[layer], mode, name, row, config) for layer, mode, name, row in found)
            architecture = Architecture(base=base.name, placements=placements)
            again = insert(base, architecture, sites=sites, classes=config.get("nc"))
        except (UserError, BlockError, ValueError, TypeError, IndexError):
            continue  # another interpretation of the same rows may be right
        if _same(again, config):
            return architecture
    return None


def _alignments(ours: Sequence[Any], theirs: Sequence[Any], layer: int, row: int) -> Iterator[_Found]:
    """Yield every way to see `theirs` as `ours` with blocks; `from` is left to the proof."""
    if layer == len(ours):
        if row == len(theirs):
            yield ()
        return
    for mode, found, used in _readings(ours[layer], theirs, row):
        here = ((layer, mode, *found),) if found else ()
        for rest in _alignments(ours, theirs, layer + 1, row + used):
            yield (*here, *rest)


def _readings(own: Any, theirs: Sequence[Any], row: int) -> Iterator[tuple[Mode, tuple[str, list[Any]] | None, int]]:
    """Yield what may have become of one layer: mode, block and how many rows."""
    if row >= len(theirs):
        return
    _, _, module, arguments = theirs[row]
    if (module, arguments) == (own[2], own[3]):
        yield Mode.AFTER, None, 1
        if row + 1 < len(theirs) and theirs[row + 1][2] in _BLOCKS:
            yield Mode.AFTER, (theirs[row + 1][2], theirs[row + 1][3]), 2
    elif module == own[2] and arguments[:-1] == own[3] and _holds_blocks(arguments[-1]):
        [(name, inner)] = arguments[-1][INSIDE].items()
        yield Mode.INSIDE, (name, inner), 1
    elif module in _BLOCKS:
        yield Mode.REPLACE, (module, arguments), 1


def _holds_blocks(argument: Any) -> bool:
    return isinstance(argument, Mapping) and isinstance(argument.get(INSIDE), Mapping) and len(argument[INSIDE]) == 1


def _placement(site: str, mode: Mode, name: str, row: Sequence[Any], config: Description) -> Placement:
    """Return the placement that a block's row was written for; `insert.block_row` is the way there."""
    if name == "RegisteredBlock":
        options = dict(row[1])
        kind = _kind(str(options.pop("name")), config)
        return Placement(
            site=site, mode=mode, kind=kind, options=tuple(options.items()), init=Init(_at(row, 2, Init.IDENTITY))
        )
    shape, rest = (row[2:6], row[6:]) if name == "CloBlock" else (row[1:5], row[5:])
    _heads, split, kernels, pool = shape
    ffn_kernel, ratio = (int(rest[0]), float(rest[1])) if name == "CloBlock" else (5, 0.0)
    more = rest[3:] if name == "CloBlock" else [Init.IDENTITY, *rest]
    kind = Kind.BARE if name == "CloAttention" else Kind.BLOCK if ratio else Kind.ATTENTION
    fields: dict[str, Any] = {"ffn_kernel": ffn_kernel, "ffn_ratio": ratio} if kind is Kind.BLOCK else {}
    return Placement(
        site=site,
        mode=mode,
        kind=kind,
        init=Init(_at(more, 0, Init.IDENTITY)),
        groups=tuple(LocalGroup(kernel, heads) for kernel, heads in zip(kernels, split[:-1], strict=True)),
        global_heads=split[-1],
        kv_pool=pool,
        operator=Operator(_at(more, 1, Operator.ATTNCONV)),
        gate=Gate(_at(more, 2, Gate.SWISH_TANH)),
        aggregate_qk=_at(more, 3, True),
        aggregate_v=_at(more, 4, True),
        ffn=FeedForward(_at(more, 5, FeedForward.CONV)),
        **fields,
    )


def _kind(name: str, config: Description) -> str:
    """Return a registered block's kind: its name, with its file where a user's file registers it."""
    for file in config.get(BLOCK_FILES) or ():
        import_block_file(file)
        if name in block_names() and block_entry(name).build.__module__ == str(file).rpartition("/")[2].removesuffix(
            ".py"
        ):
            return f"{file}:{name}"
    return name


def _at(values: Sequence[Any], index: int, default: Any) -> Any:
    return values[index] if index < len(values) else default


def _same(again: Mapping[str, Any], config: Description) -> bool:
    """Tell whether two descriptions build one network."""
    kept = {"backbone", "head", "activation", "scales", "depth_multiple", "width_multiple", "reg_max", "end2end"}
    one, other = (copy.deepcopy({k: v for k, v in d.items() if k in kept}) for d in (again, config))
    return one == other
