"""Run a function right after a module is first imported, without importing it now; and names of moved modules.

`import harness` has to extend Ultralytics' parser, yet a person who reads a report should not wait
for torch. The standard library's import system offers the seam: a finder that wraps one module's
loader (PEP 451).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _FollowedLoader(Loader):
    """The module's own loader, followed by one call."""

    def __init__(self, loader: Loader, follow_up: str) -> None:
        self._loader = loader
        self._follow_up = follow_up

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _call(self._follow_up, module)

    def __getattr__(self, name: str) -> object:
        """Let tools that ask the loader for source or paths reach the real one."""
        return getattr(self._loader, name)


class _Finder(MetaPathFinder):
    def __init__(self, name: str, follow_up: str) -> None:
        self._name = name
        self.follow_up = follow_up

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _FollowedLoader(spec.loader, self.follow_up)
        return spec


def when_imported(name: str, follow_up: str) -> None:
    """Call `follow_up` with module `name`: now if it is loaded, else once it is.

    Args:
        name: Dotted name of the module to wait for.
        follow_up: `package.module:function`, imported only then.
    """
    if name in sys.modules:
        _call(follow_up, sys.modules[name])
    elif not any(isinstance(f, _Finder) and f.follow_up == follow_up for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, follow_up))


def moved(old: str, new: str) -> None:
    """Let a module be found under the name that it had before it moved: checkpoints name classes by it.

    Args:
        old: Dotted name, whose package exists.
        new: Dotted name of the module, imported when something of it is asked for.
    """
    alias = ModuleType(old, f"Moved to `{new}`.")
    alias.__spec__ = ModuleSpec(old, loader=None)
    # a pickle asks a module for its classes by name
    alias.__getattr__ = lambda name: getattr(importlib.import_module(new), name)  # type: ignore[method-assign]
    sys.modules.setdefault(old, alias)


def _call(follow_up: str, module: ModuleType) -> None:
    place, function = follow_up.split(":")
    getattr(importlib.import_module(place), function)(module)
