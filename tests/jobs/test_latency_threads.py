"""A study's latencies are measured with one number of threads, whoever measures and whatever runs meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.jobs import latency_threads as module
from harness.jobs.latency_threads import latency_threads
from harness.latency.threads import Threads
from harness.record.settings import SearchSettings
from harness.record.study import ENVIRONMENT
from harness.record.surroundings import LATENCY_THREADS
from harness.storage.opening import open_study
from tests.search.pretended_search import Notes
from tests.storage.studies import figures, train


class Machine:
    """What the try finds, and how often it was made."""

    def __init__(self, free: int = 1) -> None:
        self.free, self.tries = free, 0

    def __call__(self, most: int | None = None) -> Threads:
        self.tries += 1
        return Threads(count=min(self.free, most or self.free), reason="tried")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(module, "stable_threads", found)
    return found


def run(
    folder: Path,
    earlier: dict[str, Any] | None = None,
    *,
    asked: int | None = None,
    device: str = "cpu",
    on_cluster: bool = False,
) -> tuple[Threads, list[str]]:
    """What a run of the study measures with, and says; `earlier` is the environment of an earlier version."""
    notes = Notes()
    with open_study(SearchSettings(study="x", results=folder), {}) as study:
        if earlier:
            train(study, "baseline", 0, figures(0.5, latency=9.0, ratio=1.0))
            study.optuna.set_user_attr(ENVIRONMENT, earlier)
        taken = latency_threads(study, notes, asked=asked, device=device, otherwise=8, on_cluster=on_cluster)
        recorded = study.optuna.user_attrs[ENVIRONMENT]
        assert recorded[LATENCY_THREADS]["count"] == taken.count
        kept = study.record().environment.latency_threads
        assert kept is not None and kept.reason
    return taken, notes.notes


def test_the_first_run_tries_and_every_later_one_takes_what_it_finds(tmp_path: Path, machine: Machine) -> None:
    assert run(tmp_path) == (Threads(count=1, reason="tried"), ["latency is measured with 1 thread, tried"])
    machine.free = 2
    taken, notes = run(tmp_path)
    assert (taken.count, notes, machine.tries) == (1, [], 1)


def test_another_number_asked_for_later_is_not_taken_and_that_is_said(tmp_path: Path, machine: Machine) -> None:
    run(tmp_path, asked=2)
    taken, notes = run(tmp_path, asked=4)
    assert taken.count == 2 and machine.tries == 0
    assert notes == ["latency is measured with 2 threads, as in this study before, not with --threads 4"]


def test_that_fewer_cores_are_free_now_is_said(tmp_path: Path, machine: Machine) -> None:
    machine.free = 2
    run(tmp_path)
    machine.free = 1
    taken, notes = run(tmp_path)
    assert taken.count == 2
    assert notes == [
        "latency is measured with 2 threads, as in this study before; what would be stable now is 1 thread, tried"
    ]


@pytest.mark.parametrize("earlier", [{"torch_threads_alone": 2}, {"device": {"threads": 2}}])
def test_a_study_from_before_goes_on_as_it_was_measured(
    tmp_path: Path, machine: Machine, earlier: dict[str, Any]
) -> None:
    machine.free = 2
    assert run(tmp_path, earlier)[0].count == 2
    assert run(tmp_path)[0].count == 2


def test_nothing_is_tried_on_a_gpu_or_for_a_clusters_task(tmp_path: Path, machine: Machine) -> None:
    assert run(tmp_path / "gpu", device="0") == (Threads(count=8, reason="torch's own"), [])
    cluster, _ = run(tmp_path / "cluster", on_cluster=True)
    assert cluster == Threads(count=8, reason="the cluster's for a training")
    assert machine.tries == 0
