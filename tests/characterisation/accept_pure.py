"""Write what the code does now as what it has to do: `python -m tests.characterisation.accept_pure`.

For a change that is meant, and read in `git diff` before it is committed. Names of parts accept these alone:

    python -m tests.characterisation.accept_pure identities models

Searches are first repeated on numbers with an error of 1e-9 to 1e-6, as other processors make them; a sequence of
proposals that these change is not accepted, and has to be shorter (`SIMULATED` and `SPACE_PROPOSALS` in `pure_cases`).

Checkpoints are files of users, written by the version of their time, and stay as they are: what is accepted is what
they do. `--write-checkpoints` writes them anew, which is right only where one is added.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests import conftest as _environment  # noqa: F401 - the environment of the tests, before anything is imported
from tests.characterisation import pure_figures as now
from tests.characterisation.pure_cases import SEEDS, SIMULATED, SPACE_PROPOSALS, SPACE_SEEDS, STORED

JIGGLES = (1e-9, 3e-9, 1e-8, 1e-7, 1e-6)


def _simulate() -> None:
    found = now.all_simulations()
    for jiggle in JIGGLES:
        for workers in SIMULATED:
            for seed in SEEDS:
                _same(found["proposals"][str(workers)][str(seed)], now.simulated(workers, seed, jiggle), workers, seed)
        for space in SPACE_PROPOSALS:
            for seed in SPACE_SEEDS:
                _same(found["space"][space][str(seed)], now.in_space(space, seed, jiggle), space, seed)
    _write("simulate", found)


def _same(accepted: list[str], repeated: list[str], *what: object) -> None:
    if accepted != repeated:
        first = next(at for at, pair in enumerate(zip(accepted, repeated, strict=True)) if pair[0] != pair[1])
        raise SystemExit(f"{what}: proposal {first} follows from the last digits of numbers; ask for {first} at most")


def _models() -> None:
    folder = now.EXPECTED / "models"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in now.models():
            (folder / f"{name}.yaml").write_text(now.written_model(name, Path(temporary)), encoding="utf-8")


def _costs() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        _write("costs", now.all_costs(Path(temporary)))


def _write(name: str, found: Mapping[str, Any]) -> None:
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (now.EXPECTED / f"{name}.json").write_text(text + "\n", encoding="utf-8")


PARTS: Mapping[str, Callable[[], None]] = {
    "simulate": _simulate,
    "identities": lambda: _write("identities", now.all_identities()),
    "models": _models,
    "costs": _costs,
    "golden": lambda: _write("golden", now.all_outputs()),
    "checkpoint": lambda: _write("checkpoint", now.all_checkpoints()),
}


def main() -> None:
    """Accept the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--write-checkpoints", action="store_true", help="write the stored checkpoints anew")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(PARTS)}")
    if options.write_checkpoints:
        for name in STORED:
            now.write_checkpoint(name)
    now.EXPECTED.mkdir(exist_ok=True)
    for part in options.parts or PARTS:
        PARTS[part]()
        print(f"accepted {part}")


if __name__ == "__main__":
    main()
