"""Command lines of every command, with options and values as they come; whatever would work long is not begun.

Replaced, so that a case costs milliseconds and starts, trains, serves and downloads nothing: see `REPLACED`. Everything
before these, from the parsing of the command line to the checks of bases, spaces, data and studies, is the program's.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from hypothesis import strategies as st

import harness.cli.studies  # noqa: F401  (likewise)
from harness.cli import app as cli
from tests.fuzz.documents import block
from tests.fuzz.loaders import ARCHITECTURES, TEXTS, Fuzzed
from tests.fuzz.outcome import DefectError

REPLACED = (
    "harness.judge.judge.run_pilot",  # first: what is imported for it must not keep what is replaced below
    "harness.judge.pilot.run_pilot",
    "harness.search.run.search",
    "harness.ablation.setting.prepare_ablation",
    "harness.jobs.place.Place.run_alone",
    "harness.ablation.train_chosen.train_chosen",
    "harness.search.simulate.simulate",
    "harness.ablation.fidelity.run_fidelity",
    "harness.ablation.fidelity.prepare_fidelity",
    "harness.claims.control.run_control",
    "harness.claims.reproduce.reproduce",
    "harness.claims.preset.run_preset",
    "harness.latency.latency.interleaved_latency",
    "harness.latency.threads.stable_threads",
    "harness.export.export.prepare_export",
    "harness.report.write_report",
    "harness.report.several.write_several",
    "harness.cost.ledger.model_ledger",
    "harness.data.digits.ensure_digits",
    "torch.set_num_threads",
    "webbrowser.open",
)
"""Functions that begin what takes long, or leaves the process."""


class Begun(BaseException):
    """The command line was taken, and the work would begin."""


def _begin(*_: object, **__: object) -> NoReturn:
    raise Begun


@contextmanager
def without_work() -> Iterator[None]:
    """While nothing of `REPLACED` is begun."""
    with pytest.MonkeyPatch.context() as patch:
        for name in REPLACED:
            patch.setattr(name, _begin)
        yield


def _commands() -> dict[str, Any]:
    return dict(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


NAMES = (
    "yolov5n",
    "yolov8n",
    "yolov5n-clo-head",
    "a.yaml",
    "t.csv",
    "s.yaml",
    "d.yaml",
    "x",
    "nothing.pt",
    "c.pt",
    "default",
)
WORDS = (
    *TEXTS, *NAMES, "64", "96", "100", "1", "3", "0.5", "auto", "cpu", "7", "cuda:0", "0,1", "onnx", "yaml",
    "architecture", "a,b", "map", "cost", "cost-aware,tpe", "25m", "2h", "1e5", "2M", "3200000", "baseline",
    "digits", "coco8.yaml", "--", "-", "p.png", "out", "STUDY/ID", "x/baseline", "x/nothing",
    "https://example.org/x.yaml", "sqlite:///nothing.db",
    "postgresql://u:secret@localhost/x", "mysql://localhost/x", "redis://localhost", "journal.log",
)  # fmt: skip


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, its arguments and some options, each mostly with a value that could be meant."""
    commands = _commands()
    if draw(st.integers(0, 19)) == 19:
        return draw(st.lists(st.sampled_from(("--help", "--version", "-h", *commands, *WORDS)), max_size=4))
    name = draw(st.sampled_from(sorted(commands)))
    words: list[str] = [name]
    value = st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), st.text(max_size=6), st.integers().map(str))
    for parameter in commands[name].params:
        if parameter.param_type_name == "argument":
            words += draw(
                st.lists(
                    st.one_of(st.sampled_from(NAMES), value), min_size=1, max_size=draw(st.sampled_from((1, 1, 1, 2)))
                )
            )
    options = [p for p in commands[name].params if p.param_type_name == "option"]
    required = [p for p in options if p.required and draw(st.integers(0, 9)) < 9]
    others = draw(st.lists(st.sampled_from(options), max_size=3)) if options else []
    for option in [*required, *others]:
        words.append(draw(st.sampled_from(option.opts)))
        usual = {"maximize": "map", "minimize": "cost", "parameters": "a,b"}.get(option.name)
        if not option.is_flag:
            words.append(draw(st.one_of(st.just(usual), st.just(usual), value) if usual else value))
    if draw(st.integers(0, 9)) == 9:
        words.insert(
            draw(st.integers(0, len(words))), draw(st.sampled_from(("--no-such", "--help", "-x", "--json", "")))
        )
    return words


def furnish(folder: Path) -> None:
    """Put what command lines name into an empty folder."""
    (folder / "a.yaml").write_text(block(ARCHITECTURES[1]), encoding="utf-8")
    rows = "".join(f"{n},{n % 3},{0.1 * n},{n + 1}\n" for n in range(6))
    (folder / "t.csv").write_text(f"a,b,map,cost\n{rows}", encoding="utf-8")
    (folder / "s.yaml").write_text(
        "name: s\nsites: [neck.P4]\nmax_blocks: 1\nplacement: {kind: [se]}\n", encoding="utf-8"
    )
    (folder / "d.yaml").write_text("train: images\nval: images\nnames: [a]\n", encoding="utf-8")
    (folder / "c.pt").write_bytes(b"no checkpoint")
    if not (folder / "results").exists():
        from tests.fuzz.studies import begin

        begin(folder / "results", "x")


def _run(words: list[str], folder: Path) -> object:
    furnish(folder)
    here, arguments = Path.cwd(), sys.argv
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    os.chdir(folder)
    sys.argv = ["clo", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        code = ended.code or 0
    except Begun:
        code = 0
    finally:
        sys.argv = arguments
        os.chdir(here)
    said = err.getvalue()
    if code not in (0, 2) or "Traceback" in said or "Traceback" in out.getvalue():
        raise DefectError(f"exit code {code}: {said[-300:]!r}")
    if code == 2:
        is_ours = said.startswith("error: ") and said.count("\n") == 1 and len(said) > 15
        if not (is_ours or "Usage:" in said or (not words and "Usage:" in out.getvalue())):
            raise DefectError(f"refused without a sentence: {said[:300]!r}")
        raise RefusedError
    return code


class RefusedError(Exception):
    """Exit code 2, with one sentence or the parser's own words."""


COMMAND_LINES = Fuzzed(command_lines(), _run, 55)
