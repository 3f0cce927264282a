"""The command `clo control`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Json, Quiet, typed_command
from harness.cli.printing import print_json, print_table
from harness.record.run_settings import RunSettings, settings_of


@options_of(RunSettings, only=("device", "workers", "threads", "results"))
def control(
    given: Mapping[str, Any],
    quick: Annotated[bool, typer.Option("--quick", help="Leave the long training out.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show that the instrument works here: search where a block must gain, and where none can.

    Exit code 1 where a planted effect is missed, or something is called a gain where nothing is planted. Run the same
    command again to finish what is missing: nothing is trained twice.
    """
    from harness.terminal import observer

    with observer("clo control", quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.claims.control import ControlSettings, run_control
        from harness.report import write_report

        settings = settings_of(ControlSettings, quick=quick, **given)
        found = run_control(
            settings, watch, typed_command(), lambda record: write_report(record, settings.results / record.name)
        )
    if as_json:
        print_json(found.to_dict())
    else:
        rows = [["yes" if each.passed else "NO", each.task, each.what, each.found] for each in found.checks]
        print_table(["holds", "task", "what must hold", "found"], rows)
        print(
            "The instrument works: it finds what was planted." if found.passed else "The instrument FAILS its control."
        )
        pages = [settings.results / each.name / "report.html" for each in (found.planted, found.null)]
        print(f"Reports: {', '.join(map(str, pages))}")
    if not found.passed:
        raise typer.Exit(1)
