"""The images that a report shows are those that differ most, and each box is what Ultralytics' matching says it is."""

from __future__ import annotations

import dataclasses
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.record.study import StudyRecord
from harness.report.images import (
    SIDE,
    THRESHOLDS,
    THUMBNAIL,
    Gallery,
    gallery,
    judged,
    object_of,
    overlaps,
    read_kept,
)
from harness.report.png import draw_gallery
from harness.report.renderers import page_data, render_html
from harness.report.search import Beside, search_content
from harness.report.write import write_report
from harness.training.image_matches import ImageMatches, matches_path, write_matches
from tests.report import example

IMAGES = 40
BETTER, WORSE = (3, 11, 17), (5, 8)
"""Images in which the candidate finds both objects and the baseline one, and the other way round."""
BOXES = np.array([[0.1, 0.1, 0.3, 0.4], [0.5, 0.5, 0.9, 0.8]])


def matches(paths: list[str], found: dict[int, int], false: int = 0) -> ImageMatches:
    """Two objects an image, each found at 0.9 with every IoU but where `found` says how many are; false ones at 0.3."""
    parts: dict[str, list[Any]] = {name: [] for name in ("matched", "confidence", "predicted", "boxes")}
    for at in range(len(paths)):
        hits = found.get(at, 2)
        parts["matched"].append(np.concatenate([np.ones((hits, 10), bool), np.zeros((false, 10), bool)]))
        parts["confidence"].append(np.array([0.9] * hits + [0.3] * false))
        parts["predicted"].append(np.array([0, 1][:hits] + [1] * false))
        parts["boxes"].append(np.concatenate([BOXES[:hits], np.tile([0.0, 0.8, 0.1, 0.9], (false, 1))]))
    objects = {"target": [np.array([0, 1])] * len(paths), "target_boxes": [BOXES] * len(paths)}
    return ImageMatches(**parts, **objects, names=paths, classes=["cat", "dog <b>"])


def photographs(folder: Path, **options: Any) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{at:03}.jpg" for at in range(IMAGES)]
    for at, path in enumerate(paths):
        Image.new("RGB", (640, 480), (at * 6, 90, 120)).save(path, **options)
    return list(map(str, paths))


def kept(folder: Path, paths: list[str], seed: int = 1) -> StudyRecord:
    """A study whose folder holds the matches of the baseline and of the pick under one evaluation seed."""
    record = example.winning()
    ours = matches(paths, dict.fromkeys(BETTER, 1), false=1)
    theirs = matches(paths, dict.fromkeys(WORSE, 1))
    for name, each in (("baseline", ours), ("77e0b1aa", theirs)):
        write_matches(each, matches_path(folder / "matches", name, 3, 0, seed))
    return record


def shown(record: StudyRecord, folder: Path) -> Gallery:
    read = partial(read_kept, folder / "matches")
    found = judged(record, "77e0b1aa", read, most=8)
    assert found is not None and judged(record, "3fa9c1d2", read, most=8) is None
    return gallery([found], folder / "images")


def test_the_images_that_differ_most_are_shown_better_ones_first(tmp_path: Path) -> None:
    found = shown(kept(tmp_path, photographs(tmp_path / "data")), tmp_path)
    (compared,) = found.compared  # of the other candidate no matches were kept
    assert (compared.architecture, compared.epochs, compared.seed) == ("77e0b1aa", 3, 1)
    names = [(shot.name, shot.difference > 0) for shot in compared.shots]
    assert set(names) == {(f"{at:03}.jpg", True) for at in BETTER} | {(f"{at:03}.jpg", False) for at in WORSE}
    assert names == sorted(names, key=lambda each: not each[1])
    # F1 of one of two objects is 2/3, of both 1
    assert {round(abs(shot.difference), 3) for shot in compared.shots} == {0.333}


