"""What an ablation will take, before it starts: estimated from what the base's own training took here."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ablation.setting import Ablation
from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.jobs.base import known_pace
from harness.record.state import Failure
from harness.training.pace import PaceRequest, measure_pace


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """How much there is to do.

    Attributes:
        arms: The baseline included.
        trainings: Of all arms, seeds and bases.
        epochs: Of all of these.
        seconds: Estimate of the wall time; None where the base has not been trained on this machine yet.
        workers: Trainings at once.
        devices: Devices of one training.
        is_measured: Whether the estimate is from steps that were made for it, of the published recipe.
    """

    arms: int
    trainings: int
    epochs: int
    seconds: float | None
    workers: int
    devices: tuple[str, ...] = ("cpu",)
    is_measured: bool = False

    @property
    def device_hours(self) -> float | None:
        """Of all devices together."""
        return None if self.seconds is None else self.seconds * len(self.devices) * self.workers / 3600

    def __str__(self) -> str:
        count = f"{self.arms} arms, {self.trainings} trainings, {self.epochs} epochs in all"
        if self.seconds is None:
            return f"{count}, {self.workers} at once; time unknown until the base is trained"
        if not self.is_measured:
            return f"{count}, {self.workers} at once; about {max(1, round(self.seconds / 60))} min"
        kind = "CPU" if self.devices == ("cpu",) else "GPU"
        at_once = "one after the other" if self.workers == 1 else f"{self.workers} at once"
        taken = len(self.devices) * self.workers
        return (
            f"{count}, {at_once}; about {_hours(self.device_hours or 0.0)} {kind} hours"
            + (f", {_hours(self.seconds / 3600)} hours on {taken} {kind}s" if taken > 1 and kind == "GPU" else "")
            + " by the time of the baseline's steps, measured just now, and the arms' MACs; loading images, "
            "validating after each epoch and what the GPUs tell each other come on top"
        )


def plan_of(ablation: Ablation, *others: Ablation) -> AblationPlan:
    """Estimate the time: an epoch takes as long as one of the base's own did, times the arm's MACs over the base's.

    By the published recipe nothing is known from earlier, and a few steps of the baseline are made for it, in a child
    or, on a cluster, in a task that asks for what a training does.

    Args:
        ablation: What is planned.
        others: Further ablations of the same study; what they have in common is trained once.

    Raises:
        UserError: The baseline's steps do not fit the device.
    """
    file = ablation.settings.file
    macs = {model.arm.identity: model.macs for each in (ablation, *others) for model in each.models}
    trainings = {key for each in (ablation, *others) for key in each.trainings}
    published = file.recipe is Recipe.PUBLISHED
    pace = _measured_pace(ablation) if published else known_pace(ablation, file.imgsz, ablation.settings.results)
    relative = sum(macs[key.identity] for key in trainings) / ablation.models[0].macs
    return AblationPlan(
        arms=len(macs),
        trainings=len(trainings),
        epochs=len(trainings) * file.epochs,
        seconds=None if pace is None else pace * file.epochs * relative / ablation.workers,
        workers=ablation.workers,
        devices=tuple(ablation.devices[0].split(",")) if published else ablation.devices[:1],
        is_measured=published,
    )


def _measured_pace(ablation: Ablation) -> float:
    """Measure the seconds of an epoch of the baseline, on all devices of a training."""
    file, device = ablation.settings.file, ablation.devices[0]
    request = PaceRequest(
        config=ablation.models[0].config,
        classes=ablation.classes,
        imgsz=file.imgsz,
        batch=file.batch,
        device=device,
        threads=ablation.threads,
    )
    taken = ablation.run_alone(measure_pace, request)
    if isinstance(taken, Failure):
        gpus = ablation.settings.cluster.gpus_per_trial
        asked, where = (f"--gpus-per-trial {gpus:g}", "there") if ablation.cluster else (f"--device {device}", "here")
        raise UserError(
            f"{asked}: a step of the baseline with batch {file.batch} at {file.imgsz} px fails {where} "
            f"({taken.reason}); try a smaller --batch"
        )
    return taken * ablation.data.train_images / len(device.split(","))


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
