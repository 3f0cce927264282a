"""The arms of an ablation: what is trained beside the baseline so that a difference has one cause.

From a model (a base with Clo blocks) come: the model without one of its blocks; the model with one factor changed in
all of its blocks; other people's blocks in the same places; and placebos, the base widened to the model's size. An
arm that computes what another one computes is not an arm: it is left out and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.architecture import BASELINE, Architecture
from harness.architecture.choices import FeedForward, Gate, Init, Kind, LocalGroup, MapSize, Mode, Operator, Size
from harness.architecture.placement import Placement
from harness.common.errors import UserError

Level = str | int
Change = Callable[[Placement], Placement]


class Role(StrEnum):
    """What an arm is there for."""

    # The base, trained as long: also the placebo of more training.
    BASELINE = "baseline"
    MODEL = "model"
    WITHOUT = "without a block"
    FACTOR = "one factor changed"
    CONTROL = "another block in its place"
    PLACEBO = "the base, widened"


class Factor(StrEnum):
    """What can be changed in a Clo block, one at a time."""

    # What the local heads compute: `conv`, `neighbourhood`, `window` or `attnconv`.
    OPERATOR = "operator"
    # AttnConv's non-linearity: `tanh`, `sigmoid`, `softmax`, `none` or `swish_tanh`.
    GATE = "gate"
    # Whether queries and keys, or values, are not aggregated by a depth-wise convolution: `no_qk`, `no_v`.
    AGGREGATION = "aggregation"
    # `local` or `global`: all heads in one branch.
    BRANCHES = "branches"
    # How many of the heads are global.
    GLOBAL_HEADS = "global_heads"
    # Side of the windows that K and V are averaged over, in pixels; 1 is full K/V.
    KV_POOL = "kv_pool"
    # Side of the local depth-wise kernel, in pixels.
    KERNEL = "kernel"
    # `conv` (ConvFFN), `plain` or `none`.
    FFN = "ffn"
    # `identity`, `official` initialisation, or `bare`: the attention without norm, residual and FFN.
    START = "start"


# What `factors: all` changes each to.
LEVELS: dict[Factor, tuple[Level, ...]] = {
    Factor.OPERATOR: (Operator.CONV, Operator.NEIGHBOURHOOD, Operator.WINDOW),
    Factor.GATE: (Gate.TANH, Gate.SIGMOID, Gate.SOFTMAX, Gate.NONE),
    Factor.AGGREGATION: ("no_qk", "no_v"),
    Factor.BRANCHES: ("local", "global"),
    Factor.GLOBAL_HEADS: (2, 6),
    Factor.KV_POOL: (1, 2),
    Factor.KERNEL: (3, 9),
    Factor.FFN: (FeedForward.PLAIN, "none"),
    Factor.START: (Init.OFFICIAL, Kind.BARE),
}
Factors = Mapping[Factor, Sequence[Level]]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One thing to train.

    Attributes:
        name: For people, unlike any other arm's of the ablation.
        role: What it is there for.
        model: Name of the model that it comes from; empty for the baseline.
        architecture: Its blocks; none for the baseline and placebos.
        identity: Of what it computes; of a placebo what its model is, until the base has been widened.
        placebo: What it is widened to; None for all others.
    """

    name: str
    role: Role
    model: str = ""
    architecture: Architecture
    identity: str
    placebo: Size | None = None

    @property
    def starts_as_base(self) -> bool:
        """Whether it begins as the base's own function or next to it, so that a short training scatters little."""
        return all(
            placement.init is not Init.OFFICIAL and placement.kind != Kind.BARE and placement.mode is not Mode.REPLACE
            for placement in self.architecture.placements
        )


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which arms a model gets.

    Attributes:
        without: Whether the model is tried without each of its blocks.
        factors: What is changed, and to what.
        demanded: Whether a change that makes no difference is an error; else it is left out and said.
        controls: Registered blocks that take the Clo blocks' places.
        placebos: What the base is widened to.
    """

    without: bool = True
    factors: Factors
    demanded: bool = False
    controls: tuple[str, ...] = ("se", "cbam")
    placebos: tuple[Size, ...] = (Size.PARAMS, Size.MACS)


def baseline_arm(base: str) -> Arm:
    """Return the base itself as an arm."""
    return Arm(name=BASELINE, role=Role.BASELINE, architecture=Architecture(base=base), identity=BASELINE)


def make_arms(
    models: Mapping[str, Architecture], wanted: Wanted, maps: Mapping[str, MapSize]
) -> tuple[list[Arm], list[str]]:
    """Build all arms of some models of one base, the baseline first.

    Args:
        models: Name to architecture.
        wanted: Which arms each gets.
        maps: Site name to height and width of its map, in pixels.

    Returns:
        The arms, no two of which compute the same; and a sentence for each that was left out.

    Raises:
        UserError: A model is the baseline or another model, or a demanded change makes no difference.
    """
    arms = {BASELINE: baseline_arm(next(iter(models.values())).base)}
    left_out: list[str] = []
    for name, architecture in models.items():
        model = Arm(
            name=name, role=Role.MODEL, model=name, architecture=architecture, identity=architecture.identity(maps)
        )
        if model.identity in arms:
            raise UserError(f"model {name} makes no difference to {arms[model.identity].name}; leave it out")
        arms[model.identity] = model
    for name, architecture in models.items():
        for arm in _variants(name, architecture, wanted, maps):
            same = arms.get(arm.identity)
            if same is None:
                arms[arm.identity] = arm
            elif wanted.demanded and arm.role is Role.FACTOR and same.role is Role.MODEL:
                raise UserError(f"arm '{arm.name}' makes no difference to {same.name}; leave it out")
            else:
                left_out.append(f"'{arm.name}' is left out: it computes what '{same.name}' does")
    return list(arms.values()), left_out


def _variants(name: str, model: Architecture, wanted: Wanted, maps: Mapping[str, MapSize]) -> Iterator[Arm]:
    def arm(role: Role, what: str, architecture: Architecture) -> Arm:
        identity = architecture.identity(maps)
        return Arm(name=f"{name}: {what}", role=role, model=name, architecture=architecture, identity=identity)

    if wanted.without and len(model.placements) > 1:
        for placement in model.placements:
            others = tuple(other for other in model.placements if other is not placement)
            yield arm(Role.WITHOUT, f"without {placement.site}", replace(model, placements=others))
    for factor, levels in wanted.factors.items():
        for level in levels:
            change = _change(factor, level)
            placements = tuple(change(p) if p.is_clo else p for p in model.placements)
            yield arm(Role.FACTOR, f"{factor} {level}", replace(model, placements=placements))
    for block in wanted.controls:
        placements = tuple(Placement(site=p.site, mode=p.mode, kind=block) for p in model.placements)
        yield arm(Role.CONTROL, block, replace(model, placements=placements))
    for size in wanted.placebos:
        yield Arm(
            name=f"{name}: base widened to its {size}",
            role=Role.PLACEBO,
            model=name,
            architecture=Architecture(base=model.base),
            identity=f"{size}-of-{model.identity(maps)}",
            placebo=size,
        )


def _change(factor: Factor, level: Level) -> Change:
    """Return what a factor's level does to a Clo block.

    Raises:
        UserError: The factor has no such level.
    """
    try:
        return _CHANGES[factor](level)
    except (ValueError, KeyError, UserError) as error:
        known = ", ".join(str(each) for each in LEVELS[factor])
        raise UserError(f"factor {factor}: '{level}' is none of its levels, such as {known}") from error


def _operator(level: Level) -> Change:
    operator = Operator(str(level))
    return lambda placement: replace(placement, operator=operator)


def _gate(level: Level) -> Change:
    gate = Gate(str(level))
    return lambda placement: replace(placement, gate=gate)


def _kv_pool(level: Level) -> Change:
    pool = int(level)
    return lambda placement: replace(placement, kv_pool=pool)


def _kernel(level: Level) -> Change:
    kernel = LocalGroup(int(level), 1).kernel
    return lambda placement: replace(
        placement, groups=tuple(LocalGroup(kernel, group.heads) for group in placement.groups)
    )


def _aggregation(level: Level) -> Change:
    changes: dict[str, Change] = {
        "no_qk": lambda placement: replace(placement, aggregate_qk=False),
        "no_v": lambda placement: replace(placement, aggregate_v=False),
    }
    return changes[str(level)]


def _branches(level: Level) -> Change:
    is_local = {"local": True, "global": False}[str(level)]
    return lambda placement: _with_global_heads(placement, 0 if is_local else placement.heads)


def _global_heads(level: Level) -> Change:
    if int(level) < 0:
        raise ValueError(level)
    return lambda placement: _with_global_heads(placement, min(int(level), placement.heads))


def _with_global_heads(placement: Placement, global_heads: int) -> Placement:
    """Give a placement so many global heads; the local groups share the others as before, one head or more each."""
    local = placement.heads - global_heads
    kernels = [group.kernel for group in placement.groups] or [5]
    kernels = kernels[:local]
    shares = [local // len(kernels) + (at < local % len(kernels)) for at in range(len(kernels))] if kernels else []
    groups = tuple(LocalGroup(kernel, heads) for kernel, heads in zip(kernels, shares, strict=True))
    return replace(placement, groups=groups, global_heads=global_heads)


def _ffn(level: Level) -> Change:
    if level == "none":
        return lambda placement: replace(placement, kind=Kind.ATTENTION)
    ffn = FeedForward(str(level))
    return lambda placement: replace(placement, kind=Kind.BLOCK, ffn=ffn)


def _start(level: Level) -> Change:
    if level == Kind.BARE:
        return lambda placement: replace(placement, kind=Kind.BARE)
    init = Init(str(level))
    return lambda placement: replace(placement, init=init)


_CHANGES: dict[Factor, Callable[[Level], Change]] = {
    Factor.OPERATOR: _operator,
    Factor.GATE: _gate,
    Factor.AGGREGATION: _aggregation,
    Factor.BRANCHES: _branches,
    Factor.GLOBAL_HEADS: _global_heads,
    Factor.KV_POOL: _kv_pool,
    Factor.KERNEL: _kernel,
    Factor.FFN: _ffn,
    Factor.START: _start,
}
