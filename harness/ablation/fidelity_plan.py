"""The plan of a fidelity study: a cohort of architectures, one long schedule and several short ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.architecture.choices import Init
from harness.common.errors import UserError, sentence
from harness.common.resources import search_space_folder
from harness.common.yaml_file import kind_of, line_of, read_yaml
from harness.record.rates import with_default_rates
from harness.record.settings import COMPARABLE, SearchSettings

_DEFAULTS = SearchSettings()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rung(_Model):
    """A schedule, the seeds it is run with, and on how many architectures of the cohort."""

    name: str
    epochs: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    learning_rate: float = Field(default=_DEFAULTS.learning_rate, gt=0)
    block_rate_factor: float = Field(default=_DEFAULTS.block_rate_factor, gt=0)
    averaged_tail: float = Field(default=0.3, ge=0, le=1)
    from_scratch: bool = False
    architectures: int | None = Field(default=None, ge=2)

    _rates = model_validator(mode="before")(with_default_rates)


class FidelityPlan(_Model):
    """What is trained: the base, the cohort, one long and several short schedules.

    `init` is how the blocks of a space start that names no start itself; of plans from before there was another, as the
    identity.
    """

    name: str
    base: str
    data: str
    allow_unusable: bool = False
    allow_val_in_train: bool = False
    imgsz: int
    batch: int = Field(ge=1)
    base_epochs: int = Field(ge=1)
    seed: Annotated[int, Field(ge=0)] = 0
    init: Init = Init.IDENTITY
    cohort: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    long: Rung
    short: tuple[Rung, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rung.name for rung in self.rungs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two schedules are called '{name}'")
        for rung in self.short:
            for seed in set(rung.seeds) & set(self.long.seeds):
                raise ValueError(f"seed {seed} of schedule '{rung.name}' is the long one's, too; give it another")
        for rung in self.rungs:
            if len(set(rung.seeds)) < len(rung.seeds):
                raise ValueError(f"schedule '{rung.name}' names a seed twice")
        if self.long.architectures is not None:
            raise ValueError("the long schedule trains the whole cohort; leave its `architectures` out")
        return self

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """All schedules in the order of training: what a search does by default, the long one, the others."""
        return (self.short[0], self.long, *self.short[1:])


def load_plan(spec: str) -> FidelityPlan:
    """Read a plan: a YAML file, or the name of one that ships with clo-nas.

    Raises:
        UserError: There is none, or it is wrong.
    """
    path = Path(spec)
    if not path.is_file():
        path = search_space_folder() / "fidelity" / f"{spec.removesuffix('.yaml')}.yaml"
    try:
        data, tree = read_yaml(path)
        if not isinstance(data, dict) or not {"cohort", "long", "short"} & set(data):
            raise UserError(f"fidelity plan {path}: this is {kind_of(data)}; a plan has cohort, long and short")
        return FidelityPlan.model_validate(data)
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(
            f"fidelity plan {spec}: no such file, and none ships under that name; there are: {names}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}, line {line_of(tree, first['loc'])}: {sentence(first)}") from error


def check_same(now: Mapping[str, Any], before: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with a study whose finished trainings another plan, base or data made.

    Schedules, seeds and spaces may be added, or left out.

    Raises:
        UserError: Something differs.
    """
    schedules = [{rung["name"]: rung for rung in (s["plan"]["long"], *s["plan"]["short"])} for s in (now, before)]
    decide = (*COMPARABLE, "averaged_tail", "seed")
    of_plan = [name for name in decide if name in now["plan"] and name != "base"]  # of a base counts what it is
    differing = [
        *(name for name in ("base_fingerprint", "data_fingerprint") if now[name] != before[name]),
        *(name for name in of_plan if now["plan"][name] != before["plan"][name]),
        *(
            f"schedule '{name}'"
            for name, rung in schedules[0].items()
            if name in schedules[1] and any(rung[key] != schedules[1][name][key] for key in decide if key in rung)
        ),
    ]
    if differing:
        raise UserError(f"{folder} was begun with another {', '.join(differing)}; name another --out, or move it away")
