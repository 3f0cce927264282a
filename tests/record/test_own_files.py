"""Nobody else's file is written over, whatever option names it; what clo-nas wrote there is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.common.errors import UserError
from harness.record.own_files import refuse_foreign_folder, refuse_foreign_study, refuse_others

SOMEBODYS: dict[str, Callable[[Path], object]] = {
    "mine.pt": lambda path: torch.save({"model": [1.0], "date": "2026"}, path),
    "data.yaml": lambda path: path.write_text("path: .\ntrain: images\n# read by clo-nas\n"),
    "notes.parquet": lambda path: path.write_bytes(b"PAR1 not really PAR1"),
    "plot.png": lambda path: Image.new("RGB", (8, 8)).save(path),
    "empty.yaml": lambda path: path.touch(),
}


@pytest.mark.parametrize("name", SOMEBODYS)
def test_a_file_that_clo_nas_did_not_write_is_refused_and_left(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    SOMEBODYS[name](path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists, and clo-nas did not write it; name another file"):
        refuse_others("--out", path, (path.suffix,), "a file")
    assert path.read_bytes() == before


def test_another_kind_of_file_is_named_by_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.yaml: a checkpoint is written there; end its name in \.pt"):
        refuse_others("--out", tmp_path / "data.yaml", (".pt",), "a checkpoint")
    (tmp_path / "x.pt").mkdir()
    with pytest.raises(UserError, match=r"x\.pt: is a folder; name a file"):
        refuse_others("--out", tmp_path / "x.pt", (".pt",), "a checkpoint")


def test_our_own_checkpoint_picture_and_model_are_replaced(tmp_path: Path) -> None:
    import pandas as pd

    from harness.report.png import draw_sampler_curves
    from harness.training.accuracy import save_checkpoint

    save_checkpoint(torch.nn.Linear(2, 2), tmp_path / "ours.pt")
    curves = pd.DataFrame({"sampler": ["a"], "trainings": [1], "low": [0.1], "median": [0.2], "high": [0.3]})
    for kind in ("png", "svg"):
        (tmp_path / f"ours.{kind}").write_bytes(draw_sampler_curves(curves, "x", kind))
    for path in tmp_path.iterdir():
        refuse_others("--out", path, (path.suffix,), "a file")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_with_somebodys_report_is_refused_and_one_of_a_study_is_not(tmp_path: Path) -> None:
    refuse_foreign_study(tmp_path / "none")
    (tmp_path / "anything.txt").touch()
    (tmp_path / "trainings.log").touch()  # of a search that has not written its first report
    refuse_foreign_study(tmp_path)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match=r"holds report\.html, which clo-nas did not write; choose another folder with"):
        refuse_foreign_study(tmp_path)
    (tmp_path / "environment.json").write_text(json.dumps(["not", "ours"]))
    with pytest.raises(UserError, match="clo-nas did not write"):
        refuse_foreign_study(tmp_path)
    (tmp_path / "environment.json").write_text(json.dumps({"study": "x", "settings": {}}))
    refuse_foreign_study(tmp_path)


def test_a_readme_is_not_taken_for_a_fidelity_studys(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("about my project")
    with pytest.raises(UserError, match=r"holds README\.md, which clo-nas did not write; choose another folder"):
        refuse_foreign_folder(tmp_path, ("setting.json", "README.md"), is_ours=False, option="--out")
