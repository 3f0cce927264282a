"""Digests are SHA-256, and of plain data those that studies and caches have had all along."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.common.digest import file_digest, json_digest, text_digest

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""FIPS 180-4, its first example."""


def test_a_text_and_a_file_of_the_same_bytes_have_the_published_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert text_digest("abc") == file_digest(tmp_path / "x") == ABC


def test_the_order_of_keys_is_no_part_of_plain_data() -> None:
    assert json_digest({"b": 1, "a": Path("x")}) == json_digest({"a": Path("x"), "b": 1})
    written = json.dumps({"a": "x", "b": "é"}, sort_keys=True).encode()
    assert json_digest({"b": "é", "a": "x"}) == hashlib.sha256(written).hexdigest()
