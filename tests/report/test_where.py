"""Where a candidate differs is said of a truth that was planted, with intervals that hold it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.report.images import Pair, read_kept
from harness.report.search import Beside, search_content
from harness.report.where import confusions, found_by_group, right_by_class, where_tables
from harness.training.image_matches import ImageMatches
from tests.report.test_images import kept, photographs

SMALL, LARGE = 0.1, 0.3
CLASSES = ["three", "eight"]


def scene(rng: np.random.Generator, images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """One to four objects an image on a grid, small and large ones, of either class."""
    found = []
    for _ in range(images):
        count = int(rng.integers(1, 5))
        sides = rng.choice([SMALL, LARGE], count)
        corners = np.array([[0.05, 0.05], [0.55, 0.05], [0.05, 0.55], [0.55, 0.55]])[:count]
        found.append((np.column_stack([corners, corners + sides[:, None]]), rng.integers(0, 2, count)))
    return found


def detected(
    rng: np.random.Generator, scenes: list[tuple[np.ndarray, np.ndarray]], small: float, large: float, mixed: float = 0
) -> ImageMatches:
    """Each object found with a chance that its size decides, and taken for the other class with another."""
    parts: dict[str, list[Any]] = {name: [] for name in ("matched", "confidence", "predicted", "boxes")}
    for boxes, target in scenes:
        sides = boxes[:, 2] - boxes[:, 0]
        hit = rng.random(len(target)) < np.where(sides < 0.2, small, large)
        wrong = hit & (rng.random(len(target)) < mixed) & (target == 0)
        parts["matched"].append(np.repeat((~wrong[hit])[:, None], 10, axis=1))
        parts["confidence"].append(np.full(hit.sum(), 0.8))
        parts["predicted"].append(np.where(wrong, 1 - target, target)[hit])
        parts["boxes"].append(boxes[hit])
    objects = {"target": [target for _, target in scenes], "target_boxes": [boxes for boxes, _ in scenes]}
    names = [f"{at:04}.jpg" for at in range(len(scenes))]
    return ImageMatches(**parts, **objects, names=names, classes=CLASSES)


def pairs(seed: int, *, images: int = 150, seeds: int = 2, mixed: float = 0) -> list[Pair]:
    """The candidate finds nine of ten small objects, the baseline six; of large ones both find eight."""
    rng = np.random.default_rng(seed)
    scenes = scene(rng, images)
    return [(detected(rng, scenes, 0.6, 0.8), detected(rng, scenes, 0.9, 0.8, mixed=mixed)) for _ in range(seeds)]


def test_the_planted_size_is_where_the_difference_is() -> None:
    found = found_by_group(pairs(0, images=400), 0.5)
    small, large = found["size"]
    assert small.group == "10 % of the image's side"
    assert small.candidate - small.baseline == pytest.approx(0.3, abs=0.06) and small.low > 0.2
    assert large.low < 0 < large.high
    assert [change.group for change in found["IoU"]] == [f"at IoU {iou:.2f}" for iou in (0.5, 0.65, 0.8, 0.95)]
    assert {change.group for change in found["class"]} == {f"class {name}" for name in CLASSES}


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(80):
        small, large = found_by_group(pairs(seed), 0.5)["size"]
        held += (small.low <= 0.3 <= small.high) + (large.low <= 0 <= large.high)
    assert 0.90 <= held / 160 <= 0.99  # 95 % is 152 of 160, two standard deviations either side


def test_what_is_taken_for_what_is_said_with_how_often() -> None:
    found = confusions(pairs(1, images=400, mixed=0.25), 0.5)
    assert set(found) == {(0, 0), (1, 1), (0, 1)}  # nothing else was mixed up
    mixed = found[0, 1]
    assert mixed.group == "three detected as eight"
    assert mixed.baseline == 0 and mixed.candidate == pytest.approx(0.25 * 0.85, abs=0.05) and mixed.low > 0.1
    assert found[1, 1].candidate == pytest.approx(0.85, abs=0.05)  # half of the objects are small


def test_confusions_are_a_matrix_of_differences_with_the_largest_coloured_most() -> None:
    *_, table = where_tables("aaaa", pairs(1, images=400, mixed=0.25), 0.5)
    assert [column.name for column in table.columns] == ["True class", *CLASSES]
    three, eight, nothing = (row.cells for row in table.rows)
    assert [row[0].text for row in (three, eight, nothing)] == [*CLASSES, "no object"]
    assert three[2].sort == pytest.approx(100 * 0.25 * 0.85, abs=5) and three[2].details
    assert three[2].tint == -4  # more are taken for the other class, which is worse
    assert three[1].sort is not None and three[1].sort * three[1].tint >= 0  # of its own class more are better
    assert eight[1].text == "" and nothing[1].text == ""  # too few to say anything of


def test_of_many_classes_those_are_shown_that_change_most() -> None:
    rng = np.random.default_rng(0)
    scenes = [(boxes, rng.integers(0, 2, len(boxes)) + 18) for boxes, _ in scene(rng, 400)]
    many = [replace(detected(rng, scenes, hit, hit), classes=[f"c{at}" for at in range(20)]) for hit in (0.5, 0.9)]
    *_, table = where_tables("aaaa", [(many[0], many[1])], 0.5)
    assert [column.name for column in table.columns[-2:]] == ["c18", "c19"] and len(table.rows) == 13
    assert table.caption.endswith("8 further classes change less")


def test_intervals_of_confusions_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(100):
        found = confusions(pairs(seed, mixed=0.25), 0.5)[0, 1]
        held += found.low <= 0.25 * (0.9 + 0.8) / 2 <= found.high  # half of the objects are small
    assert 0.88 <= held / 100 <= 1.0


def test_false_detections_are_of_the_background_and_second_ones_too() -> None:
    rng = np.random.default_rng(3)
    scenes = scene(rng, 60)
    ours = detected(rng, scenes, 1, 1)
    twice = {
        name: [np.concatenate([one, one[:1]]) for one in getattr(ours, name)]
        for name in ("confidence", "predicted", "boxes")
    }
    again = [np.concatenate([one, np.zeros((1, 10), bool)]) for one in ours.matched]
    theirs = ImageMatches(
        **twice, matched=again, target=ours.target, target_boxes=ours.target_boxes, names=ours.names, classes=CLASSES
    )
    found = {at: change.candidate for at, change in confusions([(ours, theirs)], 0.5).items() if at[0] != at[1]}
    assert set(found) == {(2, 0), (2, 1)}
    assert sum(found.values()) == pytest.approx(1)  # one too many an image


def test_of_what_is_detected_as_a_class_the_share_that_is_right_is_said_too() -> None:
    found = {change.group: change for change in right_by_class(pairs(1, images=400, mixed=0.25), 0.5)}
    assert set(found) == {"all", *(f"class {name}" for name in CLASSES)}
    assert all(change.baseline == 1 for change in found.values())  # the baseline never errs, it only misses
    eight = found["class eight"]  # as many of three as of eight, a quarter of which is called eight
    assert eight.candidate == pytest.approx(1 / 1.25, abs=0.05) and eight.high < 0
    assert found["class three"].candidate == 1


def test_a_less_confident_detection_does_not_count() -> None:
    assert all(change.candidate == 0 for each in found_by_group(pairs(0), 0.85).values() for change in each)
    assert confusions(pairs(0), 0.85) == {}


def test_with_few_objects_nothing_is_said() -> None:
    few = pairs(0, images=3)
    assert found_by_group(few, 0.5) == {} or all(
        c.count >= 10 for each in found_by_group(few, 0.5).values() for c in each
    )
    rng = np.random.default_rng(0)
    nothing = [(np.zeros((0, 4)), np.zeros(0, int))] * 4
    empty = [(detected(rng, nothing, 1, 1), detected(rng, nothing, 1, 1))]
    assert list(where_tables("aaaa", empty, 0.5)) == []


def test_the_section_is_of_the_pick_and_has_no_verdicts(tmp_path: Path) -> None:
    record = kept(tmp_path, photographs(tmp_path / "data"))
    page = search_content(record, Beside(matches=partial(read_kept, tmp_path / "matches"))).page
    section = page["where"]
    assert section.note.startswith("Exploratory: 77e0b1aa and the baseline after 3 epochs")
    texts = [cell.text for table in section.tables for row in table.rows for cell in row.cells]
    assert texts and not {"gain", "loss", "better", "worse", "undecided"} & set(texts)
