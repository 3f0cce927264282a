"""Results of `clo reproduce --preset` as files that can be sent: read, checked, pooled, judged by the preset's rule.

Of one file the readings are its seeds, of several its machines: each counts once, with the mean over its seeds, as a
trained base does in `harness.analysis.contrasts`. The truth is then the mean over machines like these, and machines
that differ make the interval longer. Student's t over the groups' own estimates keeps its level with two groups or
more, however unequally precise they are [1]; the scatter is moderated between comparisons as in every ablation, and
docs/reproduce.md has the levels as simulated. The choice of validation images, which all share, is added once.

References:
    1. Ibragimov and Müller, "t-statistic based correlation and heterogeneity robust inference", JBES 28(4), 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    computed_field,
    model_validator,
)

from harness.analysis.contrasts import model_pairs
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.claims.accuracy import CLAIMED, PLACEBOS, Evidence, interval
from harness.claims.published import COCO_2017
from harness.claims.verdict import Finding, Verdict
from harness.common.digest import json_digest
from harness.common.errors import UserError, sentence
from harness.record.ablation_file import AblationFile, load_ablation
from harness.record.arms import Role
from harness.record.form import AblationPlan, AblationRecord, StudySettings, TrainedArm
from harness.record.kept import Count, Form
from harness.record.state import State
from harness.record.study import StudyRecord, trials_of
from harness.record.surroundings import Environment, SpaceSummary

RULE = (
    "a model's gain in mAP50-95 is taken, under the same seeds, over the baseline, over the base widened to its "
    "parameters and over the base widened to its MACs; each has a 95 % interval on new images like these, corrected "
    f"for all comparisons of all models. A gain of {CLAIMED:+g} is reproduced where all three intervals lie above it, "
    "refuted where one lies below, else undecided; where a training of these ends without an mAP it is not "
    "reproduced. Of one file the readings are its seeds, and the verdict is of that machine; of several each machine "
    "is one reading, the mean over its seeds"
)


_MORE = "results of further machines, at least three in all, pooled by --merge"


class Preset(StrEnum):
    """A protocol that ships, as `search_spaces/ablations/preset-NAME.yaml`."""

    VOC = "voc"
    COCO = "coco"


# Images to train on, images to validate on, classes.
_DATA = {Preset.VOC: (16_551, 4_952, 20), Preset.COCO: (*COCO_2017, 80)}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("not printable")
    return text


# A text that may be printed, whoever wrote it.
Plain = Annotated[str, Field(max_length=2_000), AfterValidator(_printable)]
Facts = dict[str, Plain | bool | int | None]


class Protocol(Form):
    """What the rule fixes: everything that a preset's file says, how many seeds, and the size of the data."""

    base: Plain
    recipe: Recipe
    from_scratch: bool
    epochs: Count
    imgsz: Count
    seeds: Count
    train_images: Count
    val_images: Count
    classes: Count

    def differences(self, other: Protocol) -> list[str]:
        """Say what is not as in another one."""
        own, others = self.model_dump(mode="json"), other.model_dump(mode="json")
        names = sorted(own.keys() | others.keys())
        return [
            f"{name} {own.get(name)}, not {others.get(name)}" for name in names if own.get(name) != others.get(name)
        ]


def protocol_of(file: AblationFile, train_images: int, val_images: int, classes: int) -> Protocol:
    """Return what a file makes of the rule; its name, where its data lie and which seeds they are is left open."""
    said = file.model_dump(mode="json", exclude_unset=True, exclude={"name", "data", "seeds"})
    counts = {"train_images": train_images, "val_images": val_images, "classes": classes}
    return Protocol.model_validate({**said, "seeds": len(file.seeds), **counts})


def shipped(preset: Preset) -> Protocol:
    """Return the protocol of a preset as it ships."""
    return protocol_of(load_ablation(f"preset-{preset}"), *_DATA[preset])


class Arm(TrainedArm):
    """A network that was trained."""

    identity: Plain
    name: Plain
    params: FiniteFloat
    macs: FiniteFloat


class TrainedSeed(BaseModel):
    """One training: its mAP50-95, and how much each block of validation images moves it."""

    architecture: Plain
    seed: Count
    state: State
    map50_95: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    evaluator: Plain = ""
    image_influence: tuple[FiniteFloat, ...] = ()

    @model_validator(mode="after")
    def _complete_or_not(self) -> Self:
        if (self.state is State.COMPLETE) != (self.map50_95 is not None):
            raise ValueError(f"a training that is {self.state} with map50_95 {self.map50_95}")
        return self


class Machine(BaseModel):
    """What was measured with; see `harness.common.machine`."""

    device: Facts
    cpu: Facts
    packages: Facts
    python: Plain | None = None


