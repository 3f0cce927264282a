"""The data are the ones meant: where a YAML's paths lead, and what is said where they may lead to two places."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.data.check import check_dataset, description, image_paths
from harness.data.root import datasets_dir
from tests.data_room.photographs import describe, photographs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which has no data; Ultralytics' own folder of data sets is empty."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("harness.data.root.datasets_dir", lambda: tmp_path / "datasets")
    return folder


@pytest.mark.parametrize("path", [".", "../pets", None])
def test_a_relative_path_starts_at_the_yaml_from_wherever_the_command_runs(path: str | None, tmp_path: Path) -> None:
    photographs(tmp_path / "pets", train=2, val=2)
    yaml = describe(tmp_path / "pets", path=path)
    info = check_dataset(str(yaml), 64)
    assert info.root == tmp_path / "pets"
    theirs = description(yaml)  # what the trainer takes
    assert theirs["train"] == str(tmp_path / "pets/images/train") and theirs["path"] == info.root


def test_another_data_set_in_the_current_folder_is_never_taken_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path / "a", train=2, val=2)
    photographs(tmp_path / "b", train=3, val=2)
    yaml = describe(tmp_path / "a", path=".")
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(UserError, match="means two folders that both have its images") as error:
        check_dataset("../a/data.yaml", 64)
    assert f"{tmp_path / 'a'} and {tmp_path / 'b'}" in str(error.value)
    (tmp_path / "b/images/val").rename(tmp_path / "b/images/test")  # now it is no such data set
    assert check_dataset(str(yaml), 64).train_images == 2


@pytest.mark.parametrize("place", ["pets/x", "elsewhere/x", "datasets/x"])
def test_what_is_not_beside_the_yaml_is_looked_for_where_ultralytics_does(place: str, tmp_path: Path) -> None:
    photographs(tmp_path / place, train=2, val=2)
    (tmp_path / "pets").mkdir(exist_ok=True)
    yaml = describe(tmp_path / "pets", path="x")
    assert check_dataset(str(yaml), 64).root == tmp_path / place
    assert image_paths(yaml, "val")[0].startswith(str(tmp_path / place))


def test_all_places_are_named_where_the_data_are_in_none(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    with pytest.raises(UserError, match="does not exist; its path 'x' was looked for in ") as error:
        check_dataset(str(describe(tmp_path / "pets", path="x")), 64)
    for place in ("pets/x", "elsewhere/x", "datasets/x"):
        assert str(tmp_path / place) in str(error.value)


def test_the_users_own_datasets_dir_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config" / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"datasets_dir": str(tmp_path / "mine")}))
    before = settings.read_bytes()
    monkeypatch.setattr("harness.data.root._config_folder", lambda: tmp_path / "config")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(cache_folder()))
    assert datasets_dir() == tmp_path / "mine"
    assert settings.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"datasets_dir": null}'])
def test_settings_that_cannot_be_read_change_nothing(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data.utils import DATASETS_DIR

    (tmp_path / "Ultralytics").mkdir()
    (tmp_path / "Ultralytics" / "settings.json").write_text(content)
    monkeypatch.setattr("harness.data.root._config_folder", lambda: tmp_path)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(cache_folder()))
    assert datasets_dir() == DATASETS_DIR


def test_a_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    photographs(tmp_path / "pets", train=2, val=2)
    assert check_dataset(str(describe(tmp_path / "elsewhere", path="~/pets")), 64).root == tmp_path / "pets"


@pytest.mark.skipif(os.name == "nt", reason="there it is a path")
@pytest.mark.parametrize("key", ["path", "train"])
@pytest.mark.parametrize("given", ["C:\\data\\pets", "d:/pets/images", "\\\\server\\pets"])
def test_a_windows_path_is_named_as_one(key: str, given: str, tmp_path: Path) -> None:
    photographs(tmp_path / "pets", train=2, val=2)
    with pytest.raises(UserError) as error:
        check_dataset(str(describe(tmp_path / "pets", **{key: given})), 64)
    assert f"its '{key}' is a path of Windows, {given};" in str(error.value)


# --- Links ----------------------------------------------------------------------------------------


def test_a_linked_folder_of_images_has_its_labels_beside_the_link(tmp_path: Path) -> None:
    photographs(tmp_path / "pets", train=2, val=2)
    (tmp_path / "store").mkdir()
    (tmp_path / "pets/images/train").rename(tmp_path / "store/pics")
    (tmp_path / "pets/images/train").symlink_to(tmp_path / "store/pics")
    info = check_dataset(str(tmp_path / "pets/data.yaml"), 64)
    assert info.train_images == 2 and info.counts["train"]["objects"] == 2
    assert description(info.path)["train"] == str(tmp_path / "pets/images/train")


def test_a_linked_folder_of_images_may_have_its_labels_where_the_link_leads_to(tmp_path: Path) -> None:
    photographs(tmp_path / "store", train=2, val=2)
    photographs(tmp_path / "pets", train=0, val=0)
    for split in ("train", "val"):
        (tmp_path / "pets/images" / split).rmdir()
        (tmp_path / "pets/images" / split).symlink_to(tmp_path / "store/images" / split)
    info = check_dataset(str(tmp_path / "pets/data.yaml"), 64)
    assert info.counts["val"]["objects"] == 2
    assert description(info.path)["val"] == str(tmp_path / "store/images/val")


def test_labels_on_both_sides_of_a_link_are_refused(tmp_path: Path) -> None:
    photographs(tmp_path / "store", train=2, val=2)
    photographs(tmp_path / "pets", train=2, val=2)
    (tmp_path / "pets/images/train").rename(tmp_path / "aside")
    (tmp_path / "pets/images/train").symlink_to(tmp_path / "store/images/train")
    with pytest.raises(UserError, match=r"is a link to .*, and there are labels on both sides"):
        check_dataset(str(tmp_path / "pets/data.yaml"), 64)


def test_a_link_without_labels_on_either_side_is_named(tmp_path: Path) -> None:
    photographs(tmp_path / "pets", train=2, val=2)
    (tmp_path / "pets/images/train").rename(tmp_path / "pics")
    (tmp_path / "pets/images/train").symlink_to(tmp_path / "pics")
    (tmp_path / "pets/labels/train").rename(tmp_path / "labels-elsewhere")
    with pytest.raises(UserError, match="not a single label") as error:
        check_dataset(str(tmp_path / "pets/data.yaml"), 64)
    said = str(error.value)
    assert f"{tmp_path / 'pets/images/train'} is a link to {tmp_path / 'pics'}" in said
    assert str(tmp_path / "pets/labels/train") in said
