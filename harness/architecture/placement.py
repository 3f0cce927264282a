"""One block at one site: which, how it is put there, and in which shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.architecture.choices import FeedForward, Gate, Init, Kind, LocalGroup, MapSize, Mode, Operator, Option
from harness.common.errors import UserError, sentence, shown


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One block at one site.

    Attributes:
        site: Name of the place, such as `neck.P4`.
        mode: How the block is put there.
        kind: A `Kind`, or a registered block: `se`, or one of a user's own as `path/to/my_blocks.py:name`.
        init: How it starts; `bare` knows no identity.
        groups: The local branch; empty when all heads are global.
        global_heads: Heads of the global branch; 0 when all heads are local.
        kv_pool: Side of the window over which K and V of the global branch are averaged, in pixels; 1 is full K/V.
        operator: What the local groups compute.
        gate: AttnConv's non-linearity.
        aggregate_qk: Whether AttnConv aggregates queries and keys by its depth-wise convolution.
        aggregate_v: Whether it aggregates values.
        ffn: Kind of feed-forward network, unused by other kinds than `block`, as the next two.
        ffn_ratio: Hidden channels of the feed-forward network over its input channels.
        ffn_kernel: Kernel of ConvFFN's depth-wise convolution, in pixels.
        options: Options of a registered block; the fields from `groups` on are Clo's.
    """

    site: str
    mode: Mode = Mode.AFTER
    kind: str = Kind.BLOCK
    init: Init = Init.IDENTITY
    groups: tuple[LocalGroup, ...] = ()
    global_heads: int = 0
    kv_pool: int = 1
    operator: Operator = Operator.ATTNCONV
    gate: Gate = Gate.SWISH_TANH
    aggregate_qk: bool = True
    aggregate_v: bool = True
    ffn: FeedForward = FeedForward.CONV
    ffn_ratio: float = 4.0
    ffn_kernel: int = 5
    options: tuple[tuple[str, Option], ...] = ()

    def __post_init__(self) -> None:
        if not self.is_clo:
            if not self.block_name.isidentifier():
                raise UserError(
                    f"{self.site}: kind '{self.kind}' is none of {', '.join(Kind)}, nor the name of a registered "
                    "block (se, cbam, or my_blocks.py:name)"
                )
            return
        if self.options:
            raise UserError(f"{self.site}: options are a registered block's; kind {self.kind} has fields instead")
        if self.heads < 1:
            raise UserError(f"{self.site}: a placement needs at least one head, local or global")
        if self.global_heads < 0:
            raise UserError(f"{self.site}: global_heads is {self.global_heads}; it is 0 or more")
        if self.kv_pool < 1:
            raise UserError(f"{self.site}: kv_pool is {self.kv_pool}; it is 1 or more")
        if self.kind == Kind.BLOCK and not 0 < self.ffn_ratio < math.inf:
            raise UserError(f"{self.site}: ffn_ratio is {self.ffn_ratio}; it is above 0")
        if self.ffn_kernel < 1 or self.ffn_kernel % 2 == 0:
            raise UserError(f"{self.site}: ffn_kernel is {self.ffn_kernel}; it is odd and positive")

    @property
    def is_clo(self) -> bool:
        """Whether it is a Clo block, rather than a registered one."""
        return self.kind in set(Kind)

    @property
    def block_file(self) -> str | None:
        """The file that registers a user's own block."""
        file, found, _ = self.kind.rpartition(":")
        return file if found else None

    @property
    def block_name(self) -> str:
        """The kind without its file."""
        return self.kind.rpartition(":")[2]

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
        """Return the same function with every idle choice at its default.

        A KV pool does nothing without global heads, nor a gate without AttnConv; every pool and every tile
        that covers the whole map does the same. (Two kernels larger than the map reach the same pixels, but
        differ in parameters and MACs, which are objectives: they stay two candidates.)

        Args:
            map_size: Height and width of the feature map at this site, in pixels.
        """
        if not self.is_clo:
            options = tuple(sorted(self.options))
            return Placement(site=self.site, mode=self.mode, kind=self.block_name, init=self.init, options=options)
        kv_pool = min(self.kv_pool, max(map_size)) if self.global_heads else 1
        groups, global_heads = self._canonical_heads(map_size, kv_pool)
        operator = self.operator if groups else Operator.ATTNCONV
        gated = bool(groups) and operator is Operator.ATTNCONV
        has_ffn = self.kind == Kind.BLOCK
        return replace(
            self,
            init=self.init if self.kind != Kind.BARE else Init.IDENTITY,
            groups=tuple(sorted(groups)),
            global_heads=global_heads,
            kv_pool=kv_pool,
            operator=operator,
            gate=self.gate if gated else Gate.SWISH_TANH,
            aggregate_qk=self.aggregate_qk if gated else True,
            aggregate_v=self.aggregate_v if gated else True,
            ffn=self.ffn if has_ffn else FeedForward.CONV,
            ffn_ratio=self.ffn_ratio if has_ffn else 1.0,
            ffn_kernel=self.ffn_kernel if has_ffn and self.ffn is FeedForward.CONV else 1,
        )

    def _canonical_heads(self, map_size: MapSize, kv_pool: int) -> tuple[list[LocalGroup], int]:
        """Return local groups and global heads that compute the same, in their canonical form.

        AttnConv's gates mix the channels of a group, so its groups stay apart; a kernel that aggregates nothing
        is idle. The other operators' groups of one kernel are one group. A tile that covers the map is full
        attention, the global branch's with a pool of 1. A convolution makes nothing of the number of heads:
        without global heads only the groups' shares count.
        """
        if self.operator is Operator.ATTNCONV:
            idle = not (self.aggregate_qk or self.aggregate_v)
            return [replace(group, kernel=1) if idle else group for group in self.groups], self.global_heads
        heads: dict[int, int] = {}
        for group in self.groups:
            heads[group.kernel] = heads.get(group.kernel, 0) + group.heads
        global_heads = self.global_heads
        if self.operator is Operator.WINDOW:
            covering = [kernel for kernel in heads if kernel >= max(map_size)]
            if kv_pool == 1:
                global_heads += sum(heads.pop(kernel) for kernel in covering)
            elif covering:
                whole = max(map_size) | 1  # the smallest odd tile that covers the map
                heads[whole] = sum(heads.pop(kernel) for kernel in covering)
        if self.operator is Operator.CONV and not global_heads:
            common = math.gcd(*heads.values())
            heads = {kernel: count // common for kernel, count in heads.items()}
        return [LocalGroup(kernel, count) for kernel, count in heads.items()], global_heads

    def describe(self) -> str:
        """Describe it in a short line for people, such as `neck.P4 block: 2×k5 local + 2 global (KV pool 4)`."""
        how = "" if self.mode is Mode.AFTER else f" {self.mode}"
        if not self.is_clo:
            options = ", ".join(f"{name} {value}" for name, value in self.options)
            return f"{self.site}{how} {self.block_name}" + (f": {options}" if options else "") + self._init_note()
        local = "local" if self.operator is Operator.ATTNCONV else str(self.operator)
        parts = [f"{group.heads}×k{group.kernel} {local}" for group in self.groups]
        if self.global_heads:
            parts.append(f"{self.global_heads} global (KV pool {self.kv_pool})")
        changed = [
            f"gate {self.gate}" if self.gate is not Gate.SWISH_TANH else "",
            "" if self.aggregate_qk else "Q/K not aggregated",
            "" if self.aggregate_v else "V not aggregated",
            "plain FFN" if self.kind == Kind.BLOCK and self.ffn is FeedForward.PLAIN else "",
        ]
        noted = ", ".join(filter(None, [" + ".join(parts), *changed]))
        return f"{self.site}{how} {self.kind}: {noted}{self._init_note()}"

    def _init_note(self) -> str:
        return ", official initialisation" if self.init is Init.OFFICIAL and self.kind != Kind.BARE else ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for YAML and JSON; what is at its default is left out, but for Clo's first shape."""
        data: dict[str, Any] = {"site": self.site, "kind": str(self.kind)}
        if self.is_clo:
            data |= {
                "groups": [[group.kernel, group.heads] for group in self.groups],
                "global_heads": self.global_heads,
                "kv_pool": self.kv_pool,
            }
            if self.kind == Kind.BLOCK:
                data |= {"ffn_ratio": self.ffn_ratio, "ffn_kernel": self.ffn_kernel}
        elif self.options:
            data["options"] = dict(self.options)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in {*data, *_SHAPE} and value != field.default:
                data[field.name] = str(value) if isinstance(value, StrEnum) else value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], folder: Path | None = None) -> Placement:
        """Read what `to_dict` wrote.

        Args:
            data: A placement as plain data.
            folder: Where a relative file of a user's own block lies; None leaves the kind as it is.

        Raises:
            UserError: A key is unknown or a value makes no placement.
        """
        values = dict(data)
        unknown = sorted(map(str, set(values) - set(cls.__dataclass_fields__)))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UserError(f"placement has an unknown key '{unknown[0]}'; known keys: {known}")
        if isinstance(values.get("groups"), Sequence):
            values["groups"] = [_group(one, str(values.get("site"))) for one in values["groups"]]
        try:
            values["kind"] = absolute_kind(str(values.get("kind", Kind.BLOCK)), folder)
            values["groups"] = list(values.get("groups", ()))
            values["options"] = list(dict(values.get("options", {})).items())
        except (TypeError, ValueError) as error:
            raise UserError(
                f"placement {dict(data)}: groups is a list of [kernel, heads], options a mapping of names to values"
            ) from error
        try:
            return _READER.validate_json(json.dumps(values), strict=True)
        except (ValidationError, TypeError) as error:
            raise UserError(f"placement {dict(data)} cannot be read: {_sentence(error)}") from error


_READER = TypeAdapter(Placement)
_PAIR = 2
# Fields that `to_dict` writes by the kind, not by their default.
_SHAPE = {"groups", "global_heads", "kv_pool", "ffn_ratio", "ffn_kernel", "options"}


def _sentence(error: ValidationError | TypeError) -> str:
    """Say the first fault: where, what would be right, what was given."""
    if isinstance(error, TypeError):
        return str(error)
    return sentence(error.errors()[0])


def _group(given: Any, site: str) -> dict[str, Any]:
    """Read a local group as `to_dict` writes it."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != _PAIR:
        raise UserError(f"{site}: each of its groups is [kernel, heads], such as [5, 2], not {shown(given)}")
    return {"kernel": given[0], "heads": given[1]}


def absolute_kind(kind: str, folder: Path | None) -> str:
    """Return the kind with the file of a user's own block as an absolute path."""
    file, found, name = kind.rpartition(":")
    return f"{(folder / file).resolve()}:{name}" if found and folder is not None else kind
