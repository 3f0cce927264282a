"""A search space: what may be searched, read from a YAML that a stranger understands."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Self

import optuna
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from harness.architecture import Architecture
from harness.blocks.registry import BlockEntry, BlockError, block_entry, import_block_file
from harness.errors import UserError
from harness.placement import (
    FeedForward,
    Gate,
    Init,
    Kind,
    LocalGroup,
    MapSize,
    Mode,
    Operator,
    Option,
    Placement,
    absolute_kind,
)
from harness.resources import search_space_folder

NO_BLOCK = "none"
"""The choice that leaves a site empty."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlacementChoices(_Model):
    """The shapes that a block may take, each a list of choices; what is asked of Clo blocks alone has a default."""

    kind: tuple[str, ...] = Field(min_length=1)
    mode: tuple[Mode, ...] = Field(default=(Mode.AFTER,), min_length=1)
    init: tuple[Init, ...] = Field(default=(Init.IDENTITY,), min_length=1)
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
        if isinstance(choices, tuple):
            for choice in choices:
                if choices.count(choice) > 1:
                    raise ValueError(f"the choice {choice} stands in the list twice")
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


class SpaceFile(_Model):
    """The YAML as it is written."""

    name: str = Field(min_length=1)
    description: str = ""
    sites: tuple[str, ...] = Field(min_length=1)
    max_blocks: int = Field(ge=1)
    placement: PlacementChoices


Pick = Callable[[str, Sequence[Any]], Any]
"""Takes the name of a choice and what there is to choose from; gives one of them."""


