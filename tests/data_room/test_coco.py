"""COCO's own files are a data set: labels by a converter, judged by the original file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.common.errors import UserError
from harness.data.check import DatasetInfo, check_dataset
from harness.training.coco import CocoAccuracy, Detections, Truth, coco_accuracy, find_annotations, read_annotations
from tests.coco_data import CATEGORIES, CocoData, Content, edit, labels, read, write_coco


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


@pytest.mark.parametrize("folder", ["images", "."])
def test_images_are_found_under_their_split_without_its_year(tmp_path: Path, cache: Path, folder: str) -> None:
    data = write_coco(tmp_path / "coco", images=f"{folder}/{{split}}")
    for split in ("train", "val"):
        (data.root / folder / f"{split}2017").rename(data.root / folder / split)
    assert check_dataset(str(data.train), 64, cache).val_images == 5


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
    """As the validator reads them (harness/training/accuracy.py)."""
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
