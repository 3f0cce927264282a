"""The examples in the docstrings of what users import run, and print what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "harness.architecture.architecture",
    "harness.blocks.attention",
    "harness.blocks.block",
    "harness.blocks.ffn",
    "harness.blocks.registry",
    "harness.cost.ledger",
    "harness.detectors.insert",
    "harness.detectors.named",
    "harness.record.tables",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), verbose=False)
    assert found.attempted > 0 and found.failed == 0
