from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from harness.architecture.choices import Size
from harness.common.errors import UserError
from harness.common.resources import search_space_folder
from harness.record.ablation_file import AblationFile, load_ablation
from harness.record.arms import LEVELS, Factor

SHIPPED = sorted(file.stem for file in (search_space_folder() / "ablations").glob("*.yaml"))


def write(folder: Path, **fields: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "models": ["yolov5n-clo-head"], **fields}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_that_ships_can_be_read_by_its_name(name: str) -> None:
    assert load_ablation(name).models


def test_a_number_of_seeds_is_that_many_from_zero_on(tmp_path: Path) -> None:
    assert load_ablation(write(tmp_path, seeds=4)).seeds == (0, 1, 2, 3)
    assert load_ablation(write(tmp_path, seeds=[3, 7])).seeds == (3, 7)


def test_a_size_that_a_file_has_for_the_embedded_data_is_not_taken_for_a_users_own(tmp_path: Path) -> None:
    assert load_ablation(write(tmp_path)).imgsz == 128
    assert load_ablation(write(tmp_path, data="pets.yaml")).imgsz == 640
    assert load_ablation(write(tmp_path, data="pets.yaml", imgsz=320), {"data": "others.yaml"}).imgsz == 320
    of_digits = write(tmp_path, data="digits", imgsz=96)
    assert load_ablation(of_digits).imgsz == 96
    assert load_ablation(of_digits, {"data": "pets.yaml"}).imgsz == 640
    assert load_ablation(of_digits, {"data": "pets.yaml", "imgsz": 160}).imgsz == 160
    assert load_ablation("default", {"data": "pets.yaml"}).imgsz == 640


def test_all_factors_are_all_levels_and_demand_nothing(tmp_path: Path) -> None:
    wanted = load_ablation(write(tmp_path)).wanted
    assert (wanted.factors, wanted.demanded) == (LEVELS, False)


def test_named_factors_are_demanded(tmp_path: Path) -> None:
    wanted = load_ablation(write(tmp_path, factors={"gate": ["tanh"], "kernel": [9]})).wanted
    assert wanted.factors == {Factor.GATE: ("tanh",), Factor.KERNEL: (9,)}
    assert wanted.demanded


def test_changes_take_the_place_of_fields(tmp_path: Path) -> None:
    file = load_ablation(write(tmp_path, epochs=3), {"epochs": 5, "seeds": (8,), "placebos": ["macs"]})
    assert (file.epochs, file.seeds, file.placebos) == (5, (8,), (Size.MACS,))


def test_what_is_kept_of_a_study_can_be_read_again() -> None:
    file = load_ablation("default")
    assert AblationFile.model_validate(file.model_dump(mode="json")) == file


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({"seeds": [0, 1, 1]}, ": seeds: 1 is given twice"),
        ({"bases": [2, 2]}, ": bases: 2 is given twice"),
        ({"models": ["a", "a"]}, ": models: a is given twice"),
        ({"models": []}, ": models: expected a list of at least 1"),
        ({"seeds": 0}, ": seeds"),
        ({"seeds": [-1]}, ": seeds"),
        ({"imgsz": 100}, ": imgsz: expected a multiple of 32, not 100"),
        ({"factors": {"colour": ["red"]}}, ": factors.colour: expected one of 'operator'"),
        ({"placebos": ["size"]}, ": placebos[0]: expected one of 'params' or 'macs', not 'size'"),
        ({"name": "../x"}, ": name: expected a name of letters"),
        ({"seed": 3}, ": seed: unknown key; known keys: name"),
        ({"from_scratch": True, "bases": 3}, "from_scratch trains no base"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, fields: dict[str, object], right: str) -> None:
    with pytest.raises(UserError) as caught:
        load_ablation(write(tmp_path, **fields))
    assert right in str(caught.value)


def test_a_wrong_change_is_said_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--base-epochs: expected at least 1, not 0"):
        load_ablation(write(tmp_path), {"base_epochs": 0})
    with pytest.raises(UserError, match="--seeds: 1 is given twice"):
        load_ablation(write(tmp_path), {"seeds": (1, 1)})


def test_a_file_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ablation huge: no such file, and none ships under that name; there are: def"):
        load_ablation("huge")
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds no mapping"):
        load_ablation(str(tmp_path / "list.yaml"))
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(UserError, match="not readable as YAML"):
        load_ablation(str(tmp_path / "broken.yaml"))


def test_more_seeds_than_anybody_trains_are_refused_at_once(tmp_path: Path) -> None:
    for number in (1_001, 10**15):
        (tmp_path / "a.yaml").write_text(f"name: x\nmodels: [yolov5n-clo-head]\nseeds: {number}\n")
        with pytest.raises(UserError, match="seeds: at most 1000 seeds"):
            load_ablation(str(tmp_path / "a.yaml"))


def test_what_stands_twice_in_a_long_list_is_found_at_once(tmp_path: Path) -> None:
    seeds = [*range(30_000), 29_999]
    (tmp_path / "a.yaml").write_text(f"name: x\nmodels: [yolov5n-clo-head]\nseeds: {seeds}\n")
    began = time.monotonic()
    with pytest.raises(UserError, match="29999 is given twice"):
        load_ablation(str(tmp_path / "a.yaml"))
    assert time.monotonic() - began < 5
