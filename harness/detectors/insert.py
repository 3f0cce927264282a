"""An architecture becomes an Ultralytics model YAML: the article's own practice, and diffable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from harness.architecture import Architecture, Kind, Placement
from harness.detectors.families import Base
from harness.detectors.sites import Site, find_sites
from harness.errors import UserError


def insert(
    base: Base,
    architecture: Architecture,
    *,
    sites: Mapping[str, Site] | None = None,
    classes: int | None = None,
) -> dict[str, Any]:
    """The base's model description with the architecture's blocks.

    Each block follows its site's layer, and whatever took that layer's output takes the block's.

    Args:
        base: Detector to insert into.
        architecture: What goes where.
        sites: The base's sites where already known; they cost one forward pass to find.
        classes: Number of classes of the data; the base's own by default.

    Returns:
        An Ultralytics model description with absolute `from` indices and one entry under `scales`.

    Raises:
        UserError: A site is unknown, or the heads do not divide a site's channels.
    """
    sites = find_sites(base) if sites is None else sites
    blocks = {_site(sites, base, placement).layer: placement for placement in architecture.placements}
    shifted = index_map(base, architecture, sites)
    after = {layer: new + 1 if layer in blocks else new for layer, new in shifted.items()}

    config = copy.deepcopy(base.config)
    layers: list[list[Any]] = [*config["backbone"], *config["head"]]
    backbone_layers = len(config["backbone"])
    sections: tuple[list[Any], list[Any]] = ([], [])
    for index, (source, repeats, module, arguments) in enumerate(layers):
        section = sections[index >= backbone_layers]
        section.append([_redirect(source, index, after), repeats, module, arguments])
        if index in blocks:
            channels = next(site.channels for site in sites.values() if site.layer == index)
            section.append([-1, 1, "CloBlock", block_arguments(blocks[index], channels)])
    result: dict[str, Any] = {"nc": classes or config["nc"]}
    passed_on = {
        k: v
        for k, v in config.items()
        if k not in {"nc", "backbone", "head", "scale", "scales", "yaml_file", "ch", "names"}
    }
    result |= passed_on
    result["scales"] = config.get("scales") or _scales_of_a_plain_config(result)
    return result | {"backbone": sections[0], "head": sections[1]}


def index_map(base: Base, architecture: Architecture, sites: Mapping[str, Site]) -> dict[int, int]:
    """Where each layer of the base went: old index to new index."""
    inserted_after = sorted(_site(sites, base, placement).layer for placement in architecture.placements)
    total = len(base.config["backbone"]) + len(base.config["head"])
    return {index: index + sum(layer < index for layer in inserted_after) for index in range(total)}


def block_arguments(placement: Placement, channels: int) -> list[Any]:
    """`CloBlock`'s arguments for a placement on a map of `channels`.

    Raises:
        UserError: The heads do not divide the channels.
    """
    if channels % placement.heads:
        fitting = [heads for heads in range(1, channels + 1) if channels % heads == 0 and heads <= 2 * placement.heads]
        raise UserError(
            f"{placement.site}: {placement.heads} heads do not divide its {channels} channels; "
            f"allowed near it: {', '.join(map(str, fitting))}"
        )
    ratio = placement.ffn_ratio if placement.kind is Kind.BLOCK else 0
    return [
        channels,
        channels,
        placement.heads,
        placement.group_split,
        placement.kernel_sizes,
        placement.kv_pool,
        placement.ffn_kernel,
        ratio,
        1,
    ]


def to_yaml(config: Mapping[str, Any], comment: str = "") -> str:
    """The model description as Ultralytics' people write it: one layer a line."""
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
    """A layer's `from` in the new numbering; -1 stays, since the previous layer is then the block itself."""
    if isinstance(source, list):
        return [_redirect(one, index, after) for one in source]
    if source == -1:
        return -1
    return after[source if source >= 0 else index + source]


def _scales_of_a_plain_config(config: dict[str, Any]) -> dict[str, list[float]]:
    """Ultralytics reads depth and width from `scales` where there is one; older descriptions have them bare."""
    depth = config.pop("depth_multiple", 1.0)
    width = config.pop("width_multiple", 1.0)
    return {"base": [depth, width, float("inf")]}
