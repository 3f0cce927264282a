"""A study is one search's alone and holds one setting; a damaged one is replaced by its last good copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness.architecture import BASELINE
from harness.common.errors import UserError
from harness.record.constraints import SITE_FIELDS, Constraints
from harness.record.settings import COMPARABLE, SearchSettings
from harness.record.study import SETTINGS
from harness.storage.opening import open_study
from tests.storage.studies import DATA, figures, train


@pytest.fixture(scope="module")
def existing(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """Of a study that exists; tests leave it as it is."""
    settings = SearchSettings(study="x", results=tmp_path_factory.mktemp("existing"))
    with open_study(settings, DATA):
        return settings


# --- One setting a study --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base": "yolov8n"}, "another base (yolov5n, now yolov8n)"),
        ({"imgsz": 160}, "another imgsz (128, now 160)"),
        ({"learning_rate": 5e-5}, "another learning_rate ("),
        ({"from_scratch": True}, "another from_scratch (False, now True)"),
        ({"sampler": "random"}, "another sampler (cost-aware, now random)"),
        ({"seed": 7}, "another seed (0, now 7)"),
        (
            {"objectives": ("map50_95", "macs")},
            "another objectives (['map50_95', 'latency'], now ['map50_95', 'macs'])",
        ),
        ({"objectives": ("map50_95", "latency", "params"), "sampler": "tpe"}, "another objectives ("),
        ({"constraints": {"required_sites": ["neck.P3"]}}, "another required_sites ([], now ['neck.P3'])"),
        ({"constraints": {"forbidden_sites": ["neck.P3"]}}, "another forbidden_sites ([], now ['neck.P3'])"),
    ],
)
def test_another_setting_is_refused_by_its_name(
    existing: SearchSettings, change: dict[str, Any], sentence: str
) -> None:
    changed = SearchSettings.model_validate({**existing.model_dump(), **change})
    with pytest.raises(UserError, match="study x exists with ") as refused, open_study(changed, DATA):
        pass
    assert sentence in str(refused.value)
    assert "choose another --study" in str(refused.value)


def test_epochs_reached_over_other_rungs_are_refused(existing: SearchSettings, settings: SearchSettings) -> None:
    def with_rungs(before: SearchSettings, rungs: str) -> SearchSettings:
        return SearchSettings(study=before.study, results=before.results, rungs=rungs)

    with open_study(with_rungs(settings, "3x1, 12x2"), DATA):
        pass
    with open_study(with_rungs(settings, "3x1, 3x3, 12x4"), DATA):  # other seeds change no figure
        pass
    sentence = r"another epochs_of_rungs \(\[3, 12\], now \[3, 6, 12\]\)"
    with pytest.raises(UserError, match=sentence), open_study(with_rungs(settings, "3x1, 6x1, 12x2"), DATA):
        pass
    with pytest.raises(UserError, match=r"\(None, now \[3, 6\]\)"), open_study(with_rungs(existing, "3x1, 6x1"), DATA):
        pass


def test_other_data_under_the_same_name_are_refused(existing: SearchSettings) -> None:
    with (
        pytest.raises(UserError, match="study x: its data digits has changed since the study was made; restore it"),
        open_study(existing, {"data_fingerprint": "beef"}),
    ):
        pass


def test_the_same_data_base_or_space_by_another_path_are_the_same(settings: SearchSettings) -> None:
    def spelled(folder: str) -> SearchSettings:
        given = {"data": f"{folder}pets.yaml", "base": f"{folder}base.pt", "space": f"{folder}space.yaml"}
        return settings.model_copy(update=given)

    contents = {"data_fingerprint": "feed", "base_fingerprint": "cafe", "space_file": {"name": "mine"}}
    with open_study(spelled(""), contents):
        pass
    with open_study(spelled("../here/"), contents) as study:
        assert study.optuna.study_name == settings.study
    for name, what in (("data_fingerprint", "data"), ("base_fingerprint", "base"), ("space_file", "space")):
        with (
            pytest.raises(UserError, match=f"exists with another {what} "),
            open_study(spelled("../there/"), contents | {name: "another"}),
        ):
            pass


def test_a_base_of_another_name_is_another_though_its_content_is_the_same(settings: SearchSettings) -> None:
    contents = {"base_fingerprint": "cafe"}  # identities of architectures hold the name
    with open_study(settings.model_copy(update={"base": "a.yaml"}), contents):
        pass
    with (
        pytest.raises(UserError, match="another base"),
        open_study(settings.model_copy(update={"base": "b.yaml"}), contents),
    ):
        pass


def test_a_study_of_another_image_size_says_what_to_type(settings: SearchSettings) -> None:
    own = settings.model_copy(update={"data": "pets.yaml"})
    with open_study(own.model_copy(update={"imgsz": 128}), DATA):  # the default of earlier versions
        pass
    sentence = r"another imgsz \(128, now 640\); choose another --study, or give what it was made with \(--imgsz 128\)"
    with pytest.raises(UserError, match=sentence), open_study(own.model_copy(update={"imgsz": 640}), DATA):
        pass


def test_a_long_value_is_shortened_in_the_sentence(existing: SearchSettings) -> None:
    with (
        pytest.raises(UserError) as refused,
        open_study(existing.model_copy(update={"space": "b" * 500}), DATA),
    ):
        pass
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("change", [{"trials": 99}, {"seeds": 9}, {"finalists": 0}, {"more": 2}, {"timeout_s": 60.0}])
def test_what_changes_no_figure_may_change(existing: SearchSettings, change: dict[str, Any]) -> None:
    assert not set(change) & set(COMPARABLE)
    with open_study(existing.model_copy(update=change), DATA) as study:
        assert study.optuna.study_name == "x"


def test_optuna_knows_the_objectives_by_name_and_direction(settings: SearchSettings) -> None:
    chosen = SearchSettings.model_validate(
        {**settings.model_dump(), "sampler": "tpe", "objectives": ("map50_95", "macs", "params")}
    )
    with open_study(chosen, DATA) as study:
        assert study.optuna.metric_names == ["map50_95", "macs", "params"]
        assert [direction.name for direction in study.optuna.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]


def test_bounds_may_change(existing: SearchSettings) -> None:
    bounds = Constraints(max_params=2e6, max_macs=5e8, max_latency_ratio=1.2, min_map50_95=0.4)
    with open_study(existing.model_copy(update={"constraints": bounds}), DATA) as study:
        assert study.optuna.study_name == "x"


def test_a_study_from_before_there_were_sites_to_require_is_continued(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        before = {name: value for name, value in study.optuna.user_attrs[SETTINGS].items() if name not in SITE_FIELDS}
        study.optuna.set_user_attr(SETTINGS, before)
    with open_study(settings, DATA):
        pass
    chosen = settings.model_copy(update={"constraints": Constraints(required_sites=("neck.P3",))})
    with pytest.raises(UserError, match="another required_sites"), open_study(chosen, DATA):
        pass


def test_a_study_whose_trainings_had_several_devices_is_not_gone_on_with(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        before = study.optuna.user_attrs[SETTINGS]
        study.optuna.set_user_attr(SETTINGS, {**before, "devices_per_training": 2})
    with (
        pytest.raises(UserError, match=r"another devices_per_training \(2, now 1\)"),
        open_study(settings, DATA),
    ):
        pass


# --- One search at a time -------------------------------------------------------------------------


def test_a_second_search_is_refused_while_the_first_runs(settings: SearchSettings) -> None:
    with (
        open_study(settings, DATA),
        pytest.raises(UserError, match="study x: another clo search is running on it"),
        open_study(settings, DATA),
    ):
        pass


def test_the_lock_is_free_again_after_success_and_after_an_error(settings: SearchSettings) -> None:
    with pytest.raises(ZeroDivisionError), open_study(settings, DATA):
        raise ZeroDivisionError
    with pytest.raises(UserError), open_study(settings.model_copy(update={"seed": 5}), DATA):
        raise AssertionError("opened with another seed")
    with FileLock(settings.folder / ".lock", timeout=0) as lock:
        assert lock.is_locked


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = SearchSettings(study="x", results=tmp_path / "file")
    with (
        pytest.raises(UserError, match=r"cannot be made .*; choose another --results folder") as refused,
        open_study(settings, DATA),
    ):
        pass
    assert str(tmp_path / "file" / "x") in str(refused.value)


# --- After damage ---------------------------------------------------------------------------------


def test_a_damaged_database_is_replaced_by_a_copy_that_has_every_finished_training(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        numbers = [train(study, BASELINE, seed, figures(0.5, latency=10.0, ratio=1.0)) for seed in (0, 1)]
    database = settings.folder / "study.db"
    database.write_bytes(database.read_bytes()[:9000])
    said: list[str] = []
    with open_study(settings, DATA, said.append) as study:
        assert study.record().trials.trial.tolist() == numbers
    assert len(said) == 1 and f"{database} was damaged" in said[0]
    with open_study(settings, DATA, said.append):
        assert len(said) == 1
