"""What an ablation is said to take, against the closed form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.ablation.cost import plan_of
from harness.ablation.setting import Ablation, Key
from harness.common.errors import UserError
from harness.record.ablation_file import AblationSettings, load_ablation
from harness.record.run_settings import ClusterSettings
from harness.record.state import Failure, State
from harness.training.pace import PaceRequest

IMAGES = 118_287
MACS = {"baseline": 12.0, "head": 15.0, "placebo": 15.0, "conv": 14.0}


class Asked:
    """Runs nothing: keeps what is asked for, and answers."""

    def __init__(self, answer: float | Failure = 0.01) -> None:
        self.requests: list[PaceRequest] = []
        self.answer = answer

    def __call__(self, _function: object, request: PaceRequest) -> float | Failure:
        self.requests.append(request)
        return self.answer


def ablation(
    asked: Asked, arms: Sequence[str], device: str = "0,1,2,3", workers: int = 1, ray: bool = False, **changes: Any
) -> Ablation:
    """An ablation by the published recipe of these arms."""
    cluster: dict[str, Any] = (
        {"executor": "ray", "cluster": ClusterSettings(gpus_per_trial=len(device.split(",")))} if ray else {}
    )
    models = [SimpleNamespace(arm=SimpleNamespace(identity=arm), macs=MACS[arm], config={"nc": 80}) for arm in arms]
    file = load_ablation("reproduce-full", changes)
    return cast(
        Ablation,
        SimpleNamespace(
            settings=AblationSettings(file=file, results=Path("results"), **cluster),
            cluster="a cluster" if ray else None,
            base=None,
            run_alone=asked,
            data=SimpleNamespace(train_images=IMAGES),
            classes=80,
            models=models,
            trainings=[Key(arm, 0, seed) for seed in file.seeds for arm in arms],
            devices=(device,),
            workers=workers,
            threads=2,
        ),
    )


@pytest.fixture
def asked() -> Asked:
    """What was measured; each image takes a hundredth of a second."""
    return Asked()


def test_the_full_protocol_takes_images_times_epochs_times_macs_times_seeds(asked: Asked) -> None:
    plan = plan_of(ablation(asked, ["baseline", "head", "placebo"], seeds=3))
    hours = 0.01 * IMAGES * 300 * 3 * (12 + 15 + 15) / 12 / 3600
    assert plan.device_hours == pytest.approx(hours)
    assert plan.seconds == pytest.approx(hours * 3600 / 4)
    assert (plan.arms, plan.trainings, plan.epochs) == (3, 9, 2700)
    assert str(plan).startswith(
        f"3 arms, 9 trainings, 2700 epochs in all, one after the other; about {hours:,.0f} GPU hours, "
        f"{hours / 4:,.0f} hours on 4 GPUs"
    )
    assert "loading images" in str(plan)
    [request] = asked.requests
    assert (request.batch, request.imgsz, request.classes, request.device) == (64, 640, 80, "0,1,2,3")


def test_what_two_ablations_of_a_study_share_is_counted_once(asked: Asked) -> None:
    both = plan_of(ablation(asked, ["baseline", "head"]), ablation(asked, ["baseline", "head", "conv"]))
    whole = plan_of(ablation(asked, ["baseline", "head", "conv"]))
    assert both == whole
    assert len(asked.requests) == 2  # once a plan


def test_on_one_device_the_hours_are_those_of_the_clock(asked: Asked) -> None:
    plan = plan_of(ablation(asked, ["baseline"], device="cpu", seeds=1, epochs=1))
    assert plan.device_hours == pytest.approx(0.01 * IMAGES / 3600)
    assert "CPU hours by the time" in str(plan)


def test_trainings_side_by_side_take_their_hours_from_as_many_gpus_more(asked: Asked) -> None:
    hours = 0.01 * IMAGES * 300 * 3 / 3600
    plan = plan_of(ablation(asked, ["baseline"], device="0,1", workers=3, ray=True, seeds=3))
    assert plan.device_hours == pytest.approx(hours)
    assert f", 3 at once; about {hours:,.0f} GPU hours, {hours / 6:,.0f} hours on 6 GPUs" in str(plan)


@pytest.mark.parametrize(("ray", "option"), [(False, "--device 0,1,2,3"), (True, "--gpus-per-trial 4")])
def test_a_batch_that_does_not_fit_is_said_before_anything_is_trained(ray: bool, option: str) -> None:
    asked = Asked(Failure(state=State.OUT_OF_MEMORY, reason="OutOfMemoryError: CUDA out of memory"))
    with pytest.raises(UserError, match=rf"{option}: a step of the baseline with batch 64 .* smaller --batch"):
        plan_of(ablation(asked, ["baseline"], ray=ray))
