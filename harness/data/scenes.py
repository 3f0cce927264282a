"""Scenes of handwritten digits: small, touching, low in contrast, on clutter that looks like parts of digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.painting import OPAQUE, Pixels, blend, box_of, integer, noise, uniform


@dataclass(frozen=True, kw_only=True)
class DigitsSettings:
    """What a data set is made of; another value makes another folder in the cache.

    The defaults are calibrated: YOLOv5n from random weights reaches 0.46 mAP50-95 in 25 epochs (1,000
    steps of 16 images, 128 pixels), with digits below 14 pixels still mostly missed or misread.
    """

    image_size: int = 128  # pixels, both sides
    train_images: int = 640
    val_images: int = 800  # so many that drawing others changes a paired difference less than another seed does
    train_share: float = 0.62  # of each class's digit images; the others are for validation
    digits_min: int = 3  # in one scene
    digits_max: int = 8
    height_min: float = 10.0  # pixels, before rotation
    height_max: float = 44.0
    small_share: float = 0.3  # 0: all heights are equally common; 1: small ones far more than large ones
    contrast_min: int = 45  # grey levels between a digit and its surroundings
    contrast_max: int = 140
    noise_max: int = 12  # grey levels, standard deviation
    touching: float = 0.35  # probability that a digit is put against an earlier one
    visible_min: float = 0.7  # share of its ink that every digit keeps
    seed: int = 0


_INK = 128  # alpha from which a pixel counts as ink


@dataclass(frozen=True, kw_only=True)
class PlacedDigit:
    """One digit of a scene: which of scikit-learn's images, its class, its box of visible ink."""

    digit: int
    label: int
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom excluded


def compose_scene(
    deck: Iterator[int],
    glyphs: NDArray[np.float64],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    settings: DigitsSettings,
) -> tuple[NDArray[np.uint8], list[PlacedDigit], Pixels]:
    """Paint one scene.

    Args:
        deck: Digit images in the order in which they are used.
        glyphs: All digit images, (n, 8, 8), ink from 0 to 16.
        labels: Their classes, (n,).
        rng: What decides everything else.
        settings: Of the data set.

    Returns:
        The image (size, size, 3); its digits; and for every pixel the place in that list of the
        digit whose ink is seen there, or -1.
    """
    size = settings.image_size
    canvas = _background(rng, size)
    owner = np.full((size, size), -1, np.int32)
    used: list[int] = []
    inks: list[int] = []
    for _ in range(integer(rng, settings.digits_min, settings.digits_max)):
        digit = next(deck)
        tall = rng.random()
        tall -= settings.small_share * tall * (1 - tall)  # at a share of 1: the square
        height = settings.height_min + (settings.height_max - settings.height_min) * tall
        alpha = _warp(glyphs[digit], height, rng)
        ink = alpha >= _INK
        corner = _find_place(ink, owner, inks, rng, settings)
        if corner is None:
            continue
        (top, left), (rows, columns) = corner, ink.shape
        window = canvas[:, top : top + rows, left : left + columns]
        contrast = settings.contrast_min + (settings.contrast_max - settings.contrast_min) * rng.random() ** 2
        blend(window, alpha, _contrasting(window, int(contrast), rng))
        owner[top : top + rows, left : left + columns][ink] = len(used)
        used.append(digit)
        inks.append(int(ink.sum()))
    if rng.random() < 0.4:
        canvas = _blur(canvas)
    canvas += noise(rng, canvas.shape, integer(rng, 2, settings.noise_max))
    placed = [
        PlacedDigit(digit=digit, label=int(labels[digit]), box=box_of(owner == place))
        for place, digit in enumerate(used)
    ]
    return np.clip(canvas, 0, 255).astype(np.uint8).transpose(1, 2, 0), placed, owner


