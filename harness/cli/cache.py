"""The command `clo cache`: what is kept between runs, and how to be rid of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from harness.cli.options import Json
from harness.cli.printing import print_json, print_table
from harness.common import cache as kept
from harness.common.isolation import cache_folder


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove it all; what is needed again is made again.")] = False,
    as_json: Json = False,
) -> None:
    """List what is kept between runs (pretrained baselines, data sets, tables of latencies), or clear it."""
    found = kept.clear() if clear else kept.entries()
    total = sum(entry.bytes for entry in found)
    if as_json:
        listed = [
            {"kind": each.kind, "path": str(each.path), "bytes": each.bytes, "used": _when(each.used, "seconds")}
            for each in found
        ]
        print_json({
            "folder": str(cache_folder()), "cleared": clear, "bytes": total, "limit_bytes": kept.LIMIT_BYTES,
            "entries": listed,
        })  # fmt: skip
        return
    if clear:
        print(f"{cache_folder()}: {_size(total)} removed")
        return
    rows = [[each.kind, each.path.name, _size(each.bytes), _when(each.used, "minutes")] for each in found]
    print_table(["what", "name", "size", "last used (UTC)"], rows)
    print(
        f"{cache_folder()}: {_size(total)}. Of pretrained baselines the latest {_size(kept.LIMIT_BYTES)} are kept; "
        "`clo cache --clear` removes everything."
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _when(seconds: float, precision: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(" ", precision)
