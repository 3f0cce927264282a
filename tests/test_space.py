"""A space says what may be searched; it counts, draws and names every candidate once."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest

from harness.architecture import Mode
from harness.errors import UserError
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
        assert space.identity(space.suggest(trial)) == space.identity(architecture)  # type: ignore[arg-type]


def test_a_parameter_is_asked_for_only_where_it_matters(tmp_path: Path) -> None:
    space = space_of(GOOD, tmp_path)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        space.suggest(trial)
        for site in space.file.sites:
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
        (("kv_pool: [4, 8]", "kv_pool: [0]"), r"line 7: placement.kv_pool: .*greater than or equal to 1"),
        (("kv_pool: [4, 8]", "kv_pool: []"), r"line 7: placement.kv_pool"),
        (
            ("kind: [attention, block]", "kind: [conv]"),
            r"line 5: placement.kind: a kind is one of attention, block, bare, or .*no block 'conv'",
        ),
        (("0, 0.5, 1", "0, 1.5"), r"line 9: placement.local_share: .*less than or equal to 1"),
        (("0, 0.5, 1", "0, 0"), r"line 9: placement.local_share: the choice 0.* twice"),
        (("max_blocks: 2\n", ""), r"line 1: max_blocks: Field required"),
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
    with pytest.raises(UserError, match="there are: default, small"):
        load_space("no-such-space")
