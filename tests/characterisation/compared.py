"""How what is found is held against what is stored: numbers by a tolerance, all else exactly, prose not at all."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.characterisation.places import EXPECTED

RELATIVE, ABSOLUTE = 1e-6, 1e-12
"""Tolerance of numbers with a fraction: another processor's last digits may differ."""
PROSE = frozenset({"answer", "sentence", "gain_basis", "text", "note", "why", "command", "plan", "title"})
"""Keys and columns whose values are sentences: their names are compared, their values are not."""
_WHOLE = re.compile(r"-?[0-9]+")
_FRACTION = re.compile(r"-?[0-9]+\.[0-9]*(e[+-]?[0-9]+)?|-?[0-9]+e[+-][0-9]+|-?inf|nan")


def without_prose(value: Any) -> Any:
    """Return plain data in which each sentence is replaced by a mark."""
    if isinstance(value, Mapping):
        return {key: "…" if key in PROSE else without_prose(each) for key, each in value.items()}
    return [without_prose(each) for each in value] if isinstance(value, list) else value


def table(path: Path) -> dict[str, Any]:
    """Return a CSV as its columns and rows."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return {
        "columns": columns,
        "rows": [["…" if name in PROSE else _cell(text) for name, text in zip(columns, row, strict=True)]
                 for row in rows],
    }  # fmt: skip


def _cell(text: str) -> int | float | str:
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Return a line for each place in which plain data differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = [f"{where}/{key}: is missing" for key in expected.keys() - found.keys()]
        lines += [f"{where}/{key}: is new" for key in found.keys() - expected.keys()]
        both = [key for key in expected if key in found]
        return lines + [line for key in both for line in differences(expected[key], found[key], f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(found, list):
        lines = [] if len(expected) == len(found) else [f"{where}: {len(found)} entries, expected {len(expected)}"]
        pairs = enumerate(zip(expected, found, strict=False))
        return lines + [line for at, pair in pairs for line in differences(*pair, f"{where}[{at}]")]
    if type(expected) is type(found) and (expected == found or _are_close(expected, found)):
        return []
    return [f"{where}: {found!r}, expected {expected!r}"]


def _are_close(expected: Any, found: Any) -> bool:
    if not isinstance(expected, float):
        return False
    return math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (
        math.isnan(expected) and math.isnan(found)
    )


def stored(part: str, name: str) -> Any:
    """Return what is expected."""
    return json.loads((EXPECTED / part / f"{name}.json").read_text(encoding="utf-8"))


def store(part: str, name: str, found: Any) -> None:
    """Accept what is found."""
    (EXPECTED / part).mkdir(parents=True, exist_ok=True)
    (EXPECTED / part / f"{name}.json").write_text(_pretty(found) + "\n", encoding="utf-8")


def check(part: str, name: str, found: Any) -> None:
    """Hold what is found against what is stored."""
    lines = differences(stored(part, name), json.loads(json.dumps(found)))
    assert not lines, "\n".join([f"{part}/{name}: {len(lines)} differences", *lines[:20]])


def _pretty(value: Any, margin: str = "") -> str:
    """JSON with an entry a line, and lists of plain values on one line."""
    inner = margin + " "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json.dumps(str(key))}: {_pretty(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(each, list | Mapping) for each in value):
        return "[\n" + ",\n".join(inner + _pretty(each, inner) for each in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False)
