"""An ablation as a person writes it: a YAML of `search_spaces/ablations/`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from harness.architecture.choices import Init, Recipe, Size, first_twice
from harness.common.errors import UserError, sentence
from harness.common.resources import search_space_folder
from harness.common.yaml_file import kind_of, line_of, read_yaml
from harness.record.arms import LEVELS, Factor, Factors, Level, Wanted
from harness.record.ladder import MOST_SEEDS
from harness.record.rates import FROM_BASE, with_default_rates
from harness.record.run_settings import StoredSettings, option_of
from harness.record.settings import EMBEDDED_DATA, Objective, Sampler, SearchSettings, default_of

_FOLDER = "ablations"
# Options of `clo ablate` that are not called as the fields.
_OPTIONS = {"name": "--study", "models": "--model"}
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class AblationFile(BaseModel):
    """What is compared, on what, and how often.

    Attributes:
        name: Of the study and of its folder.
        base: The detector that is changed.
        allow_unusable: Whether more than a few images or rows of labels may be left out.
        allow_val_in_train: Whether more than a few validation images may be training images.
        imgsz: Side of the square input, in pixels; 128 for the embedded data, 640 for others.
        ruler_of: Search whose base is one size smaller than this one, which alone is trained; empty elsewhere.
        models: What is ablated: the article's models of the base (`yolov5n-clo-head`), architecture files, or
            STUDY/ID of a search.
        init: How the blocks of the article's models start; files and searched architectures say it themselves.
        without: Whether each model is tried without each of its blocks.
        factors: What is changed in all blocks of a model, one at a time; `all` is `harness.record.arms.LEVELS`.
        controls: Registered blocks that take the blocks' places.
        placebos: What the base is widened to: a model's `params`, its `macs`.
        seeds: Of each training; the same for all arms.
        bases: Seeds of the base's own training; each arm is trained from each base, once a seed.
        from_scratch: Whether every arm starts from random weights, rather than from the trained base.
        recipe: `short`, or `published`: Ultralytics' own training, which takes all devices for one training at a time,
            keeps every arm's weights, and has an optimiser of its own, so that the two rates are unused.
        learning_rate: Peak rate of AdamW for the base's weights.
        block_rate_factor: Learning-rate multiplier for inserted blocks.
        drawn_from: Search whose space the models were drawn from at random; empty where somebody chose them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    base: str = "yolov5n"
    data: str = EMBEDDED_DATA
    allow_unusable: bool = False
    allow_val_in_train: bool = False
    imgsz: int = Field(default_factory=default_of("imgsz"), ge=32, multiple_of=32)
    epochs: int = Field(default=3, ge=1)
    base_epochs: int = Field(default=20, ge=1)
    batch: int = Field(default_factory=default_of("batch"), ge=1)
    learning_rate: float = Field(default=FROM_BASE.learning_rate, gt=0)
    block_rate_factor: float = Field(default=FROM_BASE.block_rate_factor, gt=0)
    from_scratch: bool = False
    recipe: Recipe = Recipe.SHORT
    ruler_of: str = ""
    models: tuple[str, ...]
    init: Init = Init.RESIDUAL
    without: bool = True
    factors: dict[Factor, tuple[Level, ...]] | Literal["all"] = "all"
    controls: tuple[str, ...] = ("se", "cbam")
    placebos: tuple[Size, ...] = (Size.PARAMS, Size.MACS)
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    bases: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    drawn_from: str = ""

    _rates = model_validator(mode="before")(with_default_rates)

    @field_validator("seeds", "bases", mode="before")
    @classmethod
    def _so_many(cls, value: Any) -> Any:
        """Turn a number into that many seeds, from 0 on."""
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if value > MOST_SEEDS:
            raise ValueError(f"at most {MOST_SEEDS} seeds")
        return tuple(range(value))

    @field_validator("models", "controls", "placebos", "seeds", "bases")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if (twice := first_twice(values)) is not None:
            raise ValueError(f"{twice} is given twice")
        return values

    @field_validator("models")
    @classmethod
    def _some(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not values and not info.data.get("ruler_of"):
            raise ValueError("expected a list of at least 1")
        return values

    @model_validator(mode="after")
    def _bases_are_trained(self) -> Self:
        if self.from_scratch and len(self.bases) > 1:
            raise ValueError("from_scratch trains no base, so that there are no bases to repeat; give seeds instead")
        return self

    @model_validator(mode="after")
    def _published_from_scratch(self) -> Self:
        if self.recipe is Recipe.PUBLISHED and not self.from_scratch:
            raise ValueError("recipe: published trains every arm from random weights; it needs from_scratch: true")
        return self

    @property
    def wanted(self) -> Wanted:
        """Which arms each model gets."""
        factors: Factors = LEVELS if self.factors == "all" else self.factors
        return Wanted(
            without=self.without,
            factors=factors,
            demanded=self.factors != "all",
            controls=self.controls,
            placebos=self.placebos,
        )


class AblationSettings(StoredSettings):
    """What `clo ablate` was asked to do; on one machine the published recipe trains one arm at a time.

    Attributes:
        file: What is compared.
    """

    file: AblationFile
    latency_seconds: float = Field(
        default=0.0, ge=0, description="Most seconds to measure each arm's latency; 0 measures none. [default: 0]"
    )
    keep_weights: bool = Field(
        default=False,
        description="Keep the trained weights of the baseline and the models; the published recipe keeps every arm's.",
    )

    @property
    def as_search(self) -> SearchSettings:
        """The settings of the study, which is kept as a search's is."""
        file = self.file
        return SearchSettings(
            base=file.base,
            data=file.data,
            space="ablation",
            device=self.device,
            imgsz=file.imgsz,
            allow_unusable=file.allow_unusable,
            allow_val_in_train=file.allow_val_in_train,
            epochs=file.epochs,
            base_epochs=file.base_epochs,
            batch=file.batch,
            learning_rate=file.learning_rate,
            block_rate_factor=file.block_rate_factor,
            from_scratch=file.from_scratch,
            objectives=(Objective.MAP50_95, Objective.MACS),
            sampler=Sampler.RANDOM,
            trials=0,
            seed=file.seeds[0],
            seeds=len(file.seeds),
            finalists=0,
            study=file.name,
            storage=self.storage,
            results=self.results,
        )


def random_study(search: str) -> str:
    """Return the name of the study of random members of a search's space."""
    return f"{search}-random"


def ruler_study(search: str) -> str:
    """Return the name of the study of the next size of a search's base."""
    return f"{search}-ruler"


def load_ablation(spec: str, changes: Mapping[str, Any] | None = None) -> AblationFile:
    """Read an ablation: a YAML file, or the name of one that ships with clo-nas.

    Args:
        spec: Its path or name.
        changes: Fields that take other values than the file's.

    Raises:
        UserError: There is none, or it or a change is wrong.
    """
    path = Path(spec)
    if not path.is_file():
        path = search_space_folder() / _FOLDER / f"{spec.removesuffix('.yaml')}.yaml"
    try:
        written, tree = read_yaml(path)
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"ablation {spec}: no such file, and none ships under that name; there are: {names}") from error
    if not isinstance(written, dict):
        raise UserError(f"{path}: holds no mapping; expected `key: value` lines")
    changed = dict(changes or {})
    if written.get("data", EMBEDDED_DATA) == EMBEDDED_DATA != changed.get("data", EMBEDDED_DATA):
        written = {name: value for name, value in written.items() if name != "imgsz"}  # that was the embedded data's
    if (kind := kind_of(written)) != "an ablation" and "models" not in changed:
        raise UserError(f"ablation {path}: this is {kind}; an ablation has at least name and models")
    try:
        return AblationFile.model_validate(written | changed)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        said = sentence(first)
        if first["type"] == "extra_forbidden":
            said = f"{field}: unknown key; known keys: {', '.join(AblationFile.model_fields)}"
        if changes and field in changes:
            raise UserError(f"{_OPTIONS.get(field, option_of(field))}{said.removeprefix(field)}") from error
        raise UserError(f"{path}, line {line_of(tree, first['loc'])}: {said}") from error
