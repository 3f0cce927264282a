"""What an ablation is said to take, against the closed form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.ablation_file import load_ablation
from harness.errors import UserError
from harness.measure.pace import PaceRequest
from harness.search import ablation_cost
from harness.search.ablation import Ablation, AblationSettings, Key
from harness.search.ablation_cost import plan_of
from harness.search.outcome import Failure, State

IMAGES = 118_287
MACS = {"baseline": 12.0, "head": 15.0, "placebo": 15.0, "conv": 14.0}


def ablation(arms: Sequence[str], device: str = "0,1,2,3", **changes: Any) -> Ablation:
    """An ablation by the published recipe of these arms."""
    models = [SimpleNamespace(arm=SimpleNamespace(identity=arm), macs=MACS[arm], config={"nc": 80}) for arm in arms]
    file = load_ablation("reproduce-full", changes)
    return cast(
        Ablation,
        SimpleNamespace(
            settings=AblationSettings(file=file, results=Path("results")),
            data=SimpleNamespace(train_images=IMAGES, names=dict.fromkeys(range(80), "")),
            models=models,
            trainings=[Key(arm, 0, seed) for seed in file.seeds for arm in arms],
            devices=(device,),
            workers=1,
            threads=2,
        ),
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PaceRequest]:
    """What was measured; each image takes a hundredth of a second."""
    requests: list[PaceRequest] = []

    def measure(_function: object, request: PaceRequest) -> float:
        requests.append(request)
        return 0.01

    monkeypatch.setattr(ablation_cost, "run_in_child", measure)
    return requests


def test_the_full_protocol_takes_images_times_epochs_times_macs_times_seeds(asked: list[PaceRequest]) -> None:
    plan = plan_of(ablation(["baseline", "head", "placebo"], seeds=3))
    hours = 0.01 * IMAGES * 300 * 3 * (12 + 15 + 15) / 12 / 3600
    assert plan.device_hours == pytest.approx(hours)
    assert plan.seconds == pytest.approx(hours * 3600 / 4)
    assert (plan.arms, plan.trainings, plan.epochs) == (3, 9, 2700)
    assert str(plan).startswith(
        f"3 arms, 9 trainings, 2700 epochs in all, one after the other; about {hours:,.0f} GPU hours, "
        f"{hours / 4:,.0f} hours on 4 GPUs"
    )
    assert "loading images" in str(plan)
    [request] = asked
    assert (request.batch, request.imgsz, request.classes, request.device) == (64, 640, 80, "0,1,2,3")


def test_what_two_ablations_of_a_study_share_is_counted_once(asked: list[PaceRequest]) -> None:
    both = plan_of(ablation(["baseline", "head"]), ablation(["baseline", "head", "conv"]))
    whole = plan_of(ablation(["baseline", "head", "conv"]))
    assert both == whole
    assert len(asked) == 2  # once a plan


def test_on_one_device_the_hours_are_those_of_the_clock(asked: list[PaceRequest]) -> None:
    plan = plan_of(ablation(["baseline"], device="cpu", seeds=1, epochs=1))
    assert plan.device_hours == pytest.approx(0.01 * IMAGES / 3600)
    assert "CPU hours by the time" in str(plan)


def test_a_batch_that_does_not_fit_is_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure(state=State.OUT_OF_MEMORY, reason="OutOfMemoryError: CUDA out of memory")
    monkeypatch.setattr(ablation_cost, "run_in_child", lambda *_: failure)
    with pytest.raises(UserError, match=r"--device 0,1,2,3: a step of the baseline with batch 64 .* smaller --batch"):
        plan_of(ablation(["baseline"]))
