"""The figures of the house: how large the code is, and how much of it is in a form that we want to leave.

Everything is read from the sources by Python's own parser; nothing of them is imported or run. Each figure with a cap
says whether it is over it. `--check` ends with 1 if one is; `--verbose` lists what is behind the counts.

    python benchmarks/house.py
    python benchmarks/house.py --verbose
    python benchmarks/house.py --check
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, TESTS = "harness", "tests"
RECORD = "record"
"""The room that alone says by a literal what became of a trial."""
COMPLETE = "complete"
SMALL = 60
"""Lines below which a file that only one other needs may be a part of that one."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Cap:
    """What a figure may be, and why."""

    most: int
    reason: str


CAPS: Mapping[str, Cap] = {
    "lines": Cap(most=44_750, reason="a plan, a verdict, presets and TensorRT are in; 28,000 is the aim"),
    "files": Cap(most=298, reason="a file a subject; far more files are one subject in several; 195 is the aim"),
    "files at the top level": Cap(most=3, reason="__init__, __main__ and _version; all else has a room"),
    "files in search": Cap(most=24, reason="a search proposes and decides; running trainings is another room's"),
    "files in jobs": Cap(most=16, reason="one way to run a training, here or elsewhere"),
    "dict[str, Any] in signatures": Cap(
        most=43, reason="where JSON, YAML, Optuna and Ultralytics begin; elsewhere keys are secret"
    ),
    'literal "complete"': Cap(most=0, reason="an enum says it, and the record alone how it is written"),
    ".settings.get(": Cap(most=0, reason="settings are typed; a default stands in one place"),
    "if TYPE_CHECKING": Cap(most=1, reason="it hides a wrong arrow; export's fresh process must not import torch"),
    "functions named prepare": Cap(most=1, reason="one place where a program becomes ready to run"),
}
"""By figure; the others have none."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of Python.

    Attributes:
        module: Its dotted name.
        text: Its content.
        is_package: Whether it is an `__init__`.
    """

    module: str
    text: str
    is_package: bool = False

    @property
    def lines(self) -> int:
        """All of them, empty ones included."""
        return len(self.text.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        """The file, parsed."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The name below the top: `search` of `harness.search.loop`; empty at the top level."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 2 or (self.is_package and len(parts) == 2) else ""


@dataclass(frozen=True, kw_only=True)
class House:
    """All figures, in the order in which they are printed, and what is behind some of them."""

    figures: Mapping[str, float]
    details: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def over(self) -> list[str]:
        """Return the figures that are over their cap."""
        return [name for name, cap in CAPS.items() if self.figures[name] > cap.most]


def read_sources(folder: Path) -> list[Source]:
    """Return every file below a folder, which is a package of its own name."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        found.append(Source(module=module, text=file.read_text(encoding="utf-8"), is_package=is_package))
    return found


# --- Counts within a file -----------------------------------------------------------------------


def functions(tree: ast.AST) -> list[Function]:
    """Return all functions, with methods and those within others."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def mappings_in_signatures(tree: ast.AST, name: str) -> list[int]:
    """Return the line of every `NAME[str, Any]` in an annotation of a parameter or of what is returned.

    Nested ones count, as in `list[dict[str, Any]]`, and those of annotations that are written as strings.
    """
    lines = []
    for function in functions(tree):
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        annotations = [each.annotation for each in every if each is not None]
        for annotation in [*annotations, function.returns]:
            if annotation is not None:
                lines += [annotation.lineno for node in _of_annotation(annotation) if _is_plain(node, name)]
    return lines


def aliases(tree: ast.Module, name: str) -> list[int]:
    """Return the line of every `Alias = NAME[str, Any]`, nested ones included: a signature may say it by these."""
    found = []
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(_is_plain(each, name) for each in ast.walk(value)):
            found.append(node.lineno)
    return found


def _of_annotation(annotation: ast.expr) -> Iterator[ast.AST]:
    for node in ast.walk(annotation):
        yield node
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                yield from ast.walk(ast.parse(node.value, mode="eval"))
            except SyntaxError:  # a string in Literal[...] or Annotated[...]
                continue


def _is_plain(node: ast.AST, name: str) -> bool:
    """Tell whether a node is `NAME[str, Any]`."""
    if not isinstance(node, ast.Subscript) or _last(node.value) != name or not isinstance(node.slice, ast.Tuple):
        return False
    return [_last(each) for each in node.slice.elts] == ["str", "Any"]


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def literals(tree: ast.AST, text: str) -> list[int]:
    """Return the line of every string that equals `text`, but for docstrings and strings that stand alone."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == text and id(node) not in alone
    ]


def calls_of_settings_get(tree: ast.AST) -> list[int]:
    """Return the line of every call `….settings.get(…)`."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "settings"
    ]


def type_checking(tree: ast.AST) -> list[int]:
    """Return the line of every `if TYPE_CHECKING`."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and any(_last(each) == "TYPE_CHECKING" for each in ast.walk(node.test))
    ]


def named(tree: ast.AST, name: str) -> list[int]:
    """Return the line of every function of that name."""
    return [function.lineno for function in functions(tree) if function.name == name]


def body_lines(function: Function) -> int:
    """Return the lines of a function below its signature and docstring, up to its last statement."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    if not body:
        return 0
    end = body[-1].end_lineno or body[-1].lineno
    return end - body[0].lineno + 1


def percentile(values: Sequence[int], share: float) -> int:
    """Return the smallest value that `share` of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0


# --- Imports between files ----------------------------------------------------------------------


