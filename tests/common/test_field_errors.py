"""A fault in a file is said once, with its line and field, in the words of whoever wrote the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError

from harness.ablation.fidelity_plan import load_plan
from harness.architecture.choices import Mode
from harness.common.errors import UserError, sentence, shown
from harness.detectors import read_architecture
from harness.record.ablation_file import load_ablation
from harness.space.space_file import load_space

SPACE = """\
name: mine
sites: [neck.P3]
max_blocks: 1
placement:
  kind: [block]
  heads: [4]
  local_share: [0.5]
  kernel: [5]
  kv_pool: [2]
"""
DATA = "path: .\ntrain: images/train\nval: images/val\nnames: [cell, nucleus]\n"
ARCHITECTURE = """\
base: yolov5n
placements:
  - {site: neck.P3, kind: se}
  - site: neck.P4
    groups: [{kernel: 9, heads: 4}]
    global_heads: 4
"""


class Model(BaseModel):
    number: int = 1
    share: float = Field(default=0.5, ge=0, le=1)
    mode: Mode = Mode.AFTER
    many: tuple[int, ...] = Field(default=(1,), min_length=1)
    needed: str


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needed is missing"),
        ({"needed": 3}, "needed: expected a text, not 3"),
        ({"needed": "", "number": "x"}, "number: expected a whole number, not 'x'"),
        ({"needed": "", "number": 2.5}, "number: expected a whole number, not 2.5"),
        ({"needed": "", "share": 2}, "share: expected at most 1.0, not 2"),
        ({"needed": "", "mode": "before"}, "mode: expected one of 'after', 'inside' or 'replace', not 'before'"),
        ({"needed": "", "many": 3}, "many: expected a list, [a, b], not 3"),
        ({"needed": "", "many": []}, "many: expected a list of at least 1, not []"),
        ({"needed": "", "many": [1, "y"]}, "many[1]: expected a whole number, not 'y'"),
    ],
)
def test_each_kind_of_fault_says_what_would_be_right(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as failed:
        Model.model_validate(given)
    assert [sentence(one) for one in failed.value.errors()] == [said]


def test_a_value_is_shown_as_it_is_written_and_a_long_one_is_not() -> None:
    assert shown({"kernel": 9, "heads": 4}) == "{kernel: 9, heads: 4}"
    assert shown({n: n for n in range(100)}) == "a mapping"
    assert shown(["x" * 100]) == "a list"


def written(folder: Path, text: str) -> str:
    path = folder / "given.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("load", "text", "said"),
    [
        (load_space, DATA, r"given\.yaml: this is the YAML of a data set, which --data takes; a search space has name"),
        (load_ablation, DATA, r"given\.yaml: this is the YAML of a data set"),
        (load_plan, DATA, r"given\.yaml: this is the YAML of a data set"),
        (load_plan, SPACE, r"given\.yaml: this is a search space"),
        (load_space, SPACE[: SPACE.index("placement")] + "placement: 0\n",
         r"line 4: placement: expected a mapping, \{key: value\}, not 0$"),
        (load_space, "- a\n", r"this is no mapping of keys to values; a search space has"),
        (load_space, SPACE.replace("max_blocks: 1\n", ""), r"given\.yaml, line 1: max_blocks is missing$"),
        (load_space, SPACE.replace("heads: [4]", "heads: 4"), r"line 6: placement\.heads: expected a list, \[a, b\]"),
        (load_space, SPACE.replace("kv_pool: [2]", "kv_pool: [0]"), r"line 9: placement\.kv_pool\[0\]: [^;]*, not 0$"),
        (load_space, SPACE.replace("heads: [4]", "heads: [4, x]"), r"line 6: placement\.heads\[1\]: expected a whole"),
        (load_ablation, "name: a\nmodels: [m]\nepochs: many\n", r"line 3: epochs: expected a whole number, not 'many'"),
        (load_ablation, "name: a\nmodels: [m]\nepoch: 3\n", r"line 3: epoch: unknown key; known keys: name, base"),
        (read_architecture, ARCHITECTURE,
         r"given\.yaml, line 4: neck\.P4: each of its groups is \[kernel, heads\], such as \[5, 2\], not "
         r"\{kernel: 9, heads: 4\}$"),
        (read_architecture, ARCHITECTURE.replace("[{kernel: 9, heads: 4}]", "[[9, x]]"),
         r"line 4: placement .* groups\[0\]\.heads: expected a whole number, not 'x'"),
        (read_architecture, "base: yolov5n\nplacements: {}\n", r"line 2: an architecture file has 'base'"),
    ],
)  # fmt: skip
def test_a_fault_in_a_file_has_its_line(tmp_path: Path, load: Callable[[str], object], text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        load(written(tmp_path, text))
    message = str(refused.value)
    assert "\n" not in message
    assert message.count("given.yaml") == 1
    assert not any(word in message for word in ("Input should", "Field required", "valid tuple"))
