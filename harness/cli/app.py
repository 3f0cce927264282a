"""The command line: parse, call one function, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, Field

from harness.cli.ablate import ablate
from harness.cli.cache import cache
from harness.cli.control import control
from harness.cli.export import export
from harness.cli.fields import options_of
from harness.cli.judge import judge
from harness.cli.options import MODEL_HELP, ImageSize, Json, choice, typed_command
from harness.cli.plan import plan
from harness.cli.printing import counts, print_json, print_table
from harness.cli.report import report
from harness.cli.reproduce import reproduce
from harness.cli.search import search
from harness.cli.simulate import simulate
from harness.cli.train import train
from harness.common.cache import enter as enter_cache
from harness.common.errors import UserError, lacks_memory
from harness.common.isolation import isolate_ultralytics
from harness.jobs.interrupts import Interrupts
from harness.record.own_files import MADE_BY, refuse_foreign_folder, refuse_others
from harness.record.run_settings import settings_of

app = typer.Typer(
    name="clo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_versions(wanted: bool) -> None:
    if wanted:
        from harness.common.version import versions

        print("\n".join(f"{name} {number}" for name, number in versions().items()))
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_versions, help="Print the versions that matter."),
    ] = False,
) -> None:
    """Search where and in which shape Clo blocks pay in a detector, and read the answer."""


# What a person wants to do, in the order of `clo --help`.
JUDGE, SEARCH, READ, MEASURE, TAKE_HOME = (
    "Does a block pay?", "Search and compare", "Read and check", "Measure a model", "Take home"
)  # fmt: skip
_PANELS = {
    JUDGE: (judge, plan),
    SEARCH: (search, ablate, train, reproduce),
    READ: (report, control, simulate, cache),
    TAKE_HOME: (export,),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


@app.command(rich_help_panel=READ)
def fidelity(
    plan: Annotated[str, typer.Argument(help="Plan: a YAML, or one that ships by name.")] = "default",
    workers: Annotated[
        int | None, typer.Option(help="Trainings at once, one CPU thread each. \\[default: one a core]", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds one folder a plan.")] = Path("results/fidelity"),
    as_json: Json = False,
) -> None:
    """Measure whether short trainings rank architectures as long ones do; takes hours, and resumes.

    Reports of searches at the same setting quote what it finds.
    """
    from harness.ablation.fidelity import prepare_fidelity, run_fidelity, study_setting
    from harness.ablation.fidelity_plan import check_same, load_plan
    from harness.report.fidelity import FILES, read_setting, write_fidelity, write_setting

    prepared = prepare_fidelity(load_plan(plan), workers)
    folder = out / prepared.plan.name
    setting = study_setting(prepared, typed_command())
    before = read_setting(folder)
    refuse_foreign_folder(folder, FILES, before is not None, "--out")
    if before:
        check_same(setting, before, folder)
    write_setting(setting, folder)
    rows = run_fidelity(
        prepared,
        folder,
        say=(lambda _: None) if as_json else print,
        after_each=lambda rows: write_fidelity(rows, setting["plan"], folder),
    )
    table = write_fidelity(rows, setting["plan"], folder)
    if as_json:
        print_json({"folder": str(folder), "table": table.astype(object).where(table.notna(), None).to_dict("records")})
    else:
        print(f"{len(rows)} trainings; read {folder / 'README.md'}")


@app.command(rich_help_panel=MEASURE)
def sites(model: Annotated[str, typer.Argument(help=MODEL_HELP)], as_json: Json = False) -> None:
    """List the places of a model (of its base, if it has blocks) where a block can be inserted, and how."""
    from harness.detectors import find_detector, find_sites

    found = [site.to_dict() for site in find_sites(find_detector(model).base).values()]
    if as_json:
        print_json(found)
        return
    rows = [
        [s["site"], s["layer"], s["channels"], s["stride"], ", ".join(s["modes"]), counts(s["inside_channels"])]
        for s in found
    ]
    print_table(["site", "layer", "channels", "stride", "modes", "inside: bottlenecks × channels"], rows)


@app.command(rich_help_panel=TAKE_HOME)
def model(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    classes: Annotated[
        int | None, typer.Option(help="Classes of the data. \\[default: the model's own]", min=1)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write. \\[default: standard output]")] = None,
    as_json: Json = False,
) -> None:
    """Print a model as an Ultralytics model YAML; it trains with plain Ultralytics once `harness` is imported."""
    from harness.common.atomic import write_whole
    from harness.detectors import build, find_detector, to_yaml

    if out is not None:
        refuse_others("--out", out, (".yaml", ".yml"), "a model YAML")
    detector = find_detector(name)
    config = detector.config(classes)
    build(config)
    shown = {key: value for key, value in config.items() if key not in {"yaml_file", "scale", "ch", "names"}}
    text = to_yaml(shown, f"{name}: {detector.architecture.describe()}\n{MADE_BY}; needs `import harness`")
    if out is not None:
        write_whole(out, text.encode())
    if as_json:
        print_json({"model": name, "file": str(out) if out else None, "yaml": shown})
    else:
        print(out or text, end="\n" if out else "")


@app.command(rich_help_panel=MEASURE)
def cost(model: Annotated[str, typer.Argument(help=MODEL_HELP)], imgsz: ImageSize = 640, as_json: Json = False) -> None:
    """Count a model's parameters, MACs, FLOPs (2 × MACs), elementwise operations and peak activations, batch 1."""
    from harness.cli.measured import print_ledger
    from harness.cost.ledger import fused_ledger, model_ledger
    from harness.detectors import load_model
    from harness.detectors.description import silence

    network = load_model(model)
    ledger = model_ledger(network, imgsz)
    with silence():
        fused = fused_ledger(network, imgsz)
    if as_json:
        forms = {"form": "as trained: eval mode, unfused", **ledger.to_dict()}
        deployed = fused and {"form": "as deployed: eval mode, fused", **fused.to_dict()}
        print_json({"model": model, "imgsz": imgsz, **forms, "fused": deployed})
        return
    print_ledger(f"{model} at {imgsz} × {imgsz}", ledger, fused)


