"""A queue of trainings: each end is recorded once, whatever ends it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from harness.common.errors import UserError
from harness.jobs.progress import Work
from harness.jobs.queue import Queue
from harness.jobs.trial import Measured
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy

DONE = Measured(
    accuracy=Accuracy(map50_95=0.5, map50=0.7, evaluator="", train_seconds=1.0, transferred=""), latency=None,
    cpu_seconds=1.0,
)  # fmt: skip
NO_MEMORY = Failure(state=State.OUT_OF_MEMORY, reason="no more")


class Study:
    """What was recorded: number, state, figures and reason of each trial that ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, State, Mapping[str, Any], str]] = []

    def end(self, trial: Any, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        self.ends.append((trial.number, state, figures, reason))

    def record(self) -> str:
        return f"{len(self.ends)} ended"


class Children:
    """Trainings that end as they are told, in the order of their start."""

    def __init__(self, results: Mapping[int, Measured | Failure], workers: int = 2, shared: bool = True) -> None:
        self.results, self.workers, self.shared = results, workers, shared
        self.started: list[tuple[int, Any]] = []
        self.stopped = False

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def start(self, number: int, _function: object, job: Any) -> None:
        self.started.append((number, job))

    def within(self, _seconds: float | None) -> tuple[int, Measured | Failure] | None:
        number, _ = self.started.pop(0)
        return number, self.results[number]

    def ended(self) -> list[tuple[int, Measured | Failure]]:
        there = [(number, self.results[number]) for number, _ in self.started if number in self.results]
        self.started = [each for each in self.started if each[0] not in self.results]
        return there

    def one_at_a_time(self) -> bool:
        self.workers = 1
        return self.shared

    def stop(self) -> None:
        self.stopped = True


class Letters:
    """A source whose trainings are letters."""

    def __init__(self) -> None:
        self.tidied: list[str] = []
        self.taken_back: list[str] = []

    def figures_of(self, key: str, _result: Measured) -> dict[str, Any]:
        return {"letter": key}

    def recorded(self, key: str, _result: Measured) -> None:
        self.tidied.append(key)

    def again(self, key: str) -> None:
        self.taken_back.append(key)

    def left(self, _record: object) -> Work | None:
        return None


class Told:
    """What the observer is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.said.append((name, values[-1]))


def made(children: Children, devices: tuple[str, ...] = ("cpu",)) -> tuple[Queue[str], Study, Letters, Told]:
    study, source, told = Study(), Letters(), Told()
    queue: Queue[str] = Queue(study, children, devices, told, source)  # type: ignore[arg-type]
    return queue, study, source, told


def begin(queue: Queue[str], number: int, key: str) -> None:
    trial: Any = SimpleNamespace(number=number)
    queue.start(key, trial, {"macs": number}, lambda device: device)  # type: ignore[arg-type, return-value]


def test_a_finished_training_is_recorded_with_its_cost_and_then_tidied_up_after() -> None:
    queue, study, source, told = made(Children({1: DONE}))
    begin(queue, 1, "a")
    assert queue.keys == ["a"] and not queue.is_full
    queue.wait()
    assert study.ends == [(1, State.COMPLETE, {"macs": 1, "letter": "a"}, "")]
    assert (queue.keys, source.tidied, told.said) == ([], ["a"], [("finished", 1)])


def test_a_failure_is_recorded_with_its_reason_and_nothing_is_tidied_up() -> None:
    queue, study, source, _ = made(Children({1: Failure(state=State.FAILED, reason="NaN loss")}))
    begin(queue, 1, "a")
    queue.wait()
    assert (study.ends, source.tidied) == ([(1, State.FAILED, {"macs": 1}, "NaN loss")], [])


def test_what_lacks_memory_beside_others_is_run_again_and_from_then_on_one_after_the_other() -> None:
    children = Children({1: NO_MEMORY, 2: DONE})
    queue, study, source, told = made(children)
    begin(queue, 1, "a")
    begin(queue, 2, "b")
    queue.wait()
    assert study.ends == [(1, State.INTERRUPTED, {"macs": 1}, "no more, beside 1 other trainings; run again alone")]
    assert (source.taken_back, children.workers, queue.is_full) == (["a"], 1, True)
    assert told.said[0][0] == "note"


@pytest.mark.parametrize("shared", [True, False])
def test_what_lacks_memory_alone_or_on_a_machine_of_its_own_has_failed(shared: bool) -> None:
    queue, study, source, _ = made(Children({1: NO_MEMORY, 2: DONE}, shared=shared))
    begin(queue, 1, "a")
    if not shared:
        begin(queue, 2, "b")
    queue.wait()
    assert study.ends == [(1, State.OUT_OF_MEMORY, {"macs": 1}, "no more")]
    assert source.taken_back == []


def test_trainings_go_to_the_device_with_the_fewest() -> None:
    children = Children({}, workers=4)
    queue, *_ = made(children, ("0", "1"))
    for number in range(4):
        begin(queue, number, str(number))
    assert [job for _, job in children.started] == ["0", "1", "0", "1"]


@pytest.mark.parametrize(
    ("error", "reason"), [(KeyboardInterrupt(), "stopped by Ctrl-C"), (UserError("the data changed"), "stopped: the")]
)
def test_an_interrupt_loses_nothing_that_has_finished_and_writes_down_what_ran(
    error: BaseException, reason: str
) -> None:
    children = Children({1: DONE}, workers=3)
    queue, study, source, _ = made(children)

    def work() -> None:
        begin(queue, 1, "a")
        begin(queue, 2, "b")
        raise error

    with pytest.raises(type(error)):
        queue.during(work)
    (first, second) = study.ends
    assert first == (1, State.COMPLETE, {"macs": 1, "letter": "a"}, "") and source.tidied == ["a"]
    assert second[:3] == (2, State.INTERRUPTED, {"macs": 2}) and second[3].startswith(reason)
    assert children.stopped


def test_what_cannot_be_begun_has_failed() -> None:
    queue, study, _, told = made(Children({}))
    trial: Any = SimpleNamespace(number=7)
    queue.fail(trial, "cannot be built")
    assert study.ends == [(7, State.FAILED, {}, "cannot be built")]
    assert told.said == [("finished", 7)]
