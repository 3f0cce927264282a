"""YAML from anybody is plain data within bounds, or one sentence, at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ablation.fidelity_plan import load_plan
from harness.common.errors import UserError
from harness.common.yaml_file import MOST_BYTES, parse_yaml, read_yaml
from harness.data.check import check_dataset
from harness.detectors import find_detector, resolve_base
from harness.record.ablation_file import load_ablation
from harness.space import load_space
from tests.fuzz.documents import LAUGHS, MERGES


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("a: 1\nb: [1.5, x, null, true]", {"a": 1, "b": [1.5, "x", None, True]}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("- é\n- 漢字", ["é", "漢字"]),
    ],
)
def test_plain_data_is_read(text: str, data: object) -> None:
    assert parse_yaml(text).data == data


def test_a_byte_order_mark_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "a.yaml").data == {"a": 1}


def test_nodes_know_their_lines() -> None:
    tree = parse_yaml("a: 1\n\nb: 2").tree
    assert tree is not None
    assert [key.start_mark.line for key, _ in tree.value] == [0, 2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"a: {LAUGHS}", "stands for more than 200,000 values"),
        (f"a: {MERGES}", "stands for more than 200,000 values"),
        ("[" * 100_000, "line 1 is nested more than 40 deep"),
        ("a:\n" + "".join(" " * n + "a:\n" for n in range(1, 60)), "nested more than 40 deep"),
        ("&a [*a]", "line 1 refers to itself"),
        ("x: 1\na: &a {b: [*a]}", "line 2 refers to itself"),
        ("a: " + "9" * 5000, "line 1 has a number of 5000 digits"),
        ("a: 0x" + "f" * 5000, "a number of 5002 digits"),
        ("a: 2024-99-99", "month must be in 1..12"),
        ("!!bool x", "does not fit its tag"),
        ("!!timestamp x", "does not fit its tag"),
        ("!!int x", "invalid literal for int"),
        ("{[1, 2]: {}, {a: 1}: 2}", "unhashable key"),
        ("a: \0", "control characters are not allowed"),
        ("*a", "undefined alias"),
        ("a: [", "line 2, column 1"),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_what_would_hurt_is_refused_at_once(text: str, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=why):
        parse_yaml(text)
    assert time.monotonic() - began < 3


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(UserError, match=r"a\.yaml: not readable as YAML: more than 8 MB"):
        read_yaml(tmp_path / "a.yaml")


READERS: dict[str, Callable[[str], object]] = {
    "space": load_space,
    "ablation": load_ablation,
    "fidelity plan": load_plan,
    "architecture": find_detector,
    "base": resolve_base,
    "data": lambda spec: check_dataset(spec, 64),
}
TAGS = ("apply:os.system", "new:os.system", "name:os.system", "module:os", "object:os.system")


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_makes_python_objects(tmp_path: Path, reader: str) -> None:
    for tag in TAGS:
        proof = tmp_path / "ran"
        path = tmp_path / "m.yaml"
        path.write_text(f"placements: []\na: !!python/object/{tag} ['touch {proof}']\n")
        with pytest.raises(UserError) as refused:
            READERS[reader](str(path))
        assert "\n" not in str(refused.value)
        assert not proof.exists()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", [LAUGHS, MERGES, "&a [*a]", "[" * 5000], ids=["laughs", "merges", "itself", "nested"])
def test_no_reader_can_be_kept_busy(tmp_path: Path, reader: str, text: str) -> None:
    (tmp_path / "m.yaml").write_text(f"placements: []\na: {text}\n")
    began = time.monotonic()
    with pytest.raises(UserError):
        READERS[reader](str(tmp_path / "m.yaml"))
    assert time.monotonic() - began < 5