class Result(BaseModel):
    """What one machine measured; nothing in it names a person, a folder or a machine on a network.

    Attributes:
        schema_version: Raised where a field is removed, renamed, or means something else.
        clo_nas: Version.
        preset: Which one.
        rule: `RULE` of that version.
        protocol: What was trained.
        data: Its fingerprint, and the objects of each split.
        machine: With what.
        arms: Networks, the baseline first.
        trainings: All of them.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1]
    clo_nas: Plain
    preset: Preset
    rule: Plain
    protocol: Protocol
    data: Facts
    machine: Machine
    arms: tuple[Arm, ...]
    trainings: tuple[TrainedSeed, ...]

    @model_validator(mode="after")
    def _arms_are_told_apart(self) -> Self:
        identities, names = ({getattr(arm, of) for arm in self.arms} for of in ("identity", "name"))
        if BASELINE not in identities or not len(identities) == len(names) == len(self.arms):
            raise ValueError("arms: the baseline is missing, or two have one name")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def digest(self) -> str:
        """Of the rule and of what it was followed with."""
        return json_digest([self.rule, self.protocol.model_dump(mode="json")])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gains(self) -> list[tuple[str, str, int, float]]:
        """Model, what it is compared with, seed and gain; for people, and not read again."""
        names = {arm.identity: arm.name for arm in self.arms}
        known = {(each.architecture, each.seed): each.map50_95 for each in self.trainings}
        pairs = [(pair.minuend, pair.subtrahend) for pair in model_pairs(record_of([self]))]
        found = [(a, b, seed, known.get((a, seed)), known.get((b, seed))) for a, b in pairs for seed in self.seeds]
        return [(names[a], names[b], seed, x - y) for a, b, seed, x, y in found if x is not None and y is not None]

    @property
    def seeds(self) -> list[int]:
        """All that something was trained under."""
        return sorted({each.seed for each in self.trainings})

    @property
    def changed(self) -> list[str]:
        """What is not as in the preset that ships; empty where its rule was followed."""
        return self.protocol.differences(shipped(self.preset)) + ["its words"] * (self.rule != RULE)

    @property
    def told(self) -> dict[str, object]:
        """With what it was measured, in a few words."""
        device, packages = self.machine.device.get("name"), self.machine.packages
        return {
            "device": self.machine.cpu.get("model") if device == "cpu" else device,
            "clo_nas": self.clo_nas,
            **{name: packages.get(name) for name in ("ultralytics", "torch")},
            **self.data,
            "seeds": self.seeds,
            "trainings_without_map": sum(each.map50_95 is None for each in self.trainings),
        }


def read_results(paths: Sequence[Path]) -> list[Result]:
    """Read results that may be pooled.

    Raises:
        UserError: A file is none, follows another rule than the first, has other networks, or a training of another.
    """
    results = [_read(path) for path in paths]
    for path, result in zip(paths[1:], results[1:], strict=True):
        if result.digest != results[0].digest:
            what = "; ".join(result.protocol.differences(results[0].protocol)) or "its words"
            raise UserError(f"{path} follows another rule than {paths[0]} ({what}); only results of one are pooled")
        if {arm.name: arm.identity for arm in result.arms} != {arm.name: arm.identity for arm in results[0].arms}:
            raise UserError(f"{path} has other networks than {paths[0]} under the same names; only the same are pooled")
    for (one, first), (other, second) in combinations(zip(paths, results, strict=True), 2):
        if twice := _trainings(first) & _trainings(second):
            raise UserError(
                f"{other} has trainings of {one}, such as one of seed {min(seed for _, seed, _ in twice)}: each counts "
                "once; trainings under other seeds (--seeds 3,4,5) would be new"
            )
    return results


def _read(path: Path) -> Result:
    try:
        return Result.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        said = sentence(error.errors(include_url=False)[0])
        raise UserError(f"{path}: no result of `clo reproduce --preset`: {said}") from error


def _trainings(result: Result) -> set[tuple[str, int, float]]:
    """Return the trainings with an mAP that no two have by chance: with all of its digits, and not 0."""
    return {(each.architecture, each.seed, each.map50_95) for each in result.trainings if each.map50_95}


def record_of(results: Sequence[Result]) -> StudyRecord:
    """Return all trainings as one study, each machine as a base of its own."""
    protocol = results[0].protocol
    rows = [
        {
            **each.model_dump(mode="json", exclude_none=True),
            "image_influence": " ".join(map(str, each.image_influence)),
            "base_seed": machine,
            "epochs": protocol.epochs,
            "selected_on": False,
        }
        for machine, result in enumerate(results)
        for each in result.trainings
    ]
    return StudyRecord(
        name=f"preset-{results[0].preset}",
        trials=trials_of({"trial": number, **row} for number, row in enumerate(rows)),
        architectures={},
        settings=StudySettings(base=protocol.base, data=results[0].preset),
        environment=Environment(train_images=protocol.train_images, val_images=protocol.val_images),
        space=SpaceSummary(),
        proposals={},
        model_yamls={},
        ablation=AblationRecord(file=AblationPlan.model_validate(protocol.model_dump()), arms=results[0].arms),
    )


def judge_results(results: Sequence[Result]) -> dict[str, Finding]:
    """Judge each model by the rule; the readings are seeds of one result, machines of several."""
    record = record_of(results)
    evidence, found = Evidence([record]), {}
    unknown = set(record.trials.architecture[record.trials.state != State.COMPLETE])
    for model in (arm.name for arm in record.arms if arm.role == Role.MODEL):
        cases = evidence.cases(model, [BASELINE, *PLACEBOS], model)
        case = next(each for each in cases if each.model == model)
        lacks = any({each.row["minuend"], each.row["subtrahend"]} & unknown for each in case.measured)
        verdict = case.verdict(CLAIMED)
        if lacks and verdict is Verdict.REPRODUCED:
            verdict = Verdict.UNDECIDED
        said = [f"minus {each.against.rpartition(': ')[2]} {interval(each)}" for each in case.measured]
        open_ = [*map(str, case.missing), *["trainings ended without an mAP"] * lacks]
        found[model] = Finding(
            verdict=verdict,
            sentence="; ".join([*said, *open_]),
            rows=tuple({**each.cells(CLAIMED), "target": each.row["target"]} for each in case.measured),
            to_decide="; ".join([*open_, _MORE]) if verdict is Verdict.UNDECIDED else "",
        )
    return found
