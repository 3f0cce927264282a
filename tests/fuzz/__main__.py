"""All of it: `nox -s fuzz`, or `python -m tests.fuzz`; prints one table, and fails where there is a defect."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests import conftest  # noqa: F401 - nothing in the home folder, and no network

CASES = 20_000


def main() -> int:
    """Run and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=int(os.environ.get("CLO_NAS_FUZZ", CASES)), help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", help="only this; repeatable")
    asked = parser.parse_args()

    from tests.fuzz.run import KINDS, describe, fuzz, table

    shares = sum(fuzzed.share for fuzzed in KINDS.values())
    began = time.perf_counter()
    tallies = []
    for kind, fuzzed in KINDS.items():
        if not asked.kind or kind in asked.kind:
            tallies.append(fuzz(kind, -(-asked.cases * fuzzed.share // shares), asked.seed))
            print(f"{kind}: {tallies[-1].cases} cases", file=sys.stderr, flush=True)
            print(describe(tallies[-1]), end="\n" if tallies[-1].defects else "", flush=True)
    print(table(tallies, time.perf_counter() - began))
    return int(any(tally.defects for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
