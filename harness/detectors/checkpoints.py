"""Checkpoints from strangers: weights and layers are read, and no code of the file's choosing is run.

A `.pt` is a pickle, which may call whatever it names. Ultralytics can load one with PyTorch's restricted unpickler [1]
and an allow-list of layers, but does so only where it is asked to. With `import harness` it is asked to always, and
the list has our layers too, and those of block files that were imported before. Every way to a checkpoint is covered,
the trainer's own and those of its processes, because all of them go through `ultralytics.nn.tasks.torch_safe_load`.

`ULTRALYTICS_SAFE_LOAD=0` trusts every checkpoint as Ultralytics does; `=1` keeps block files from running, too.

References:
    1. https://docs.pytorch.org/docs/stable/notes/serialization.html#torch-load-with-weights-only-true
"""

from __future__ import annotations

import enum
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from harness.blocks import block_modules, import_block_file
from harness.common.errors import UserError
from harness.detectors.examined import fault_of_names

SWITCH = "ULTRALYTICS_SAFE_LOAD"
# Key of a model's YAML under which the files stand that register blocks of a user's own.
BLOCK_FILES: Final = "blocks"
# Modules of classes that checkpoints name, by the names that they had before.
_MOVED = {"harness.choices": "harness.architecture.choices"}
_OURS = ("harness.blocks.", "harness.detectors.", *(f"{module}." for module in (*_MOVED, *_MOVED.values())))
_WRAPPED = "_clo_nas_wraps"
Loader = Callable[..., tuple[dict[str, Any], str]]


def load_safely(tasks: ModuleType) -> None:
    """Have the module `ultralytics.nn.tasks` load checkpoints, and build what they describe, without code. Idempotent.

    Its flag also keeps `parse_model` from evaluating the text of `activation` and from calling what is no layer.
    """
    tasks.SAFE_LOAD = os.environ.get(SWITCH, "1").strip().lower() in {"1", "true", "yes", "on", "y", "t"}  # type: ignore[attr-defined]
    original: Loader = getattr(tasks.torch_safe_load, _WRAPPED, tasks.torch_safe_load)

    @functools.wraps(original)
    def torch_safe_load(weight: Any, safe_only: bool | None = None) -> tuple[dict[str, Any], str]:
        safe = bool(tasks.SAFE_LOAD if safe_only is None else safe_only)
        if not safe:
            return original(weight, safe)
        path = Path(weight)
        if path.is_file():
            _allow_known_layers(path)
        loaded, file = original(weight, safe)
        for model in (loaded.get("ema"), loaded.get("model")):
            _keep_imported_block_files(model, path)
        return loaded, file

    setattr(torch_safe_load, _WRAPPED, original)
    tasks.torch_safe_load = torch_safe_load  # type: ignore[attr-defined]


def refused(path: Path) -> str | None:
    """Say, for a user, why a checkpoint that did not load was refused; None where nothing in it is unknown."""
    unknown = _unknown(path)
    if writer := fault_of_names(unknown):
        return writer
    for name in unknown:
        module = name.partition(".")[0]
        if not _is_library(module):
            return (
                f"holds a block of the module '{module}', which cannot be imported here; "
                f"put the folder of {module}.py on PYTHONPATH"
            )
        return (
            f"refers to {name}, which is no layer that clo-nas knows and could run code, so that nothing of it was "
            f"loaded; if you trust where the file comes from, set {SWITCH}=0"
        )
    return None


def _unknown(path: Path) -> list[str]:
    """List the names in the checkpoint that the restricted unpickler would refuse as things stand, sorted."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # noqa: BLE001 - it is no such archive, or a damaged one: loading it says so better
        return []


def _allow_known_layers(path: Path) -> None:
    """Put those classes of ours and of block files on PyTorch's list that the checkpoint names."""
    for name in (names := _unknown(path)):
        file = _on_python_path(name.partition(".")[0])
        if file is not None:
            import_block_file(file)
    theirs = dict(_classes_of_block_files())
    for name in names:
        known = theirs.get(name) or _class_of_ours(name)
        if known is not None:
            is_moved = name.rpartition(".")[0] in _MOVED
            torch.serialization.add_safe_globals([(known, name) if is_moved else known])


def _class_of_ours(name: str) -> type | None:
    """Find a layer or a choice of this package by name; None where it is neither."""
    module, _, attribute = name.rpartition(".")
    if not f"{module}.".startswith(_OURS) or _is_missing(module):
        return None
    found = getattr(importlib.import_module(module), attribute, None)
    here = _MOVED.get(module, module)
    is_known = isinstance(found, type) and issubclass(found, (nn.Module, enum.Enum)) and found.__module__ == here
    return found if is_known else None


def _classes_of_block_files() -> Iterator[tuple[str, type]]:
    """Yield classes that imported block files define, and layers that they import by name, under their pickled names.

    The layers of PyTorch and Ultralytics are left to Ultralytics' own list.
    """
    for module in block_modules():
        for value in vars(module).values():
            if not isinstance(value, type):
                continue
            package = value.__module__.partition(".")[0]
            is_layer = issubclass(value, nn.Module) and package not in {"torch", "torchvision", "ultralytics"}
            if is_layer or value.__module__ == module.__name__:
                yield f"{value.__module__}.{value.__qualname__}", value


def _on_python_path(module: str) -> Path | None:
    """Find the block file of that name in a folder that the user put on PYTHONPATH; never one of the current folder."""
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        file = Path(folder) / f"{module}.py"
        if file.is_file() and b"register_block" in file.read_bytes():
            return file
    return None


def _is_library(module: str) -> bool:
    """Return whether it is installed, rather than somebody's own file."""
    return module in sys.stdlib_module_names or module in importlib.metadata.packages_distributions()


def _is_missing(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except (ImportError, ValueError):
        return True


def _keep_imported_block_files(model: Any, path: Path) -> None:
    """Let a description in a checkpoint name no file of blocks but those that were imported already.

    Raises:
        UserError: It names another, which would run as soon as the model is built anew.
    """
    description = getattr(model, "yaml", None)
    if not isinstance(description, dict) or not description.get(BLOCK_FILES):
        return
    imported = {Path(str(module.__file__)).name: str(module.__file__) for module in block_modules()}
    for file in description[BLOCK_FILES]:
        if Path(str(file)).name not in imported:
            name = Path(str(file)).name
            raise UserError(
                f"{path}: was trained with the block file {name}, which a checkpoint may not run by itself; "
                f"put the folder of {name} on PYTHONPATH"
            )
    description[BLOCK_FILES] = [imported[Path(str(file)).name] for file in description[BLOCK_FILES]]
