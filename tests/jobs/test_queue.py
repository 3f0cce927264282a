"""A queue of trainings: each end is recorded once, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Self

import pytest

from harness.common.errors import UserError
from harness.jobs.queue import Queue, Source
from harness.jobs.trial import Measured
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy

DONE = Measured(
    accuracy=Accuracy(map50_95=0.5, map50=0.7, evaluator="", train_seconds=1.0, transferred=""), latency=None,
    cpu_seconds=1.0,
)  # fmt: skip
NO_MEMORY = Failure(state=State.OUT_OF_MEMORY, reason="no more")


class Table:
    """What was written down: number, state, figures and reason of each trial that ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, State, Mapping[str, Any], str]] = []

    def end(self, trial: Any, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        self.ends.append((trial.number, state, figures, reason))


class Children:
    """Trainings that end as they are told, in the order of their start."""

    def __init__(self, results: Mapping[int, Measured | Failure], workers: int = 2, shared: bool = True) -> None:
        self.results, self.workers, self.shared = results, workers, shared
        self.started: list[tuple[int, Any]] = []
        self.waited: list[float | None] = []
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self, number: int, _function: object, job: Any) -> None:
        self.started.append((number, job))

    def next(self) -> tuple[int, Measured | Failure]:
        number, _ = self.started.pop(0)
        return number, self.results[number]

    def within(self, seconds: float | None) -> tuple[int, Measured | Failure] | None:
        self.waited.append(seconds)
        return self.next()

    def ended(self) -> list[tuple[int, Measured | Failure]]:
        there = [(number, self.results[number]) for number, _ in self.started if number in self.results]
        self.started = [each for each in self.started if each[0] not in self.results]
        return there

    def one_at_a_time(self) -> bool:
        self.workers = 1
        return self.shared

    def stop(self) -> None:
        self.stopped = True


class Letters(Source[str, Measured]):
    """A source whose trainings are letters."""

    def __init__(self) -> None:
        self.tidied: list[str] = []
        self.taken_back: list[str] = []
        self.told: list[int] = []
        self.said: list[str] = []

    def figures_of(self, key: str, _result: Measured) -> dict[str, Any]:
        return {"letter": key}

    def again(self, key: str) -> None:
        self.taken_back.append(key)

    def ended(self, number: int, key: str, result: Measured | None) -> None:
        self.told.append(number)
        if result:
            self.tidied.append(key)


def made(children: Children, devices: tuple[str, ...] = ("cpu",)) -> tuple[Queue[str, Measured], Table, Letters]:
    table, source = Table(), Letters()
    queue = Queue[str, Measured](
        lambda _: DONE, source=source, ledger=table, executor=children, devices=devices, note=source.said.append
    )
    return queue, table, source


def begin(queue: Queue[str, Measured], number: int, key: str) -> None:
    queue.start(key, SimpleNamespace(number=number), {"macs": number}, lambda device: device)


def beginning(queue: Queue[str, Measured], *keys: str) -> Callable[[], bool]:
    """Begins these, one a call, numbered from 1."""
    left = list(enumerate(keys, start=1))

    def next_one() -> bool:
        if left:
            begin(queue, *left.pop(0))
            return True
        return False

    return next_one


def test_a_finished_training_is_written_down_with_its_cost_and_then_tidied_up_after() -> None:
    queue, table, source = made(Children({1: DONE}))
    queue.train(beginning(queue, "a"))
    assert table.ends == [(1, State.COMPLETE, {"macs": 1, "letter": "a"}, "")]
    assert (queue.keys, source.tidied, source.told) == ([], ["a"], [1])


def test_a_failure_is_written_down_with_its_reason_and_nothing_is_tidied_up() -> None:
    queue, table, source = made(Children({1: Failure(state=State.FAILED, reason="NaN loss")}))
    queue.train(beginning(queue, "a"))
    assert (table.ends, source.tidied) == ([(1, State.FAILED, {"macs": 1}, "NaN loss")], [])
    assert source.told == [1]


def test_all_workers_are_kept_at_work_until_nothing_is_left() -> None:
    children = Children(dict.fromkeys(range(1, 6), DONE), workers=2)
    queue, table, _ = made(children)
    at_once: list[int] = []
    next_one = beginning(queue, *"abcde")

    def watched() -> bool:
        begun = next_one()
        at_once.append(len(queue.keys))
        return begun

    queue.train(watched)
    assert [number for number, *_ in table.ends] == [1, 2, 3, 4, 5]
    assert at_once[:5] == [1, 2, 2, 2, 2] and max(at_once) == 2
    assert children.waited == [None] * 5


def test_it_looks_again_where_more_may_come_and_returns_when_it_is_told() -> None:
    children = Children({1: DONE, 2: DONE}, workers=2)
    queue, table, _ = made(children)
    pauses = [0.5, 0.0, None]
    queue.train(beginning(queue, "a"), pause=lambda: pauses.pop(0))
    assert children.waited == [0.5]  # while one runs, then a pause without any, then nothing may come
    assert not pauses and len(table.ends) == 1
    begin(queue, 2, "b")
    queue.train(lambda: False, until=lambda: True)
    assert queue.keys == ["b"]


def test_what_lacks_memory_beside_others_is_run_again_and_from_then_on_one_after_the_other() -> None:
    children = Children({1: NO_MEMORY, 2: DONE})
    queue, table, source = made(children)
    queue.train(beginning(queue, "a", "b"))
    reason = "no more, beside 1 other trainings; run again alone"
    assert table.ends[0] == (1, State.INTERRUPTED, {"macs": 1}, reason)
    assert (source.taken_back, children.workers, len(source.said)) == (["a"], 1, 1)


@pytest.mark.parametrize("shared", [True, False])
def test_what_lacks_memory_alone_or_on_a_machine_of_its_own_has_failed(shared: bool) -> None:
    queue, table, source = made(Children({1: NO_MEMORY, 2: DONE}, shared=shared))
    queue.train(beginning(queue, *("a" if shared else "ab")))
    assert table.ends[0] == (1, State.OUT_OF_MEMORY, {"macs": 1}, "no more")
    assert source.taken_back == []


def test_trainings_go_to_the_device_with_the_fewest() -> None:
    children = Children({}, workers=4)
    queue, *_ = made(children, ("0", "1"))
    for number in range(4):
        begin(queue, number, str(number))
    assert [job for _, job in children.started] == ["0", "1", "0", "1"]
    assert queue.is_full


@pytest.mark.parametrize(
    ("error", "reason"), [(KeyboardInterrupt(), "stopped by Ctrl-C"), (UserError("the data changed"), "stopped: the")]
)
def test_an_interrupt_loses_nothing_that_has_finished_and_writes_down_what_ran(
    error: BaseException, reason: str
) -> None:
    children = Children({1: DONE}, workers=3)
    queue, table, source = made(children)

    def work() -> None:
        begin(queue, 1, "a")
        begin(queue, 2, "b")
        raise error

    with pytest.raises(type(error)):
        queue.during(work)
    (first, second) = table.ends
    assert first == (1, State.COMPLETE, {"macs": 1, "letter": "a"}, "") and source.tidied == ["a"]
    assert second[:3] == (2, State.INTERRUPTED, {"macs": 2}) and second[3].startswith(reason)
    assert children.stopped and source.told == [1, 2]


def test_what_cannot_be_begun_has_failed() -> None:
    queue, table, source = made(Children({}))
    queue.fail("a", SimpleNamespace(number=7), "cannot be built")
    assert table.ends == [(7, State.FAILED, {}, "cannot be built")]
    assert source.told == [7]
