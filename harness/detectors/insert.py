"""An architecture becomes an Ultralytics model YAML: the article's own practice, and diffable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import yaml

from harness.architecture import Architecture, Init, Kind, Mode, Placement
from harness.blocks import BlockError, import_block_file
from harness.blocks.probe import probe
from harness.common.errors import UserError
from harness.detectors.checkpoints import BLOCK_FILES
from harness.detectors.families import Base
from harness.detectors.model_yaml import Description
from harness.detectors.parser import INSIDE
from harness.detectors.sites import Site, find_sites


def insert(
    base: Base,
    architecture: Architecture,
    *,
    sites: Mapping[str, Site] | None = None,
    classes: int | None = None,
) -> Description:
    """Build the base's model description with the architecture's blocks.

    A block `after` follows its site's layer, and whatever took that layer's output takes the block's. One
    `inside` is an argument of the layer's row, one that replaces the layer takes its row.

    Args:
        base: Detector to insert into.
        architecture: What goes where.
        sites: The base's sites where already known; they cost one forward pass to find.
        classes: Number of classes of the data; the base's own by default.

    Returns:
        An Ultralytics model description with absolute `from` indices and one entry under `scales`.

    Raises:
        UserError: A site is unknown, its layer does not allow the mode, the heads do not divide the channels,
            or a registered block is unknown.

    Example: one attention after the map of stride 16 in YOLOv5n's neck.
        >>> from harness.architecture import Placement
        >>> from harness.detectors import resolve_base
        >>> placed = Architecture(base="yolov5n", placements=(Placement(site="neck.P4", global_heads=4),))
        >>> rows = insert(resolve_base("yolov5n"), placed)["head"]
        >>> [row[2] for row in rows if "Clo" in row[2]]
        ['CloBlock']
    """
    sites = find_sites(base) if sites is None else sites
    blocks = {_site(sites, base, placement).layer: placement for placement in architecture.placements}
    modes = {layer: placement.mode for layer, placement in blocks.items()}
    after = {layer: new + (modes.get(layer) is Mode.AFTER) for layer, new in _shifted(base, modes).items()}

    config = copy.deepcopy(base.config)
    layers: list[list[Any]] = [*config["backbone"], *config["head"]]
    backbone_layers = len(config["backbone"])
    sections: tuple[list[Any], list[Any]] = ([], [])
    for index, (source, repeats, module, arguments) in enumerate(layers):
        rows = [[_redirect(source, index, after), repeats, module, arguments]]
        if index in blocks:
            rows = _with_block(rows[0], blocks[index], sites[blocks[index].site])
        sections[index >= backbone_layers].extend(rows)
    result: dict[str, Any] = {"nc": classes or config["nc"]}
    passed_on = {
        k: v
        for k, v in config.items()
        if k not in {"nc", "backbone", "head", "scale", "scales", "yaml_file", "ch", "names"}
    }
    result |= passed_on
    if files := sorted({*config.get(BLOCK_FILES, ()), *architecture.block_files}):
        result[BLOCK_FILES] = files
    made = cast(Description, result)
    made["scales"] = config.get("scales") or _scales_of_a_plain_config(made)
    made["backbone"], made["head"] = sections
    return made


def index_map(base: Base, architecture: Architecture, sites: Mapping[str, Site]) -> dict[int, int]:
    """Map each layer of the base to where it went: old index to new index. A layer that was replaced is absent."""
    at = {_site(sites, base, placement).layer: placement.mode for placement in architecture.placements}
    return {layer: new for layer, new in _shifted(base, at).items() if at.get(layer) is not Mode.REPLACE}


def _shifted(base: Base, at: Mapping[int, Mode]) -> dict[int, int]:
    """Map old index to new index of every row, whatever it holds now."""
    inserted_after = [layer for layer, mode in at.items() if mode is Mode.AFTER]
    total = len(base.config["backbone"]) + len(base.config["head"])
    return {index: index + sum(layer < index for layer in inserted_after) for index in range(total)}


def block_row(placement: Placement, channels: int) -> tuple[str, list[Any]]:
    """Build class name and arguments of a placement's block on a map of `channels`, as a model YAML has them.

    Raises:
        UserError: The heads do not divide the channels, or the registered block or its option is unknown.
    """
    if not placement.is_clo:
        return "RegisteredBlock", _registered_arguments(placement, channels)
    if channels % placement.heads:
        fitting = [heads for heads in range(1, channels + 1) if channels % heads == 0 and heads <= 2 * placement.heads]
        raise UserError(
            f"{placement.site}: {placement.heads} heads do not divide its {channels} channels; "
            f"allowed near it: {', '.join(map(str, fitting))}"
        )
    shape = [placement.heads, placement.group_split, placement.kernel_sizes, placement.kv_pool]
    operator = [str(placement.operator), str(placement.gate), placement.aggregate_qk, placement.aggregate_v]
    if placement.kind == Kind.BARE:
        return "CloAttention", _short([channels, *shape], operator, ["attnconv", "swish_tanh", True, True])
    ratio = placement.ffn_ratio if placement.kind == Kind.BLOCK else 0
    return "CloBlock", _short(
        [channels, channels, *shape, placement.ffn_kernel, ratio, 1],
        [str(placement.init), *operator, str(placement.ffn)],
        ["identity", "attnconv", "swish_tanh", True, True, "conv"],
    )


def _registered_arguments(placement: Placement, channels: int) -> list[Any]:
    try:
        if placement.block_file:
            import_block_file(placement.block_file)
        probe(placement.block_name, placement.options, channels)
    except BlockError as error:
        raise UserError(f"{placement.site}: {error}") from error
    spec = {"name": placement.block_name, **dict(placement.options)}
    return _short([channels, spec], [str(placement.init)], [str(Init.IDENTITY)])


def _short(arguments: list[Any], optional: list[Any], defaults: list[Any]) -> list[Any]:
    """Return the arguments, and as many of the optional ones as it takes to say what differs from the defaults."""
    different = [index for index, pair in enumerate(zip(optional, defaults, strict=True)) if pair[0] != pair[1]]
    return [*arguments, *(optional[: different[-1] + 1] if different else [])]


def _with_block(row: list[Any], placement: Placement, site: Site) -> list[list[Any]]:
    """Build the rows that a site's row becomes."""
    channels = site.block_channels(placement.mode)
    blocks = [block_row(placement, width) for width in channels]
    name, arguments = blocks[0]
    if placement.mode is Mode.AFTER:
        return [row, [-1, 1, name, arguments]]
    source, repeats, module, own = row
    if placement.mode is Mode.REPLACE:
        return [[source, 1, name, arguments]]
    if any(block != blocks[0] for block in blocks):
        raise UserError(f"{site.name}: its bottlenecks have {channels} channels, so that no one block fits inside")
    return [[source, repeats, module, [*own, {INSIDE: {name: arguments}}]]]


