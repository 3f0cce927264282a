"""Files that travel with the program: found in a clone and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def search_space_folder() -> Path:
    """Return the folder of the search spaces that ship with clo-nas.

    They lie at the top of the repository, where someone who has never seen the code finds them; the
    wheel carries a copy inside the package (`force-include` in pyproject.toml).

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in (_PACKAGE / "_search_spaces", _PACKAGE.parent / "search_spaces"):
        if any(folder.glob("*.yaml")):
            return folder
    raise FileNotFoundError(f"no search spaces in or beside {_PACKAGE}: the installation is incomplete")


def reference_folder() -> Path:
    """Return the folder of the reference results that ship with clo-nas; it need not exist."""
    packed = _PACKAGE / "_reference"
    return packed if packed.is_dir() else _PACKAGE.parent / "results" / "reference"
