"""The command `clo reproduce`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.claims.ledger import Claim, ReproduceSettings
from harness.claims.verdict import Finding
from harness.cli.ablate import SEEDS, seed_list
from harness.cli.fields import options_of
from harness.cli.options import Json, Quiet, choice, typed_command
from harness.cli.printing import print_json
from harness.cli.search import typed_run
from harness.common.errors import UserError
from harness.record.run_settings import ClusterSettings, settings_of
from harness.record.settings import SearchSettings

# Fields of the ablations' files that may take other values, and what else is an option.
_OF_FILES = ("data", "allow_unusable", "allow_val_in_train", "imgsz", "epochs", "batch", "seeds")
_OF_RUN = (*(name for name in ReproduceSettings.model_fields if name not in {"changes", "cluster"}),)


@options_of(
    ReproduceSettings,
    SearchSettings,
    only=(*_OF_FILES, *_OF_RUN, *ClusterSettings.model_fields),
    texts=("seeds", "timeout_s"),
    said={"epochs": "Epochs of every arm.", "seeds": SEEDS},
)
def reproduce(
    given: Mapping[str, Any],
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="With --merge: results of --preset.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="voc or coco: the article's gain on one GPU, by a rule that is printed before anything is trained. "
            "Ends with a file to send, results/preset-NAME/result.json."
        ),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Judge results of --preset, those of several machines pooled.")
    ] = False,
    list_claims: Annotated[bool, typer.Option("--list", help="List the claims, and decide none.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Decide every claim of the article that this machine and data can decide, and write the ledger.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    if files and not merge:
        raise UserError(f"{files[0]}: files are for --merge")
    if merge:
        _refuse_others(context, "--merge", {"merge", "files", "as_json"})
        _merge(files or [], as_json)
        return
    if preset is not None:
        _refuse_others(context, "--preset", _OF_PRESET)
    if list_claims:
        _refuse_others(context, "--list", {"list_claims", "as_json"})
    from harness.claims.ledger import choose_claims
    from harness.terminal import observer

    chosen = choose_claims(given["claims"] or ())
    if list_claims:
        _list(as_json)
        return
    changes = {**{name: given[name] for name in _OF_FILES}, "seeds": seed_list("--seeds", given["seeds"])}
    its_own = {name: value for name, value in given.items() if name not in _OF_FILES}
    settings = settings_of(
        ReproduceSettings,
        **{**typed_run(its_own), "claims": tuple(each.id for each in chosen)},
        changes=tuple((name, value) for name, value in changes.items() if value is not None),
    )
    interrupted = False
    with observer("clo reproduce", quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.claims.pooled import Preset
        from harness.claims.preset import run_preset
        from harness.claims.reproduce import conclude, read_findings
        from harness.claims.reproduce import reproduce as run
        from harness.record.surroundings import Environment
        from harness.report import write_report as written
        from harness.report.ledger import write_ledger
        from harness.report.notes import command_of

        if preset is not None:
            which = choice("--preset", Preset, preset)
            result = run_preset(
                which, settings, watch, typed_command(), lambda each: written(each, settings.results / each.name)
            )
        else:
            try:
                ledger = run(
                    settings, watch, typed_command(), lambda record: written(record, settings.folder / record.name)
                )
            except KeyboardInterrupt:
                interrupted = True
                watch.phase("writing what there is")
                ledger = conclude(settings, read_findings(settings.folder), watch)
            environment = ledger.studies[0].environment if ledger.studies else Environment()
            typed = command_of(environment) if settings.no_training else shlex.join(typed_command())
            page = write_ledger(ledger.entries, environment, typed, settings.folder, ledger.baselines)
    if preset is not None:
        _close_preset(result, as_json)
        return
    _close(ledger.entries, page, as_json)
    if interrupted:
        raise typer.Exit(130)


# Options that a preset takes.
_OF_PRESET = {
    "preset", "data", "allow_unusable", "allow_val_in_train", "imgsz", "epochs", "batch", "seeds", "device", "threads",
    "timeout_s", "no_training", "results", "quiet", "as_json",
}  # fmt: skip


def _refuse_others(context: typer.Context, mode: str, known: set[str]) -> None:
    """Refuse options that would do nothing."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in known and source is not None and source.name == "COMMANDLINE":
            raise UserError(f"{parameter.opts[0]}: {mode} has no use for it; leave it out")


def _close_preset(result: Path | None, as_json: bool) -> None:
    """Print what the rule makes of a preset's own result, and where it is."""
    if result is not None:
        _merge([result], as_json)
    elif as_json:
        print_json({"files": [], "claims": []})
    if not as_json:
        print(f"Result, to be sent or pooled: {result}" if result else "No result yet: the same command goes on.")


def _merge(files: Sequence[Path], as_json: bool) -> None:
    """Print what the rule makes of some results.

    Raises:
        UserError: There is none, or they cannot be pooled.
    """
    from harness.claims.pooled import judge_results, read_results
    from harness.cli.printing import print_table

    if not files:
        raise UserError("--merge: name the result.json files that are to be judged")
    results = read_results(files)
    found = judge_results(results)
    first = results[0]
    if as_json:
        told = [{"file": str(path), **each.told} for path, each in zip(files, results, strict=True)]
        claims = [{"model": model, **finding.to_dict()} for model, finding in found.items()]
        rule = {"preset": first.preset, "rule": first.rule, "digest": first.digest, "changed": first.changed}
        print_json({**rule, "files": told, "claims": claims})
        return
    print(f"The rule: {first.rule}.")
    if first.changed:
        print(f"Not the rule of preset {first.preset} as it ships: {'; '.join(first.changed)}.")
    for path, result in zip(files, results, strict=True):
        print(f"{path}: {', '.join(f'{name} {value}' for name, value in result.told.items())}")
    if len({result.data.get("fingerprint") for result in results}) > 1:
        print(
            "The data have several fingerprints: of large data sets these hold the times of files; compare the objects."
        )
    unit = "seeds" if len(results) == 1 else "machines"
    for model, finding in found.items():
        print(f"\n{finding.verdict}: {model}")
        print_table(
            ["minus", "gain", "95 % interval", unit, "needed"],
            [
                [str(row["minus"]).rpartition(": ")[2], f"{row['difference']:+.4f}",
                 "unknown" if row["low"] != row["low"] else f"{row['low']:+.4f} to {row['high']:+.4f}",
                 row["readings"], row["readings needed"]]
                for row in finding.rows
            ],
        )  # fmt: skip
        if finding.to_decide:
            print(f"To decide it: {finding.to_decide}.")


def _close(entries: Sequence[tuple[Claim, Finding]], page: Path, as_json: bool) -> None:
    """Print every claim's verdict, and where the ledger is."""
    if as_json:
        claims = [{"claim": claim.id, **finding.to_dict()} for claim, finding in entries]
        print_json({"folder": str(page.parent), "claims": claims})
        return
    for claim, finding in entries:
        print(f"{finding.verdict:<11} {claim.id}: {finding.sentence}")
    print(f"Ledger: {page}")


def _list(as_json: bool) -> None:
    from harness.claims.ledger import load_claims
    from harness.cli.printing import print_table

    claims = load_claims()
    if as_json:
        print_json([claim.model_dump(mode="json") for claim in claims])
        return
    print_table(["id", "kind", "claim", "needs"], [[c.id, c.kind, c.title, c.needs_data] for c in claims])
