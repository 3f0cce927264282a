"""The committed reports say what the code says now: each is rendered from its tables and compared.

One command brings all of them, and the figures that the READMEs quote, up to date: `nox -s render`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from docs.render import PAGES, REFERENCE, filled
from harness.cli.rendering import find_all, render

ROOT = REFERENCE.parents[1]
FOLDERS = find_all(REFERENCE)
RENEW = "is not what the code says now: run `nox -s render`"
LONG = re.compile(r"-?\d+\.\d{9,}(?:e[+-]?\d+)?")
"""Numbers in full precision: another processor's last digit may differ."""


def text(path: Path) -> str:
    return LONG.sub(lambda found: f"{float(found[0]):.8g}", path.read_text(encoding="utf-8"))


def same(committed: Path, rendered: Path) -> bool:
    if rendered.suffix == ".parquet":  # its bytes depend on pyarrow's version
        one, other = pq.read_table(committed), pq.read_table(rendered)
        return bool(one.equals(other) and one.schema.equals(other.schema, check_metadata=True))
    if rendered.suffix in {".png", ".jpg"}:  # compressed by another zlib, its edges smoothed by another processor
        one, other = (np.asarray(Image.open(path).convert("RGB"), dtype=float) for path in (committed, rendered))
        return one.shape == other.shape and int((np.abs(one - other).max(axis=2) > 64).sum()) < 20
    return text(committed) == text(rendered)


def test_every_reference_result_can_be_rendered() -> None:
    names = {folder.relative_to(REFERENCE).as_posix() for folder in FOLDERS}
    assert names == {
        "bccd/judge-clo", "bccd/judge-clo/verdict", "bccd/judge-clo-confirm", "control/beacon", "control/local",
        "control/nulls", "default", "fidelity/default", "reproduce", "reproduce/from-scratch",
        "reproduce/from-scratch-beacon", "reproduce/from-the-base", "reproduce/from-the-base-bccd",
        "reproduce/from-the-base-beacon",
    }  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(REFERENCE).as_posix())
def test_a_committed_report_is_what_its_tables_say(folder: Path, tmp_path: Path) -> None:
    render(folder, tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) >= 4
    stale = [str(file) for file in files if not (folder / file).is_file() or not same(folder / file, tmp_path / file)]
    assert not stale, f"{folder.relative_to(ROOT)}: {', '.join(stale)} {RENEW}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_quotes_what_the_reports_say(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    assert "<!-- generated: headline -->" in written
    assert filled(written) == written, f"{page.name} {RENEW}"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("<!-- generated: nothing such -->1<!-- end -->", "neither one of headline"),
        ("<!-- generated: gain head-gain | of no figure -->1<!-- end -->", "nor a figure of the ledger"),
        ("<!-- holds: refuted pooling-cuts-params attnconv-content -->", "attnconv-content is refuted"),
    ],
)
def test_a_mark_that_cannot_be_filled_or_a_verdict_that_does_not_hold_is_named(mark: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        filled(f"a page with {mark}")


def test_only_what_stands_between_marks_is_changed() -> None:
    assert filled("a 1 <!-- generated: verdicts -->2<!-- end --> 3").startswith("a 1 <!-- generated: verdicts -->")
    assert filled("a 1 <!-- generated: verdicts -->2<!-- end --> 3").endswith("undecided<!-- end --> 3")
