"""Files that a person names to be written: one of ours is replaced, nobody else's is.

What clo-nas writes there carries a mark, so that the same command can be typed again.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from pathlib import Path

from harness.common.errors import UserError
from harness.record.data_dictionary import FILES

# The mark: in a comment, in the metadata of a picture or a table, or beside the weights of a checkpoint.
MADE_BY = "made by clo-nas"


def refuse_others(option: str, path: Path, suffixes: Iterable[str], what: str) -> None:
    """Refuse to write over what clo-nas has not written.

    Args:
        option: That named the file, such as `--out`.
        path: The file.
        suffixes: That such a file may have, with their dots.
        what: Such a file is, with its article.

    Raises:
        UserError: There is something else, or the name is that of another kind of file.
    """
    suffixes = tuple(suffixes)
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: {what} is written there; end its name in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder; name a file")
    if path.exists() and not _is_ours(path):
        raise UserError(f"{option} {path}: exists, and clo-nas did not write it; name another file")


def refuse_foreign_folder(folder: Path, names: Iterable[str], is_ours: bool, option: str) -> None:
    """Refuse to write into a folder that holds files of these names, unless clo-nas wrote them.

    Args:
        folder: Where to.
        names: Of the files that would be replaced.
        is_ours: Whether the folder is known to be one of clo-nas.
        option: What chooses another folder.

    Raises:
        UserError: It holds one, and is not ours.
    """
    found = [] if is_ours else [name for name in names if (folder / name).exists()]
    if found:
        raise UserError(f"{folder}: holds {found[0]}, which clo-nas did not write; choose another folder with {option}")


def refuse_foreign_study(folder: Path) -> None:
    """Refuse to write a study into a folder that holds somebody else's files of the same names.

    Raises:
        UserError: It does.
    """
    # what a search writes before its first report is no sign: on a database server there is nothing else to know it by
    names = (file.name for file in FILES if "/" not in file.name and file.name != "trainings.log")
    refuse_foreign_folder(folder, names, (folder / "study.db").is_file() or _describes_a_study(folder), "--results")


def _describes_a_study(folder: Path) -> bool:
    """Tell whether there is an environment.json as we write it; with a database server it is all that marks a study."""
    try:
        about = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and {"study", "settings"} <= about.keys()


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(MADE_BY.encode()) >= 0
