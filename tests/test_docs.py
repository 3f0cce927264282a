"""What the documentation prints is what the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from harness.cli import app as cli
from harness.record.ablation_file import load_ablation
from harness.space.space_file import load_space

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


ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def structure(page: Path) -> dict[str, object]:
    """What a translation leaves as it is, of one language's README.

    Comments of commands are translated: of a fenced block, `…` stands where a line has one. The two READMEs link to
    each other. Numbers are those in digits, once each, since a gloss repeats what it explains; 1 亿 is 100 million.
    """
    text = page.read_text(encoding="utf-8")
    prose = FENCED.sub("", text)
    spoken = re.sub(r"`[^`]+`|\]\([^)]*\)|[\w.]*P\d\w*", "", prose)
    spoken = re.sub(r"(\d+\.\d+) 亿", lambda found: f"{100 * float(found[1]):g}", spoken)
    tables = re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)
    return {
        "headings": re.findall(r"^#+(?= )", prose, re.MULTILINE),
        "fenced blocks": [re.sub(r"\s+# .*", "  # …", block) for block in FENCED.findall(text)],
        "rows of each table": [len(table.splitlines()) for table in tables],
        "first cells": re.findall(r"`[^`]+`", "".join(re.findall(r"^\|([^|]*)\|", prose, re.MULTILINE))),
        "list items": len(re.findall(r"^- ", prose, re.MULTILINE)),
        "links": sorted(set(re.findall(r"\]\(([^)]+)\)", prose)) - {ENGLISH.name, CHINESE.name}),
        "code": sorted(set(re.findall(r"`[^`]+`", prose))),
        "numbers": sorted(set(re.findall(r"\d+(?:\.\d+)*", spoken))),
    }


@pytest.mark.parametrize("part", list(structure(ENGLISH)))
def test_the_chinese_readme_has_what_the_english_one_has(part: str) -> None:
    assert structure(CHINESE)[part] == structure(ENGLISH)[part]


@pytest.mark.parametrize(("page", "other"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)], ids=["English", "Chinese"])
def test_each_readme_leads_to_the_other_in_its_first_lines(page: Path, other: Path) -> None:
    assert f"]({other.name})" in "\n".join(page.read_text(encoding="utf-8").splitlines()[:3])


SESSIONS = {"search", "report", "ablate", "reproduce", "fidelity"}
"""Sessions of nox that become the command of their name; `nox -s clo` becomes any."""


def commands(text: str) -> list[list[str]]:
    """What a page's code blocks would have `clo` run, as words."""
    found = []
    for block in re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if not re.match(r"(srun )?(clo|nox -s) ", line) or "…" in line:
                continue
            words = shlex.split(line.removeprefix("srun "), comments=True)
            if words[:1] == ["clo"]:
                found.append(words[1:])
            elif words[:2] == ["nox", "-s"] and words[2:3] and words[2] in SESSIONS | {"clo"}:
                rest = [word for word in words[3:] if word != "--"]
                found.append(rest if words[2] == "clo" else [words[2], *rest])
    return found


PRINTED = [
    pytest.param(words, id=f"{page.name}: clo {' '.join(words)[:60]}")
    for page in PAGES
    for words in commands(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", PRINTED)
def test_every_printed_command_is_one_that_the_program_takes(words: list[str]) -> None:
    name, *arguments = words
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    assert name in group.commands
    group.commands[name].make_context(name, arguments)  # an unknown option, a missing argument: an error


def test_commands_are_found_in_the_pages() -> None:
    assert len(PRINTED) > 30
