"""Errors that are the user's to mend: one clear sentence, exit code 2, no traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something given from outside is wrong; the message says what, where and what would be right."""
