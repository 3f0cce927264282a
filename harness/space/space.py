"""A search space: what may be searched, read from a YAML that a stranger understands."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution

from harness.architecture import Architecture
from harness.architecture.choices import (
    NO_BLOCK,
    FeedForward,
    Gate,
    Init,
    Kind,
    LocalGroup,
    MapSize,
    Mode,
    Operator,
    Option,
)
from harness.architecture.placement import Placement
from harness.blocks.registry import block_entry
from harness.common.errors import UserError
from harness.space.space_file import SpaceFile, load_space

__all__ = ["NO_BLOCK", "SearchSpace", "SpaceFile", "load_space"]


# Takes the name of a choice and what there is to choose from; gives one of them.
Pick = Callable[[str, Sequence[Any]], Any]


class SearchSpace:
    """All architectures of one space file on one base at one image size.

    Args:
        file: The validated space file.
        base: Name of the base detector.
        channels: Site to the modes that its layer allows, each with the channels of the block there.
        maps: Height and width of the map at each of the base's sites, in pixels.
        required: Sites that every architecture has a block at.
        forbidden: Sites that none has.

    Raises:
        UserError: A site is not one of the base's or allows no mode of the space, no number of heads divides
            a site's channels, or the required and forbidden sites leave no architecture.
    """

    def __init__(
        self,
        file: SpaceFile,
        *,
        base: str,
        channels: Mapping[str, Mapping[Mode, int]],
        maps: Mapping[str, MapSize],
        required: Sequence[str] = (),
        forbidden: Sequence[str] = (),
    ) -> None:
        self.file = file
        self.base = base
        self.maps = dict(maps)
        self.modes: dict[str, list[Mode]] = {}
        self.heads: dict[str, dict[Mode, tuple[int, ...]]] = {}
        for site in self._allowed(self._sites(channels), required, forbidden):
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
        self.sites = tuple(self.modes)
        self.required = tuple(site for site in self.sites if site in required)

    def _sites(self, channels: Mapping[str, Mapping[Mode, int]]) -> list[str]:
        """Return the file's sites without the optional ones that the base lacks or that allow no mode of the space."""
        found = [
            site
            for site in self.file.sites
            if site not in self.file.optional_sites or set(channels.get(site, ())) & set(self.file.placement.mode)
        ]
        if not found:
            raise UserError(
                f"space '{self.file.name}': {self.base} has none of its sites {', '.join(self.file.sites)}; "
                f"the base's sites: {', '.join(channels)}"
            )
        return found

    def _allowed(self, sites: Sequence[str], required: Sequence[str], forbidden: Sequence[str]) -> list[str]:
        """Return the sites that are not forbidden, if they leave room for the required ones."""
        space = f"space '{self.file.name}' on {self.base}"
        for site in (*required, *forbidden):
            if site not in sites and not (site in forbidden and site in self.file.sites):
                raise UserError(f"{space} has no site '{site}' to require or forbid; its sites: {', '.join(sites)}")
        both = sorted(set(required) & set(forbidden))
        if both:
            raise UserError(f"{space}: {both[0]} is required and forbidden at once; choose one")
        if len(set(required)) > self.file.max_blocks:
            raise UserError(
                f"{space}: {len(set(required))} sites are required ({', '.join(required)}), "
                f"but an architecture has at most {self.file.max_blocks} blocks"
            )
        allowed = [site for site in sites if site not in forbidden]
        if not allowed:
            raise UserError(f"{space}: all its sites are forbidden ({', '.join(sites)}); leave one")
        return allowed

    def _heads(self, site: str, channels: Mapping[Mode, int]) -> dict[Mode, tuple[int, ...]]:
        """Map the modes in which a Clo block fits to the numbers of heads that divide the channels there."""
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

    def suggest(self, trial: optuna.trial.BaseTrial) -> Architecture:
        """Let Optuna choose, asking only for what matters under the choices made before.

        Sites are asked about in the file's order until `max_blocks` blocks are placed, the required ones
        always, so that nothing illegal can be proposed and a multivariate, grouped TPE sees which choices
        belong together.
        """
        placements: list[Placement] = []
        left = self.file.max_blocks - len(self.required)
        for site in self.sites:
            is_free = site not in self.required
            if is_free and left == 0:
                continue
            kind = _ask(trial, site, "kind", self._kinds(site))
            if kind != NO_BLOCK:
                left -= is_free
                placements.append(self._choose(site, kind, partial(_ask, trial, site)))
        return Architecture(base=self.base, placements=tuple(placements))

    def _kinds(self, site: str) -> list[str]:
        """List what a site is asked about first."""
        return [*([] if site in self.required else [NO_BLOCK]), *self.file.placement.kind]

    def _choose(self, site: str, kind: str, pick: Pick) -> Placement:
        """Choose one placement, choice by choice: the one place that says which choice depends on which.

        A name always goes with the same choices, as Optuna demands.
        """
        choices = self.file.placement
        if kind not in set(Kind):
            name = kind.rpartition(":")[2]
            mode = Mode(pick(f"{name}:mode", [str(mode) for mode in self.modes[site]]))
            init = Init(pick("init", _names(choices.init)))
            own = choices.options.get(name, {})
            options = tuple((option, pick(f"{name}.{option}", values)) for option, values in own.items())
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

    def parameters(self, architecture: Architecture) -> dict[str, Option]:
        """Return the Optuna parameters under which `suggest` yields this architecture, which the space holds."""
        by_site = {placement.site: placement for placement in architecture.placements}
        parameters: dict[str, Option] = {}
        left = self.file.max_blocks - len(self.required)
        for site in self.sites:
            is_free = site not in self.required
            if is_free and left == 0:
                continue
            placement = by_site.get(site)
            if placement is None:
                parameters[f"{site}:kind"] = NO_BLOCK
                continue
            left -= is_free
            _, chosen = self._table[site][self._canonical(placement)]
            parameters |= {f"{site}:{name}": value for name, value in chosen.items()}
            if len(self._kinds(site)) == 1:
                del parameters[f"{site}:kind"]  # no choice
        return parameters

    @cached_property
    def distributions(self) -> dict[str, dict[str, CategoricalDistribution]]:
        """By site, all that `suggest` may ask there: the question, without the site's name, to its choices."""
        asked: dict[str, dict[str, CategoricalDistribution]] = {}
        for site in self.sites:
            found: dict[str, Sequence[Any]] = {"kind": self._kinds(site)}
            for kind in self.file.placement.kind:
                for _ in _every_path(partial(self._choose_noting, found, site, kind)):
                    pass
            asked[site] = {
                name: CategoricalDistribution(choices) for name, choices in found.items() if len(choices) > 1
            }
        return asked

    def _choose_noting(self, found: dict[str, Sequence[Any]], site: str, kind: str, pick: Pick) -> Placement:
        """Call `_choose`, and note of each question what there was to choose from."""

        def noting(name: str, choices: Sequence[Any]) -> Any:
            found[name] = choices
            return pick(name, choices)

        return self._choose(site, kind, noting)

    def choices(self, site: str) -> list[dict[str, Option]]:
        """Return what was chosen, question by question, for each of the site's `placements`."""
        return [chosen for _, chosen in self._table[site].values()]

    @cached_property
    def placements(self) -> dict[str, list[Placement]]:
        """Every placement that computes something of its own, by site: duplicates at this image size are out."""
        return {site: [placement for placement, _ in table.values()] for site, table in self._table.items()}

    @cached_property
    def _table(self) -> dict[str, dict[Placement, tuple[Placement, dict[str, Option]]]]:
        """By site: canonical placement to the space's own and the choices that lead there."""
        tables: dict[str, dict[Placement, tuple[Placement, dict[str, Option]]]] = {}
        for site in self.sites:
            table = tables.setdefault(site, {})
            for kind in self.file.placement.kind:
                for placement, chosen in _every_path(partial(self._choose, site, kind)):
                    table.setdefault(self._canonical(placement), (placement, {"kind": kind, **chosen}))
        return tables

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures, the baseline not counted."""
        return sum(math.prod(len(self.placements[site]) for site in sites) for sites in self.site_sets())

    @property
    def blocks(self) -> range:
        """How many blocks an architecture may have."""
        return range(max(1, len(self.required)), min(self.file.max_blocks, len(self.sites)) + 1)

    def site_sets(self) -> Iterator[tuple[str, ...]]:
        """Yield the sites that may have blocks together, fewest first, each set in the order of `sites`."""
        for blocks in self.blocks:
            for sites in itertools.combinations(self.sites, blocks):
                if set(self.required) <= set(sites):
                    yield sites

    def draw(self, rng: random.Random) -> Architecture:
        """Draw one architecture: number of blocks, sites that aren't required and shapes, each uniformly."""
        blocks = rng.randint(self.blocks[0], self.blocks[-1])
        free = [site for site in self.sites if site not in self.required]
        sites = [*self.required, *rng.sample(free, blocks - len(self.required))]
        return Architecture(base=self.base, placements=tuple(rng.choice(self.placements[site]) for site in sites))

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every distinct architecture, fewest blocks first."""
        for sites in self.site_sets():
            for chosen in itertools.product(*(self.placements[site] for site in sites)):
                yield Architecture(base=self.base, placements=chosen)

    def holds(self, architecture: Architecture) -> bool:
        """Return whether the space has an architecture that computes the same."""
        sites = {placement.site for placement in architecture.placements}
        if len(sites) > self.file.max_blocks or not sites.issuperset(self.required):
            return False
        names = {kind.rpartition(":")[2] for kind in self.file.placement.kind}
        return all(
            placement.block_name in names
            and placement.site in self._table
            and self._canonical(placement) in self._table[placement.site]
            for placement in architecture.placements
        )

    def identity(self, architecture: Architecture) -> str:
        """Compute `Architecture.identity` at this space's image size."""
        full = tuple(_with_defaults(placement) for placement in architecture.placements)
        return replace(architecture, placements=full).identity(self.maps)

    def _canonical(self, placement: Placement) -> Placement:
        return _with_defaults(placement).canonical(self.maps[placement.site])


