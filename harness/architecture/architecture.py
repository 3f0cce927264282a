"""What one candidate is: a base detector and where which Clo blocks go into it.

An `Architecture` says what somebody proposed; its `identity` says what it computes at an image
size. Two proposals with one identity are one candidate: they are never trained twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.architecture.choices import Init, Kind, MapSize
from harness.architecture.placement import Placement
from harness.common.digest import text_digest
from harness.common.errors import UserError

# The identity of the unmodified base.
BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A base and the blocks inserted into it, at most one a site; no placement is the baseline.

    Example:
        >>> from harness.architecture import LocalGroup
        >>> block = Placement(site="neck.P4", groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=4)
        >>> Architecture(base="yolov5n", placements=(block,)).describe()
        'neck.P4 block: 2×k5 local + 2 global (KV pool 4)'
    """

    base: str
    placements: tuple[Placement, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.placements, key=lambda placement: placement.site))
        object.__setattr__(self, "placements", ordered)
        sites = [placement.site for placement in ordered]
        twice = sorted({site for site in sites if sites.count(site) > 1})
        if twice:
            raise UserError(f"site {twice[0]} is used twice; an architecture has one block a site")

    @property
    def block_files(self) -> list[str]:
        """The files that register the user's own blocks among its placements, each once."""
        return sorted({placement.block_file for placement in self.placements if placement.block_file})

    @property
    def is_baseline(self) -> bool:
        """Whether nothing is inserted."""
        return not self.placements

    def canonical(self, map_sizes: Mapping[str, MapSize]) -> Architecture:
        """Return the representative of all proposals that compute the same function.

        Args:
            map_sizes: Site name to height and width of its map, in pixels, at the image size used.
        """
        return replace(self, placements=tuple(p.canonical(map_sizes[p.site]) for p in self.placements))

    def identity(self, map_sizes: Mapping[str, MapSize]) -> str:
        """Compute eight hexadecimal digits, equal for two architectures that compute the same function.

        Returns:
            `baseline` when nothing is inserted.
        """
        if self.is_baseline:
            return BASELINE
        text = repr([sorted(p.to_dict().items()) for p in self.canonical(map_sizes).placements])
        return text_digest(text)[:8]

    def starting_as(self, init: Init) -> Architecture:
        """Return it with another start of its blocks; a bare layer has but one."""
        return replace(
            self, placements=tuple(p if p.kind == Kind.BARE else replace(p, init=init) for p in self.placements)
        )

    def describe(self) -> str:
        """Describe it in one line for people."""
        return "; ".join(placement.describe() for placement in self.placements) or "unmodified base"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for YAML, JSON and storage."""
        return {"base": self.base, "placements": [placement.to_dict() for placement in self.placements]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], folder: Path | None = None) -> Architecture:
        """Read what `to_dict` wrote.

        Args:
            data: An architecture as plain data.
            folder: Where relative files of a user's own blocks lie, and a base that is a file.

        Raises:
            UserError: The data is not an architecture.
        """
        placements: Any = data.get("placements", ())
        is_list = isinstance(placements, Sequence) and all(isinstance(p, Mapping) for p in placements)
        if "base" not in data or not is_list:
            raise UserError("an architecture file has 'base' (a model name) and 'placements' (a list of mappings)")
        base = str(data["base"])
        if folder is not None and (folder / base).is_file():
            base = str((folder / base).resolve())
        return cls(base=base, placements=tuple(Placement.from_dict(p, folder) for p in placements))