class LatencySettings(BaseModel):
    """How two models are timed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    imgsz: int = Field(
        default=640, description="Side of the square input, in pixels; a multiple of the stride. [default: 640]"
    )
    batch: int = Field(default=1, ge=1, description="Images a pass. [default: 1]")
    device: str = Field(default="auto", description="auto, cpu, or a CUDA device's number.")
    mode: str = Field(default="eager", description="eager, compile, cuda_graphs, onnxruntime or tensorrt.")
    dtype: str | None = Field(default=None, description="fp32, fp16 or bf16. [default: fp32; fp16 with TensorRT]")
    memory_format: str | None = Field(
        default=None, description="contiguous or channels_last. [default: channels_last on CUDA]"
    )
    no_fuse: bool = Field(default=False, description="As trained, batch norms not merged.")
    precision: float = Field(
        default=1.0,
        gt=0,
        description="Stop once the ratio's 95 % interval is within ± this many percent of it. [default: 1]",
    )
    seconds: float = Field(default=45.0, ge=0.1, description="Most seconds to measure. [default: 45]")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads. [default: as many as get a core each, tried just before]"
    )


@app.command(rich_help_panel=MEASURE)
@options_of(LatencySettings)
def latency(
    given: Mapping[str, Any],
    a: Annotated[str, typer.Argument(help=MODEL_HELP)],
    b: Annotated[str, typer.Argument(help="What A is compared with; the same kinds.")],
    samples: Annotated[Path | None, typer.Option(help="Parquet file to write the time of every pass to.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the latency of model A over that of model B, the two interleaved so that drift cancels."""
    import torch

    from harness.cli.measured import print_latency
    from harness.common.exclusive import Machine
    from harness.common.machine import resolve_device
    from harness.detectors import load_model
    from harness.detectors.description import silence
    from harness.latency.latency import interleaved_latency
    from harness.latency.raw_samples import write_parquet
    from harness.latency.runtimes import Dtype, MemoryFormat, Mode, Runtime
    from harness.latency.threads import Threads, stable_threads

    if samples is not None:
        refuse_others("--samples", samples, (".parquet",), "a Parquet file")
    asked = settings_of(LatencySettings, **given)
    runtime = Runtime(
        mode=choice("--mode", Mode, asked.mode),
        dtype=choice("--dtype", Dtype, asked.dtype or ("fp16" if asked.mode == Mode.TENSORRT else "fp32")),
        memory_format=choice("--memory-format", MemoryFormat, asked.memory_format) if asked.memory_format else None,
        fused=not asked.no_fuse,
    )
    chosen = resolve_device(asked.device)
    models = load_model(a), load_model(b)
    with silence(), Machine().alone(lambda what: None if as_json else print(f"waiting for {what}", file=sys.stderr)):
        if asked.threads or chosen != "cpu":
            reason = "--threads" if asked.threads else "torch's own"
            taken = Threads(count=asked.threads or torch.get_num_threads(), reason=reason)
        else:
            taken = stable_threads()
        torch.set_num_threads(taken.count)
        measured = interleaved_latency(
            *models, imgsz=asked.imgsz, device=chosen, runtime=runtime, batch=asked.batch,
            target_half_width=asked.precision / 100, max_seconds=asked.seconds,
        )  # fmt: skip
    if samples:
        write_parquet(measured, samples, candidate_model=a, baseline_model=b, threads_reason=taken.reason)
    if as_json:
        plain = measured.to_dict()
        plain |= {
            "threads_reason": taken.reason,
            "a": {"model": a, **plain.pop("candidate")},
            "b": {"model": b, **plain.pop("baseline")},
        }
        plain["latency_ms_p50"] = {"a": measured.candidate.p50, "b": measured.baseline.p50}
        print_json(plain)
        return
    print_latency(a, b, measured, taken)


def main() -> None:
    """Run the program: errors of the user are one sentence and exit code 2; Ctrl-C is 130, at once if pressed twice."""
    with Interrupts(end_at_second=True) as ctrl_c:
        try:
            isolate_ultralytics()
            enter_cache()
            app(prog_name="clo")
        except UserError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            sys.exit(130)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}; everything finished before is kept")
        except Exception as error:
            if ctrl_c.noted:  # it came in the middle of an import, and broke what was being imported
                sys.exit(130)
            if lacks_memory(error):
                _fail(f"too little memory ({' '.join(str(error).split())}); everything finished before is kept")
            if not type(error).__module__.startswith(("sqlalchemy", "optuna")):
                raise
            from harness.storage.records import storage_failure

            _fail(f"the study's storage failed ({storage_failure(error)}); everything finished before is kept")


def _fail(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
