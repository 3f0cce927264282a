"""A space says what may be searched; it counts, draws and names every candidate once."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest

from harness.architecture import Architecture, Mode, Placement
from harness.common.errors import UserError
from harness.space import SearchSpace, load_space

CHANNELS = {site: {Mode.AFTER: width} for site, width in (("neck.P3", 64), ("neck.P4", 128), ("neck.P5", 256))}
MAPS = {"neck.P3": (16, 16), "neck.P4": (8, 8), "neck.P5": (4, 4)}
GOOD = """\
name: tiny
sites: [neck.P3, neck.P5]
max_blocks: 2
placement:
  kind: [attention, block]
  kernel: [3, 5]
  kv_pool: [4, 8]
  heads: [4]
  local_share: [0, 0.5, 1]
"""


def space_of(text: str, folder: Path) -> SearchSpace:
    path = folder / "space.yaml"
    path.write_text(text)
    return SearchSpace(load_space(str(path)), base="yolov5n", channels=CHANNELS, maps=MAPS)


def test_size_counts_what_differs_only(tmp_path: Path) -> None:
    space = space_of(GOOD, tmp_path)
    # P3, 16×16: 2 kinds × (all-global: 2 pools; half: 2 kernels × 2 pools; all-local: 2 kernels) = 16
    # P5, 4×4: pools 4 and 8 both leave one token: 2 kinds × (1 + 2 × 1 + 2) = 10
    assert {site: len(placements) for site, placements in space.placements.items()} == {
        "neck.P3": 16,
        "neck.P5": 10,
    }
    assert space.size == 16 + 10 + 16 * 10
    identities = [space.identity(architecture) for architecture in space.enumerate()]
    assert len(identities) == len(set(identities)) == space.size


def test_draws_stay_inside_the_space(tmp_path: Path) -> None:
    space = space_of(GOOD.replace("max_blocks: 2", "max_blocks: 1"), tmp_path)
    everything = {space.identity(architecture) for architecture in space.enumerate()}
    rng = random.Random(0)
    drawn = {space.identity(space.draw(rng)) for _ in range(400)}
    assert drawn == everything


def test_optuna_parameters_lead_back_to_the_architecture(tmp_path: Path) -> None:
    space = space_of(GOOD, tmp_path)
    rng = random.Random(0)
    for _ in range(50):
        architecture = space.draw(rng)
        trial = optuna.trial.FixedTrial(space.parameters(architecture))
        assert space.identity(space.suggest(trial)) == space.identity(architecture)


def test_a_parameter_is_asked_for_only_where_it_matters(tmp_path: Path) -> None:
    space = space_of(GOOD, tmp_path)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        space.suggest(trial)
        for site in space.sites:
            chosen = {name.split(":")[1] for name in trial.params if name.startswith(f"{site}:")}
            if trial.params[f"{site}:kind"] == "none":
                assert chosen == {"kind"}
            else:
                share = trial.params[f"{site}:local_share"]
                assert ("kernel" in chosen) == (share > 0)
                assert ("kv_pool" in chosen) == (share < 1)
        study.tell(trial, 0.0)


def test_heads_that_divide_no_site_are_left_out_there(tmp_path: Path) -> None:
    space = space_of(GOOD.replace("heads: [4]", "heads: [4, 128]"), tmp_path)
    assert space.heads == {"neck.P3": {Mode.AFTER: (4,)}, "neck.P5": {Mode.AFTER: (4, 128)}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ("name: tiny", "name: tiny\ncolour: red"),
            r"line 2: colour: unknown key; known keys here: name, .*max_blocks",
        ),
        (
            ("  kind:", "  shape: 1\n  kind:"),
            r"line 5: placement.shape: unknown key; known keys here: kind, mode",
        ),
        (("kernel: [3, 5]", "kernel: [3, 4]"), r"line 6: placement.kernel: kernel 4 is even"),
        (("kv_pool: [4, 8]", "kv_pool: [0]"), r"line 7: placement.kv_pool.0.: expected at least 1, not 0$"),
        (("kv_pool: [4, 8]", "kv_pool: []"), r"line 7: placement.kv_pool"),
        (
            ("kind: [attention, block]", "kind: [conv]"),
            r"line 5: placement.kind: a kind is one of attention, block, bare, or .*no block 'conv'",
        ),
        (("0, 0.5, 1", "0, 1.5"), r"line 9: placement.local_share.1.: expected at most 1.0, not 1.5"),
        (("0, 0.5, 1", "0, 0"), r"line 9: placement.local_share: the choice 0.* twice"),
        (("max_blocks: 2\n", ""), r"line 1: max_blocks is missing"),
        (
            ("sites: [neck.P3, neck.P5]", "sites: [neck.P9]"),
            r"unknown site 'neck.P9' in yolov5n; its sites: neck.P3",
        ),
        (("heads: [4]", "heads: [6]"), r"none of the heads \[6\] divides the 64 channels of neck.P3"),
        (("name: tiny", "name: [tiny"), r"not readable as YAML"),
    ],
)
def test_what_is_no_space_is_refused_with_its_line(change: tuple[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        space_of(GOOD.replace(*change), tmp_path)


def test_the_spaces_that_ship_are_found_by_name() -> None:
    assert load_space("default").max_blocks == 3
    assert load_space("small.yaml").name == "small"
    with pytest.raises(UserError, match="there are: control, default, inside, landscape, operators, replaced, small"):
        load_space("no-such-space")


# --- The choices beyond the first shape -----------------------------------------------------------

EVERYTHING = """\
name: everything
sites: [neck.P3, neck.P5]
max_blocks: 2
placement:
  kind: [attention, block, bare, se, cbam]
  mode: [after, inside, replace]
  init: [identity, official]
  heads: [4]
  local_share: [0, 0.5]
  kernel: [3, 5]
  kv_pool: [1, 2]
  operator: [attnconv, conv, neighbourhood, window]
  gate: [swish_tanh, tanh, none]
  aggregate_qk: [true, false]
  aggregate_v: [true, false]
  ffn: [conv, plain]
  ffn_kernel: [3, 5]
  options:
    se: {reduction: [4, 16]}
