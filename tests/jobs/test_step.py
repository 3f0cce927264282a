from __future__ import annotations

import pytest

from harness.jobs.progress import Step, Throttle


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


def test_of_the_steps_of_one_kind_a_throttle_lets_one_through_a_pause() -> None:
    throttle = Throttle(0.5)
    passed = [throttle.lets_through(Step("training", done, 100), 0.01 * done) for done in range(100)]
    assert [done for done, let in enumerate(passed) if let] == [0, 50]


def test_another_kind_of_step_passes_a_throttle_at_once() -> None:
    throttle = Throttle(0.5)
    words = [Step("latency", 0, 1), Step("training", 0, 9), Step("training", 1, 9), "validating", "validating"]
    assert [throttle.lets_through(word, 10.0) for word in words] == [True, True, False, True, False]
