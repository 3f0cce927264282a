"""Size and cost of a space on the terminal."""

from __future__ import annotations

from typing import Any


def space_line(summary: dict[str, Any]) -> str:
    """Size and cost of a space in one line."""
    macs = " … ".join(f"{summary[f'macs_{q}'] / 1e6:.1f}" for q in ("min", "median", "max"))
    params = " … ".join(f"{summary[f'params_{q}'] / 1e6:.2f}" for q in ("min", "median", "max"))
    return (
        f"space {summary['name']}: {summary['size']:,} candidates{_within(summary)}; "
        f"MACs {macs} M (base {summary['macs_base'] / 1e6:.1f}); "
        f"parameters {params} M (base {summary['params_base'] / 1e6:.2f})  [min … median … max]"
    )


def _within(summary: dict[str, Any]) -> str:
    """How many candidates are within the bounds on cost, if there are any."""
    if "feasible_share" not in summary:
        return ""
    counted, share = summary["feasible"], summary["feasible_share"]
    many = f"{counted:,}" if counted is not None else f"about {100 * share:.2g} %" if share else "hardly any"
    return f", {many} within the bounds"
