"""What one candidate is: a base detector and where which Clo blocks go into it.

An `Architecture` says what somebody proposed; its `identity` says what it computes at an image
size. Two proposals with one identity are one candidate: they are never trained twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from harness.errors import UserError

BASELINE = "baseline"
"""The identity of the unmodified base."""

MapSize = tuple[int, int]
"""Height and width of a feature map, in pixels."""


class Kind(StrEnum):
    """What is inserted at a site."""

    ATTENTION = "attention"
    """CloAttention with its norm, layer scale and residual."""
    BLOCK = "block"
    """CloAttention as above, followed by ConvFFN with its own norm, layer scale and residual."""


@dataclass(frozen=True, order=True)
class LocalGroup:
    """Heads of the local branch that share one depth-wise kernel size (official `kernel_sizes`)."""

    kernel: int
    heads: int

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UserError(f"kernel {self.kernel}: a kernel size is odd and positive (3, 5, 7, 9, …)")
        if self.heads < 1:
            raise UserError(f"{self.heads} local heads: a local group has at least one head")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One block at one site.

    Attributes:
        site: Name of the place, such as `neck.P4`; the block follows that layer.
        kind: Attention alone or attention and ConvFFN.
        groups: The local branch; empty when all heads are global.
        global_heads: Heads of the global branch; 0 when all heads are local.
        kv_pool: Side of the window over which K and V of the global branch are averaged, in pixels.
        ffn_ratio: Hidden channels of ConvFFN over its input channels; unused by `Kind.ATTENTION`.
        ffn_kernel: Kernel of ConvFFN's depth-wise convolution, in pixels.
    """

    site: str
    kind: Kind = Kind.BLOCK
    groups: tuple[LocalGroup, ...] = ()
    global_heads: int = 0
    kv_pool: int = 1
    ffn_ratio: float = 4.0
    ffn_kernel: int = 5

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise UserError(f"{self.site}: a placement needs at least one head, local or global")
        if self.global_heads < 0:
            raise UserError(f"{self.site}: global_heads is {self.global_heads}; it is 0 or more")
        if self.kv_pool < 1:
            raise UserError(f"{self.site}: kv_pool is {self.kv_pool}; it is 1 or more")
        if self.kind is Kind.BLOCK and self.ffn_ratio <= 0:
            raise UserError(f"{self.site}: ffn_ratio is {self.ffn_ratio}; it is above 0")
        if self.ffn_kernel < 1 or self.ffn_kernel % 2 == 0:
            raise UserError(f"{self.site}: ffn_kernel is {self.ffn_kernel}; it is odd and positive")

    @property
    def heads(self) -> int:
        """All heads, local and global."""
        return sum(group.heads for group in self.groups) + self.global_heads

    @property
    def group_split(self) -> list[int]:
        """The official `group_split`: heads per local group, the global branch's last."""
        return [*(group.heads for group in self.groups), self.global_heads]

    @property
    def kernel_sizes(self) -> list[int]:
        """The official `kernel_sizes`: one per local group."""
        return [group.kernel for group in self.groups]

    def canonical(self, map_size: MapSize) -> Placement:
        """The same function with every idle choice at its default.

        A KV pool does nothing without global heads; every pool that covers the whole map leaves one
        token. (Two kernels larger than the map reach the same pixels, but differ in parameters
        and MACs, which are objectives: they stay two candidates.)

        Args:
            map_size: Height and width of the feature map at this site, in pixels.
        """
        return replace(
            self,
            groups=tuple(sorted(self.groups)),
            kv_pool=min(self.kv_pool, max(map_size)) if self.global_heads else 1,
            ffn_ratio=self.ffn_ratio if self.kind is Kind.BLOCK else 1.0,
            ffn_kernel=self.ffn_kernel if self.kind is Kind.BLOCK else 1,
        )

    def describe(self) -> str:
        """One short line for people, such as `neck.P4 block 2×k5 local + 2 global, KV pool 4`."""
        parts = [f"{group.heads}×k{group.kernel} local" for group in self.groups]
        if self.global_heads:
            parts.append(f"{self.global_heads} global (KV pool {self.kv_pool})")
        return f"{self.site} {self.kind.value}: " + " + ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON."""
        data: dict[str, Any] = {
            "site": self.site,
            "kind": self.kind.value,
            "groups": [[group.kernel, group.heads] for group in self.groups],
            "global_heads": self.global_heads,
            "kv_pool": self.kv_pool,
        }
        if self.kind is Kind.BLOCK:
            data |= {"ffn_ratio": self.ffn_ratio, "ffn_kernel": self.ffn_kernel}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Placement:
        """Read what `to_dict` wrote.

        Raises:
            UserError: A key is unknown or a value makes no placement.
        """
        fields = dict(data)
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UserError(f"placement has an unknown key '{unknown[0]}'; known keys: {known}")
        try:
            fields["kind"] = Kind(fields.get("kind", Kind.BLOCK))
            fields["groups"] = tuple(LocalGroup(int(k), int(h)) for k, h in fields.get("groups", ()))
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise UserError(f"placement {dict(data)} cannot be read: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A base and the blocks inserted into it, at most one a site; no placement is the baseline."""

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
    def is_baseline(self) -> bool:
        """Whether nothing is inserted."""
        return not self.placements

    def canonical(self, map_sizes: Mapping[str, MapSize]) -> Architecture:
        """The representative of all proposals that compute the same function.

        Args:
            map_sizes: Site name to height and width of its map, in pixels, at the image size used.
        """
        return replace(self, placements=tuple(p.canonical(map_sizes[p.site]) for p in self.placements))

    def identity(self, map_sizes: Mapping[str, MapSize]) -> str:
        """Eight hexadecimal digits, equal for two architectures that compute the same function.

        Returns:
            `baseline` when nothing is inserted.
        """
        if self.is_baseline:
            return BASELINE
        text = repr([sorted(p.to_dict().items()) for p in self.canonical(map_sizes).placements])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def describe(self) -> str:
        """One line for people."""
        return "; ".join(placement.describe() for placement in self.placements) or "unmodified base"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML, JSON and storage."""
        return {"base": self.base, "placements": [placement.to_dict() for placement in self.placements]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Read what `to_dict` wrote.

        Raises:
            UserError: The data is not an architecture.
        """
        placements: Sequence[Mapping[str, Any]] = data.get("placements", ())
        if "base" not in data or not isinstance(placements, Sequence):
            raise UserError("an architecture file has 'base' (a model name) and 'placements' (a list)")
        return cls(base=str(data["base"]), placements=tuple(Placement.from_dict(p) for p in placements))
