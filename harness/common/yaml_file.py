"""YAML from anybody: read as plain data, within bounds, or refused in one sentence.

PyYAML's safe loader makes no objects, but what it is given can still hurt [1]: a few lines of aliases stand for more
values than memory holds as soon as somebody walks over them, a number or a date that is none raises what is no
`YAMLError`, and a thousand brackets exhaust Python's stack.

References:
    1. "Billion laughs attack", https://en.wikipedia.org/wiki/Billion_laughs_attack
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.common.errors import UserError

MOST_BYTES = 8_000_000
# With every alias replaced by what it stands for; the largest data sets' class names are a quarter of it.
MOST_VALUES = 200_000
MOST_LEVELS = 40
MOST_DIGITS = 60
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = "tag:yaml.org,2002:int"


class Document(NamedTuple):
    """What a file says, and where.

    Attributes:
        data: As plain Python: mappings, lists, texts, numbers, dates, None.
        tree: PyYAML's nodes, which know their lines; None where the file is empty.
    """

    data: Any
    tree: yaml.Node | None


def read_yaml(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        UserError: It is not UTF-8, no YAML, needs Python objects, or is beyond the bounds of this module.
        OSError: It cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path}: not readable as YAML: more than {MOST_BYTES // 1_000_000} MB")
    try:
        return parse_yaml(path.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error


def line_of(node: Any, path: tuple[Any, ...]) -> int:
    """Return the line of the YAML node that a path of keys and numbers points at, or of its nearest existing parent."""
    line = node.start_mark.line if node is not None else 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if match is None:
                break
            line, node = match[0].start_mark.line, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


_KINDS = (
    ({"placements", "base"}, "an architecture file"),
    ({"backbone", "head"}, "a model YAML"),
    ({"placement", "sites"}, "a search space"),
    ({"train", "val"}, "the YAML of a data set, which --data takes"),
    ({"names", "path"}, "the YAML of a data set, which --data takes"),
    ({"cohort", "long"}, "a fidelity plan"),
    ({"models"}, "an ablation"),
)


def kind_of(data: Any) -> str:
    """Say what a YAML is of those that people give here, by its keys, for a message."""
    if not isinstance(data, dict):
        return "no mapping of keys to values"
    found = [kind for keys, kind in _KINDS if keys <= set(data)]
    return found[0] if found else f"a YAML with the keys {', '.join(map(str, list(data)[:6]))}"


def parse_yaml(text: str) -> Document:
    """Read the document in a text.

    Raises:
        ValueError: It is none, or beyond the bounds; the message says why.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 1_000_000} MB")
    try:
        _check_levels(text)
        loader = _LOADER(text)
        try:
            tree = loader.get_single_node()
            if tree is None:
                return Document(None, None)
            _check_size(tree)
            return Document(loader.construct_document(tree), tree)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except _UNCONVERTED as error:
        raise ValueError(f"a value does not fit its tag or form ({error})") from error


# What PyYAML's conversions raise where a text is no number, date or truth value; the others are ValueErrors.
_UNCONVERTED = (TypeError, LookupError, AttributeError, ArithmeticError)


def _check_levels(text: str) -> None:
    """Refuse too deep a nesting, found without recursion, which is what must not run out."""
    level = 0
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise ValueError(f"line {event.start_mark.line + 1} is nested more than {MOST_LEVELS} deep")


def _check_size(tree: yaml.Node) -> None:
    values = _size(tree, {}, set())
    if values > MOST_VALUES:
        raise ValueError(f"it stands for more than {MOST_VALUES:,} values, its aliases replaced by what they name")


def _size(node: Any, known: dict[int, int], inside: set[int]) -> int:
    """Count the values that a node stands for."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _INTEGER and len(node.value) > MOST_DIGITS:
            raise ValueError(f"line {node.start_mark.line + 1} has a number of {len(node.value)} digits")
        return 1
    if id(node) in known:
        return known[id(node)]
    if id(node) in inside:
        raise ValueError(f"line {node.start_mark.line + 1} refers to itself")
    inside.add(id(node))
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    known[id(node)] = 1 + sum(_size(part, known, inside) for part in parts)
    inside.discard(id(node))
    return known[id(node)]