def to_yaml(config: Mapping[str, Any], comment: str = "") -> str:
    """Format the model description as Ultralytics' people write it: one layer a line."""
    lines = [f"# {line}" for line in comment.splitlines()]
    for key, value in config.items():
        if key in {"backbone", "head"}:
            lines.append(f"{key}:  # [from, repeats, module, args]")
            lines += [f"  - {_flow(layer)}" for layer in value]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _site(sites: Mapping[str, Site], base: Base, placement: Placement) -> Site:
    if placement.site not in sites:
        raise UserError(f"unknown site '{placement.site}' in {base.name}; its sites: {', '.join(sites)}")
    return sites[placement.site]


def _redirect(source: int | list[int], index: int, after: Mapping[int, int]) -> Any:
    """Renumber a layer's `from`; -1 stays, since the previous layer is then the block itself."""
    if isinstance(source, list):
        return [_redirect(one, index, after) for one in source]
    if source == -1:
        return -1
    return after[source if source >= 0 else index + source]


def _scales_of_a_plain_config(config: Description) -> dict[str, list[float]]:
    """Take bare depth and width of an older description as `scales`, from which Ultralytics reads them."""
    depth = config.pop("depth_multiple", 1.0)
    width = config.pop("width_multiple", 1.0)
    return {"base": [depth, width, float("inf")]}