"""
MODES = {
    "neck.P3": {Mode.AFTER: 64, Mode.INSIDE: 30},  # 4 heads do not divide 30: Clo blocks fit after only
    "neck.P5": {Mode.AFTER: 256, Mode.REPLACE: 256},
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(EVERYTHING)
    return SearchSpace(load_space(str(path)), base="yolov5n", channels=MODES, maps=MAPS)


def test_every_choice_is_counted_where_it_matters(everything: SearchSpace) -> None:
    # A local half: AttnConv with 2 kernels × 3 gates × 3 aggregations, and 3 gates where nothing is aggregated, so
    # that the kernel is idle; the three other operators with 2 kernels each. Globally 2 pools.
    local, pools = 2 * 3 * 3 + 3 + 3 * 2, 2
    shapes = local * pools + pools  # half local, all global
    ffn = 2 + 1  # a plain FFN has no kernel
    a_shape = 2 + 2 * ffn + 1  # attention and block with 2 initialisations, bare
    registered = 2 * 2 + 2  # SE with 2 reductions, CBAM; each with 2 initialisations
    assert len(everything.placements["neck.P3"]) == shapes * a_shape + 2 * registered
    # On 4×4 a tile of 5 beside full K and V is full attention, which all heads being global is already.
    assert len(everything.placements["neck.P5"]) == 2 * (shapes - 1) * a_shape + 2 * registered


def test_every_placement_leads_back_through_optuna(everything: SearchSpace) -> None:
    rng = random.Random(1)
    for _ in range(300):
        architecture = everything.draw(rng)
        trial = optuna.trial.FixedTrial(everything.parameters(architecture))
        assert everything.identity(everything.suggest(trial)) == everything.identity(architecture)


def test_an_option_that_is_left_out_is_at_its_default(everything: SearchSpace) -> None:
    left_out = Architecture(base="yolov5n", placements=(Placement(site="neck.P3", kind="se"),))
    spelled = Placement(site="neck.P3", kind="se", options=(("reduction", 16),))
    assert everything.holds(left_out)
    assert everything.identity(left_out) == everything.identity(Architecture(base="yolov5n", placements=(spelled,)))


def test_a_block_that_is_no_kind_of_the_space_is_not_in_it(everything: SearchSpace) -> None:
    """Whether it is registered or not: an architecture file may name anything."""
    for kind in ("unheard_of", "elsewhere.py:unheard_of"):
        stranger = Architecture(base="yolov5n", placements=(Placement(site="neck.P3", kind=kind),))
        assert not everything.holds(stranger)


def test_optuna_is_asked_the_same_choices_under_one_name(everything: SearchSpace) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: dict[str, object] = {}
    for _ in range(400):
        trial = study.ask()
        assert everything.holds(everything.suggest(trial))
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution
        study.tell(trial, 0.0)
    assert {"neck.P3:se.reduction", "neck.P5:mode", "neck.P5:replace:heads", "neck.P3:gate"} - set(seen) == {
        "neck.P5:replace:heads"  # one number of heads is no choice
    }


def test_a_block_of_ones_own_is_a_line_in_the_space(tmp_path: Path) -> None:
    (tmp_path / "block_of_a_space.py").write_text(
        "from torch import nn\nfrom harness.blocks import register_block\n"
        "@register_block('own')\ndef own(channels, kernel=3):\n"
        "    return nn.Conv2d(channels, channels, kernel, padding='same')"
    )
    space = space_of(
        "name: own\nsites: [neck.P3]\nmax_blocks: 1\nplacement:\n"
        "  kind: [block_of_a_space.py:own]\n  options: {own: {kernel: [1, 3]}}\n",
        tmp_path,
    )
    kinds = [placement.kind for placement in space.placements["neck.P3"]]
    assert kinds == [f"{tmp_path / 'block_of_a_space.py'}:own"] * 2
    assert [dict(placement.options) for placement in space.placements["neck.P3"]] == [{"kernel": 1}, {"kernel": 3}]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("gate: [swish_tanh, tanh, none]", "gate: [relu]"), r"line 13: placement.gate.0.: .*'swish_tanh'"),
        (("mode: [after, inside, replace]", "mode: [before]"), r"line 6: placement.mode.0.: .*'after'"),
        (("se: {reduction", "se: {ratio"), r"block 'se' has no option 'ratio'; its options: reduction"),
        (("se: {reduction", "eca: {reduction"), r"options of 'eca', which is no kind of this space"),
        (("  heads: [4]\n", ""), r"heads is missing; the kinds attention, block, bare need it"),
        (("se, cbam]", "absent.py:x]"), r"absent.py: no such file of blocks"),
        (("ffn_kernel: [3, 5]", "ffn_kernel: [4]"), r"kernel 4 is even"),
        (("mode: [after, inside, replace]", "mode: [replace]"), "neck.P3 of yolov5n allows none of the modes replace"),
    ],
)
def test_what_is_no_choice_is_refused(change: tuple[str, str], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(EVERYTHING.replace(*change))
    with pytest.raises(UserError, match=sentence):
        SearchSpace(load_space(str(path)), base="yolov5n", channels=MODES, maps=MAPS)


def test_an_optional_site_is_used_where_the_base_has_it(tmp_path: Path) -> None:
    three = GOOD.replace("[neck.P3, neck.P5]", "[neck.P3, backbone.C2PSA, neck.P5]")
    wanted = three + "optional_sites: [neck.P3, backbone.C2PSA]\n"
    assert space_of(wanted, tmp_path).sites == ("neck.P3", "neck.P5")
    with pytest.raises(UserError, match=r"unknown site 'backbone.C2PSA' in yolov5n"):
        space_of(three, tmp_path)
    with pytest.raises(UserError, match=r"line 10: optional_sites: neck.P4 is none of the sites"):
        space_of(three.rstrip() + "\noptional_sites: [neck.P4]\n", tmp_path)
    none = GOOD.replace("[neck.P3, neck.P5]", "[neck.P9]") + "optional_sites: [neck.P9]\n"
    with pytest.raises(UserError, match=r"yolov5n has none of its sites neck.P9; the base's sites: neck.P3, "):
        space_of(none, tmp_path)


# --- Required and forbidden sites -----------------------------------------------------------------

THREE = GOOD.replace("[neck.P3, neck.P5]", "[neck.P3, neck.P4, neck.P5]")
SITE_CASES = [
    (("neck.P4",), ()),
    (("neck.P5", "neck.P3"), ()),
    ((), ("neck.P3",)),
    (("neck.P5",), ("neck.P3",)),
    (("neck.P3",), ("neck.P4", "neck.P5")),
]


def chosen(required: tuple[str, ...], forbidden: tuple[str, ...], folder: Path, text: str = THREE) -> SearchSpace:
    path = folder / "space.yaml"
    path.write_text(text)
    return SearchSpace(
        load_space(str(path)), base="yolov5n", channels=CHANNELS, maps=MAPS, required=required, forbidden=forbidden
    )


def sites_of(architecture: Architecture) -> set[str]:
    return {placement.site for placement in architecture.placements}


@pytest.mark.parametrize(("required", "forbidden"), SITE_CASES)
def test_sites_leave_what_a_filter_of_the_whole_space_would(
    required: tuple[str, ...], forbidden: tuple[str, ...], tmp_path: Path
) -> None:
    whole, space = space_of(THREE, tmp_path), chosen(required, forbidden, tmp_path)
    left = {
        whole.identity(architecture)
        for architecture in whole.enumerate()
        if sites_of(architecture) >= set(required) and not sites_of(architecture) & set(forbidden)
    }
    everything = list(space.enumerate())
    assert len(everything) == space.size == len(left)
    assert {space.identity(architecture) for architecture in everything} == left
    rng = random.Random(0)
    for architecture in (whole.draw(rng) for _ in range(200)):
        assert space.holds(architecture) == (whole.identity(architecture) in left)
    assert all(space.identity(space.draw(rng)) in left for _ in range(200))
    assert not required or not space.holds(Architecture(base="yolov5n"))


@pytest.mark.parametrize(("required", "forbidden"), SITE_CASES)
def test_a_required_site_is_asked_for_its_kind_and_never_for_none(
    required: tuple[str, ...], forbidden: tuple[str, ...], tmp_path: Path
) -> None:
    space = chosen(required, forbidden, tmp_path)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: dict[str, object] = {}
    for _ in range(100):
        trial = study.ask()
        architecture = space.suggest(trial)
        assert space.holds(architecture) or architecture.is_baseline
        if not architecture.is_baseline:
            again = optuna.trial.FixedTrial(space.parameters(architecture))
            assert space.identity(space.suggest(again)) == space.identity(architecture)
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution
        study.tell(trial, 0.0)
    for site in required:
        assert "none" not in seen[f"{site}:kind"].choices  # type: ignore[attr-defined]
    assert not [name for name in seen for site in forbidden if name.startswith(site)]


def test_a_required_site_of_one_kind_is_no_choice(tmp_path: Path) -> None:
    space = chosen(("neck.P4",), (), tmp_path, THREE.replace("[attention, block]", "[block]"))
    architecture = space.draw(random.Random(0))
    assert "neck.P4:kind" not in space.parameters(architecture)
    study = optuna.create_study()
    trial = study.ask()
    space.suggest(trial)
    assert "neck.P4:kind" not in trial.params and "neck.P3:kind" in trial.params


@pytest.mark.parametrize(
    ("required", "forbidden", "sentence"),
    [
        (("neck.P3",), ("neck.P3",), "neck.P3 is required and forbidden at once; choose one"),
        (("neck.P3", "neck.P4", "neck.P5"), (), r"3 sites are required \(neck.P3, .*at most 2 blocks"),
        (("neck.P9",), (), "has no site 'neck.P9' to require or forbid; its sites: neck.P3, neck.P4, neck.P5"),
        ((), ("neck.P9",), "has no site 'neck.P9' to require or forbid"),
        ((), ("neck.P3", "neck.P4", "neck.P5"), "all its sites are forbidden"),
    ],
)
def test_sites_that_leave_nothing_are_refused(
    required: tuple[str, ...], forbidden: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"space 'tiny' on yolov5n.*{sentence}"):
        chosen(required, forbidden, tmp_path)


def test_a_site_that_the_base_lacks_may_be_forbidden(tmp_path: Path) -> None:
    lacking = GOOD.replace("[neck.P3, neck.P5]", "[neck.P3, backbone.C2PSA]")
    assert chosen((), ("backbone.C2PSA",), tmp_path, lacking + "optional_sites: [backbone.C2PSA]\n").sites == (
        "neck.P3",
    )


def test_lists_that_multiply_to_more_shapes_than_can_be_searched_are_refused_at_once(tmp_path: Path) -> None:
    heads, kernels, pools = [2**n for n in range(8)], list(range(3, 43, 2)), list(range(1, 21))
    lists = f"heads: {heads}, kernel: {kernels}, kv_pool: {pools}"
    text = "name: big\nsites: [neck.P4]\nmax_blocks: 1\nplacement: {kind: [%s], local_share: [0, 0.5], %s%s}\n"
    (tmp_path / "big.yaml").write_text(
        text % ("attention, block", lists, ", ffn_ratio: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")
    )
    with pytest.raises(
        UserError, match="line 4: placement: its lists multiply to 70,400 shapes of a block; at most 60,000"
    ):
        load_space(str(tmp_path / "big.yaml"))
    (tmp_path / "big.yaml").write_text(text % ("attention", lists, ""))
    assert load_space(str(tmp_path / "big.yaml")).placement.kind == ("attention",)
