"""Planted tasks: what decides a class is where it is said to be, and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import UserError
from harness.data.check import check_dataset
from harness.data.embedded import Painted
from harness.data.painting import generator
from harness.data.planted import (
    COLOURS,
    HUES,
    CrowdSettings,
    Mark,
    PlantedSettings,
    Ring,
    Spot,
    Task,
    compose,
    compose_crowd,
    distance,
    ensure_planted,
    hue_colour,
    paint_scene,
    task_settings,
)
from harness.record.settings import EMBEDDED, SearchSettings
from harness.record.surroundings import EFFECT_WAS_PLANTED

MARKED = (Task.LOCAL, Task.NEARBY, Task.BEACON)
SMALL = {task: replace(task_settings(task), train_images=6, val_images=4) for task in Task}


def parts_of(painted: Painted) -> tuple[Mark, list[Ring]]:
    about = json.loads(json.dumps(painted.about))
    return Mark(**about["mark"]), [Ring(**ring) for ring in about["rings"]]


def scene(task: Task, seed: int) -> Painted:
    return paint_scene(generator(seed), task_settings(task))


@given(task=st.sampled_from(MARKED), seed=st.integers(0, 2**31))
def test_every_ring_is_as_far_from_the_mark_as_the_task_says(task: Task, seed: int) -> None:
    settings = task_settings(task)
    mark, rings = parts_of(scene(task, seed))
    assert settings.rings_min <= len(rings) <= settings.rings_max
    assert all(settings.far <= distance(ring, mark) <= (settings.near or 128) for ring in rings)
    if task is not Task.LOCAL:
        assert {ring.label for ring in rings} == {mark.label}


@given(task=st.sampled_from(MARKED), seed=st.integers(0, 2**31))
def test_boxes_are_where_the_rings_are_and_within_the_image(task: Task, seed: int) -> None:
    painted = scene(task, seed)
    mark, rings = parts_of(painted)
    assert [(ring.label, ring.box) for ring in rings] == list(painted.objects)
    ground = np.median(painted.pixels)
    for left, top, right, bottom in (box for _, box in painted.objects):
        assert 0 <= left < right <= 128 and 0 <= top < bottom <= 128
        for edge in (
            painted.pixels[top : top + 2, (left + right) // 2],
            painted.pixels[bottom - 2 : bottom, (left + right) // 2],
        ):
            assert abs(float(edge.mean()) - ground) > 12  # the ring reaches its box
    half = task_settings(task).mark // 2
    inside = painted.pixels[mark.y - half : mark.y + half, mark.x - half : mark.x + half].mean((0, 1))
    nearest = min(COLOURS, key=lambda name: float(np.abs(inside - COLOURS[name]).sum()))
    assert nearest == [*COLOURS][mark.label]


@pytest.mark.parametrize("task", [Task.NEARBY, Task.BEACON])
def test_nothing_but_the_mark_is_coloured(task: Task) -> None:
    for seed in range(40):
        painted = scene(task, seed)
        mark, _ = parts_of(painted)
        pixels = painted.pixels.astype(int)
        pixels[mark.y - 8 : mark.y + 8, mark.x - 8 : mark.x + 8] = 0
        assert (np.ptp(pixels, axis=2) == 0).all()


def test_a_local_ring_s_class_does_not_follow_the_mark() -> None:
    scenes = [compose(generator(seed), task_settings(Task.LOCAL)) for seed in range(3000)]
    pairs = Counter((mark.label, ring.label) for mark, rings in scenes for ring in rings)
    mean = sum(pairs.values()) / 16
    assert len(pairs) == 16 and all(0.8 * mean < number < 1.2 * mean for number in pairs.values())


@pytest.mark.parametrize("task", Task)
def test_classes_are_about_equally_common(task: Task) -> None:
    scenes = [paint_scene(generator(seed), task_settings(task)) for seed in range(600)]
    count = Counter(label for painted in scenes for label, _ in painted.objects)
    assert all(0.8 < number / (sum(count.values()) / 4) < 1.2 for number in count.values())


CROWD = CrowdSettings()


@given(seed=st.integers(0, 2**31))
def test_a_crowd_s_rings_are_of_one_class_and_beside_its_marks(seed: int) -> None:
    spots, rings = compose_crowd(generator(seed), CROWD)
    assert CROWD.marks_min <= len(spots) <= CROWD.marks_max
    assert all(CROWD.margin_min <= place <= 128 - CROWD.margin_min for spot in spots for place in (spot.x, spot.y))
    assert len({ring.label for ring in rings}) == 1
    painted = paint_scene(generator(seed), CROWD)
    assert [(ring.label, ring.box) for ring in rings] == list(painted.objects)
    for spot in spots:
        square = painted.pixels[spot.y - 5 : spot.y + 5, spot.x - 5 : spot.x + 5].mean((0, 1))
        assert np.abs(square - hue_colour(spot.hue)).max() < 8  # nothing lies upon it


def test_the_more_of_a_crowd_somebody_sees_the_more_rings_they_tell() -> None:
    """What can be told at all: the class nearest to the mean direction of the hues within so many pixels."""
    scenes = [compose_crowd(generator(seed), CROWD) for seed in range(1500)]
    told = {reach: [guess(ring, spots, reach) for spots, rings in scenes for ring in rings] for reach in KNOWN}
    assert {reach: round(float(np.mean(found)), 2) for reach, found in told.items()} == pytest.approx(KNOWN, abs=0.02)


# What `nearsighted` sees, with kernels 3, 5, 7, 9 at P3, and all.
KNOWN = {35: 0.54, 43: 0.63, 51: 0.69, 59: 0.74, 67: 0.78, 128: 0.84}


def guess(ring: Ring, spots: list[Spot], reach: int) -> float:
    seen = [spot.hue for spot in spots if max(abs(spot.x - ring.x), abs(spot.y - ring.y)) <= reach]
    if not seen:
        return 1 / len(HUES)
    mean = np.rad2deg(np.angle(np.exp(1j * np.deg2rad(seen)).sum()))
    apart = {name: abs((mean - hue + 180) % 360 - 180) for name, hue in HUES.items()}
    return float(min(apart, key=apart.__getitem__) == [*COLOURS][ring.label])


@pytest.mark.parametrize(
    ("task", "digest"),
    [
        (Task.LOCAL, "40bce620f7779d9b"),
        (Task.NEARBY, "0588bddb4e12eb3a"),
        (Task.BEACON, "82307bbb5499f87c"),
        (Task.CROWD, "7f3eb008649e6b1a"),
    ],
)
def test_the_bytes_are_those_of_every_other_machine(task: Task, digest: str, tmp_path: Path) -> None:
    """Change a hash only together with `v1` in the folder's name."""
    folder = ensure_planted(tmp_path, SMALL[task]).parent
    files = sorted(
        path for path in folder.rglob("*.*") if path.suffix in {".png", ".txt"} and "SOURCE" not in path.name
    )
    assert len(files) == 2 * (6 + 4)
    assert hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16] == digest


@pytest.mark.parametrize("task", Task)
def test_a_check_says_that_an_effect_was_planted(task: Task, tmp_path: Path) -> None:
    info = check_dataset(str(ensure_planted(tmp_path, SMALL[task])), 128)
    assert EFFECT_WAS_PLANTED in info.cautions
    assert [*info.names.values()] == [*COLOURS]


def test_embedded_data_are_named_like_their_tasks_and_searched_at_their_size() -> None:
    assert set(EMBEDDED) == {"digits", *Task}
    assert {SearchSettings(data=name).imgsz for name in EMBEDDED} == {PlantedSettings(task=Task.BEACON).image_size}


def test_a_task_that_there_is_not_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'beacn' does not exist; give one of digits, local, nearby, beacon, crowd, "):
        check_dataset("beacn", 128, tmp_path)
