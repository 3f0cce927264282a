"""Any detector that a person may name: a model, a checkpoint, an architecture file, or one of the article's.

The article's models are a base, `-clo-` and where the blocks go, in two interpretations of the article:

- `yolov5s-clo-backbone`, `yolov5s-clo-head`: a Clo block, with its residuals, after each stage of the
  backbone from P3 on, or after each map that feeds the head.
- `yolov5s-clo-backbone-last`: in the backbone after its last stage alone, before SPPF where there is one.
- the same with `-bare`: the CloAttention layer alone, without residual, initialised as published, which
  is what the copies in public forks insert.

The article names the parts of the network, not the layers; both interpretations have the forks' shape: 8 heads
split 4 local and 4 global, kernel 5, KV window 4. Every base works: `yolov8s`, `yolov7-tiny`, `yolo11n`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics.nn.tasks import DetectionModel

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.common import yaml_file
from harness.common.errors import UserError
from harness.detectors.families import Base, build, resolve_base
from harness.detectors.insert import index_map, insert
from harness.detectors.model_yaml import Description
from harness.detectors.sites import Site, find_sites

_ARTICLE = re.compile(r"(?P<base>.+?)-clo-(?P<part>backbone-last|backbone|head)(?P<bare>-bare)?")
_PARTS = {
    "backbone": ("backbone.P3", "backbone.P4", "backbone.P5"),
    "backbone-last": ("backbone.P3", "backbone.P4", "backbone.P5"),
    "head": ("neck.P3", "neck.P4", "neck.P5"),
}


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A base and what is inserted into it.

    Attributes:
        base: The detector that is changed.
        architecture: The blocks; none for a plain base.
        sites: The base's sites where blocks are inserted; empty for a plain base.
    """

    base: Base
    architecture: Architecture
    sites: dict[str, Site]

    def config(self, classes: int | None = None) -> Description:
        """Build the model description, trainable by Ultralytics once `harness` is imported."""
        if self.architecture.is_baseline:
            return {**self.base.config, "nc": classes or self.base.config["nc"]}
        return insert(self.base, self.architecture, sites=self.sites, classes=classes)

    @property
    def layers(self) -> dict[int, int]:
        """Layer of the base to layer of the detector; see `index_map`."""
        return index_map(self.base, self.architecture, self.sites)

    def load(self) -> DetectionModel:
        """Load the network: a plain base with its weights if it has some, else with random ones."""
        return self.base.load() if self.architecture.is_baseline else build(self.config())


def article_architecture(name: str) -> Architecture | None:
    """Build the article's model of that name, or return None where it is no such name.

    Raises:
        UserError: Its base does not exist, or has no sites where the article puts blocks.
    """
    match = _ARTICLE.fullmatch(name)
    if not match:
        return None
    kind = Kind.BARE if match["bare"] else Kind.BLOCK
    sites = article_sites(name)
    if not sites:
        there = ", ".join(find_sites(resolve_base(match["base"])))
        raise UserError(f"{name}: base {match['base']} has no such place; its sites are {there}")
    placements = [
        Placement(site=site, kind=kind, groups=(LocalGroup(5, 4),), global_heads=4, kv_pool=4) for site in sites
    ]
    return Architecture(base=match["base"], placements=tuple(placements))


def article_sites(name: str) -> list[str]:
    """List where the article's model of that name has its blocks; none where its base has no such place.

    Raises:
        UserError: Its base does not exist or has no sites; or it is no name of the article's.
    """
    match = _ARTICLE.fullmatch(name)
    if not match:
        raise UserError(f"{name}: not a model of the article's, such as yolov5n-clo-head")
    sites = [site for site in find_sites(resolve_base(match["base"])) if site in _PARTS[match["part"]]]
    return sites[-1:] if match["part"] == "backbone-last" else sites


def read_architecture(spec: str) -> Architecture | None:
    """Read the architecture in a file, or the article's of that name; None where `spec` is neither.

    Raises:
        UserError: The file is an architecture's and not a valid one.
    """
    path = Path(spec)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return _from_file(path)
    return article_architecture(spec)


def _from_file(path: Path) -> Architecture | None:
    data, tree = yaml_file.read_yaml(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds no mapping; expected `key: value` lines")
    if "placements" not in data:
        return None
    try:
        return Architecture.from_dict(data, path.parent)
    except UserError as error:
        raise UserError(f"{path}, line {_faulty_line(data['placements'], tree, path.parent)}: {error}") from error


def _faulty_line(placements: object, tree: Any, folder: Path) -> int:
    """Find the line of the placement that cannot be read, or of the file where none is to blame alone."""
    for index, one in enumerate(placements if isinstance(placements, list) else ()):
        try:
            Placement.from_dict(one, folder)
        except (UserError, TypeError, ValueError):
            return yaml_file.line_of(tree, ("placements", index))
    return yaml_file.line_of(tree, ("placements",))


def find_detector(spec: str) -> Detector:
    """Find what a person means by a model: name, YAML, checkpoint, architecture file or one of the article's.

    Raises:
        UserError: There is no such model.

    Example:
        >>> find_detector("yolov5n-clo-head").base.name
        'yolov5n'
    """
    architecture = read_architecture(spec)
    base = resolve_base(architecture.base if architecture else spec)
    if architecture is None:
        return Detector(base=base, architecture=Architecture(base=base.name), sites={})
    return Detector(base=base, architecture=architecture, sites=find_sites(base))


def load_model(spec: str) -> DetectionModel:
    """Build any detector that a person may name.

    Raises:
        UserError: Nothing can be built from it.
    """
    return find_detector(spec).load()
