"""Public names: what users type, import, and read as columns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from harness import blocks
from tests.characterisation import door
from tests.characterisation.compared import table
from tests.characterisation.places import REFERENCE
from tests.characterisation.reports import of_name, types


def options() -> dict[str, Any]:
    """Return each command's options and arguments: their spellings and whether they take a value."""
    return {name: sorted(_said(each) for each in command.params) for name, command in door.commands().items()}


def _said(parameter: Any) -> str:
    if getattr(parameter, "opts", ["-"])[0].startswith("-"):
        kind = "flag" if parameter.is_flag else "repeatable" if parameter.multiple else "value"
        return f"{', '.join([*parameter.opts, *parameter.secondary_opts])}: {kind}"
    how = "required" if parameter.required else "optional"
    return f"{parameter.name}: {how} argument{' ...' if parameter.nargs != 1 else ''}"


def with_json() -> set[str]:
    """Return the commands that take `--json`."""
    return {name for name, command in door.commands().items() if any("--json" in each.opts for each in command.params)}


def columns() -> dict[str, Any]:
    """Return the columns of each table that reports of stored studies write, and the types of the Parquet files."""
    found: dict[str, Any] = {}
    for name, kind in (("killed", "search"), ("ablation", "ablation")):
        reported = of_name(name)
        found |= {f"{file} of {kind}": reported[file]["columns"] for file in reported if file.endswith(".csv")}
        found[f"trials.parquet of {kind}"] = reported["trials.parquet"]
    for name in ("trainings.csv", "fidelity.csv"):
        found[f"{name} of fidelity"] = table(REFERENCE / "fidelity" / "default" / name)["columns"]
    found["latency.parquet"] = types(REFERENCE / "default" / "latency" / "baseline.parquet")
    return found


def imports() -> dict[str, Any]:
    """Return what `from harness.blocks import …` gives, and the parameters of what the analysis is asked by."""
    given = {name: type(getattr(blocks, name)).__name__ for name in sorted(blocks.__all__)}
    called = {name: list(inspect.signature(each).parameters) for name, each in door.public_functions().items()}
    return {"harness.blocks": given, **called}


def _public_names() -> dict[str, Any]:
    return {
        "options": options(),
        "columns": columns(),
        "yaml keys": door.yaml_keys(),
        "architecture file": door.architecture_keys(),
        "imports": imports(),
    }


CASES: dict[str, Callable[[], Any]] = {"public_names": _public_names}
