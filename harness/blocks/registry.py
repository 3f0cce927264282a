"""Blocks other than Clo's in the same socket: other people's as controls, and a user's own.

A block is registered under a name with one decorator; a search space then names it as a kind:

    from harness.blocks import register_block

    @register_block("scale")
    class Scale(nn.Module):
        def __init__(self, channels: int, start: float = 1.0) -> None: ...
        def forward(self, x: Tensor) -> Tensor: ...     # (B, channels, H, W) to the same shape

The arguments after `channels` are the block's options; those of a placement come from the space. The
module computes the whole new map, its own residual included if it has one.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn

from harness.blocks.block import LAYER_SCALES, Init

# Names that a search space gives the Clo blocks, and no block.
RESERVED = ("attention", "block", "bare", "none")
# (channels, (height, width), **options) to parameters and MACs of one block, batch 1.
CostFormula = Callable[..., tuple[int, int]]
Factory = TypeVar("Factory", bound=Callable[..., nn.Module])


class BlockError(ValueError):
    """A block is unknown, its options are not its own, or its file cannot be imported."""


@dataclass(frozen=True, kw_only=True)
class BlockEntry:
    """What the socket knows of a block.

    Attributes:
        name: What a search space calls it.
        build: `(channels, **options)` to the module.
        options: Its options and their defaults, from the signature.
        cost: Closed form; None has the built block counted instead.
        identity: Makes a fresh module the identity, bit for bit. None has the socket do it: the block's
            change is multiplied by one learnable factor a channel, zero at the start.
    """

    name: str
    build: Callable[..., nn.Module]
    options: Mapping[str, Any]
    cost: CostFormula | None = None
    identity: Callable[[nn.Module], None] | None = None

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the block does not have.

        Raises:
            BlockError: One is unknown.
        """
        for option in options:
            if option not in self.options:
                known = ", ".join(self.options) or "none"
                raise BlockError(f"block '{self.name}' has no option '{option}'; its options: {known}")

    def full_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with the defaults of those left out."""
        self.check_options(options)
        return {**self.options, **options}


_ENTRIES: dict[str, BlockEntry] = {}
# Names of modules that came from files of blocks.
_IMPORTED: set[str] = set()


def register_block(
    name: str, *, cost: CostFormula | None = None, identity: Callable[[Any], None] | None = None
) -> Callable[[Factory], Factory]:
    """Decorate a module class (or a function that builds one) to make it a kind of block.

    Args:
        name: What search spaces and architectures call it; an identifier.
        cost: See `BlockEntry`.
        identity: See `BlockEntry`.

    Raises:
        BlockError: The name is taken by another block or is no identifier, or the signature does not fit.

    Example: a block takes the channels of its map and keeps its shape.
        >>> from torch import nn
        >>> @register_block("twice")
        ... class Twice(nn.Module):
        ...     def __init__(self, channels: int) -> None:
        ...         super().__init__()
        ...         self.mix = nn.Conv2d(channels, channels, 1)
        ...
        ...     def forward(self, x):
        ...         return x + self.mix(x)
    """

    def decorate(build: Factory) -> Factory:
        if not name.isidentifier():
            raise BlockError(f"block '{name}': a block's name is an identifier, such as my_block")
        if name in RESERVED:
            raise BlockError(f"block '{name}': a kind of Clo block has this name; choose another one")
        known = _ENTRIES.get(name)
        if known is not None and _origin(known.build) != _origin(build):
            raise BlockError(f"block '{name}' is registered already, by {_origin(known.build)}; choose another name")
        _ENTRIES[name] = BlockEntry(name=name, build=build, options=_options(name, build), cost=cost, identity=identity)
        return build

    return decorate


def block_entry(name: str) -> BlockEntry:
    """Return the entry under a name.

    Raises:
        BlockError: There is none.
    """
    if name not in _ENTRIES:
        raise BlockError(
            f"no block '{name}' is registered; there are: {', '.join(sorted(_ENTRIES))}. "
            f"One of your own is named with its file: my_blocks.py:{name}"
        )
    return _ENTRIES[name]


def block_names() -> list[str]:
    """List all registered names."""
    return sorted(_ENTRIES)


def block_modules() -> list[ModuleType]:
    """List the modules that a user's own blocks come from: code that they have chosen to run."""
    names = _IMPORTED | {entry.build.__module__ for entry in _ENTRIES.values()}
    return [sys.modules[name] for name in sorted(names) if name in sys.modules and not name.startswith("harness.")]


def import_block_file(path: str | Path) -> None:
    """Import a file that registers blocks, once, under its own name so that checkpoints find its classes.

    Raises:
        BlockError: It does not exist, cannot be imported, or another module has its name.
    """
    file = Path(path).resolve()
    name = file.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        if Path(getattr(loaded, "__file__", None) or "").resolve() == file:
            _IMPORTED.add(name)
            return
        raise BlockError(f"{path}: a module named '{name}' is loaded already; rename the file")
    if not file.is_file():
        raise BlockError(f"{path}: no such file of blocks")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BlockError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _IMPORTED.add(name)
    try:
        spec.loader.exec_module(module)
    except BlockError:
        del sys.modules[name]
        _IMPORTED.discard(name)
        raise
    except Exception as error:  # whatever the user's file raises is one sentence to them
        del sys.modules[name]
        _IMPORTED.discard(name)
        raise BlockError(f"{path}: cannot be imported ({type(error).__name__}: {error})") from error


class RegisteredBlock(nn.Module):
    """A registered block at its place: (B, channels, H, W) to the same shape.

    With `init="identity"` it changes nothing until it has learned something: it is the entry's own
    identity, or `x + scale · (block(x) − x)` with `scale` zero at the start. So it does with
    `init="residual"`: it has no residual whose branch could start at full weight. With `init="official"` it is the
    block as its author initialises it.

    Args:
        channels: Channels of the map.
        spec: `name`, then the options that differ from the block's defaults.
        init: `identity`, `residual` or `official`.

    Raises:
        BlockError: The block is unknown or has no such option.
    """

    def __init__(self, channels: int, spec: Mapping[str, Any], init: Init = "identity") -> None:
        super().__init__()
        if init not in get_args(Init):
            raise ValueError(f"init is {init!r}; it is one of {', '.join(get_args(Init))}")
        options = dict(spec)
        entry = block_entry(options.pop("name"))
        self.block = entry.build(channels, **entry.full_options(options))
        self.layer_scale: nn.Parameter | None = None
        if init in LAYER_SCALES:
            if entry.identity is not None:
                with torch.no_grad():
                    entry.identity(self.block)
            else:
                self.layer_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, channels, H, W)."""
        out: Tensor = self.block(x)
        if self.layer_scale is None:
            return out
        return x + (self.layer_scale.view(-1, 1, 1) * (out - x)).to(x.dtype)


def _options(name: str, build: Callable[..., Any]) -> dict[str, Any]:
    parameters = list(inspect.signature(build).parameters.values())
    if not parameters:
        raise BlockError(f"block '{name}': its first argument is the number of channels")
    if any(p.name == "name" for p in parameters[1:]):
        raise BlockError(f"block '{name}': an option cannot be called 'name', which is the block's; rename it")
    if any(p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters):
        raise BlockError(f"block '{name}': its options are named one by one, not taken as *args or **kwargs")
    lacking = [p.name for p in parameters[1:] if p.default is p.empty]
    if lacking:
        raise BlockError(f"block '{name}': its option '{lacking[0]}' needs a default")
    return {p.name: p.default for p in parameters[1:]}


def _origin(build: Any) -> str:
    return f"{build.__module__}.{build.__qualname__}"
