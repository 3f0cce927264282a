"""What `clo report` makes of stored studies: its closing object, its tables and its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.characterisation import door
from tests.characterisation.compared import table, without_prose
from tests.characterisation.places import REFERENCE, bring_study

RECORDS = ("study.json", "environment.json")


def contents(folder: Path) -> dict[str, Any]:
    """Return the names of all files of a report, and the content of its tables and records."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    made = [name for name in files if not name.startswith((".", "study.db", "weights/"))]
    tables = {name: table(folder / name) for name in made if name.endswith(".csv")}
    records = {name: without_prose(json.loads((folder / name).read_text(encoding="utf-8")))
               for name in RECORDS if name in made}  # fmt: skip
    parquet = {name: types(folder / name) for name in made if name == "trials.parquet"}
    return {"files": made, **tables, **records, **parquet}


def types(path: Path) -> dict[str, Any]:
    """Return the columns of a Parquet file with their types, and what its metadata is called."""
    schema = pq.read_table(path).schema
    metadata = schema.metadata or {}
    return {
        "columns": {field.name: str(field.type) for field in schema},
        "metadata": sorted(key.decode() for key in metadata if key != b"pandas"),
        "schema_version": metadata.get(b"schema_version", b"").decode(),
    }


@cache
def of_name(name: str) -> dict[str, Any]:
    """Report a stored study by its name; once, whoever asks."""
    bring_study(name, Path("results"))
    said = door.clo_without_pictures("report", name, "--json").json
    return {"closing": without_prose(said), **contents(Path("results") / name)}


def _of_folder(source: Path, *, writes: bool) -> dict[str, Any]:
    """Report a folder that has no storage, into another one."""
    where = ("--out", "out") if writes else ("--terminal",)
    said = door.clo_without_pictures("report", str(source), *where, "--json").json
    closing = without_prose(said) | {"folder": "", **({"report": "out/report.html"} if "report" in said else {})}
    return {"closing": closing, **(contents(Path("out")) if writes else {})}


def _of_two_devices() -> dict[str, Any]:
    names = ("two", "two@example-gpu")
    for name in names:
        bring_study(name, Path("results"))
    said = door.clo_without_pictures("report", "two", "--json").json
    return {"closing": without_prose(said), **{name: contents(Path("results") / name) for name in names},
            "together": contents(Path(said["folder"]))}  # fmt: skip


def _of_several() -> dict[str, Any]:
    """A search and an ablation that is not of its architectures, side by side."""
    for name in ("older", "ablation"):
        bring_study(name, Path("results"))
    said = door.clo_without_pictures("report", "older", "ablation", "--out", "out", "--json").json
    return {"closing": without_prose(said), "files": contents(Path("out"))["files"]}


def _of_tables() -> dict[str, Any]:
    bring_study("tables", Path("results"))
    return _of_folder(Path("results/tables"), writes=True)


_NAMES = ("search", "killed", "ladder", "killed-ladder", "ablation", "older")
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    **{name: partial(of_name, name) for name in _NAMES},
    "two-devices": _of_two_devices,
    "several": _of_several,
    "tables": _of_tables,
    "reference-search": partial(_of_folder, REFERENCE / "default", writes=True),
    "reference-ablation": partial(_of_folder, REFERENCE / "reproduce" / "from-the-base", writes=True),
    "reference-reproduction": partial(_of_folder, REFERENCE / "reproduce", writes=True),
    "reference-fidelity": partial(_of_folder, REFERENCE / "fidelity" / "default", writes=True),
}
"""Case to what yields it, in an empty working folder."""