def _warp(glyph: NDArray[np.float64], height: float, rng: np.random.Generator) -> Pixels:
    """Enlarge, shear and rotate an 8x8 digit; return its alpha, without empty margins."""
    half_tangent = uniform(rng, -0.22, 0.22)  # of the rotation, up to 25 degrees
    cos = (1 - half_tangent**2) / (1 + half_tangent**2)
    sin = 2 * half_tangent / (1 + half_tangent**2)
    shear = uniform(rng, -0.25, 0.25)
    scale_y = height / 8
    scale_x = scale_y * uniform(rng, 0.85, 1.25)
    threshold = uniform(rng, 3.0, 6.0)  # thick or thin pen
    softness = uniform(rng, 3.0, 7.0)

    half = int(0.9 * height) + 2  # what a digit can reach from its middle
    along = np.arange(-half, half + 1, dtype=np.float64)
    x, y = along[None, :], along[:, None]
    turned_x, turned_y = cos * x + sin * y, cos * y - sin * x
    u = np.clip((turned_x - shear * turned_y) / scale_x + 5.5, 0, 10.999)
    v = np.clip(turned_y / scale_y + 5.5, 0, 10.999)
    column, row = u.astype(np.intp), v.astype(np.intp)
    right, down = u - column, v - row
    padded = np.zeros((12, 12))
    padded[2:10, 2:10] = glyph
    place = row * 12 + column
    upper = padded.take(place) * (1 - right) + padded.take(place + 1) * right
    lower = padded.take(place + 12) * (1 - right) + padded.take(place + 13) * right
    ink = upper * (1 - down) + lower * down
    alpha = (np.minimum(np.maximum((ink - threshold) / softness, 0), 1) * OPAQUE + 0.5).astype(np.int32)
    left, top, end_x, end_y = box_of(alpha > 0)
    return alpha[top:end_y, left:end_x]


def _find_place(
    ink: NDArray[np.bool_], owner: Pixels, inks: list[int], rng: np.random.Generator, settings: DigitsSettings
) -> tuple[int, int] | None:
    """Draw top and left where all digits stay visible enough, or return None if ten tries fail.

    `inks` are the pixels of ink that the earlier digits were drawn with.
    """
    (rows, columns), size = ink.shape, settings.image_size
    visible = np.bincount(owner.ravel() + 1, minlength=len(inks) + 1)[1:]
    for _ in range(10):
        top, left = integer(rng, 0, size - rows), integer(rng, 0, size - columns)
        if inks and rng.random() < settings.touching:
            near_left, near_top, near_right, near_bottom = box_of(owner == integer(rng, 0, len(inks) - 1))
            overlap = integer(rng, -1, 3)
            left = near_right - overlap if rng.random() < 0.5 else near_left - columns + overlap
            top = (near_top + near_bottom - rows) // 2 + integer(rng, -4, 4)
            if not (0 <= left <= size - columns and 0 <= top <= size - rows):
                continue
        below = owner[top : top + rows, left : left + columns][ink]
        on_others = np.bincount(below + 1, minlength=len(inks) + 1)[1:]
        still_seen = (visible - on_others >= settings.visible_min * np.array(inks, np.int64)).all()
        # Strokes laid over other strokes are as hard to read as hidden ones.
        if still_seen and on_others.sum() <= (1 - settings.visible_min) * ink.sum():
            return top, left
    return None


def _contrasting(region: Pixels, contrast: int, rng: np.random.Generator) -> Pixels:
    """Draw a colour that differs from the region's mean by about `contrast`, lighter or darker."""
    mean = region.sum((1, 2)) // (region.size // 3)
    grey = int(mean.sum()) // 3
    lighter = rng.random() < 0.5 if contrast <= grey <= 255 - contrast else grey < 128
    tint = np.array([integer(rng, -20, 20) for _ in range(3)])
    colour: Pixels = np.clip(mean + (contrast if lighter else -contrast) + tint, 0, 255).astype(np.int32)
    return colour


