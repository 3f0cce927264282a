"""COCO's own files are a data set: labels by a converter, judged by the original file, every repair counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.data import check, coco
from harness.data.check import DatasetInfo, check_dataset
from harness.errors import UserError
from harness.measure.coco import CocoAccuracy, Detections, Truth, coco_accuracy, find_annotations, read_annotations
from tests.coco_data import CATEGORIES, CocoData, Content, edit, write_coco


@pytest.fixture
def data(tmp_path: Path) -> CocoData:
    return write_coco(tmp_path / "coco")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def made(data: CocoData, cache: Path) -> DatasetInfo:
    return check_dataset(str(data.train), 64, cache)


def read(file: Path) -> Content:
    content: Content = json.loads(file.read_text())
    return content


def labels(info: DatasetInfo, split: str) -> dict[str, list[list[float]]]:
    """Rows of class, centre and size, by the image's name."""
    files = (info.path.parent / "labels" / split).iterdir()
    return {f.stem: sorted([float(x) for x in line.split()] for line in f.read_text().splitlines()) for f in files}


def expected_labels(file: Path) -> dict[str, list[list[float]]]:
    """The same from the annotation file, by the definition of both formats."""
    content, number = read(file), {category: n for n, category in enumerate(sorted(CATEGORIES))}
    rows: dict[str, list[list[float]]] = {}
    for image in content["images"]:
        size = np.array([image["width"], image["height"]])
        own = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        if own:
            rows[Path(image["file_name"]).stem] = []
        for each in own:
            if not each["iscrowd"]:
                box = np.array(each["bbox"])
                low, high = np.clip(box[:2], 0, size) / size, np.clip(box[:2] + box[2:], 0, size) / size
                row = [number[each["category_id"]], *(low + high) / 2, *(high - low)]
                rows[Path(image["file_name"]).stem].append(row)
    return {name: sorted(own) for name, own in rows.items()}


# --- What is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "annotations/instances_train2017.json", "annotations/instances_val2017.json"])
def test_either_file_and_their_folder_are_the_same_data_set(
    data: CocoData, cache: Path, made: DatasetInfo, given: str
) -> None:
    assert check_dataset(str(data.root / given), 64, cache) == made
    assert (made.names, made.train_images, made.val_images) == ({0: "person", 1: "train", 2: "toothbrush"}, 6, 5)


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_labels_are_the_annotations_without_crowds_clipped_to_the_image(
    data: CocoData, made: DatasetInfo, split: str
) -> None:
    mine, expected = labels(made, split), expected_labels(data.root / "annotations" / f"instances_{split}.json")
    assert mine.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(mine[name], rows, atol=1e-5)  # the converter writes six digits
    assert max(row[1] + row[3] / 2 for rows in mine.values() for row in rows) <= 1 + 1e-5


def test_ultralytics_sees_every_image_and_every_label(data: CocoData, made: DatasetInfo) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    described = check_det_dataset(str(made.path), autodownload=False)
    seen = YOLODataset(img_path=described["val"], data=described, imgsz=64, augment=False)
    assert [Path(file).name for file in seen.im_files] == [image["file_name"] for image in read(data.val)["images"]]
    expected = expected_labels(data.val)
    for label in seen.labels:
        rows = np.array(expected.get(Path(label["im_file"]).stem, [])).reshape(-1, 5)
        found = np.hstack([label["cls"], label["bboxes"]])
        np.testing.assert_allclose(found[np.lexsort(found.T[::-1])], rows, atol=1e-5)
    assert sum(not len(label["cls"]) for label in seen.labels) == 1  # an image without objects


def test_images_are_neither_copied_nor_written_beside(data: CocoData, cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.root.rglob("*")}
    folder = check_dataset(str(data.root), 64, cache).path.parent
    assert (folder / "images" / "val2017").readlink() == (data.root / "val2017").resolve()
    assert {path: path.stat().st_mtime_ns for path in data.root.rglob("*")} == before


