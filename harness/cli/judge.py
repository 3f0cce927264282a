"""The command `clo judge`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Json, Quiet, typed_command
from harness.cli.plan import PLANNED, SAID, Hours, settings_for
from harness.cli.printing import print_json
from harness.record.settings import SearchSettings


@options_of(
    SearchSettings,
    only=PLANNED,
    said={**SAID, "study": "Name of the study and of its folder. [default: judge- and the block's name]"},
)
def judge(
    given: Mapping[str, Any],
    block: Annotated[
        str,
        typer.Argument(
            help="clo, a registered block (se, cbam), a user's own (my_block.py:name), or one of the article's models "
            "(yolov5n-clo-head)."
        ),
    ],
    hours: Hours,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Judge whether a block pays on your images in your hours: search, placebos, control, long training, verdict.

    Ends with pays, does not pay, or undecided and what it would take. The same command goes on where it ended.
    """
    from harness.terminal import observer

    name = given["study"] or f"judge-{Path(block.rpartition(':')[2]).stem}"
    settings = settings_for(hours, **{**given, "study": name})
    with observer(f"clo judge {block} · {settings.base} · {hours:g} h", quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.judge.judge import Judge
        from harness.report import write_report
        from harness.report.judge import verdict_json, write_verdict

        found = Judge(
            block, settings, hours, watch, typed_command(),
            lambda record: write_report(record, settings.results / record.name),
        ).run()  # fmt: skip
        watch.phase("writing the verdict")
        page = write_verdict(found, settings.results / found.record.name)
    if as_json:
        print_json({**verdict_json(found), "page": str(page)})
    else:
        print(f"{block} on {settings.base}: {found.finding.verdict}. {found.finding.why}")
        print(f"Verdict: {page}")
    if found.stopped:
        raise typer.Exit(130)