class SearchSpace:
    """All architectures of one space file on one base at one image size.

    Args:
        file: The validated space file.
        base: Name of the base detector.
        channels: Site to the modes that its layer allows, each with the channels of the block there.
        maps: Height and width of the map at each of the base's sites, in pixels.

    Raises:
        UserError: A site is not one of the base's or allows no mode of the space, or no number of heads divides
            a site's channels.
    """

    def __init__(
        self,
        file: SpaceFile,
        *,
        base: str,
        channels: Mapping[str, Mapping[Mode, int]],
        maps: Mapping[str, MapSize],
    ) -> None:
        self.file = file
        self.base = base
        self.maps = dict(maps)
        self.modes: dict[str, list[Mode]] = {}
        self.heads: dict[str, dict[Mode, tuple[int, ...]]] = {}
        for site in file.sites:
            if site not in channels:
                raise UserError(
                    f"space '{file.name}': unknown site '{site}' in {base}; its sites: {', '.join(channels)}"
                )
            self.modes[site] = [mode for mode in file.placement.mode if mode in channels[site]]
            if not self.modes[site]:
                raise UserError(
                    f"space '{file.name}': {site} of {base} allows none of the modes "
                    f"{', '.join(file.placement.mode)}; its modes: {', '.join(channels[site])}"
                )
            self.heads[site] = self._heads(site, channels[site])

    def _heads(self, site: str, channels: Mapping[Mode, int]) -> dict[Mode, tuple[int, ...]]:
        """The modes in which a Clo block fits, each with the numbers of heads that divide the channels there."""
        wanted = self.file.placement.heads
        fitting = {mode: tuple(h for h in wanted if channels[mode] % h == 0) for mode in self.modes[site]}
        fitting = {mode: heads for mode, heads in fitting.items() if heads}
        if wanted and not fitting:
            widths = " or ".join(str(channels[mode]) for mode in self.modes[site])
            raise UserError(
                f"space '{self.file.name}': none of the heads {list(wanted)} divides the "
                f"{widths} channels of {site} in {self.base}"
            )
        return fitting

    def suggest(self, trial: optuna.trial.Trial) -> Architecture:
        """Let Optuna choose, asking only for what matters under the choices made before.

        Sites are asked about in the file's order until `max_blocks` blocks are placed, so that nothing
        illegal can be proposed and a multivariate, grouped TPE sees which choices belong together.
        """
        placements: list[Placement] = []
        for site in self.file.sites:
            if len(placements) == self.file.max_blocks:
                break
            kind = trial.suggest_categorical(f"{site}:kind", [NO_BLOCK, *self.file.placement.kind])
            if kind != NO_BLOCK:
                placements.append(self._choose(site, kind, partial(_ask, trial, site)))
        return Architecture(base=self.base, placements=tuple(placements))

    def _choose(self, site: str, kind: str, pick: Pick) -> Placement:
        """One placement, choice by choice: the one place that says which choice depends on which.

        A name always goes with the same choices, as Optuna demands.
        """
        choices = self.file.placement
        if kind not in set(Kind):
            name = kind.rpartition(":")[2]
            mode = Mode(pick(f"{name}:mode", [str(mode) for mode in self.modes[site]]))
            init = Init(pick("init", _names(choices.init)))
            own = choices.options.get(name, {})
            options = tuple((option, pick(f"{name}:{option}", values)) for option, values in own.items())
            return Placement(site=site, mode=mode, kind=kind, init=init, options=options)
        mode = Mode(pick("mode", [str(mode) for mode in self.heads[site]]))
        heads = pick("heads" if mode is Mode.AFTER else f"{mode}:heads", self.heads[site][mode])
        local = _local_heads(pick("local_share", choices.local_share), heads)
        shape: dict[str, Any] = {"global_heads": heads - local}
        if kind != Kind.BARE:
            shape["init"] = Init(pick("init", _names(choices.init)))
        if local:
            shape["operator"] = Operator(pick("operator", _names(choices.operator)))
            shape["groups"] = (LocalGroup(pick("kernel", choices.kernel), local),)
            if shape["operator"] is Operator.ATTNCONV:
                shape["gate"] = Gate(pick("gate", _names(choices.gate)))
                shape["aggregate_qk"] = pick("aggregate_qk", choices.aggregate_qk)
                shape["aggregate_v"] = pick("aggregate_v", choices.aggregate_v)
        if heads > local:
            shape["kv_pool"] = pick("kv_pool", choices.kv_pool)
        if kind == Kind.BLOCK:
            shape["ffn"] = FeedForward(pick("ffn", _names(choices.ffn)))
            shape["ffn_ratio"] = pick("ffn_ratio", choices.ffn_ratio)
            if shape["ffn"] is FeedForward.CONV:
                shape["ffn_kernel"] = pick("ffn_kernel", choices.ffn_kernel)
        return Placement(site=site, mode=mode, kind=kind, **shape)

    def parameters(self, architecture: Architecture) -> dict[str, Any]:
        """The Optuna parameters under which `suggest` yields this architecture."""
        by_site = {placement.site: placement for placement in architecture.placements}
        parameters: dict[str, Any] = {}
        left = self.file.max_blocks
        for site in self.file.sites:
            if left == 0:
                break
            placement = by_site.get(site)
            if placement is None:
                parameters[f"{site}:kind"] = NO_BLOCK
                continue
            left -= 1
            _, chosen = self._table[site][placement.canonical(self.maps[site])]
            parameters |= {f"{site}:{name}": value for name, value in chosen.items()}
        return parameters

    @cached_property
    def placements(self) -> dict[str, list[Placement]]:
        """Every placement that computes something of its own, by site: duplicates at this image size are out."""
        return {site: [placement for placement, _ in table.values()] for site, table in self._table.items()}

    @cached_property
    def _table(self) -> dict[str, dict[Placement, tuple[Placement, dict[str, Any]]]]:
        """By site: canonical placement to the space's own and the choices that lead there."""
        tables: dict[str, dict[Placement, tuple[Placement, dict[str, Any]]]] = {}
        for site in self.file.sites:
            table = tables.setdefault(site, {})
            for kind in self.file.placement.kind:
                for placement, chosen in _every_path(partial(self._choose, site, kind)):
                    table.setdefault(placement.canonical(self.maps[site]), (placement, {"kind": kind, **chosen}))
        return tables

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures, the baseline not counted."""
        counts = [len(placements) for placements in self.placements.values()]
        blocks = range(1, min(self.file.max_blocks, len(counts)) + 1)
        return sum(math.prod(chosen) for k in blocks for chosen in itertools.combinations(counts, k))

    def draw(self, rng: random.Random) -> Architecture:
        """One architecture: the number of blocks, the sites and the shapes each uniformly at random."""
        blocks = rng.randint(1, min(self.file.max_blocks, len(self.file.sites)))
        sites = rng.sample(self.file.sites, blocks)
        return Architecture(base=self.base, placements=tuple(rng.choice(self.placements[site]) for site in sites))

    def enumerate(self) -> Iterator[Architecture]:
        """Every distinct architecture, fewest blocks first."""
        for blocks in range(1, min(self.file.max_blocks, len(self.file.sites)) + 1):
            for sites in itertools.combinations(self.file.sites, blocks):
                for chosen in itertools.product(*(self.placements[site] for site in sites)):
                    yield Architecture(base=self.base, placements=chosen)

    def holds(self, architecture: Architecture) -> bool:
        """Whether the space has an architecture that computes the same."""
        if len(architecture.placements) > self.file.max_blocks:
            return False
        return all(
            placement.site in self._table
            and placement.canonical(self.maps[placement.site]) in self._table[placement.site]
            for placement in architecture.placements
        )

    def identity(self, architecture: Architecture) -> str:
        """`Architecture.identity` at this space's image size."""
        return architecture.identity(self.maps)