@pytest.mark.parametrize("images", ["{split}", "images/{split}", "images", "."])
def test_images_are_found_where_coco_has_them(tmp_path: Path, cache: Path, images: str) -> None:
    data = write_coco(tmp_path / "coco", images=images)
    assert check_dataset(str(data.root), 64, cache).val_images == 5


def test_file_names_may_lead_through_a_folder_of_images(data: CocoData, cache: Path) -> None:
    expected = check_dataset(str(data.train), 64, cache)
    (data.root / "images").mkdir()
    (data.root / "val2017").rename(data.root / "images" / "deep")
    edit(data.val, lambda content: [i.update(file_name=f"images/deep/{i['file_name']}") for i in content["images"]])
    info = check_dataset(str(data.train), 64, cache)
    assert labels(info, "val2017") == labels(expected, "val2017")


def test_classes_without_an_object_and_images_without_annotations_are_kept(data: CocoData, cache: Path) -> None:
    for file in (data.train, data.val):
        edit(file, lambda content: content["categories"].append({"id": 30, "name": "yes: \u201cno\u201d #1"}))
    info = check_dataset(str(data.train), 64, cache)
    assert info.names == {0: "person", 1: "train", 2: "yes: \u201cno\u201d #1", 3: "toothbrush"}
    edit(data.val, lambda content: content.update(annotations=[]))
    with pytest.raises(UserError, match=r"validation set of .* has images but not a single label"):
        check_dataset(str(data.train), 64, cache)


def test_categories_of_two_files_meet_by_their_names(data: CocoData, cache: Path, made: DatasetInfo) -> None:
    def renumber(content: Content) -> None:
        for each in content["categories"]:
            each["id"] = 100 - each["id"]
        for each in content["annotations"]:
            each["category_id"] = 100 - each["category_id"]

    before = labels(made, "val2017")
    edit(data.val, renumber)
    assert labels(check_dataset(str(data.train), 64, cache), "val2017") == before


# --- Who judges -----------------------------------------------------------------------------------


def truths(info: DatasetInfo) -> dict[str, Truth]:
    """As the validator reads them (harness/measure/accuracy.py)."""
    content = yaml.safe_load(info.path.read_text())
    file = find_annotations(info.path.parent, str(info.path.parent / content["val"]))
    assert file is not None
    return read_annotations(file, info.names)


def judge(info: DatasetInfo, found: dict[str, Detections]) -> CocoAccuracy:
    return coco_accuracy([(truth, found[name]) for name, truth in sorted(truths(info).items())], info.names)


def test_cocoeval_judges_by_the_original_file(data: CocoData, made: DatasetInfo) -> None:
    assert (made.path.parent / "annotations" / data.val.name).read_bytes() == data.val.read_bytes()
    read_truths = truths(made)
    assert len(read_truths) == 5  # images, the one without objects too
    assert sum(truth.crowd.sum() for truth in read_truths.values()) == 2
    areas = np.concatenate([truth.areas for truth in read_truths.values()])
    assert sorted(areas) == sorted(each["area"] for each in read(data.val)["annotations"])


def test_perfect_detections_have_precision_one(made: DatasetInfo) -> None:
    found = {
        name: Detections(boxes=t.boxes[~t.crowd], scores=np.ones((~t.crowd).sum()), classes=t.classes[~t.crowd])
        for name, t in truths(made).items()
    }
    result = judge(made, found)
    assert (result.map50_95, result.map50, result.recall) == (1, 1, 1)
    assert set(result.per_class.values()) == {1}


