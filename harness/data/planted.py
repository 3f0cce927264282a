"""Data sets with a planted effect: what decides an object's class lies where it is known to lie.

Two to four grey rings on a grey ground, and one coloured mark. Each ring is one of four classes, called by colours, and
the task says what decides which:

- `local`: a faint cast of colour of the ring itself. The mark means nothing: no block may gain.
- `nearby`: the colour of the mark, 44 to 76 pixels away: the wider a kernel reaches, the more rings it tells.
- `beacon`: the colour of the mark, at least 44 pixels away: global attention tells every ring.
- `crowd`: the hue around which those of four to seven marks scatter, anywhere in the scene. Nobody can tell every ring,
  and the more marks somebody sees, the more rings: an effect that no length of training saturates.

Distances are from the ring's centre to the mark's along the axis where they are further apart, since what a detector
sees is a square. `nearsighted`, a base that ships with clo-nas, sees about 35 pixels around, so that of the last two
tasks it learns the boxes and guesses the classes.

Colours elsewhere would hide the mark from a mean over the map, so that all else is grey.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from harness.data.embedded import Painted, ensure_written
from harness.data.painting import OPAQUE, Box, Pixels, blend, generator, integer, noise, uniform
from harness.record.surroundings import EFFECT_WAS_PLANTED


class Task(StrEnum):
    """What decides a ring's class."""

    LOCAL = "local"
    NEARBY = "nearby"
    BEACON = "beacon"
    CROWD = "crowd"


# Key of a data set's YAML that names its task.
PLANTED = "planted"
SOURCE = f"Scenes painted by clo-nas. {EFFECT_WAS_PLANTED} scenes.json tells where the mark and the rings are.\n"

# The classes and their marks' colours.
COLOURS = {"red": (200, 60, 60), "green": (60, 170, 70), "blue": (70, 90, 215), "yellow": (205, 185, 60)}
# The hue of each class in `crowd`, in degrees.
HUES = {"red": 0, "green": 180, "blue": 270, "yellow": 90}
# Points along a pixel's side that decide how much of it a ring covers.
_SUB = 4
# Places tried for one ring.
_TRIES = 60
# Pixels between two rings, and between a ring and the border.
_APART = 3


@dataclass(frozen=True, kw_only=True)
class PlantedSettings:
    """What a data set is made of; another value makes another folder in the cache."""

    task: Task
    image_size: int = 128  # pixels, both sides
    train_images: int = 1280
    val_images: int = 400
    rings_min: int = 2  # in one scene
    rings_max: int = 4
    radius_min: int = 7  # pixels, of the outer circle
    radius_max: int = 12
    mark: int = 16  # pixels, both sides: two cells of the map at P3
    margin_min: int = 20  # pixels from the mark's centre to the nearest border: augmentation moves images by up to 18
    margin_max: int = 30
    far: int = 44  # pixels, least distance of a ring from the mark
    near: int | None = None  # pixels, most distance; any where it is None
    cast_max: int = 20  # grey levels of a ring's own colour in `local`
    stray: int = 8  # grey levels by which it strays there in each channel, so that some rings cannot be told
    noise_max: int = 10  # grey levels, standard deviation
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class CrowdSettings(PlantedSettings):
    """What `crowd` is made of."""

    task: Task = Task.CROWD
    mark: int = 10
    marks_min: int = 4  # in one scene
    marks_max: int = 7
    hue_sd: int = 60  # degrees, standard deviation of a mark's hue around its class's

    @property
    def least_gap(self) -> int:
        """Pixels between the centres of two marks, along the axis where they are further apart."""
        return self.mark + 3


