"""What Ray says of a task's end, as a value or as the end of the search; real ends are in tests/cluster/test_ray.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.common.errors import UserError
from harness.record.state import Failure, State
from harness.training.child import Say

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
from harness.jobs.ray_tasks import RayTasks  # noqa: E402

End = Callable[[Any], "RayTasks[str, int]"]


@pytest.fixture
def that_ends(monkeypatch: pytest.MonkeyPatch) -> End:
    """Tasks of which one has ended with this answer or error, as far as Ray tells."""

    def make(answer: Any) -> RayTasks[str, int]:
        def get(*_: object, **__: object) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(ray, "get", get)
        monkeypatch.setattr(ray, "wait", lambda references, **_: (references, []))
        tasks: RayTasks[str, int] = RayTasks(None, None, None)  # type: ignore[arg-type]
        tasks._running["reference"] = "key"
        return tasks

    return make


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ray.exceptions.OutOfMemoryError("20 GB of 20 GB\nmore"), State.OUT_OF_MEMORY, "20 GB of 20 GB"),
        (ray.exceptions.NodeDiedError("gone"), State.FAILED, "died twice; not run again"),
        (ray.exceptions.WorkerCrashedError(), State.FAILED, "died twice; not run again"),
        (ray.exceptions.TaskCancelledError(), State.INTERRUPTED, "cancelled on the cluster"),
        (ray.exceptions.RayTaskError("run", "a traceback", ValueError("a shape")), State.FAILED, "a shape"),
    ],
)
def test_what_befell_a_task_is_a_failure_with_its_reason(
    that_ends: End, error: Exception, state: State, reason: str
) -> None:
    key, outcome = that_ends(error).next()
    assert key == "key"
    assert isinstance(outcome, Failure)
    assert outcome.state is state
    assert reason in outcome.reason
    assert "\n" not in outcome.reason


def test_a_cluster_that_is_gone_ends_the_search_and_fails_no_trial(that_ends: End) -> None:
    tasks = that_ends(ray.exceptions.LocalRayletDiedError())
    with pytest.raises(UserError, match=r"the Ray cluster is gone .* run the same command again"):
        tasks.next()
    assert tasks.ended() == []


def test_results_that_have_come_are_kept_when_all_is_stopped(that_ends: End) -> None:
    tasks = that_ends((Say.RESULT, 7))
    assert tasks.ended() == [("key", 7)]
    assert tasks.ended() == [], "handed out once"


def test_a_failure_that_the_task_tells_keeps_its_state(that_ends: End) -> None:
    _, outcome = that_ends((Say.FAILURE, (State.OUT_OF_MEMORY, "CUDA out of memory"))).next()
    assert outcome == Failure(state=State.OUT_OF_MEMORY, reason="CUDA out of memory")


def test_waiting_where_nothing_runs_takes_as_long_as_it_may() -> None:
    tasks: RayTasks[str, int] = RayTasks(None, None, None)  # type: ignore[arg-type]
    started = time.monotonic()
    assert tasks.within(0.1) is None
    assert time.monotonic() - started >= 0.1


def test_trainings_on_a_cluster_do_not_share_a_memory() -> None:
    tasks: RayTasks[str, int] = RayTasks(None, None, None)  # type: ignore[arg-type]
    assert not tasks.one_at_a_time()
