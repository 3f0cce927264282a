"""Where stored studies and expectations lie."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
STUDIES, EXPECTED, DATA = HERE / "studies", HERE / "expected", HERE / "data"
REFERENCE = HERE.parents[1] / "results" / "reference"


def bring_data(folder: Path) -> None:
    """Put the data set that stored studies were made on into a folder."""
    shutil.copytree(DATA, folder / "data", dirs_exist_ok=True)


def bring_study(name: str, results: Path) -> Path:
    """Put a stored study into a folder of results."""
    return Path(shutil.copytree(STUDIES / name, results / name))