def _with_defaults(placement: Placement) -> Placement:
    """Return a registered block with every option, those left out at their defaults; Clo blocks as they are."""
    if placement.is_clo:
        return placement
    options = block_entry(placement.block_name).full_options(dict(placement.options))
    return replace(placement, options=tuple(options.items()))


def _local_heads(share: float, heads: int) -> int:
    return round(share * heads)


def _names(choices: Sequence[str]) -> list[str]:
    return [str(choice) for choice in choices]


def _ask(trial: optuna.trial.BaseTrial, site: str, name: str, choices: Sequence[Any]) -> Any:
    """Ask Optuna for its choice; it is not asked where there is none."""
    return trial.suggest_categorical(f"{site}:{name}", choices) if len(choices) > 1 else choices[0]


def _every_path(choose: Callable[[Pick], Placement]) -> Iterator[tuple[Placement, dict[str, Option]]]:
    """Yield every placement that `choose` allows, with the choices that lead there, the last one varying fastest."""
    path: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []
        chosen: dict[str, Option] = {}
        yield choose(partial(_follow, path, taken, chosen)), chosen
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        path = [*(at for at, _ in taken[:-1]), taken[-1][0] + 1]


def _follow(
    path: Sequence[int], taken: list[tuple[int, int]], chosen: dict[str, Option], name: str, choices: Sequence[Any]
) -> Any:
    """Choose as `path` says, then the first of each; note what was taken of how many."""
    at = path[len(taken)] if len(taken) < len(path) else 0
    taken.append((at, len(choices)))
    if len(choices) > 1:
        chosen[name] = choices[at]
    return choices[at]
