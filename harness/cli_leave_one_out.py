"""The command `clo leave-one-out`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli_options import Json, Results, Storage, study_record
from harness.own_files import MADE_BY, refuse_others
from harness.printing import print_json


def leave_one_out(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    architecture: Annotated[str, typer.Argument(help="Identity of the architecture, as in the tables.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. \\[default: leave-one-out/<id> in the study's folder]"),
    ] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Ablate an architecture: write it without each of its blocks, and the search that measures these.

    The files are architecture files, which `clo search --include` takes.
    """
    import yaml

    from harness.report.whole_file import write_whole

    record, folder = study_record(study, storage, results)

    from harness.search.leave_one_out import Status, command
    from harness.search.leave_one_out import leave_one_out as leave

    variants = leave(record, architecture)
    target = out or folder / "leave-one-out" / architecture
    target.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for variant in variants:
        if variant.status not in {Status.BASELINE, Status.OUTSIDE}:
            path = target / (f"without-{variant.without}.yaml" if variant.without else "whole.yaml")
            refuse_others("--out", path, (".yaml",), "an architecture file")
            text = yaml.safe_dump(variant.architecture.to_dict(), sort_keys=False)
            write_whole(path, f"# Architecture {variant.identity}, {MADE_BY}\n{text}".encode())
            files[variant.identity] = path
    place = ["--storage", storage] if storage else []
    if results != Path("results"):
        place += ["--results", str(results)]
    typed = command(record, variants, list(files.values()), place)
    if as_json:
        plain = [
            {
                "without": variant.without, "architecture": variant.identity, "status": variant.status,
                "file": str(files[variant.identity]) if variant.identity in files else None,
            }
            for variant in variants
        ]  # fmt: skip
        print_json({"study": study, "architecture": architecture, "variants": plain, "command": typed})
        return
    for variant in variants:
        left = f"without {variant.without}" if variant.without else "whole"
        file = f": {files[variant.identity]}" if variant.identity in files else ""
        print(f"{left} ({variant.identity}), {variant.status}{file}")
    if not typed:
        print("Nothing is left to be measured: read the study's report.")
        return
    print(f"Measure them; each gets one seed, and all seeds where it is among the finalists:\n{typed}")
