"""The YAML of a search space: what may be written in it, and what is refused with its line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from harness.architecture.choices import FeedForward, Gate, Init, Kind, Mode, Operator, Option, first_twice
from harness.architecture.placement import absolute_kind
from harness.blocks.registry import BlockEntry, BlockError, block_entry, block_names, import_block_file
from harness.common.errors import UserError, each_once, sentence, where
from harness.common.resources import search_space_folder
from harness.common.yaml_file import kind_of, line_of, read_yaml

# Of a block at one site, before those that compute the same are struck out.
MOST_SHAPES = 60_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlacementChoices(_Model):
    """The shapes that a block may take, each a list of choices; what is asked of Clo blocks alone has a default."""

    kind: tuple[str, ...] = Field(min_length=1)
    mode: tuple[Mode, ...] = Field(default=(Mode.AFTER,), min_length=1)
    init: tuple[Init, ...] = Field(default=(Init.RESIDUAL,), min_length=1)
    heads: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), min_length=1)
    local_share: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(), min_length=1)
    kernel: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), min_length=1)
    kv_pool: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(), min_length=1)
    operator: tuple[Operator, ...] = Field(default=(Operator.ATTNCONV,), min_length=1)
    gate: tuple[Gate, ...] = Field(default=(Gate.SWISH_TANH,), min_length=1)
    aggregate_qk: tuple[bool, ...] = Field(default=(True,), min_length=1)
    aggregate_v: tuple[bool, ...] = Field(default=(True,), min_length=1)
    ffn: tuple[FeedForward, ...] = Field(default=(FeedForward.CONV,), min_length=1)
    ffn_ratio: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(2.0,), min_length=1)
    ffn_kernel: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(5,), min_length=1)
    options: dict[str, dict[str, Annotated[tuple[Option, ...], Field(min_length=1)]]] = {}

    @field_validator("*")
    @classmethod
    def _no_choice_twice(cls, choices: Any) -> Any:
        if isinstance(choices, tuple) and (twice := first_twice(choices)) is not None:
            raise ValueError(f"the choice {twice} stands in the list twice")
        return choices

    @field_validator("kernel", "ffn_kernel")
    @classmethod
    def _kernels_are_odd(cls, kernels: tuple[int, ...]) -> tuple[int, ...]:
        even = [kernel for kernel in kernels if kernel % 2 == 0]
        if even:
            raise ValueError(f"kernel {even[0]} is even; a kernel size is odd (3, 5, 7, 9, …)")
        return kernels

    @field_validator("kind")
    @classmethod
    def _kinds_exist(cls, kinds: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = tuple(absolute_kind(kind, (info.context or {}).get("folder")) for kind in kinds)
        for kind in found:
            if kind not in set(Kind):
                _registered(kind)
        return found

    @model_validator(mode="after")
    def _options_exist(self) -> Self:
        for name, options in self.options.items():
            entry = next((_registered(kind) for kind in self.kind if kind.rpartition(":")[2] == name), None)
            if entry is None:
                raise ValueError(f"options of '{name}', which is no kind of this space")
            entry.check_options(options)
        return self

    @model_validator(mode="after")
    def _clo_blocks_have_a_shape(self) -> Self:
        if set(self.kind) & set(Kind):
            for name in ("heads", "local_share", "kernel", "kv_pool"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing; the kinds {', '.join(Kind)} need it")
        return self

    @model_validator(mode="after")
    def _shapes_can_be_listed(self) -> Self:
        """Refuse lists that multiply to millions: a search looks at every shape of a block, and would take hours."""
        shapes = sum(math.prod(map(len, self._lists_of(kind))) for kind in self.kind)
        if shapes > MOST_SHAPES:
            raise ValueError(
                f"its lists multiply to {shapes:,} shapes of a block; at most {MOST_SHAPES:,} can be searched"
            )
        return self

    def _lists_of(self, kind: str) -> list[tuple[Any, ...]]:
        """List what there is to choose from for a kind."""
        shared = [self.mode, self.init]
        if kind not in set(Kind):
            return [*shared, *self.options.get(kind.rpartition(":")[2], {}).values()]
        mixer = [self.heads, self.local_share, self.kernel, self.kv_pool, self.operator, self.gate, self.aggregate_qk]
        feed_forward = [self.ffn, self.ffn_ratio, self.ffn_kernel] if kind == Kind.BLOCK else []
        return [*shared, *mixer, self.aggregate_v, *feed_forward]


class SpaceFile(_Model):
    """The YAML as it is written."""

    name: str = Field(min_length=1)
    description: str = ""
    sites: tuple[str, ...] = Field(min_length=1)
    optional_sites: tuple[str, ...] = ()
    max_blocks: int = Field(ge=1)
    placement: PlacementChoices

    @field_validator("optional_sites")
    @classmethod
    def _stand_among_the_sites(cls, optional: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for site in optional:
            if site not in info.data.get("sites", (site,)):
                raise ValueError(f"{site} is none of the sites; those that a base may lack stand in both lists")
        return optional

    @property
    def names_a_start(self) -> bool:
        """Tell whether the file says how its blocks start."""
        return "init" in self.placement.model_fields_set

    def starting_as(self, init: Init) -> SpaceFile:
        """Return the space with another default start; what the file itself names stays."""
        if self.names_a_start:
            return self
        placement = self.placement.model_copy(update={"init": (init,)})
        return self.model_copy(update={"placement": placement})

    @property
    def block_files(self) -> list[Path]:
        """The files that register blocks of a user's own."""
        return sorted(
            {Path(file) for kind in self.placement.kind for file, found, _ in [kind.rpartition(":")] if found}
        )