@dataclass(frozen=True, kw_only=True)
class Ring:
    """One ring of a scene: centre and outer radius in pixels, and its class."""

    x: int
    y: int
    radius: int
    label: int

    @property
    def box(self) -> Box:
        """Return the box around the outer circle."""
        return (self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The coloured square of a scene: its centre in pixels, and the class whose colour it has."""

    x: int
    y: int
    label: int


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A coloured square of `crowd`: its centre in pixels, and its hue in degrees."""

    x: int
    y: int
    hue: int


def task_settings(task: Task) -> PlantedSettings:
    """Return what the task's data set is made of."""
    if task is Task.CROWD:
        return CrowdSettings()
    return PlantedSettings(task=task, near=76 if task is Task.NEARBY else None)


def ensure_planted(cache: Path, settings: PlantedSettings) -> Path:
    """Write the data set to `cache` unless it is there, and return the path of its YAML.

    Raises:
        UserError: The cache cannot be written.
    """
    return ensure_written(
        cache,
        f"{settings.task}-v1",
        asdict(settings),
        classes=list(COLOURS),
        source=SOURCE,
        splits=lambda: _splits(settings),
        also=f"{PLANTED}: {settings.task}\n",
    )


def _splits(settings: PlantedSettings) -> Iterator[tuple[str, Iterator[Painted]]]:
    def scenes(number: int, count: int) -> Iterator[Painted]:
        for index in range(count):
            yield paint_scene(generator(settings.seed, 3, number, index), settings)

    for number, (split, count) in enumerate((("train", settings.train_images), ("val", settings.val_images))):
        yield split, scenes(number, count)


def paint_scene(rng: np.random.Generator, settings: PlantedSettings) -> Painted:
    """Paint one scene.

    Args:
        rng: What decides everything.
        settings: Of the data set.
    """
    spots: list[Spot] = []
    if isinstance(settings, CrowdSettings):
        spots, rings = compose_crowd(rng, settings)
        about: dict[str, object] = {"marks": [asdict(spot) for spot in spots]}
    else:
        mark, rings = compose(rng, settings)
        about = {"mark": asdict(mark)}
    size, ground = settings.image_size, integer(rng, 90, 165)
    canvas: Pixels = np.full((3, size, size), ground, np.int32)
    for ring in rings:
        contrast = integer(rng, 40, 80)
        grey = ground + (contrast if rng.random() < 0.5 else -contrast)
        colour: Pixels = np.full(3, grey, np.int32)
        if settings.task is Task.LOCAL:
            colour += _cast(ring.label, uniform(rng, 0, settings.cast_max))
            colour += np.array([integer(rng, -settings.stray, settings.stray) for _ in range(3)], np.int32)
        blend(canvas, _ring_alpha(ring, integer(rng, 3, 4), size), colour)
    if spots:
        squares = [(spot.x, spot.y, hue_colour(spot.hue)) for spot in spots]
    else:
        squares = [(mark.x, mark.y, np.array([*COLOURS.values()][mark.label], np.int32) + integer(rng, -15, 15))]
    half = settings.mark // 2
    for x, y, colour in squares:
        canvas[:, y - half : y + half, x - half : x + half] = colour[:, None, None]
    canvas += noise(rng, (1, size, size), integer(rng, 2, settings.noise_max))  # grey, as the ground is
    return Painted(
        pixels=np.clip(canvas, 0, 255).astype(np.uint8).transpose(1, 2, 0),
        objects=[(ring.label, ring.box) for ring in rings],
        about={**about, "rings": [asdict(ring) for ring in rings]},
    )


def compose(rng: np.random.Generator, settings: PlantedSettings) -> tuple[Mark, list[Ring]]:
    """Place the mark, then the rings, which are two at least: begin anew where they do not fit."""
    while True:
        mark = _place_mark(rng, settings)
        rings: list[Ring] = []
        for _ in range(integer(rng, settings.rings_min, settings.rings_max)):
            # Of `local` each ring has a class of its own; of the others all have the mark's.
            label = integer(rng, 0, len(COLOURS) - 1) if settings.task is Task.LOCAL else mark.label
            ring = _place_ring(rng, label, mark, rings, settings)
            rings += [ring] if ring else []
        if len(rings) >= settings.rings_min:
            return mark, rings


def compose_crowd(rng: np.random.Generator, settings: CrowdSettings) -> tuple[list[Spot], list[Ring]]:
    """Place the marks, then the rings beside them, all of one class: begin anew where too few fit."""
    size, margin = settings.image_size, settings.margin_min
    while True:
        label = integer(rng, 0, len(COLOURS) - 1)
        spots: list[Spot] = []
        for _ in range(integer(rng, settings.marks_min, settings.marks_max)):
            x, y = (integer(rng, margin, size - margin) for _ in range(2))
            # Three even draws have their common half width as standard deviation.
            hue = HUES[[*COLOURS][label]] + sum(integer(rng, -settings.hue_sd, settings.hue_sd) for _ in range(3))
            if all(_gap(x, y, other) >= settings.least_gap for other in spots):
                spots.append(Spot(x=x, y=y, hue=hue % 360))
        rings: list[Ring] = []
        for _ in range(integer(rng, settings.rings_min, settings.rings_max)):
            rings += filter(None, [_place_beside(rng, label, spots, rings, settings)])
        if len(spots) >= settings.marks_min and len(rings) >= settings.rings_min:
            return spots, rings


def _place_beside(
    rng: np.random.Generator, label: int, spots: list[Spot], others: list[Ring], settings: CrowdSettings
) -> Ring | None:
    for _ in range(_TRIES):
        radius = integer(rng, settings.radius_min, settings.radius_max)
        least, most = radius + _APART, settings.image_size - radius - _APART
        ring = Ring(x=integer(rng, least, most), y=integer(rng, least, most), radius=radius, label=label)
        is_clear = all(_gap(ring.x, ring.y, spot) > radius + settings.mark // 2 for spot in spots)
        if is_clear and not any(_touch(ring, other) for other in others):
            return ring
    return None


def _gap(x: int, y: int, spot: Spot) -> int:
    return max(abs(x - spot.x), abs(y - spot.y))


def hue_colour(degrees: int) -> Pixels:
    """Return a saturated colour of a hue, (3,): red, green, blue, along the edges of the cube of colours."""
    least, most = 60, 210
    sector, part = divmod(degrees % 360, 60)
    up = least + (most - least) * part // 60
    down = least + most - up
    table = (
        (most, up, least), (down, most, least), (least, most, up), (least, down, most), (up, least, most),
        (most, least, down),
    )  # fmt: skip
    return np.array(table[sector], np.int32)


def _place_mark(rng: np.random.Generator, settings: PlantedSettings) -> Mark:
    """Put it near one of the four borders."""
    size, margin = settings.image_size, integer(rng, settings.margin_min, settings.margin_max)
    along, side = integer(rng, settings.margin_min, size - settings.margin_min), integer(rng, 0, 3)
    across = margin if side < 2 else size - margin
    x, y = (across, along) if side % 2 else (along, across)
    return Mark(x=x, y=y, label=integer(rng, 0, len(COLOURS) - 1))


def _place_ring(
    rng: np.random.Generator, label: int, mark: Mark, others: list[Ring], settings: PlantedSettings
) -> Ring | None:
    size, near = settings.image_size, settings.near or settings.image_size
    for _ in range(_TRIES):
        radius = integer(rng, settings.radius_min, settings.radius_max)
        x, y = (integer(rng, radius + _APART, size - radius - _APART) for _ in range(2))
        ring = Ring(x=x, y=y, radius=radius, label=label)
        if settings.far <= distance(ring, mark) <= near and not any(_touch(ring, other) for other in others):
            return ring
    return None


def distance(ring: Ring, mark: Mark) -> int:
    """Return how far the centres lie apart along the axis where they are further apart, in pixels."""
    return max(abs(ring.x - mark.x), abs(ring.y - mark.y))


def _touch(one: Ring, other: Ring) -> bool:
    apart = one.radius + other.radius + _APART
    return (one.x - other.x) ** 2 + (one.y - other.y) ** 2 < apart**2


def _ring_alpha(ring: Ring, thickness: int, size: int) -> Pixels:
    """Compute how much of each pixel the ring covers, (size, size)."""
    unit = 2 * _SUB  # points lie in the middle of their share of a pixel, which is whole in this unit
    points = 2 * np.arange(_SUB * size, dtype=np.int64) + 1
    squared = (points[None, :] - unit * ring.x) ** 2 + (points[:, None] - unit * ring.y) ** 2
    inner = (unit * (ring.radius - thickness)) ** 2
    covered = (squared <= (unit * ring.radius) ** 2) & (squared > inner)
    share = covered.reshape(size, _SUB, size, _SUB).sum((1, 3), dtype=np.int32)
    alpha: Pixels = share * (OPAQUE // _SUB**2)
    return alpha


def _cast(label: int, strength: float) -> Pixels:
    """Return what a cast of the class's colour adds to a grey: `strength` grey levels at most in a channel."""
    colour = np.array([*COLOURS.values()][label], np.int32)
    hue = colour - int(colour.sum()) // 3
    added: Pixels = (hue * int(strength)) // int(np.abs(hue).max())
    return added
