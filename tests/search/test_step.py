from __future__ import annotations

import pytest

from harness.search.step import Step


@pytest.mark.parametrize(
    ("done", "total", "epochs", "before", "shown"),
    [
        (0, 40, 2, 0, "epoch 1 of 2"),
        (20, 40, 2, 0, "epoch 1 of 2"),  # its last iteration
        (21, 40, 2, 0, "epoch 2 of 2"),
        (40, 40, 2, 0, "epoch 2 of 2"),
        (21, 40, 2, 3, "epoch 5 of 5"),  # goes on from three
        (0, 1, 0, 0, ""),
    ],
)
def test_the_epoch_under_way_is_told(done: int, total: int, epochs: int, before: int, shown: str) -> None:
    assert Step("training", done, total, epochs, before).epoch == shown