def test_precision_and_recall_are_of_all_images(tmp_path: Path) -> None:
    found = shown(kept(tmp_path, photographs(tmp_path / "data")), tmp_path)
    (compared,) = found.compared
    low, high = int(np.argmin(abs(THRESHOLDS - 0.25))), int(np.argmin(abs(THRESHOLDS - 0.5)))
    hits = 2 * IMAGES - len(BETTER)
    assert compared.rates[1, 0, low] == compared.rates[1, 0, high] == pytest.approx(hits / (2 * IMAGES))
    assert compared.rates[0, 0, low] == pytest.approx(hits / (hits + IMAGES))
    assert compared.rates[0, 0, high] == 1
    assert compared.rates[1, 1, high] == pytest.approx(1 - len(WORSE) / (2 * IMAGES))
    assert np.isnan(compared.rates[0, 0, -1])  # nobody is as confident as 0.95
    assert found.threshold == pytest.approx(0.35)  # the lowest without a false one, where the baseline's F1 is highest


def test_each_detection_has_the_object_that_it_lies_on(tmp_path: Path) -> None:
    found = shown(kept(tmp_path, photographs(tmp_path / "data")), tmp_path)
    shot = found.compared[0].shots[0]
    ours, theirs = shot.sides
    assert ours.object_of.tolist() == [0, -1] and theirs.object_of.tolist() == [0, 1]
    np.testing.assert_allclose(theirs.boxes, BOXES, atol=1e-4)
    np.testing.assert_allclose(found.pictures[shot.number].objects, BOXES, atol=1e-4)


def test_two_detections_never_share_an_object() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.9, 1.0], [0.0, 0.0, 0.5, 1.0]])
    objects = np.array([[0.0, 0.0, 0.95, 1.0], [0.0, 0.0, 0.6, 1.0]])
    given = object_of(
        ImageMatches(
            matched=[np.ones((3, 10), bool)],
            confidence=[np.ones(3)],
            predicted=[np.zeros(3)],
            target=[np.zeros(2)],
            boxes=[boxes],
            target_boxes=[objects],
        ),
        0,
    )
    assert given.tolist() == [0, -1, 1] or given.tolist() == [-1, 0, 1]
    assert overlaps(boxes[:1], objects)[0] == pytest.approx([0.95, 0.6])


def test_the_folder_keeps_what_the_page_shows_and_a_later_report_needs_no_data(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "data")
    record = kept(tmp_path, paths)
    write_report(record, tmp_path)
    first = {file.name: file.read_bytes() for file in (tmp_path / "images").iterdir()}
    assert len(first) == len(BETTER) + len(WORSE)
    assert (tmp_path / "images.jpg").read_bytes().startswith(b"\xff\xd8")
    for path in paths:
        Path(path).unlink()
    write_report(record, tmp_path)
    assert {file.name: file.read_bytes() for file in (tmp_path / "images").iterdir()} == first


def test_images_that_are_gone_are_said_and_without_any_the_report_is_whole(tmp_path: Path) -> None:
    paths = photographs(tmp_path / "data")
    record = kept(tmp_path, paths)
    Path(paths[BETTER[0]]).unlink()
    Path(paths[BETTER[1]]).write_bytes(b"no image")
    found = shown(record, tmp_path)
    assert found.gone == 2 and len(found.compared[0].shots) == len(BETTER) + len(WORSE) - 2
    page = search_content(record, Beside(matches=partial(read_kept, tmp_path / "matches"))).page
    assert "2 images that differ more cannot be read any more." in page["images"].note
    for path in paths:
        Path(path).unlink(missing_ok=True)
    write_report(record, tmp_path)
    assert "cannot be read any more" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_matches_from_before_boxes_were_kept_show_nothing(tmp_path: Path) -> None:
    record = kept(tmp_path, photographs(tmp_path / "data"))
    for name in ("baseline", "77e0b1aa"):
        path = matches_path(tmp_path / "matches", name, 3, 0, 1)
        old = dataclasses.replace(matches(["1.jpg"] * IMAGES, {}), boxes=(), target_boxes=())
        write_matches(old, path)
    assert judged(record, "77e0b1aa", partial(read_kept, tmp_path / "matches"), most=8) is None
    assert read_kept(tmp_path / "matches", ("../matches/baseline", 3, 0, 1)) is None
    assert search_content(record).page.drawn(Gallery) == []