def _background(rng: np.random.Generator, size: int) -> Pixels:
    """Paint a gradient of two colours with soft blobs, lines and strokes that look like parts of digits."""
    first, second = (np.array([integer(rng, 30, 225) for _ in range(3)]) for _ in range(2))
    second = first + (second - first) // 2  # half way: gradients, not rainbows
    canvas = np.repeat(first.astype(np.int32), size * size).reshape(3, size, size)
    slope_x, slope_y = rng.random(), rng.random()
    along = np.arange(size, dtype=np.float64)
    ramp = (slope_x * along[None, :] + slope_y * along[:, None]) / (size * (slope_x + slope_y))
    blend(canvas, (ramp * OPAQUE).astype(np.int32), second)
    for _ in range(integer(rng, 0, 4)):
        reach = uniform(rng, 0.1, 0.4) * size
        window, x, y = _around(canvas, rng, reach)
        fading = np.maximum(1 - (x**2 + y**2) / reach**2, 0)
        colour = _contrasting(window, integer(rng, 20, 80), rng)
        blend(window, (fading**2 * OPAQUE).astype(np.int32), colour)
    for _ in range(integer(rng, 0, 4)):
        _line(canvas, rng, length=uniform(rng, 0.3, 1.2) * size)
    for _ in range(integer(rng, 2, 9)):
        if rng.random() < 0.5:
            _line(canvas, rng, length=uniform(rng, 5, 22))
        else:
            _arc(canvas, rng, radius=uniform(rng, 3, 12))
    return canvas


def _line(canvas: Pixels, rng: np.random.Generator, length: float) -> None:
    window, x, y = _around(canvas, rng, length)
    dx, dy = _direction(rng)
    along = np.clip(x * dx + y * dy, 0, length)
    _stroke(window, np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2), rng)


def _arc(canvas: Pixels, rng: np.random.Generator, radius: float) -> None:
    window, x, y = _around(canvas, rng, radius)
    dx, dy = _direction(rng)
    open_side = x * dx + y * dy > uniform(rng, -0.5, 0.7) * radius
    _stroke(window, np.where(open_side, np.inf, np.abs(np.sqrt(x**2 + y**2) - radius)), rng)


def _around(
    canvas: Pixels, rng: np.random.Generator, reach: float
) -> tuple[Pixels, NDArray[np.float64], NDArray[np.float64]]:
    """Draw a random point and return its surroundings: a view on the canvas, and x and y from that point."""
    size, margin = canvas.shape[1], int(reach) + 3
    column, row = integer(rng, 0, size - 1), integer(rng, 0, size - 1)
    left, top = max(0, column - margin), max(0, row - margin)
    window = canvas[:, top : row + margin + 1, left : column + margin + 1]
    x = np.arange(window.shape[2], dtype=np.float64)[None, :] + (left - column)
    y = np.arange(window.shape[1], dtype=np.float64)[:, None] + (top - row)
    return window, x, y


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    dx, dy = uniform(rng, -1, 1), uniform(rng, -1, 1)
    length = float(np.sqrt(dx * dx + dy * dy)) or 1.0
    return dx / length, dy / length


def _stroke(canvas: Pixels, distance: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint all pixels closer than half a pen width."""
    alpha = (np.clip(uniform(rng, 0.6, 1.8) + 0.5 - distance, 0, 1) * OPAQUE).astype(np.int32)
    blend(canvas, alpha, _contrasting(canvas[:, ::4, ::4], integer(rng, 20, 100), rng))


def _blur(canvas: Pixels) -> Pixels:
    """Convolve with the 1-2-1 kernel in both directions."""
    for axis in (1, 2):
        padded = np.pad(canvas, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        middle = [slice(None)] * 3
        shifted = []
        for start in range(3):
            middle[axis] = slice(start, start + canvas.shape[axis])
            shifted.append(padded[tuple(middle)])
        canvas = (shifted[0] + 2 * shifted[1] + shifted[2] + 2) >> 2
    return canvas
