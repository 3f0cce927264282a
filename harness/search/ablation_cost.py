"""What an ablation will take, before it starts: reckoned from what the base's own training took here."""

from __future__ import annotations

from dataclasses import dataclass

from harness.search.ablate import Ablation
from harness.search.base import known_pace


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """How much there is to do.

    Attributes:
        arms: The baseline included.
        trainings: Of all arms, seeds and bases.
        epochs: Of all of these.
        seconds: Estimate of the wall time; None where the base has not been trained on this machine yet.
        workers: Trainings at once.
    """

    arms: int
    trainings: int
    epochs: int
    seconds: float | None
    workers: int

    def __str__(self) -> str:
        took = (
            "time unknown until the base is trained"
            if self.seconds is None
            else f"about {max(1, round(self.seconds / 60))} min"
        )
        return (
            f"{self.arms} arms, {self.trainings} trainings, {self.epochs} epochs in all, {self.workers} at once; {took}"
        )


def plan_of(ablation: Ablation) -> AblationPlan:
    """Reckon: an epoch takes as long as one of the base's own did, times the arm's MACs over the base's."""
    file = ablation.settings.file
    trainings = ablation.trainings
    macs = {model.arm.identity: model.macs for model in ablation.models}
    pace = known_pace(ablation.base, ablation.data, file.imgsz)
    relative = sum(macs[key.identity] for key in trainings) / ablation.models[0].macs
    seconds = None if pace is None else pace * file.epochs * relative / ablation.workers
    return AblationPlan(
        arms=len(ablation.models),
        trainings=len(trainings),
        epochs=len(trainings) * file.epochs,
        seconds=seconds,
        workers=ablation.workers,
    )
