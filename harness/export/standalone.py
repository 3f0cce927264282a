"""The blocks of a model as one file, `clo_block.py`, which needs torch alone and goes with stock Ultralytics.

It is made of the source of `harness.blocks`: what the blocks of the model need, as it stands there, in the order of the
modules, without what they do not need. Nothing is rewritten, so that it computes what was measured.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import sys
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

import harness.blocks
from harness.blocks.registry import block_entry, block_names
from harness.common.errors import UserError
from harness.common.version import version
from harness.detectors.checkpoints import BLOCK_FILES
from harness.detectors.model_yaml import Description
from harness.detectors.parser import CHANGING, INSIDE, KEEPING

MODULE = "clo_block"
FILE = f"{MODULE}.py"
# Of `harness.blocks`, each after those that it imports.
_MODULES = ("layout", "depthwise", "official", "operators", "ffn", "attention", "block", "registry", "controls")
_OURS = "harness."

_HEAD = '''"""{blocks}, for stock Ultralytics: `import clo_block; clo_block.register()` before a model is read.

Made by clo-nas {version} from its own source, unchanged; clo-nas itself is not needed. CloFormer's blocks are by Fan et
al., arXiv:2303.17803, whose code (https://github.com/qhfan/CloFormer) is under the MIT licence.

This program is free software: you can redistribute it and/or modify it under the terms of the GNU Affero General
Public License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any
later version. It comes WITHOUT ANY WARRANTY; see <https://www.gnu.org/licenses/>.
"""

from __future__ import annotations

'''
_TAIL = '''def register() -> None:
    """Tell Ultralytics these layers, so that it reads model YAMLs and checkpoints that have them."""
    from ultralytics.nn import tasks

    for layer in [{layers}]:
        setattr(tasks, layer.__name__, layer)
'''
_WIDTH = '''    tasks.parse_model = _with_class_width(tasks.parse_model)


def _with_class_width(parse):
    """Let class branches be `class_width` channels wide, as the checkpoint's are that the model was trained from."""

    def parse_model(d, ch, verbose=True):
        from torch import nn

        width, classes = d.get("class_width"), d.get("nc")
        layers, save = parse({**d, "nc": width or classes}, ch, verbose)
        if width:
            head = layers[-1]
            for name in ("cv3", "one2one_cv3"):
                for branch in getattr(head, name, None) or ():
                    branch[-1] = nn.Conv2d(branch[-1].in_channels, classes, 1)
            head.no, head.nc = head.no + classes - head.nc, classes
        return layers, save

    return parse_model
'''


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A statement at the top level of a module, with the comments above it and the words below it.

    Attributes:
        names: What it defines.
        needs: What it speaks of.
        text: Its source.
        imports: Whether it is an import.
    """

    names: frozenset[str]
    needs: frozenset[str]
    text: str
    imports: bool = False


def standalone_layers(description: Description, name: str) -> tuple[str, ...]:
    """Name the layers of ours that a model has.

    Args:
        description: Of the model.
        name: What it is called, for messages.

    Raises:
        UserError: It cannot do without clo-nas.
    """
    rows = [*description["backbone"], *description["head"]]
    inside = next((row[2] for row in rows if row[3] and isinstance(row[3][-1], dict) and INSIDE in row[3][-1]), None)
    changing = next((row[2] for row in rows if row[2] in CHANGING), None)
    reason = (
        f"has blocks of a user's own ({description[BLOCK_FILES][0]}), which are registered with clo-nas"
        if description.get(BLOCK_FILES)
        else f"has blocks inside {inside}, which Ultralytics alone does not put there"
        if inside
        else f"has {changing}, a layer of clo-nas's that Ultralytics alone cannot parse"
        if changing
        else ""
    )
    if reason:
        raise UserError(f"export {name}: --to standalone: it {reason}; take --to pt, yaml or onnx")
    known = {layer.__name__ for layer in KEEPING}
    return tuple(dict.fromkeys(row[2] for row in rows if row[2] in known))


def _shipped() -> set[str]:
    """Return the classes that `harness.blocks` registers when it is imported: nothing names them."""
    built = [block_entry(name).build for name in block_names()]
    return {each.__name__ for each in built if each.__module__.startswith(_OURS)}


def standalone_source(layers: Iterable[str], *, class_width: bool = False) -> str:
    """Write the file of some layers.

    Args:
        layers: Their class names; none makes a file that registers nothing.
        class_width: Whether the model's description has one, which Ultralytics alone does not know.

    Returns:
        Python source. The same for the same layers and version.
    """
    layers = tuple(layers)
    parts = [part for name in _MODULES for part in _parts(name)]
    wanted = {*layers, *(_shipped() if "RegisteredBlock" in layers else ())}
    kept: set[int] = set()
    while more := {at for at, part in enumerate(parts) if at not in kept and not part.imports and part.names & wanted}:
        kept |= more
        wanted |= {name for at in more for name in parts[at].needs}
    imports = "\n".join(_imports((part.text for part in parts if part.imports), wanted))
    body = "\n\n\n".join(parts[at].text for at in sorted(kept))
    head = _HEAD.format(blocks=", ".join(layers) or "No layer", version=version())
    tail = _TAIL.format(layers=", ".join(layers)) + (_WIDTH if class_width else "")
    return head + "\n\n\n".join(filter(None, (imports.strip(), body, tail)))


def standalone_network(network: nn.Module) -> nn.Module:
    """Return a copy whose layers are those of `clo_block.py`; to be called and saved within `imported`."""
    found = copy.deepcopy(network)
    module: Any = sys.modules[MODULE]
    for layer in found.modules():
        if type(layer).__module__.startswith(harness.blocks.__name__):
            layer.__class__ = getattr(module, type(layer).__name__)  # the same source: the same attributes
    return found


@contextmanager
def imported(file: Path) -> Iterator[ModuleType]:
    """Have `clo_block.py` be importable for a while, as a checkpoint that is written then names its classes."""
    spec = importlib.util.spec_from_file_location(MODULE, file)
    assert spec is not None, file
    assert spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.modules.pop(MODULE)
        if before is not None:
            sys.modules[MODULE] = before


def _parts(name: str) -> Iterator[_Part]:
    """Yield the statements of a module of ours, without its docstring and its imports from elsewhere in clo-nas."""
    text = (Path(harness.blocks.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    lines, nodes = text.splitlines(), ast.parse(text).body
    end = 0
    for at, node in enumerate(nodes):
        first, end = end, node.end_lineno or end
        if isinstance(node, ast.Expr):  # the module's docstring, or the words below a constant
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith((_OURS, "__future__"))):
                yield _Part(names=frozenset(), needs=frozenset(), text=ast.unparse(node), imports=True)
            continue
        below = nodes[at + 1] if at + 1 < len(nodes) else None
        last = below.end_lineno if isinstance(below, ast.Expr) else end
        comments = (line for line in lines[first : _start(node) - 1] if line.startswith("#"))
        source = "\n".join([*comments, *lines[_start(node) - 1 : last]])
        yield _Part(names=frozenset(_defined(node)), needs=frozenset(_named(node)), text=source)


def _start(node: Any) -> int:
    decorators = getattr(node, "decorator_list", ())
    return int(min([node.lineno, *(each.lineno for each in decorators)]))


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _named(node: ast.stmt) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _imports(lines: Iterable[str], wanted: Container[str]) -> Iterator[str]:
    """Yield imports of what is spoken of, one a module, the standard library's before torch's."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for line in lines:
        (node,) = ast.parse(line).body
        assert isinstance(node, ast.Import | ast.ImportFrom), line
        for each in node.names:
            if (each.asname or each.name).partition(".")[0] not in wanted:
                continue
            if isinstance(node, ast.ImportFrom):
                named.setdefault(str(node.module), set()).add(each.name)
            else:
                plain.add(f"import {each.name}{f' as {each.asname}' if each.asname else ''}")
    from_ = {f"from {module} import {', '.join(sorted(names))}" for module, names in named.items()}
    for is_torchs in (False, True):
        yield from sorted(each for each in plain if ("torch" in each) is is_torchs)
        yield from sorted(each for each in from_ if ("torch" in each) is is_torchs)
        yield from [] if is_torchs else [""]
