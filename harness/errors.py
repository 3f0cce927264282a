"""Errors that are the user's to mend: one clear sentence, exit code 2, no traceback. And those of too little memory."""

from __future__ import annotations


class UserError(Exception):
    """Something given from outside is wrong; the message says what, where and what would be right."""


_TOO_LITTLE = ("out of memory", "can't allocate", "cannot allocate memory", "bad_alloc")
"""What torch, CUDA, the operating system and C++ call it."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was too little memory; torch has a RuntimeError for it."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _TOO_LITTLE)
