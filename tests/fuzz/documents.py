"""Documents gone wrong, by grammar: a valid one whose keys and values are dropped, renamed, swapped or made hostile.

The text is written by hand, because no YAML library writes what no YAML library may be trusted with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

LAUGHS = "[" + ", ".join(
    ["&l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]", *(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))]
) + "]"  # fmt: skip
MERGES = "{" + ", ".join(
    ["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12))]
) + "}"  # fmt: skip

HOSTILE = (
    ".nan", ".inf", "-.inf", "1e400", "-1", "0", "1", "3", "2.5", "-0.0", "1e-320", "9" * 5000, "0x" + "f" * 5000,
    "-" + "9" * 30, "1_000", "0o17", "0b1", "1:30:30", "true", "no", "~", "''", "[]", "{}", "[[]]", "[{}]", "{a: 1}",
    "2024-01-01", "2024-99-99", "2024-01-01T99:99:99Z", "{2024-01-01: 1}", "{1: 2}", "{null: 1}", "{true: 1}",
    "{[1, 2]: 3}", "? {a: b}", "!!python/object/apply:os.system ['touch ran']", "!!python/name:os.system ''",
    "!!python/object/new:os._wrap_close [x]", "!!python/module:os ''", "!!binary '@@'", "!!binary aGk=", "!!int x",
    "!!float x", "!!bool x", "!!timestamp x", "!!null x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]",
    "!!str 1", "!!map []", "!!seq {}", "!unknown x", "!!", "&a [*a]", "&a {b: *a}", "*missing", "&a", "&x 1",
    "{<<: {a: 1}}", "{<<: 1}", "{<<: [1]}", LAUGHS, MERGES, "[" * 30 + "]" * 30, "[" * 3000, "{a: " * 3000,
    "[" * 3000 + "]" * 3000, '"\\x07"', '"\\0"', '"\\u202etxt.exe"', '"\\ud800"', '"\\U0010ffff"', "“quoted”", "naïve",
    "漢字", "'%s'", "'{}'", "'{0.__class__}'", "'../../../x'", "'/nowhere/at/all'", "'~'", "'$HOME'", "'a\\b'",
    "'nul\\0'", "'" + "x" * 20_000 + "'", "[" + ", ".join(["1"] * 3000) + "]",
    "[" + ", ".join(map(str, range(900))) + "]",
    "'no_such_file.py:thing'", "'no_such_file.py:'", "':'", "'a:b:c'", "'/dev/null'", "'/dev/zero'", "'-'", "'--help'",
    "|\n  text", ">-\n  text", "@", "`", "%TAG", "---", "...", "- -", "? :", "'", '"', "#", "\t", ", ,", "]", "}",
)  # fmt: skip
"""Values as YAML text, flow or scalar, and some that are no YAML at all."""


class Raw(str):
    """YAML text that is written as it is."""

    __slots__ = ()


def flow(value: Any) -> str:
    """A document on one line; JSON, but for what is raw, and for keys that stand twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return json.dumps(value)


def block(value: Any) -> str:
    """A document with a line for each key of the first level, as people write it."""
    return (
        "".join(f"{_key(key)}: {flow(each)}\n" for key, each in value.items())
        if isinstance(value, dict)
        else flow(value)
    )


def _key(key: Any) -> str:
    return str(key) if isinstance(key, Raw) else json.dumps(str(key).rstrip("\0"))