def load_space(spec: str) -> SpaceFile:
    """Read a space by path, or one that ships with clo-nas by name; of a block, where the default space's may go.

    Args:
        spec: Path or name of a space; or a registered block (`se`), or one of a user's own (`my_block.py:name`).

    Raises:
        UserError: It does not exist or is not a valid space; the message names the line.
    """
    path = Path(spec)
    if not path.is_file():
        shipped = search_space_folder()
        path = shipped / f"{spec.removesuffix('.yaml')}.yaml"
        if not path.is_file() and (spec in block_names() or ".py:" in spec):
            return _of_block(spec)
        if not path.is_file():
            names = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml")))
            raise UserError(f"space {spec}: no such file, and none ships under that name; there are: {names}")
    data, tree = read_yaml(path)
    if not isinstance(data, dict) or not {"sites", "placement"} & set(data):
        raise UserError(
            f"space {path}: this is {kind_of(data)}; a search space has {', '.join(SpaceFile.model_fields)}"
        )
    try:
        return SpaceFile.model_validate(data, context={"folder": path.parent})
    except ValidationError as error:
        problems = [f"line {line_of(tree, one['loc'])}: {_say(one)}" for one in each_once(error.errors())]
        raise UserError(f"{path}, {'; '.join(problems)}") from error


def _of_block(kind: str) -> SpaceFile:
    """Return the default space with that block alone, in its own default shape.

    Raises:
        UserError: The file has no such block, or there is none.
    """
    default = load_space("default")
    try:
        placement = PlacementChoices.model_validate({"kind": [kind]}, context={"folder": Path.cwd()})
    except ValidationError as error:
        raise UserError(f"block {kind}: {sentence(error.errors()[0])}") from error
    name = kind.rpartition(":")[2]
    return default.model_copy(update={"name": name, "description": f"{name} blocks alone", "placement": placement})


def _say(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        model = PlacementChoices if problem["loc"][0] == "placement" else SpaceFile
        return f"{where(problem['loc'])}: unknown key; known keys here: {', '.join(model.model_fields)}"
    return sentence(problem)


def _registered(kind: str) -> BlockEntry:
    """Return the entry of a kind that is none of Clo's; its file is imported first.

    Raises:
        ValueError: There is no such block.
    """
    file, found, name = kind.rpartition(":")
    if found:
        import_block_file(file)
    try:
        return block_entry(name)
    except BlockError as error:
        raise ValueError(f"a kind is one of {', '.join(map(str, Kind))}, or a registered block: {error}") from error
