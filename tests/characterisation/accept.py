"""Accepts what the program says now as what is expected: `python -m tests.characterisation.accept [PART[/NAME] ...]`.

Run it only where a record is meant to change, and read the diff of `tests/characterisation/expected`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from tests.characterisation import make_studies, names, reports, resumed, structures
from tests.characterisation.compared import store

PARTS: dict[str, Mapping[str, Callable[[], Any]]] = {
    "reports": reports.CASES,
    "resumed": resumed.EXPECTED,
    "structures": structures.CASES,
    ".": names.CASES,
}


def main() -> None:
    """Accept all, or the parts and cases that were named."""
    wanted = sys.argv[1:] or list(PARTS)
    for part, cases in PARTS.items():
        for name, find in cases.items():
            if part in wanted or f"{part}/{name}" in wanted:
                with make_studies.working_folder():
                    store(part, name, find())
                print(f"{part}/{name}", flush=True)


if __name__ == "__main__":
    main()
