"""What the command line prints: one JSON object for scripts, plain tables for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.measure.ledger import Ledger


def print_json(data: Any) -> None:
    """Print an object or a list, and nothing else."""
    print(json.dumps(data, indent=2))


def print_table(header: list[str], rows: list[list[Any]]) -> None:
    """Print a table without a frame."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def print_ledger(title: str, ledger: Ledger, fused: Ledger | None) -> None:
    """Print what a model costs: by layer, by operator, and in total as trained and as deployed."""
    print_table(
        ["layer", "class", "parameters", "MACs, M", "FLOPs, M", "elementwise, M", "output"], _layer_rows(ledger)
    )
    counted = ledger.cost
    share = {name: f"{macs / max(1, counted.macs):.1%}" for name, macs in counted.by_operator.items()}
    print_table(
        ["operator", "MACs", "FLOPs", "share"],
        [[name, f"{macs:,}", f"{2 * macs:,}", share[name]] for name, macs in counted.by_operator.items()],
    )
    print_table(["operator", "elementwise operations"], [[n, f"{k:,}"] for n, k in counted.elementwise.items()])
    print("not counted:", *ledger.not_counted, sep="\n  ")
    for form, each in (("as trained, unfused", ledger), ("as deployed, fused", fused)):
        if each:
            total = each.cost
            print(
                f"{title}, {form}: {total.params:,} parameters, {total.macs:,} MACs, "
                f"{total.flops:,} FLOPs, {sum(total.elementwise.values()):,} elementwise operations, "
                f"{each.peak_activation_bytes:,} bytes of activations at the peak"
            )


def counts(values: list[int]) -> str:
    """`[64, 64]` as `2 × 64`."""
    return ", ".join(f"{values.count(value)} × {value}" for value in sorted(set(values))) or "-"


def _layer_rows(ledger: Any) -> list[list[str]]:
    """The table by layer in millions; of several outputs the first."""
    rows = []
    for layer in ledger.layers:
        millions = [f"{count / 1e6:.3f}" for count in (layer.macs, layer.flops, layer.elementwise)]
        shapes = ["×".join(map(str, shape)) for shape in layer.outputs]
        output = shapes[0] + (" …" if len(shapes) > 1 else "") if shapes else ""
        rows.append([layer.name, layer.kind, f"{layer.params:,}", *millions, output])
    return rows
