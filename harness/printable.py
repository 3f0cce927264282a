"""Untrusted text, fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text without control characters: in a terminal they are commands, and XML has no place for them."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
