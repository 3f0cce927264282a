"""Errors that are the user's to mend: one clear sentence, exit code 2, no traceback. And those of too little memory."""

from __future__ import annotations

import re

MOST_LETTERS = 2_000


class UserError(Exception):
    """Something given from outside is wrong; the message says what, where and what would be right.

    It is one line, however the values in it were written: what is no printable character is shown as its escape,
    because in a terminal it would be a command, and of a message that quotes a whole file the middle is left out.
    """

    def __init__(self, message: str) -> None:
        line = "".join(c if c.isprintable() else _escaped(c) for c in message)
        if len(line) > MOST_LETTERS:
            line = f"{line[: MOST_LETTERS // 2]} … {line[-MOST_LETTERS // 2 :]}"
        super().__init__(line)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


_TOO_LITTLE = re.compile(
    r"out of memory|can't allocate|cannot allocate memory|bad_alloc|failed to map segment"
    r"|could not create a primitive$",
    re.IGNORECASE,
)
"""What torch, CUDA, the operating system, C++, its loader of libraries and oneDNN call it."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was too little memory; torch has a RuntimeError for it."""
    return isinstance(error, MemoryError) or _TOO_LITTLE.search(str(error)) is not None
