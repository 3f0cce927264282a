"""Errors that are the user's to mend: one clear sentence, exit code 2, no traceback. And those of too little memory."""

from __future__ import annotations

import re


class UserError(Exception):
    """Something given from outside is wrong; the message says what, where and what would be right."""


_TOO_LITTLE = re.compile(
    r"out of memory|can't allocate|cannot allocate memory|bad_alloc|failed to map segment"
    r"|could not create a primitive$",
    re.IGNORECASE,
)
"""What torch, CUDA, the operating system, C++, its loader of libraries and oneDNN call it."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was too little memory; torch has a RuntimeError for it."""
    return isinstance(error, MemoryError) or _TOO_LITTLE.search(str(error)) is not None
