"""Blocks without a time, from those with one; times are products of what each choice costs, as far as they go."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from harness.latency.table import estimated

CLASSES, CHANNELS, KERNELS, MAPS = ("A", "B"), (16, 32), (3, 5, 7), (4, 8)
FACTOR = {"A": 1.0, "B": 1.5, 16: 0.01, 32: 0.03, 3: 1.0, 5: 1.2, 7: 1.5, 4: 1.0, 8: 3.0}
TIMES = {
    json.dumps([kind, [channels, [kernel], {"pool": 2}], size, size]): float(
        np.prod([FACTOR[each] for each in (kind, channels, kernel, size)])
    )
    for kind, channels, kernel, size in itertools.product(CLASSES, CHANNELS, KERNELS, MAPS)
}


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_where_choices_multiply_what_is_missing_is_found(share: float) -> None:
    names = np.random.default_rng(0).permutation(list(TIMES)).tolist()
    measured = {name: TIMES[name] for name in names[: int(share * len(names))]}
    missing = [name for name in names if name not in measured]
    found = estimated(measured, missing)
    assert list(found) == missing
    errors = [found[name] / TIMES[name] - 1 for name in missing]
    assert np.abs(errors).max() < 0.15
    everybodys_mean = np.exp(np.mean(np.log([*measured.values()])))
    assert max(abs(everybodys_mean / TIMES[name] - 1) for name in missing) > 1


def test_the_unit_does_not_matter() -> None:
    names = list(TIMES)
    measured = {name: TIMES[name] for name in names[::2]}
    found = estimated(measured, names[1::2])
    in_seconds = estimated({name: time * 1e-3 for name, time in measured.items()}, names[1::2])
    assert [time * 1e3 for time in in_seconds.values()] == pytest.approx([*found.values()])


def test_of_one_block_all_others_are_taken_to_be_like_it() -> None:
    first, second, *_ = TIMES
    assert estimated({first: 0.2}, [second]) == {second: pytest.approx(0.2)}


def test_nothing_is_estimated_where_nothing_is_missing() -> None:
    assert estimated(TIMES, []) == {}
