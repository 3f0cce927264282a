"""What scenes are painted with: the same pixels on every machine.

Only raw PCG64 output [1] and IEEE-exact arithmetic (+ - * / sqrt) are used, no trigonometry and no float sums.

[1] NumPy NEP 19: the streams of bit generators are stable between versions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.int32]
# Left, top, right, bottom in pixels; right and bottom excluded.
Box = tuple[int, int, int, int]
# Alpha of full coverage; a power of two, to divide by shifting.
OPAQUE = 256


def generator(*entropy: int) -> np.random.Generator:
    """Return the stream of random numbers that belongs to these integers."""
    return np.random.Generator(np.random.PCG64(entropy))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number from a range."""
    return low + (high - low) * rng.random()


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a whole number from a range, both ends included."""
    return low + int((high - low + 1) * rng.random())


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box around what is true in (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def blend(canvas: Pixels, alpha: Pixels, colour: Pixels) -> None:
    """Lay a colour (3,) over the canvas (3, H, W) by alpha (H, W), in place."""
    canvas += ((colour[:, None, None] - canvas) * alpha) >> 8


def noise(rng: np.random.Generator, shape: tuple[int, ...], level: int) -> Pixels:
    """Draw sums of four random bytes: nearly normal, with `level` as standard deviation."""
    count = int(np.prod(shape))
    raw = np.asarray(rng.bit_generator.random_raw(-(-count // 2)), dtype="<u8").view(np.uint8)
    quarters = raw[: 4 * count].reshape(4, count).astype(np.int32)
    total = quarters[0] + quarters[1] + quarters[2] + quarters[3] - 510
    # 2**20 / 7085 = 148, the deviation of such a sum.
    drawn: Pixels = ((total * (level * 7085)) >> 20).reshape(shape)
    return drawn
