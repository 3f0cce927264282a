"""What the documentation prints is what the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.ablation_file import load_ablation
from harness.space_file import load_space

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(kind: str) -> list[tuple[str, str]]:
    """Every fenced YAML that has this key, with its page."""
    written = [
        (page.name, text)
        for page in PAGES
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]
    return [(page, text) for page, text in written if re.search(rf"^{kind}:", text, re.MULTILINE)]


@pytest.mark.parametrize(("page", "text"), blocks("models"), ids=[page for page, _ in blocks("models")])
def test_every_ablation_in_the_docs_can_be_loaded(tmp_path: Path, page: str, text: str) -> None:
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    assert load_ablation(str(tmp_path / "file.yaml")).name == yaml.safe_load(text)["name"]


SPACES = [(page, text) for page, text in blocks("sites") if "name:" in text and ".py:" not in text]


@pytest.mark.parametrize(("page", "text"), SPACES, ids=[page for page, _ in SPACES])
def test_every_space_in_the_docs_can_be_loaded(tmp_path: Path, page: str, text: str) -> None:
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    assert load_space(str(tmp_path / "file.yaml")).name == yaml.safe_load(text)["name"]


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target
