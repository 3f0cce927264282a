"""A search space: what may be searched, read from a YAML that a stranger understands."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import optuna
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.architecture import Architecture, Kind, LocalGroup, MapSize, Placement
from harness.errors import UserError
from harness.resources import search_space_folder

NO_BLOCK = "none"
"""The choice that leaves a site empty."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlacementChoices(_Model):
    """The shapes that a block may take, each a list of choices."""

    kind: tuple[Kind, ...] = Field(min_length=1)
    kernel: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    kv_pool: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    heads: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    local_share: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    ffn_ratio: tuple[Annotated[float, Field(gt=0)], ...] = (2.0,)

    @field_validator("*")
    @classmethod
    def _no_choice_twice(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        for choice in choices:
            if choices.count(choice) > 1:
                raise ValueError(f"the choice {choice} stands in the list twice")
        return choices

    @field_validator("kernel")
    @classmethod
    def _kernels_are_odd(cls, kernels: tuple[int, ...]) -> tuple[int, ...]:
        even = [kernel for kernel in kernels if kernel % 2 == 0]
        if even:
            raise ValueError(f"kernel {even[0]} is even; a kernel size is odd (3, 5, 7, 9, …)")
        return kernels


class SpaceFile(_Model):
    """The YAML as it is written."""

    name: str = Field(min_length=1)
    description: str = ""
    sites: tuple[str, ...] = Field(min_length=1)
    max_blocks: int = Field(ge=1)
    placement: PlacementChoices


class SearchSpace:
    """All architectures of one space file on one base at one image size.

    Args:
        file: The validated space file.
        base: Name of the base detector.
        channels: Channels at each of the base's sites.
        maps: Height and width of the map at each of the base's sites, in pixels.

    Raises:
        UserError: A site is not one of the base's, or no number of heads divides a site's channels.
    """

    def __init__(self, file: SpaceFile, *, base: str, channels: Mapping[str, int], maps: Mapping[str, MapSize]) -> None:
        self.file = file
        self.base = base
        self.maps = dict(maps)
        self.heads: dict[str, tuple[int, ...]] = {}
        for site in file.sites:
            if site not in channels:
                raise UserError(
                    f"space '{file.name}': unknown site '{site}' in {base}; its sites: {', '.join(channels)}"
                )
            self.heads[site] = tuple(h for h in file.placement.heads if channels[site] % h == 0)
            if not self.heads[site]:
                raise UserError(
                    f"space '{file.name}': none of the heads {list(file.placement.heads)} divides the "
                    f"{channels[site]} channels of {site} in {base}"
                )

    def suggest(self, trial: optuna.trial.Trial) -> Architecture:
        """Let Optuna choose, asking only for what matters under the choices made before.

        Sites are asked about in the file's order until `max_blocks` blocks are placed, so that nothing
        illegal can be proposed and a multivariate, grouped TPE sees which choices belong together.
        """
        choices = self.file.placement
        placements: list[Placement] = []
        for site in self.file.sites:
            if len(placements) == self.file.max_blocks:
                break
            kind = trial.suggest_categorical(f"{site}:kind", [NO_BLOCK, *(str(kind) for kind in choices.kind)])
            if kind == NO_BLOCK:
                continue
            heads = trial.suggest_categorical(f"{site}:heads", self.heads[site])
            share = trial.suggest_categorical(f"{site}:local_share", choices.local_share)
            local = _local_heads(share, heads)
            kernel = trial.suggest_categorical(f"{site}:kernel", choices.kernel) if local else None
            pool = trial.suggest_categorical(f"{site}:kv_pool", choices.kv_pool) if heads > local else 1
            ratio = choices.ffn_ratio[0]
            if kind == Kind.BLOCK and len(choices.ffn_ratio) > 1:
                ratio = trial.suggest_categorical(f"{site}:ffn_ratio", choices.ffn_ratio)
            placements.append(_placement(site, Kind(kind), heads, local, kernel, pool, ratio))
        return Architecture(base=self.base, placements=tuple(placements))

    def parameters(self, architecture: Architecture) -> dict[str, Any]:
        """The Optuna parameters under which `suggest` yields this architecture."""
        by_site = {placement.site: self._own(placement) for placement in architecture.placements}
        parameters: dict[str, Any] = {}
        left = self.file.max_blocks
        for site in self.file.sites:
            if left == 0:
                break
            placement = by_site.get(site)
            left -= placement is not None
            parameters[f"{site}:kind"] = str(placement.kind) if placement else NO_BLOCK
            if placement is None:
                continue
            local = placement.heads - placement.global_heads
            parameters[f"{site}:heads"] = placement.heads
            parameters[f"{site}:local_share"] = next(
                share for share in self.file.placement.local_share if _local_heads(share, placement.heads) == local
            )
            if placement.groups:
                parameters[f"{site}:kernel"] = placement.groups[0].kernel
            if placement.global_heads:
                parameters[f"{site}:kv_pool"] = placement.kv_pool
            if placement.kind is Kind.BLOCK and len(self.file.placement.ffn_ratio) > 1:
                parameters[f"{site}:ffn_ratio"] = placement.ffn_ratio
        return parameters

    def _own(self, placement: Placement) -> Placement:
        """The space's own placement that computes the same as a given one."""
        canonical = placement.canonical(self.maps[placement.site])
        return next(p for p in self.placements[placement.site] if p.canonical(self.maps[p.site]) == canonical)

    @cached_property
    def placements(self) -> dict[str, list[Placement]]:
        """Every placement that computes something of its own, by site: duplicates at this image size are out."""
        return {site: list(self._distinct(site)) for site in self.file.sites}

    def _distinct(self, site: str) -> Iterator[Placement]:
        choices = self.file.placement
        seen: set[Placement] = set()
        for kind, heads, share, kernel, pool, ratio in itertools.product(
            choices.kind,
            self.heads[site],
            choices.local_share,
            choices.kernel,
            sorted(choices.kv_pool),
            choices.ffn_ratio,
        ):
            placement = _placement(site, kind, heads, _local_heads(share, heads), kernel, pool, ratio)
            canonical = placement.canonical(self.maps[site])
            if canonical not in seen:
                seen.add(canonical)
                yield placement

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
            placement.site in self.placements
            and placement.canonical(self.maps[placement.site])
            in {own.canonical(self.maps[placement.site]) for own in self.placements[placement.site]}
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
        return SpaceFile.model_validate(data)
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


def _placement(site: str, kind: Kind, heads: int, local: int, kernel: int | None, pool: int, ratio: float) -> Placement:
    return Placement(
        site=site,
        kind=kind,
        groups=(LocalGroup(kernel, local),) if local and kernel else (),
        global_heads=heads - local,
        kv_pool=pool if heads > local else 1,
        ffn_ratio=ratio,
    )
