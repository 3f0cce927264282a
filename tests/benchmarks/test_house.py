"""The figures of the house count what they say, on sources that are written here."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def house() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "house.py"
    spec = importlib.util.spec_from_file_location("benchmark_house", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def tree(text: str) -> ast.Module:
    return ast.parse(dedent(text))


def sources(house: ModuleType, **texts: str) -> list[Any]:
    """Modules of a package `harness`; a name that ends in `__` is a package's own file, `__` is a dot."""
    found = []
    for name, text in texts.items():
        module = ".".join(filter(None, ["harness", *name.split("__")]))
        found.append(house.Source(module=module, text=dedent(text), is_package=name.endswith("__")))
    return found


def test_a_mapping_in_a_signature_is_counted_wherever_it_is_nested(house: ModuleType) -> None:
    found = tree("""
        def plain(a: dict[str, Any], *rest: dict[str, Any], b: list[dict[str, Any]] = ()) -> dict[str, Any]: ...
        async def within(self, /, **more: "dict[str, typing.Any]") -> "tuple[dict[str, Any], int]":
            def inner(x: Mapping[str, dict[str, Any]]) -> None: ...
    """)
    assert house.mappings_in_signatures(found, "dict") == [2, 2, 2, 2, 3, 3, 4]
    assert house.mappings_in_signatures(found, "Mapping") == []


def test_a_mapping_that_is_no_signatures_or_of_known_values_is_not_counted(house: ModuleType) -> None:
    found = tree("""
        Plain = dict[str, Any]
        x: dict[str, Any] = {}
        def of(a: dict[str, int], b: dict[Any, str], c: Mapping[str, Any], d: Literal["a b"]) -> Plain:
            y: dict[str, Any] = {}
            return y
    """)
    assert house.mappings_in_signatures(found, "dict") == []
    assert house.mappings_in_signatures(found, "Mapping") == [4]
    assert house.aliases(found, "dict") == [2]


def test_a_literal_is_counted_but_not_as_a_docstring(house: ModuleType) -> None:
    found = tree("""
        "complete"
        class State:
            COMPLETE = "complete"
            "complete"
        def is_over(row):
            "complete"
            return row["state"] == "complete" or row in {"complete": 1} or "complete: yes" in row
    """)
    assert house.literals(found, "complete") == [4, 8, 8]


def test_settings_are_asked_for_by_name_through_an_attribute(house: ModuleType) -> None:
    found = tree("""
        record.settings.get("imgsz", 640)
        self.study.settings.get("x").get("y")
        settings.get("x"); record.settings["x"]; record.settings.getter("x")
    """)
    assert house.calls_of_settings_get(found) == [2, 3]


def test_imports_for_types_alone_are_counted_in_every_form(house: ModuleType) -> None:
    found = tree("""
        if TYPE_CHECKING:
            import a
        if typing.TYPE_CHECKING or x:
            import b
        if not checking:
            import c
    """)
    assert sorted(house.type_checking(found)) == [2, 4]


def test_methods_have_names_too(house: ModuleType) -> None:
    found = tree("""
        def prepare(): ...
        class A:
            def prepare(self): ...
            def prepare_all(self): ...
    """)
    assert house.named(found, "prepare") == [2, 4]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def f(): return 1", 1),
        ('def f(\n    a,\n):\n    """Say.\n\n    More.\n    """\n    x = 1\n\n    return x\n', 3),
        ('def f():\n    """Say."""', 0),
        ("@wrap\ndef f():\n    return (\n        1\n    )\n\n\n", 3),
    ],
)
def test_a_body_begins_below_its_docstring(house: ModuleType, text: str, lines: int) -> None:
    assert [house.body_lines(each) for each in house.functions(ast.parse(text))] == [lines]


def test_a_percentile_is_one_of_the_values(house: ModuleType) -> None:
    assert house.percentile([5, 1, 3, 2, 4, 6, 7, 8, 9, 10], 0.9) == 9
    assert house.percentile([3], 0.9) == 3 and house.percentile([], 0.9) == 0


def test_an_arrow_goes_to_the_module_that_has_the_name(house: ModuleType) -> None:
    found = house.imports(
        sources(
            house,
            __="",
            search__="from harness.search.loop import run",
            search__loop="""
                import harness.errors
                import torch
                from harness import errors, search
                from harness.record import State
                def later():
                    from harness.search import missing
            """,
            record__="from harness.search import loop",
            errors="from os import path",
        )
    )
    assert found == {
        "harness": set(),
        "harness.search": {"harness.search.loop"},
        "harness.search.loop": {"harness.errors", "harness.search", "harness.record"},
        "harness.record": {"harness.search.loop"},
        "harness.errors": set(),
    }


@pytest.mark.parametrize(
    ("arrows", "longest"),
    [
        ({}, 0),
        ({"a": set()}, 1),
        ({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}, 3),
        ({"a": {"b"}, "b": {"a"}}, 1),
        ({"top": {"a"}, "a": {"b"}, "b": {"c", "low"}, "c": {"a"}, "low": set(), "other": {"low"}}, 3),
        ({"z": {"a"}, "a": {"m", "n"}, "m": {"n"}, "n": {"q"}, "q": {"n"}}, 4),
    ],
)
def test_a_cycle_is_one_step_of_a_chain(house: ModuleType, arrows: dict[str, set[str]], longest: int) -> None:
    assert house.depth(arrows) == longest


def test_a_small_file_that_one_other_needs_is_named(house: ModuleType) -> None:
    every = sources(
        house,
        a="from harness import small, shared, large\nfrom harness.room import x",
        b="import harness.shared",
        small="x = 1\n",
        shared="x = 1\n",
        large="x = 1\n" * 60,
        room__="x = 1",
    )
    assert house.small_with_one_importer(every, house.imports(every)) == ["harness.small (1), by harness.a"]


def test_rooms_and_files_are_told_by_their_place(house: ModuleType) -> None:
    every = sources(
        house, __="", cli="", search__="", search__loop="", search__sampler__="", search__sampler__step="", jobs__="",
        record__="", record__state='COMPLETE = "complete"', jobs__end='DONE = "complete"\n\n\n',
    )  # fmt: skip
    found = house.look_at(every, tests=sources(house, test_a="x = 1\ny = 2\n"))
    figures = found.figures
    assert figures["files"] == 10 and figures["files at the top level"] == 2
    assert figures["files in search"] == 4 and figures["files in jobs"] == 2
    assert figures['literal "complete"'] == 1 and found.details['literal "complete"'] == ["harness.jobs.end:1"]
    assert figures["rooms"] == 4 and figures["lines of the longest file"] == 3
    assert (figures["lines of tests"], figures["files of tests"]) == (2, 1)
    assert found.over() == ['literal "complete"']


def test_a_check_ends_with_1_where_a_figure_is_over_its_cap(
    house: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(house, "ROOT", tmp_path)
    for name in ("harness", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    assert house.main(["--check"]) == 0
    (tmp_path / "harness" / "end.py").write_text("def f(a):\n    return a == 'complete'\n", encoding="utf-8")
    assert house.main(["--check"]) == 1 and house.main([]) == 0
    assert "over" in capsys.readouterr().out
    house.main(["--verbose"])
    assert "harness.end:2" in capsys.readouterr().out


def test_every_cap_is_a_figures(house: ModuleType) -> None:
    figures = house.look_at(sources(house, __="def f() -> None:\n    return None\n"), tests=[]).figures
    assert set(house.CAPS) <= set(figures)