def test_a_stranger_s_tables_open_no_file_outside_their_folder(tmp_path: Path) -> None:
    record = kept(tmp_path, photographs(tmp_path / "private"))
    write_report(record, tmp_path, originals=False)
    assert not (tmp_path / "images").exists()
    assert "cannot be read any more" in (tmp_path / "report.md").read_text(encoding="utf-8")
    write_report(record, tmp_path)  # the owner's own
    shown = len(list((tmp_path / "images").iterdir()))
    write_report(record, tmp_path, originals=False)
    assert len(list((tmp_path / "images").iterdir())) == shown == len(BETTER) + len(WORSE)
    assert "cannot be read any more" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_no_images_keeps_them_out_of_the_page_and_of_the_folder(tmp_path: Path) -> None:
    record = kept(tmp_path, photographs(tmp_path / "data"))
    write_report(record, tmp_path, images=False)
    assert not (tmp_path / "images").exists() and not (tmp_path / "images.jpg").exists()
    assert 'id="images"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_camera_s_notes_and_its_orientation_do_not_travel(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"  # turned by 90°, described
    paths = photographs(tmp_path / "data", exif=exif)
    found = shown(kept(tmp_path, paths), tmp_path)
    picture = found.pictures[0]
    assert (picture.width, picture.height) == (240, THUMBNAIL)  # upright
    for data in (picture.full, picture.thumbnail):
        assert b"secret" not in data
        with Image.open(io.BytesIO(data)) as image:
            assert not image.getexif()


def test_hostile_names_of_files_and_classes_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    hostile = "<img src=x onerror=alert(1)>"
    paths = [str(folder / f"{hostile.replace('/', '')}{at:03}.png") for at in range(IMAGES)]
    for path in paths:
        Image.new("RGB", (64, 48)).save(path)
    record = kept(tmp_path, paths)
    page = search_content(record, Beside(matches=partial(read_kept, tmp_path / "matches"))).page
    text = render_html(page)
    assert hostile not in text and "<b>" not in str(page_data(page)["gallery"]["pictures"])
    assert page_data(page)["gallery"]["classes"] == ["cat", "dog <b>"]  # `json_for_page` keeps it from being markup


def test_the_page_s_data_hold_the_boxes_in_thousandths(tmp_path: Path) -> None:
    record = kept(tmp_path, photographs(tmp_path / "data"))
    page = search_content(record, Beside(matches=partial(read_kept, tmp_path / "matches"))).page
    data = page_data(page)["gallery"]
    (compared,) = data["compared"]
    assert compared["name"] == "77e0b1aa" and len(compared["shots"]) <= 2 * SIDE
    _, number, _, (ours, theirs) = compared["shots"][0]
    assert data["pictures"][number]["objects"] == [[100, 100, 300, 400, 0], [500, 500, 900, 800, 1]]
    assert [each[6] for each in theirs] == [0, 1] and [each[5] for each in ours] == [0.9, 0.3]
    assert compared["rates"][0][0][-1] is None and len(compared["rates"][1][1]) == len(THRESHOLDS)


def test_the_picture_beside_the_page_has_the_colours_of_its_boxes(tmp_path: Path) -> None:
    found = shown(kept(tmp_path, photographs(tmp_path / "data")), tmp_path)
    with Image.open(io.BytesIO(draw_gallery(found))) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for wanted in ((0x00, 0xC4, 0x8C), (0xFF, 0xE1, 0x4D)):
        assert np.abs(pixels - wanted).sum(axis=1).min() < 40
