"""Options that several commands have, and how their text is read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from harness.errors import UserError

Choice = TypeVar("Choice", bound=StrEnum)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (or list) and nothing else on standard output.")
]


def choice(option: str, choices: type[Choice], text: str) -> Choice:
    """The choice of that name.

    Raises:
        UserError: There is none.
    """
    try:
        return choices(text)
    except ValueError:
        raise UserError(f"{option} {text}: choose one of {', '.join(choices)}") from None
