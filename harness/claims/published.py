"""What is published for a detector on COCO, and how far this protocol's own baseline is from it.

A gain over a baseline that is worse than the published one may be no gain at all, so every verdict on COCO has the
difference beside it. Nothing here needs torch.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.record.state import State
from harness.record.study import StudyRecord

# Images of COCO's train2017 and val2017.
COCO_2017 = (118_287, 5_000)


class PublishedModel(BaseModel):
    """A row of a published table.

    Attributes:
        published_as: The name there.
        map50_95: On val2017, 0 … 1.
        params_m: Parameters, in millions.
        gflops: Operations of one image, 2 a multiply-add, in billions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    published_as: str
    map50_95: float = Field(gt=0, lt=1)
    params_m: float = Field(gt=0)
    gflops: float = Field(gt=0)


class PublishedTable(BaseModel):
    """A published table.

    Attributes:
        source: Where it stands.
        read_in: The version that was read.
        looked_up: When.
        imgsz: Side of the square input, in pixels.
        models: By the name of the base here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(pattern=r"^https://")
    read_in: str = Field(pattern=r"^https://.*/[0-9a-f]{40}/")
    looked_up: dt.date
    imgsz: int = Field(gt=0)
    models: dict[str, PublishedModel]


@dataclass(frozen=True, kw_only=True)
class PublishedBaseline:
    """A study's baseline on COCO, and what is published for the same detector.

    Attributes:
        study: Name of the study.
        base: Name of the baseline.
        training: How it was trained, for people.
        seeds: How many trainings of it there are.
        map50_95: Their mean.
        params: Its parameters here.
        macs: Of one image.
        imgsz: Side of the square input here, in pixels.
        model: What is published.
        table: Where.
    """

    study: str
    base: str
    training: str
    seeds: int
    map50_95: float
    params: int
    macs: float
    imgsz: int
    model: PublishedModel
    table: PublishedTable

    @property
    def difference(self) -> float:
        """mAP50-95 of the baseline minus what is published."""
        return self.map50_95 - self.model.map50_95

    def __str__(self) -> str:
        count = "1 training" if self.seeds == 1 else f"{self.seeds} trainings"
        size = "" if self.imgsz == self.table.imgsz else f" at {self.imgsz} px, published at {self.table.imgsz} px"
        return (
            f"the baseline {self.base}{size} has {self.map50_95:.4f} mAP50-95 (mean of {count}, {self.training}), "
            f"{self.difference:+.4f} from the {self.model.map50_95:.3f} published as {self.model.published_as}"
        )


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Load all published tables that were looked up."""
    text = files("harness.claims").joinpath("published.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[PublishedTable, ...]).validate_python(yaml.safe_load(text))


def is_coco2017(train_images: int, val_images: int) -> bool:
    """Return whether data have as many images as COCO 2017, which no other data set has by chance."""
    return (train_images, val_images) == COCO_2017


def published_baseline(record: StudyRecord) -> PublishedBaseline | None:
    """Return a study's baseline beside what is published; None if not of COCO 2017, or nothing is published for it."""
    found = record.environment
    if not is_coco2017(found.train_images or 0, found.val_images or 0):
        return None
    name = str(record.settings.base)
    tables = [table for table in published_tables() if name in table.models]
    trials = record.trials
    assert record.ablation is not None, "only an ablation is asked"
    file = record.ablation.file
    own = (trials.architecture == BASELINE) & (trials.state == State.COMPLETE) & (trials.epochs == file.epochs)
    done = trials[own]
    if not tables or done.empty:
        return None
    arm = next(arm for arm in record.arms if arm.identity == BASELINE)
    recipe = "Ultralytics' recipe" if file.recipe is Recipe.PUBLISHED else "this harness's short recipe"
    return PublishedBaseline(
        study=record.name,
        base=name,
        training=f"{file.epochs} epochs by {recipe}",
        seeds=len(done),
        map50_95=float(done.map50_95.mean()),
        params=int(arm.params),
        macs=float(arm.macs),
        imgsz=int(file.imgsz or 0),
        model=tables[0].models[name],
        table=tables[0],
    )