def load_space(spec: str) -> SpaceFile:
    """Read a space by path, or one that ships with clo-nas by name.

    Raises:
        UserError: It does not exist or is not a valid space; the message names the line.
    """
    path = Path(spec)
    if not path.is_file():
        shipped = search_space_folder()
        path = shipped / f"{spec.removesuffix('.yaml')}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml")))
            raise UserError(f"space {spec}: no such file, and none ships under that name; there are: {names}")
    try:
        text = path.read_text(encoding="utf-8")
        data, tree = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    try:
        return SpaceFile.model_validate(data, context={"folder": path.parent})
    except ValidationError as error:
        problems = [f"line {_line(tree, one['loc'])}: {_say(one)}" for one in error.errors()]
        raise UserError(f"{path}, {'; '.join(problems)}") from error


def _say(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if isinstance(part, str)) or "the file"
    if problem["type"] == "extra_forbidden":
        model = PlacementChoices if problem["loc"][0] == "placement" else SpaceFile
        return f"{where}: unknown key; known keys here: {', '.join(model.model_fields)}"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r})"


def _line(node: Any, path: tuple[Any, ...]) -> int:
    """Line of the YAML node that a pydantic error location points at, or of its nearest existing parent."""
    line = node.start_mark.line if node is not None else 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            match = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if match is None:
                break
            line, node = match[0].start_mark.line, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


def _local_heads(share: float, heads: int) -> int:
    return round(share * heads)


def _names(choices: Sequence[str]) -> list[str]:
    return [str(choice) for choice in choices]


def _ask(trial: optuna.trial.Trial, site: str, name: str, choices: Sequence[Any]) -> Any:
    """Optuna's choice; it is not asked where there is none."""
    return trial.suggest_categorical(f"{site}:{name}", choices) if len(choices) > 1 else choices[0]


def _every_path(choose: Callable[[Pick], Placement]) -> Iterator[tuple[Placement, dict[str, Any]]]:
    """All that `choose` can yield, each with the choices that lead there, the last choice varying fastest."""
    path: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []
        chosen: dict[str, Any] = {}
        yield choose(partial(_follow, path, taken, chosen)), chosen
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        path = [*(at for at, _ in taken[:-1]), taken[-1][0] + 1]


def _follow(
    path: Sequence[int], taken: list[tuple[int, int]], chosen: dict[str, Any], name: str, choices: Sequence[Any]
) -> Any:
    """Choose as `path` says, then the first of each; note what was taken of how many."""
    at = path[len(taken)] if len(taken) < len(path) else 0
    taken.append((at, len(choices)))
    if len(choices) > 1:
        chosen[name] = choices[at]
    return choices[at]


def _registered(kind: str) -> BlockEntry:
    """The entry of a kind that is none of Clo's; its file is imported first.

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
