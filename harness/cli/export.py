"""The command `clo export`: an architecture of a study as a folder that explains, loads and checks itself."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, Results, Storage, choice
from harness.cli.printing import print_json
from harness.common.errors import UserError
from harness.record.own_files import MADE_BY, refuse_others


def export(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    architecture: Annotated[str, typer.Argument(help="Identity of the architecture, as in the tables, or baseline.")],
    to: Annotated[
        str,
        typer.Option(
            help="yaml: a model to be trained; pt: with the weights of `clo train STUDY ARCHITECTURE`; onnx: with "
            "these, for ONNX Runtime; standalone: for stock Ultralytics, without "
            "clo-nas; architecture: base and placements, one file."
        ),
    ] = "yaml",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write, replaced if it is an earlier export; of --to architecture the file. "
            "\\[default: <id> in the study's export folder]"
        ),
    ] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Take an architecture home: a folder with the model, its weights, a model card and a script that loads it."""
    from harness.cli.studies import study_record
    from harness.export.exported import Exported, Form

    form = choice("--to", Form, to)
    record, folder = study_record(study, storage, results)
    known = {"study": study, "architecture": architecture}
    if form is Form.ARCHITECTURE:
        import yaml

        from harness.common.atomic import write_whole

        if architecture not in record.architectures:
            there = ", ".join(record.architectures) or "none"
            raise UserError(f"study {study} has no architecture '{architecture}'; it has {there}")
        if out is not None:
            refuse_others("--out", out, (".yaml", ".yml"), "an architecture file")
        path = out or folder / "export" / f"{architecture}.architecture.yaml"
        from harness.record.study import base_of

        described = record.architectures[architecture].to_dict() | {"base": base_of(record)}
        text = f"# Architecture {architecture}, {MADE_BY}\n{yaml.safe_dump(described, sort_keys=False)}"
        write_whole(path, text.encode())
        if as_json:
            print_json({**known, "file": str(path)})
        else:
            print(f"{path}\nTrain it: clo train {shlex.quote(str(path.absolute()))} --data your.yaml")
        return

    from harness.common.atomic import replace_folder
    from harness.export.export import CARD, check_replaceable, prepare_export, write_export
    from harness.export.model_card import model_card

    prepared = prepare_export(record, folder, architecture, form)
    target = out or folder / "export" / architecture
    check_replaceable(prepared, target)

    def fill(draft: Path) -> Exported:
        written = write_export(prepared, draft)
        (draft / CARD).write_text(model_card(record, written), encoding="utf-8")
        return written

    try:
        written = replace_folder(target, fill)
    except OSError as error:
        raise UserError(
            f"{error.filename or target}: cannot be written ({error.strerror}); name another folder with --out"
        ) from error
    if as_json:
        verified = {"max_difference": written.max_difference, "engine": written.engine}
        print_json({**known, "to": to, "folder": str(target), "files": list(written.files), "verified": verified})
        return
    print(f"{target}: {', '.join(written.files)}")
    print(f"verified: loaded in a fresh process ({written.engine}), outputs {written.agreement}")
    if form is Form.STANDALONE:
        print(f"Train it without clo-nas: python {target / 'train.py'} your.yaml")
    else:
        print(f"Load it: python {target / 'load.py'}{' IMAGE' if form.has_weights else ''}")