def imports(sources: Sequence[Source]) -> dict[str, set[str]]:
    """Return, by module, the modules of the same package that it imports, anywhere in the file."""
    known = {source.module for source in sources}
    return {source.module: set(_imported(source, known)) - {source.module} for source in sources}


def _imported(source: Source, known: set[str]) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in wanted:
            if name in known:
                yield name
            elif (parent := name.rpartition(".")[0]) in known:  # a name that a module has
                yield parent


def depth(arrows: Mapping[str, set[str]]) -> int:
    """Return how many modules the longest chain of imports has, where those of a cycle count as one."""
    cycle_of = _cycles(arrows)
    below: dict[int, set[int]] = defaultdict(set)
    for module, imported in arrows.items():
        below[cycle_of[module]] |= {cycle_of[each] for each in imported} - {cycle_of[module]}
    longest: dict[int, int] = {}
    for cycle in sorted(set(cycle_of.values())):  # what is imported comes first
        longest[cycle] = 1 + max((longest[each] for each in below[cycle]), default=0)
    return max(longest.values(), default=0)


def _cycles(arrows: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the number of each module's strongly connected component, what it imports having lower ones (Tarjan)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    component: dict[str, int] = {}

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for each in sorted(arrows.get(module, ())):
            if each not in number:
                visit(each)
                low[module] = min(low[module], low[each])
            elif each not in component:
                low[module] = min(low[module], number[each])
        if low[module] == number[module]:
            mine = len(set(component.values()))
            while module not in component:
                component[stack.pop()] = mine

    for module in sorted(arrows):
        if module not in number:
            visit(module)
    return component


def small_with_one_importer(sources: Sequence[Source], arrows: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of fewer than `SMALL` lines that one other alone imports; packages are none of them."""
    importers: dict[str, list[str]] = defaultdict(list)
    for module, imported in arrows.items():
        for each in imported:
            importers[each].append(module)
    return [
        f"{source.module} ({source.lines}), by {importers[source.module][0]}"
        for source in sources
        if source.lines < SMALL and not source.is_package and len(importers[source.module]) == 1
    ]


# --- All together -------------------------------------------------------------------------------


def look_at(sources: Sequence[Source], tests: Sequence[Source]) -> House:
    """Return the figures of a package and of its tests."""

    def places(count: Mapping[str, Sequence[int]]) -> list[str]:
        return [f"{module}:{line}" for module, lines in count.items() for line in lines]

    details = {
        "dict[str, Any] in signatures": places({s.module: mappings_in_signatures(s.tree, "dict") for s in sources}),
        "Mapping[str, Any] in signatures": places(
            {s.module: mappings_in_signatures(s.tree, "Mapping") for s in sources}
        ),
        "aliases of dict[str, Any]": places({s.module: aliases(s.tree, "dict") for s in sources}),
        'literal "complete"': places({s.module: literals(s.tree, COMPLETE) for s in sources if s.room != RECORD}),
        ".settings.get(": places({s.module: calls_of_settings_get(s.tree) for s in sources}),
        "if TYPE_CHECKING": places({s.module: type_checking(s.tree) for s in sources}),
        "functions named prepare": places({s.module: named(s.tree, "prepare") for s in sources}),
    }
    arrows = imports(sources)
    details["small files with one importer"] = small_with_one_importer(sources, arrows)
    longest = max(sources, key=lambda source: source.lines)
    details["lines of the longest file"] = [longest.module]
    bodies = [body_lines(function) for source in sources for function in functions(source.tree)]
    rooms = [source.module for source in sources if source.is_package and "." in source.module]
    figures: dict[str, float] = {
        "lines": sum(source.lines for source in sources),
        "files": len(sources),
        "files at the top level": sum(not source.room for source in sources),
        "files in search": sum(source.room == "search" for source in sources),
        "files in jobs": sum(source.room == "jobs" for source in sources),
        **{name: len(found) for name, found in details.items()},
        "lines of a file, median": median(source.lines for source in sources),
        "lines of the longest file": longest.lines,
        "lines of a function's body, median": median(bodies) if bodies else 0,
        "lines of a function's body, 90 % below": percentile(bodies, 0.9),
        "rooms": len(rooms),
        "depth of imports": depth(arrows),
        "arrows of imports": sum(map(len, arrows.values())),
        "lines of tests": sum(source.lines for source in tests),
        "files of tests": len(tests),
    }
    details["rooms"] = rooms
    return House(figures=figures, details=details)


def _print(house: House, verbose: bool) -> None:
    console = Console()
    table = Table("figure", "now", "cap", "", "why", title="The house")
    for column in (1, 2):
        table.columns[column].justify = "right"
    over = house.over()
    for name, value in house.figures.items():
        cap = CAPS.get(name)
        said = "" if cap is None else "over" if name in over else "ok"
        shown = name.replace("[", r"\[")
        table.add_row(shown, f"{value:,}", f"{cap.most:,}" if cap else "", said, cap.reason if cap else "")
    console.print(table)
    if verbose:
        for name, found in house.details.items():
            console.print(f"\n{name}: {len(found)}", markup=False, highlight=False)
            for each in found:
                console.print(f"  {each}", markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 where `--check` finds one over its cap."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="end with 1 where a figure is over its cap")
    parser.add_argument("--verbose", action="store_true", help="list what is behind the counts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    house = look_at(read_sources(ROOT / PACKAGE), read_sources(ROOT / TESTS))
    if options.json:
        print(json.dumps(dict(house.figures), indent=2))
    else:
        _print(house, options.verbose)
    return int(options.check and bool(house.over()))


if __name__ == "__main__":
    sys.exit(main())
