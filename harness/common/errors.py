"""Errors that are the user's to fix: one clear sentence, exit code 2, no traceback. And those of too little memory.

What pydantic finds wrong in a file is said in the words of whoever wrote the file, once, and never of the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

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


# What torch, CUDA, the operating system, C++, its loader of libraries and oneDNN call it.
_TOO_LITTLE = re.compile(
    r"out of memory|can't allocate|cannot allocate memory|bad_alloc|failed to map segment"
    r"|could not create a primitive$",
    re.IGNORECASE,
)


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that there was too little memory; torch has a RuntimeError for it."""
    return isinstance(error, MemoryError) or _TOO_LITTLE.search(str(error)) is not None


# Characters of a value that is quoted; of a longer one its kind is named.
_MOST_SHOWN = 60
# Type of an error to what would be right, with the names of its context.
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, [a, b]",
    "list_type": "a list, [a, b]",
    "dict_type": "a mapping, {{key: value}}",
    "model_type": "a mapping, {{key: value}}",
    "dataclass_type": "a mapping, {{key: value}}",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "a list of at least {min_length}",
    "string_pattern_mismatch": "a name of letters, digits and . _ -, a letter or digit first",
}


def each_once(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out faults of a whole list that follow from those of its entries."""
    places = [problem["loc"] for problem in problems]
    return [one for one in problems if not any(one["loc"] == place[: len(one["loc"])] != place for place in places)]


def sentence(problem: Mapping[str, Any]) -> str:
    """Say where a fault is, what is wrong, and what would be right.

    Args:
        problem: One of pydantic's `errors()`.
    """
    place = where(problem["loc"])
    return f"{place} is missing" if problem["type"] == "missing" else f"{place}: {_in_words(problem)}"


def _in_words(problem: Mapping[str, Any]) -> str:
    kind = problem["type"]
    if kind in _EXPECTED:
        right = _EXPECTED[kind].format(**problem.get("ctx", {}))
        return f"expected {right}, not {shown(problem['input'])}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    return said if kind == "value_error" else f"{said} (given: {shown(problem['input'])})"


def where(location: tuple[int | str, ...]) -> str:
    """Name a field's place in a file: its keys with dots between them, and which entry of a list."""
    text = ""
    for part in location:
        if isinstance(part, str) and "[" in part:
            continue  # pydantic's name for a type of several that there may be
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def shown(value: Any) -> str:
    """Show a value as a person writes it, if it is short."""
    if isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key}: {one}' for key, one in value.items())}}}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(map(str, value))}]"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    if len(text) <= _MOST_SHOWN:
        return text
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else "a long text"