@pytest.mark.parametrize("seed", range(4))
def test_random_detections_score_as_pycocotools_scores_them_on_the_original_file(
    data: CocoData, made: DatasetInfo, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(seed)
    category = sorted(CATEGORIES)
    found, results = {}, []
    for image in read(data.val)["images"]:
        near = truths(made)[image["file_name"]]
        guesses = np.tile(near.boxes, (4, 1)) + rng.normal(0, 2.5, (4 * len(near.boxes), 4))
        alone = np.array([[5.0, 5.0, 25.0, 30.0]])
        boxes = np.vstack([guesses, alone])
        classes = np.append(np.tile(near.classes, 4), rng.integers(0, 3))
        scores = rng.random(len(boxes))
        found[image["file_name"]] = Detections(boxes=boxes, scores=scores, classes=classes)
        results += [
            {"image_id": image["id"], "category_id": category[c], "bbox": [*b[:2], *(b[2:] - b[:2])], "score": s}
            for b, c, s in zip(boxes, classes, scores, strict=True)
        ]
    reference = COCO(str(data.val))
    evaluation = COCOeval(reference, reference.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    mine = judge(made, found)
    assert 0.05 < mine.map50_95 < 0.95
    assert [mine.map50_95, mine.map50, mine.map75] == pytest.approx(evaluation.stats[:3], abs=1e-9)
    assert [mine.map_small, mine.recall] == pytest.approx(evaluation.stats[[3, 8]], abs=1e-9)


# --- Repairs --------------------------------------------------------------------------------------


def added(data: CocoData, *boxes: list[float], **others: Any) -> list[int]:
    """Objects added to the first training image, which is 96 × 64; their ids."""
    numbers = list(range(9001, 9001 + len(boxes)))

    def add(content: Content) -> None:
        common = {"image_id": content["images"][0]["id"], "category_id": 7, "iscrowd": 0, "area": 9.0} | others
        content["annotations"] += [common | {"id": n, "bbox": box} for n, box in zip(numbers, boxes, strict=True)]

    edit(data.train, add)
    return numbers


def test_a_box_that_sticks_out_is_clipped_and_counted(data: CocoData, cache: Path) -> None:
    edit(data.train, lambda content: content.update(annotations=[]))
    added(data, [-10.0, -8.0, 30.0, 20.0], [80.0, 50.0, 40.0, 40.0], [0.0, 0.0, 96.0, 64.0])
    info = check_dataset(str(data.train), 64, cache)
    corners = [[0, 0, 20, 12], [80, 50, 96, 64], [0, 0, 96, 64]]
    expected = sorted([1.0, (a + c) / 192, (b + d) / 128, (c - a) / 96, (d - b) / 64] for a, b, c, d in corners)
    np.testing.assert_allclose(labels(info, "train2017")["000000000001"], expected, atol=1e-5)
    assert info.repairs[0] == (
        "instances_train2017.json: 2 boxes out of the image, clipped in the labels (first: annotation 9001)."
    )


def test_without_the_repair_ultralytics_would_lose_the_image(tmp_path: Path, data: CocoData) -> None:
    from ultralytics.data.converter import convert_coco
    from ultralytics.data.utils import verify_image_label

    added(data, [-10.0, 60.0, 30.0, 20.0])  # its centre is 6 pixels below an image of 64
    (tmp_path / "raw").mkdir()
    shutil.copy(data.train, tmp_path / "raw")
    convert_coco(str(tmp_path / "raw"), str(tmp_path / "converted"), cls91to80=False)
    image, label = (
        data.root / "train2017" / "000000000001.png", tmp_path / "converted" / "labels" / "train2017" / "000000000001.txt"
    )  # fmt: skip
    assert len(label.read_text().splitlines()) == 5
    *_, corrupt, reason = verify_image_label((str(image), str(label), "", False, 90, 0, 0, False))
    assert corrupt == 1 and "out of bounds" in reason


def test_a_side_that_is_beyond_by_rounding_alone_is_no_repair(data: CocoData, cache: Path) -> None:
    for file in (data.train, data.val):
        edit(file, lambda content: content["annotations"].pop(3))  # the box that sticks out
    added(data, [72.07, 10.0, 23.9300001, 9.0])
    assert 72.07 + 23.9300001 > 96
    assert check_dataset(str(data.train), 64, cache).repairs == ()


@pytest.mark.parametrize(
    "box",
    [[96.0, 0.0, 9.0, 9.0], [-9.0, 5.0, 9.0, 9.0], [5.0, 70.0, 9.0, 9.0], [5.0, 5.0, 0.0, 9.0], [9.0, 9.0, -5.0, 5.0]],
)
def test_a_box_outside_or_without_area_is_dropped_and_counted(data: CocoData, cache: Path, box: list[float]) -> None:
    before = labels(check_dataset(str(data.train), 64, cache), "train2017")
    added(data, box)
    info = check_dataset(str(data.train), 64, cache)
    assert labels(info, "train2017") == before
    assert (
        "instances_train2017.json: 1 box outside the image or without area, not in the labels (first: annotation 9001)."
        in info.repairs
    )


def test_an_object_that_is_listed_twice_is_one_label_and_counted(data: CocoData, cache: Path) -> None:
    before = len(labels(check_dataset(str(data.train), 64, cache), "train2017")["000000000001"])
    added(data, [5.0, 5.0, 9.0, 9.0], [5.0, 5.0, 9.0, 9.0])
    info = check_dataset(str(data.train), 64, cache)
    assert len(labels(info, "train2017")["000000000001"]) == before + 1
    assert any("1 box of an object that is listed twice" in text and "9002" in text for text in info.repairs)


def test_a_crowd_is_no_repair_and_no_label(data: CocoData, cache: Path, made: DatasetInfo) -> None:
    added(data, [80.0, 50.0, 40.0, 40.0], iscrowd=1)
    info = check_dataset(str(data.train), 64, cache)
    assert info.repairs == made.repairs and labels(info, "train2017") == labels(made, "train2017")


def test_repairs_are_said_again_when_the_labels_are_there_already(
    data: CocoData, cache: Path, made: DatasetInfo
) -> None:
    assert len(made.repairs) == 2  # the data have a box that sticks out in either split
    assert check_dataset(str(data.train), 64, cache).repairs == made.repairs


# --- Refusals -------------------------------------------------------------------------------------


def sentence(data: Path, cache: Path) -> str:
    with pytest.raises(UserError) as error:
        check_dataset(str(data), 64, cache)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    assert not list(cache.glob("coco-*")) and not list(cache.glob(".coco-*"))
    return text


def _first(key: str, **change: object) -> Callable[[Content], object]:
    return lambda content: content[key][0].update(change)


def _without(key: str, name: str) -> Callable[[Content], object]:
    return lambda content: content[key][0].pop(name)


def _all(key: str, **change: object) -> Callable[[Content], object]:
    return lambda content: [each.update(change) for each in content[key]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_first("annotations", category_id=2), r"1 annotation of an unknown category, .* 10 with category_id 2"),
        (_all("annotations", category_id=2), r"\d\d annotations of an unknown category, first annotation 10 with"),
        (_first("annotations", image_id=3), r"1 annotation of an unknown image, first annotation 10 with image_id 3"),
        (_first("annotations", bbox=[1, 2, 3]), r"is not a COCO annotation file: 'annotations\[0\]\.bbox"),
        (_first("annotations", bbox=[1, 2, 3, float("nan")]), r"\.bbox\[3\]': input should be a finite number"),
        (_first("annotations", image_id="1"), r"'annotations\[0\]\.image_id': input should be a valid integer"),
        (_without("annotations", "bbox"), r"'annotations\[0\]\.bbox': field required"),
        (_without("images", "width"), r"'images\[0\]\.width': field required"),
        (_first("images", height=0), r"'images\[0\]\.height': input should be greater than 0"),
        (lambda content: content.pop("categories"), r"'categories': field required"),
        (lambda content: content.update(images=[]), r"'images': tuple should have at least 1 item"),
        (lambda content: content["images"].append(content["images"][0]), r"two images with the id 1; each may"),
        (_first("images", file_name="000000000038.png"), r"two images with the file name '000000000038\.png'"),
        (_first("categories", name="person"), r"two categories with the name 'person'"),
        (_first("categories", id=1), r"two categories with the id 1"),
        (_first("images", file_name="/etc/1.png"), r"file name '/etc/1\.png' is not a path below the folder"),
        (_first("images", file_name="../1.png"), r"file name '\.\./1\.png' is not a path below"),
        (_first("images", file_name="1.gif"), r"image 1\.gif is in none of the formats that Ultralytics reads"),
        (_first("images", file_name="000000000038.jpg"), r"two images 000000000038 of different suffixes"),
        (_first("images", file_name="a/images/1.png"), r"image a/images/1\.png is in an inner folder named 'images'"),
        (_first("images", file_name="gone.png"), r"1 of 6 images missing, first gone\.png; .* for in .*/train2017, "),
        (lambda content: content["images"][-1].update(file_name="gone.png"), r"1 of 6 images missing, first gone\.png"),
        (_first("images", width=64, height=96), r"has 96 × 64 pixels and not 64 × 96; 1 of 6 images so"),
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(
    data: CocoData, cache: Path, change: Callable[[Content], object], reason: str
) -> None:
    edit(data.train, change)
    text = sentence(data.train, cache)
    assert re.search(reason, text), text
    assert text.startswith(str(data.train))


def test_only_cocoeval_needs_areas(data: CocoData, cache: Path) -> None:
    edit(data.train, _without("annotations", "area"))
    assert check_dataset(str(data.train), 64, cache).train_images == 6
    shutil.rmtree(cache)
    edit(data.val, _without("annotations", "area"))
    assert "1 annotation without 'area', by which COCOeval tells" in sentence(data.train, cache)


def test_a_validation_image_has_its_name_for_itself(data: CocoData, cache: Path) -> None:
    for file, folder in ((data.val, "val2017"), (data.train, "train2017")):
        one, other = (image["file_name"] for image in read(file)["images"][:2])
        (data.root / folder / "sub").mkdir()
        (data.root / folder / other).rename(data.root / folder / "sub" / one)
        edit(file, lambda content, name=f"sub/{one}": content["images"][1].update(file_name=name))  # type: ignore[misc]
    assert "instances_val2017.json has images named 000000005001.png in several folders" in sentence(data.train, cache)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"images": [', "\ufeff{}"])
def test_what_is_no_json_object_is_refused(data: CocoData, cache: Path, text: str) -> None:
    data.train.write_text(text, encoding="utf-8")
    assert f"{data.train} is not a COCO annotation file: " in sentence(data.train, cache)


def test_an_image_that_cannot_be_read_is_named(data: CocoData, cache: Path) -> None:
    (data.root / "train2017" / "000000000038.png").write_bytes(b"no image")
    assert re.search(r"image .*/000000000038\.png cannot be read; 1 of 6 images so\.", sentence(data.train, cache))


def test_both_files_list_the_same_categories(data: CocoData, cache: Path) -> None:
    edit(data.val, lambda content: content["categories"].append({"id": 2, "name": "bicycle"}))
    text = sentence(data.train, cache)
    assert "instances_val2017.json has the category 'bicycle' and instances_train2017.json has not" in text


# --- Which files ----------------------------------------------------------------------------------


def test_the_other_set_is_the_file_of_the_same_name_or_the_only_one(data: CocoData, cache: Path) -> None:
    folder = data.val.parent
    data.val.rename(folder / "instances_val_small.json")
    (data.root / "val2017").rename(data.root / "val_small")
    assert check_dataset(str(data.train), 64, cache).val_images == 5
    shutil.rmtree(cache)
    shutil.copy(folder / "instances_val_small.json", folder / "instances_val2014.json")
    several = "there are several: instances_val2014.json, instances_val_small.json; name one of them"
    assert f"{several} instances_val2017.json" in sentence(data.train, cache)
    assert "has several: instances_val2014.json, instances_val_small.json; give the path" in sentence(data.root, cache)
    for file in folder.glob("instances_val*"):
        file.unlink()
    for given in (data.train, data.root):
        assert "needs instances_val2017.json beside it for its validation set, and there is none" in sentence(
            given, cache
        )


def test_another_json_file_is_not_guessed_at(data: CocoData, cache: Path) -> None:
    other = data.train.rename(data.train.with_name("captions_train2017.json"))
    assert "named instances_train*.json or instances_val*.json" in sentence(other, cache)
    assert "does not exist" in sentence(data.train, cache)
    with pytest.raises(UserError, match="nothing is downloaded"):
        check_dataset("https://example.com/annotations/instances_val2017.json", 64, cache)


# --- In the cache ---------------------------------------------------------------------------------


@pytest.fixture(params=["every label is read", "too many labels to read"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "too many labels to read":
        monkeypatch.setattr(check, "LARGE", 3)


def test_the_same_data_elsewhere_has_the_same_fingerprint(
    data: CocoData, cache: Path, tmp_path: Path, any_size: None
) -> None:
    shutil.copytree(data.root, tmp_path / "copy")  # with the times of change
    ours, copy = (check_dataset(str(root), 64, tmp_path / root.name) for root in (data.root, tmp_path / "copy"))
    assert ours.path != copy.path
    assert ours.fingerprint == copy.fingerprint


@pytest.mark.parametrize("change", [_first("annotations", area=1.0), lambda c: c["annotations"].pop(4)])
def test_what_only_cocoeval_sees_changes_the_fingerprint(
    data: CocoData, cache: Path, made: DatasetInfo, change: Callable[[Content], object], any_size: None
) -> None:
    """An area and a crowd."""
    before = check_dataset(str(data.train), 64, cache)
    edit(data.val, change)
    after = check_dataset(str(data.train), 64, cache)
    assert labels(after, "val2017") == labels(before, "val2017")
    assert after.path != before.path and after.fingerprint != before.fingerprint


def test_a_moved_label_changes_the_fingerprint(data: CocoData, cache: Path, any_size: None) -> None:
    before = check_dataset(str(data.train), 64, cache)
    box = read(data.train)["annotations"][0]["bbox"]
    edit(data.train, _first("annotations", bbox=[box[0] / 2, *box[1:]]))
    assert check_dataset(str(data.train), 64, cache).fingerprint != before.fingerprint


def test_the_second_call_writes_nothing(
    data: CocoData, cache: Path, made: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "_write", lambda *_: pytest.fail("written again"))
    assert check_dataset(str(data.train), 64, cache) == made


def test_a_moved_cache_is_still_a_data_set(cache: Path, made: DatasetInfo, tmp_path: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    cache.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / made.path.parent.name
    assert Path(check_det_dataset(str(moved / "data.yaml"), autodownload=False)["val"]).parent == moved.resolve()
    assert check_dataset(str(moved / "data.yaml"), 64).fingerprint == made.fingerprint


def test_without_links_images_are_there_all_the_same_and_it_is_said(
    data: CocoData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(1, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    info = check_dataset(str(data.train), 64, cache)
    images = info.path.parent / "images" / "val2017"
    assert not images.is_symlink() and info.val_images == 5
    assert os.path.samefile(images / "000000005001.png", data.root / "val2017" / "000000005001.png")  # noqa: PTH121
    assert any("the cache takes no links to folders" in text for text in info.repairs)


def test_an_interrupted_writer_leaves_nothing_behind_and_every_image_where_it_was(
    data: CocoData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, before = coco._link, sorted(data.root.rglob("*"))

    def interrupted(images: Any, place: Path) -> bool:
        assert link(images, place)
        raise KeyboardInterrupt

    monkeypatch.setattr(coco, "_link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_dataset(str(data.train), 64, cache)
    assert list(cache.iterdir()) == []
    assert sorted(data.root.rglob("*")) == before


def test_a_cache_that_cannot_be_written_is_one_clear_sentence(data: CocoData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"The labels of .* cannot be written to .*/file/coco-\w+: "):
        check_dataset(str(data.train), 64, tmp_path / "file")


def test_processes_that_write_at_once_agree(data: CocoData, cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from harness.data.check import check_dataset\n"
        "print(check_dataset(sys.argv[1], 64, Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(data.train), str(cache)]
    root = Path(coco.__file__).parents[2]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1 and len(list(cache.iterdir())) == 1
