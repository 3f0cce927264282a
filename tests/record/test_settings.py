"""Options are checked before anything is loaded; what is wrong is named as it was typed."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.common.errors import UserError
from harness.record.settings import (
    COMPARABLE,
    EMBEDDED,
    OF_A_STUDY,
    Objective,
    Sampler,
    SearchSettings,
    data_name,
    search_settings,
    unlike,
)
from harness.record.storage_url import is_server, with_driver, without_password

LETTERS_AND_DIGITS = string.ascii_letters + string.digits


def sentence(**values: Any) -> str:
    with pytest.raises(UserError) as error:
        search_settings(**values)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_options_left_out_take_their_defaults() -> None:
    assert search_settings(base=None, imgsz=None, more=None) == SearchSettings()
    assert SearchSettings().objectives == (Objective.MAP50_95, Objective.LATENCY)


def test_the_default_storage_lies_in_the_studys_folder() -> None:
    settings = SearchSettings(study="x", results=Path("some/where"))
    assert settings.folder == Path("some/where/x")
    assert settings.storage_url == "sqlite:///some/where/x/study.db"
    assert SearchSettings(storage="postgresql://host/db").storage_url == "postgresql://host/db"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"), ("beacon", "beacon"), ("/coco.yaml", "coco"), ("data.yaml", "data"),
        ("/photos/bccd/data.yaml", "bccd"), ("VOC/annotations/instances_train.json", "instances_train"),
        ("my cells/dataset.yaml", "my-cells"), ("raw/annotations/data.yaml", "raw"), ("../data.yaml", "data"),
    ],
)  # fmt: skip
def test_data_are_called_by_what_says_most(data: str, name: str) -> None:
    assert data_name(data) == name


@given(first=st.integers(0, 2**31 - 1), count=st.integers(1, 50))
def test_seeds_follow_the_first(first: int, count: int) -> None:
    seeds = SearchSettings(seed=first, seeds=count).all_seeds
    assert (seeds[0], len(seeds)) == (first, count)
    assert max(seeds) < 2**32  # the most that numpy takes


def test_accuracy_is_maximised_and_every_cost_minimised() -> None:
    assert {o.value: o.direction for o in Objective} == {
        "map50_95": "maximize",
        "latency": "minimize",
        "macs": "minimize",
        "params": "minimize",
    }


def test_what_decides_a_figure_is_an_option() -> None:
    of_files = {"base_fingerprint", "data_fingerprint"}
    assert set(OF_A_STUDY) - of_files < set(SearchSettings.model_fields) and set(COMPARABLE) < set(OF_A_STUDY)


def test_trainings_are_compared_only_if_all_that_decides_them_is_equal() -> None:
    one = SearchSettings().model_dump() | {"data_fingerprint": "aa"}
    assert unlike(one, one | {"trials": 99, "sampler": "tpe"}) == []
    assert unlike(one, one | {"batch": 7, "imgsz": 32}) == ["their image sizes differ", "their batch sizes differ"]
    assert unlike(one, one | {"epochs": 7}, but={"epochs"}) == []
    assert unlike(one, one | {"data": "b.yaml", "data_fingerprint": "bb"}) == ["their data differ"]


def test_settings_cannot_change_under_a_search() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SearchSettings().seed = 3


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"imgsz": 100}, "--imgsz 100: "),
        ({"imgsz": 0}, "--imgsz 0: "),
        ({"trials": -1}, "--trials -1: "),
        ({"more": 0}, "--more 0: "),
        ({"base_epochs": 0}, "--base-epochs 0: "),
        ({"timeout_s": -1.0}, "--timeout -1.0: "),
        ({"objectives": ("map50_95", "latency", "macs")}, "--sampler cost-aware: it takes map50_95 and one of "),
        ({"latency_seconds": 0.0}, "--latency-seconds 0.0: "),
        ({"learning_rate": float("inf")}, "--learning-rate inf: "),
        ({"learning_rate": float("nan")}, "--learning-rate nan: "),
        ({"block_rate_factor": float("inf")}, "--block-rate-factor inf: "),
        ({"seed": 2**31}, "--seed 2147483648: "),
        ({"seed": -1}, "--seed -1: "),
        ({"sampler": "cmaes"}, "--sampler cmaes: "),
        ({"objectives": ("latency",)}, "--objectives latency: objectives are map50_95 and one or more of"),
        ({"objectives": ("map50_95",)}, "--objectives map50_95: "),
        ({"objectives": ("map50_95", "macs", "macs")}, "--objectives map50_95,macs,macs: "),
        ({"objectives": ("map50_95", "speed")}, "--objectives speed: "),
        ({"objectives": ("",)}, "--objectives : "),
        ({"constraints": {"max_macs": 0.0}}, "--max-macs 0.0: "),
        ({"constraints": {"min_map50_95": 45.0}}, "--min-map50-95 45.0: "),
        ({"constraints": {"max_latency_ratio": float("nan")}}, "--max-latency-ratio nan: "),
        ({"constraints": {"required_sites": 3}}, "--with 3: "),
        ({"min_gain": -0.001}, "--min-gain -0.001: "),
        ({"min_gain": float("nan")}, "--min-gain nan: "),
        ({"study": "a/b"}, "--study a/b: a study's name is also its folder's"),
    ],
)
def test_a_wrong_value_is_named_with_its_option(values: dict[str, Any], start: str) -> None:
    assert sentence(**values).startswith(start)


def test_the_image_size_fits_the_stride() -> None:
    assert sentence(imgsz=100).endswith("a multiple of the detector's stride, 32; 100 is not")
    assert search_settings(imgsz=96).imgsz == 96


def test_the_embedded_datas_size_is_never_chosen_for_a_users_own() -> None:
    assert search_settings().imgsz == search_settings(data="digits").imgsz == 128
    assert search_settings(data="pets.yaml").imgsz == 640
    assert search_settings(data="pets.yaml", imgsz=128).imgsz == 128


@given(
    first=st.sampled_from(LETTERS_AND_DIGITS),
    rest=st.text(alphabet=LETTERS_AND_DIGITS + "._-", max_size=99),
)
def test_plain_names_name_a_study(first: str, rest: str) -> None:
    assert SearchSettings(study=first + rest).folder == Path("results") / (first + rest)


@given(
    inside=st.sampled_from(["/", "\\", " ", "\n", "é", "*", ":", "'", '"', "\0"]),
    around=st.text(alphabet=LETTERS_AND_DIGITS, min_size=1, max_size=5),
)
def test_other_names_do_not(inside: str, around: str) -> None:
    with pytest.raises(UserError, match="beginning with a letter or digit"):
        search_settings(study=around + inside + around)


@pytest.mark.parametrize("study", ["", ".", "..", ".hidden", "-x", "a" * 101, "x\n"])
def test_a_name_that_leaves_the_folder_or_hides_is_refused(study: str) -> None:
    with pytest.raises(UserError, match="a study's name"):
        search_settings(study=study)


def test_an_unknown_option_is_refused() -> None:
    assert sentence(colour="red").startswith("--colour red: ")


@pytest.mark.parametrize("sampler", list(Sampler))
def test_settings_go_through_json(sampler: Sampler) -> None:
    settings = SearchSettings(sampler=sampler, objectives=(Objective.PARAMS, Objective.MAP50_95), more=3)
    assert SearchSettings.model_validate_json(settings.model_dump_json()) == settings


# --- Rungs and a budget ---------------------------------------------------------------------------


def test_without_rungs_one_seed_screens_and_every_seed_judges() -> None:
    assert SearchSettings(epochs=5, seeds=4).ladder.rungs == ((5, 1), (5, 4))
    own = SearchSettings(data="own.yaml")
    assert (own.finalists, own.trials, own.batch) == (3, 10, 16)


@pytest.mark.parametrize("data", EMBEDDED)
def test_a_first_look_at_embedded_data_is_short(data: str) -> None:
    given = SearchSettings(data=data)
    assert (given.finalists, given.trials, given.batch) == (1, 4, 8)
    assert search_settings(data=data, rungs="2x1, 2x3").finalists is None


def test_rungs_decide_epochs_and_seeds_and_let_one_in_three_climb() -> None:
    settings = search_settings(rungs="2x1, 2x3, 8x5", seed=7)
    assert (settings.epochs, settings.seeds, settings.finalists) == (2, 5, None)
    assert settings.all_seeds == (7, 8, 9, 10, 11)
    assert search_settings(rungs="2x1, 2x3", finalists=2, epochs=2, seeds=3).finalists == 2
    assert SearchSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_budget_decides_how_many_start_unless_that_is_said() -> None:
    assert search_settings(budget="2 h").trials is None
    assert search_settings(budget="2 h").total_budget == (7200, "seconds")
    assert search_settings(budget="2 h", trials=30).trials == 30


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"rungs": "3x3, 3x1"}, "--rungs 3x3, 3x1: after 3x3, 3x1 is no step up"),
        ({"rungs": "three"}, "--rungs three: rungs are epochs x seeds"),
        ({"rungs": "3x1, 12x2", "epochs": 6}, "--epochs 6: --rungs 3x1, 12x2 says 3; leave --epochs out"),
        ({"rungs": "3x1, 12x2", "seeds": 3}, "--seeds 3: --rungs 3x1, 12x2 says 2; leave --seeds out"),
        ({"budget": "2 days"}, "--budget 2 days: a budget is a number with its unit"),
    ],
)
def test_what_does_not_fit_a_ladder_is_named(values: dict[str, Any], start: str) -> None:
    assert sentence(**values).startswith(start)


# --- Reports are passed on, passwords are not -----------------------------------------------------


def test_a_password_in_the_storage_url_is_not_recorded() -> None:
    settings = SearchSettings(storage="postgresql://me:s3cret@host:5432/db")
    assert settings.storage_url == "postgresql://me:s3cret@host:5432/db"
    assert settings.model_dump(mode="json")["storage"] == "postgresql://me:***@host:5432/db"
    assert SearchSettings().model_dump(mode="json")["storage"] is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("--storage=mysql+pymysql://me:p:a/ss@host/db", "--storage=mysql+pymysql://me:***@host/db"),
        ("postgresql://:pw@host/db", "postgresql://:***@host/db"),
        ("postgresql://me:p@ss@host/clo", "postgresql://me:***@host/clo"),
        ("postgresql://host/clo?user=me&password=hunter2", "postgresql://host/clo?user=me&password=***"),
        ("mysql://host/x?passwd=h%26&ssl=1 and more", "mysql://host/x?passwd=***&ssl=1 and more"),
        ("sqlite:///results/x/study.db", "sqlite:///results/x/study.db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("a plain word: me@example", "a plain word: me@example"),
    ],
)
def test_only_the_password_is_masked(text: str, masked: str) -> None:
    assert without_password(text) == masked


@given(user=st.text(alphabet=LETTERS_AND_DIGITS, max_size=5), password=st.text(alphabet="abc:/?#$%@", min_size=1))
def test_no_password_survives(user: str, password: str) -> None:
    said = without_password(f"postgresql://{user}:{password}@host/db")
    assert re.fullmatch(rf"postgresql://{user}:\*\*\*@host/db", said)


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("postgresql://u:p@host/db", "postgresql+psycopg://u:p@host/db"),
        ("postgres://host/db", "postgresql+psycopg://host/db"),
        ("postgresql+psycopg2://host/db", "postgresql+psycopg2://host/db"),
    ],
)
def test_a_postgresql_url_without_a_driver_takes_the_one_that_clo_nas_brings(given: str, opened: str) -> None:
    assert is_server(given)
    assert with_driver(given) == opened


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://host/db"])
def test_what_is_no_postgresql_is_left_as_it_is(url: str) -> None:
    assert not is_server(url)
    assert with_driver(url) == url


@pytest.mark.parametrize("name", ["rungs", "budget"])
@pytest.mark.parametrize("value", [3, 2.5, ("3x1",), True, {}])
def test_rungs_and_a_budget_are_texts(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"--{name} .*: is a text, such as"):
        search_settings(**{name: value})


def test_seeds_can_be_listed() -> None:
    assert len(search_settings(seeds=1000).all_seeds) == 1000
    with pytest.raises(UserError, match="--seeds 1000000000: Input should be less than or equal to 1000"):
        search_settings(seeds=10**9)