class _Twice(str):
    """A key that is another one in a dictionary, and the same in a file."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(("twice", str(self)))

    def __eq__(self, other: object) -> bool:
        return self is other


@st.composite
def mutated(draw: st.DrawFn, valid: Any, words: tuple[str, ...] = ()) -> Any:
    """A valid document after a few mutations; none leaves it valid.

    Args:
        draw: Hypothesis'.
        valid: Plain data; stays as it is.
        words: Of the grammar, such as the choices of an option, which stand where they do not belong, too.
    """
    document = json.loads(json.dumps(valid))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 1, 2, 2, 3, 5)))):
        places = [((), None), *_places(document)]
        path, parent = draw(st.sampled_from(places))
        if parent is None:
            if draw(st.integers(0, 4)) == 4:
                document = draw(_hostile(words))
            continue
        _mutate(draw, parent, path[-1], document, words)
    return document


def _hostile(words: tuple[str, ...]) -> st.SearchStrategy[Any]:
    texts = st.sampled_from(HOSTILE).map(Raw)
    anything = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(width=32).map(lambda x: Raw(str(x))), st.text(max_size=12)
    )
    mild = st.one_of(st.integers(0, 12), st.sampled_from((0.5, 1.0, 3.5, True, False)))
    word = st.sampled_from(words) if words else st.just("x")
    return st.one_of(texts, texts, anything, mild, word, st.lists(st.one_of(mild, word), max_size=4))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Every value below the first, with what holds it."""
    found: list[tuple[tuple[Any, ...], Any]] = []
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in parts:
        found.append(((*path, key), value))
        found += _places(each, (*path, key))
    return found


def _mutate(draw: st.DrawFn, parent: Any, key: Any, document: Any, words: tuple[str, ...]) -> None:
    value = parent[key]
    how = draw(st.sampled_from(("hostile", "hostile", "drop", "rename", "twice", "wrap", "swap", "many", "unwrap")))
    if how == "drop":
        del parent[key]
    elif how == "rename" and isinstance(parent, dict):
        del parent[key]
        parent[
            draw(st.one_of(_hostile(words), st.just(f"{key}s")).map(lambda k: k if isinstance(k, Raw) else str(k)))
        ] = value
    elif how == "twice" and isinstance(parent, dict):
        parent[_Twice(key)] = value
    elif how == "wrap":
        parent[key] = draw(st.sampled_from(([value], {"a": value}, [value, value], {str(key): value}, str(value))))
    elif how == "swap":
        _, other = draw(st.sampled_from(_places(document)))
        parent[key] = json.loads(
            json.dumps(draw(st.sampled_from(list(other.values() if isinstance(other, dict) else other))))
        )
    elif how == "many" and isinstance(value, list) and value:
        parent[key] = [draw(st.sampled_from(value)) for _ in range(draw(st.integers(1, 9)))]
    elif how == "unwrap" and isinstance(value, list) and value:
        parent[key] = value[0]
    else:
        parent[key] = draw(_hostile(words))


@st.composite
def spoilt(draw: st.DrawFn, text: str) -> bytes:
    """A text as bytes, mostly as it is, sometimes damaged as files are."""
    data = text.encode("utf-8", "surrogatepass")
    how = 39 - draw(st.integers(0, 39))
    damage: dict[int, Callable[[], bytes]] = {
        0: lambda: b"\xef\xbb\xbf" + data,
        1: lambda: data.replace(b"\n", b"\r\n"),
        2: lambda: data[: draw(st.integers(0, len(data)))],
        3: lambda: _inserted(draw, data, b"\0"),
        4: lambda: _inserted(draw, data, draw(st.binary(min_size=1, max_size=4))),
        5: lambda: text.encode("utf-16", "surrogatepass"),
        6: lambda: draw(st.binary(max_size=200)),
        7: lambda: draw(st.text(max_size=200)).encode("utf-8", "surrogatepass"),
        8: lambda: data + data,
        9: lambda: _inserted(draw, data, draw(st.sampled_from(HOSTILE)).encode()),
        10: lambda: data.replace(b" ", b"\t"),
    }
    return damage[how]() if how in damage else data


def _inserted(draw: st.DrawFn, data: bytes, more: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + more + data[at:]


def files(
    valid: tuple[Any, ...], words: tuple[str, ...] = (), write: Callable[[Any], str] = block
) -> st.SearchStrategy[bytes]:
    """Files that were one of the valid documents."""
    documents = st.sampled_from(valid).flatmap(lambda document: mutated(document, words))
    return documents.map(write).flatmap(spoilt)
