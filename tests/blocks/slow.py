"""Third oracle: pixel by pixel, in Python loops and float64; slow and obvious.

Shares no operator with the code under test: windows are lists of pixels, not a pooling's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]


def slow_window_means(image: Array, window: int) -> Array:
    """Mean of the pixels that each window really covers; (C, H, W) to (C, rows, columns)."""
    _, height, width = image.shape
    rows = []
    for top in range(0, height, window):
        row = []
        for left in range(0, width, window):
            covered = [
                image[:, y, x]
                for y in range(top, min(top + window, height))
                for x in range(left, min(left + window, width))
            ]
            row.append(sum(covered) / len(covered))
        rows.append(row)
    return np.array(rows).transpose(2, 0, 1)


def slow_attention(
    x: Tensor, weights: Mapping[str, Tensor], groups: Sequence[int], kernels: Sequence[int], window: int
) -> Array:
    """The whole of Clo attention, image by image."""
    named = {key: value.detach().double().numpy() for key, value in weights.items()}
    return np.stack([_one_image(image, named, groups, kernels, window) for image in x.double().numpy()])


def _one_image(
    image: Array, weights: Mapping[str, Array], groups: Sequence[int], kernels: Sequence[int], window: int
) -> Array:
    head_dim = len(image) // sum(groups)
    parts = [_local(image, weights, index, kernel, head_dim) for index, kernel in enumerate(kernels)]
    if groups[-1]:
        parts.append(_global(image, weights, groups[-1], head_dim, window))
    return _pointwise(np.concatenate(parts), weights, "proj")


def _local(image: Array, weights: Mapping[str, Array], index: int, kernel: int, head_dim: int) -> Array:
    qkv = _depthwise(_pointwise(image, weights, f"qkvs.{index}"), weights, f"convs.{index}", kernel)
    width = len(qkv) // 3
    query, key, value = qkv[:width], qkv[width : 2 * width], qkv[2 * width :]
    hidden = _pointwise(query * key, weights, f"act_blocks.{index}.act_block.0")
    swish = hidden / (1 + np.exp(-hidden))
    gate = np.tanh(_pointwise(swish, weights, f"act_blocks.{index}.act_block.2") / np.sqrt(head_dim))
    out: Array = gate * value
    return out


def _global(image: Array, weights: Mapping[str, Array], heads: int, head_dim: int, window: int) -> Array:
    query = _pointwise(image, weights, "global_q")
    keys_values = _pointwise(slow_window_means(image, window), weights, "global_kv")
    keys, values = keys_values[: heads * head_dim], keys_values[heads * head_dim :]
    out = np.zeros_like(query)
    for head in range(heads):
        channels = slice(head * head_dim, (head + 1) * head_dim)
        for y, x in np.ndindex(*query.shape[1:]):
            tokens = list(np.ndindex(*keys.shape[1:]))
            scores = np.array([query[channels, y, x] @ keys[channels, i, j] for i, j in tokens])
            attention = np.exp(scores / np.sqrt(head_dim))
            attention /= attention.sum()
            for (i, j), share in zip(tokens, attention, strict=True):
                out[channels, y, x] += share * values[channels, i, j]
    return out


def _pointwise(image: Array, weights: Mapping[str, Array], name: str) -> Array:
    matrix, bias = weights[f"{name}.weight"][:, :, 0, 0], weights[f"{name}.bias"]
    out = np.zeros((len(matrix), *image.shape[1:]))
    for y, x in np.ndindex(*image.shape[1:]):
        out[:, y, x] = matrix @ image[:, y, x] + bias
    return out


def _depthwise(image: Array, weights: Mapping[str, Array], name: str, kernel: int) -> Array:
    taps, bias = weights[f"{name}.weight"][:, 0], weights[f"{name}.bias"]
    _, height, width = image.shape
    out = np.zeros_like(image)
    for y, x in np.ndindex(height, width):
        out[:, y, x] = bias
        for i, j in np.ndindex(kernel, kernel):
            row, column = y + i - kernel // 2, x + j - kernel // 2
            if 0 <= row < height and 0 <= column < width:
                out[:, y, x] += taps[:, i, j] * image[:, row, column]
    return out
