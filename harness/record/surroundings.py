"""Where and with what a study ran, and the space that it searched: what environment.json says beside the settings.

What a study from before an entry was kept lacks has the entry's default. Entries that nothing reads have no field here;
they are kept and shown all the same.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from harness.record.kept import Count, Form, Kept

# The caution of data with a planted effect.
EFFECT_WAS_PLANTED = "An effect was planted here: a gain says that the instrument works, nothing of photographs."
DATA_REPAIRS, DATA_CAUTIONS = "data_repairs", "data_cautions"
# Entries of the environment that are written by their names, the last a study attribute, too: see `Environment`.
LATENCY_THREADS, AA_CHECK, LOOKS = "latency_threads", "latency_aa_check", "looks"


class Processor(Form):
    """The machine's processor."""

    model: str | None = None


class Device(Form):
    """What trainings and latency measurements ran on.

    Attributes:
        asked: `--device`.
        name: Of a GPU its model; `cpu` of a processor.
        threads: CPU threads that torch took.
    """

    asked: str | None = None
    name: str | None = None
    threads: Count | None = None


class Checkout(Form):
    """The source that ran."""

    commit: str | None = None


class LatencyThreads(Form):
    """CPU threads of latency measurements, and why so many."""

    count: Count
    reason: str = ""


class LatencyCheck(Form):
    """The baseline's latency over that of its own copy, and the 95 % interval."""

    ratio: float
    ratio_ci95: tuple[float, float]


class SplitCounts(Form):
    """What a split of the data holds; of its boxes at the size that was trained with.

    Attributes:
        images_used: Images.
        objects: Their objects.
        images_unused: Images that are not used, by reason.
        objects_by_class: Class name to objects.
        objects_per_image: Median, 95 % quantile and most.
        images_over_detections: Images of more objects than are detected in one.
        box_side_px: 5 % quantile, median and 95 % quantile of the square root of a box's area, in pixels of the input.
        below_a_cell: Stride of a map, in pixels, to the share of boxes whose side is below it.
    """

    images_used: Count = 0
    objects: Count = 0
    images_unused: dict[str, Count] = Field(default_factory=dict)
    objects_by_class: dict[str, Count] = Field(default_factory=dict)
    objects_per_image: tuple[float, float, float] | None = None
    images_over_detections: Count = 0
    box_side_px: tuple[float, float, float] | None = None
    below_a_cell: dict[int, float] = Field(default_factory=dict)


class Control(Form):
    """The last control of the version on the machine; `passed` is None where none was run."""

    passed: bool | None = None
    quick: bool = False
    when: str = ""


class Environment(Kept):
    """Where and with what a study ran.

    Attributes:
        command: What was typed; old studies have a list of words.
        program: What to type for `clo` there.
        folder: Where the search was begun: its paths are relative to it.
        clo_nas: Version.
        git: The source that ran.
        packages: Distribution to version.
        cpu: The processor.
        device: What was trained and measured on; old studies have its name alone.
        data: Hash of the data.
        train_images: Images that were trained on.
        val_images: Images that were validated on.
        data_counts: `train` and `val` to what they hold.
        data_repairs: What was repaired in the data, and what is not used of it, in sentences.
        data_cautions: What bears on what the data can tell, in sentences.
        base_origin: Where the base's weights came from.
        uncounted: Operator that no cost is counted for, to how often the base has it.
        torch_threads_alone: CPU threads of a training that has the machine to itself.
        latency_threads: CPU threads of latency measurements.
        latency_aa_check: The baseline timed against its own copy.
        control: The last control (`clo control`) before the search; None of a study from before it was kept.
        looks: Evaluation seeds of the candidate that had most, each time that a search ended with more of them than
            before.
    """

    command: str | tuple[str, ...] = ""
    program: str = "clo"
    folder: str | None = None
    clo_nas: str | None = None
    git: Checkout = Checkout()
    packages: dict[str, str | None] = Field(default_factory=dict)
    cpu: Processor = Processor()
    device: Device | str | None = None
    data: str | None = None
    train_images: Count | None = None
    val_images: Count | None = None
    data_counts: dict[str, SplitCounts] = Field(default_factory=dict)
    data_repairs: tuple[str, ...] = ()
    data_cautions: tuple[str, ...] = ()
    base_origin: str | None = None
    uncounted: dict[str, Count] = Field(default_factory=dict)
    torch_threads_alone: Count | None = None
    latency_threads: LatencyThreads | None = None
    latency_aa_check: LatencyCheck | None = None
    control: Control | None = None
    looks: tuple[Count, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_known(cls, kept: Any) -> Any:
        return {name: value for name, value in kept.items() if value is not None} if isinstance(kept, dict) else kept


class SpaceSummary(Kept):
    """Name, sites, size and range of cost of a search space; empty of an ablation.

    Attributes:
        size: Distinct architectures; None where they were not counted.
        feasible: Those within the bounds on cost; None where they were not counted, or there is no bound.
        feasible_share: The same over all, 0 to 1; of a large space estimated.
        params_base: Parameters of the base; `_min`, `_median` and `_max` are those of the space's architectures.
        macs_base: The same in MACs of one image.
    """

    name: str = "unnamed"
    sites: tuple[str, ...] = ()
    size: Count | None = None
    feasible: Count | None = None
    feasible_share: float | None = None
    params_base: float = math.nan
    params_min: float = math.nan
    params_median: float = math.nan
    params_max: float = math.nan
    macs_base: float = math.nan
    macs_min: float = math.nan
    macs_median: float = math.nan
    macs_max: float = math.nan
