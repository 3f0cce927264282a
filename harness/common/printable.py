"""Untrusted text, fit to be shown."""

from __future__ import annotations

import shlex


def printable(text: str) -> str:
    """Replace control characters: in a terminal they are commands, and XML has no place for them."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def quoted(word: str) -> str:
    """Quote a word for a shell; a `~/` before a path stays what it is, the home folder."""
    home = "~" if word == "~" else "~/" if word.startswith("~/") else ""
    return home + (shlex.quote(rest) if (rest := word[len(home) :]) or not home else "")
