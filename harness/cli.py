"""The command line: parse, call one function, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli_leave_one_out import leave_one_out
from harness.cli_options import Json, Results, Storage, choice, study_record
from harness.cli_simulate import simulate
from harness.errors import UserError
from harness.isolation import isolate_ultralytics
from harness.printing import counts, print_json, print_latency, print_ledger, print_table
from harness.settings import EMBEDDED_DATA

app = typer.Typer(
    name="clo",
    help="Search where and in which shape Clo blocks pay in a detector, and read the answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ImageSize = Annotated[
    int, typer.Option("--imgsz", help="Side of the square input, in pixels; a multiple of the stride.")
]
MODEL_HELP = (
    "Model name (yolov5n, yolo11s, yolov7-tiny, cloformer-xxs), one of the article's (yolov5s-clo-backbone), "
    "model YAML, checkpoint (.pt) or architecture file."
)


@app.command()
def search(
    trials: Annotated[
        int | None,
        typer.Option(help="Candidates in the study when done, the baseline not counted. [default: 10]"),
    ] = None,
    more: Annotated[int | None, typer.Option(help="Candidates to add to those that the study has.")] = None,
    timeout: Annotated[str | None, typer.Option(help="Start no training after this time: 90, 90s, 25m or 2h.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Dataset YAML (coco.yaml, coco128.yaml, your own). [default: digits, embedded]"),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Detector: name (yolov8n, yolo11s, yolov7-tiny …), YAML or trained .pt. [default: yolov5n]"),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Space: a YAML, or one that ships by name (default, small, operators, inside, replaced)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto (CUDA if there), cpu, or numbers of CUDA devices (0,1).")
    ] = None,
    imgsz: Annotated[int | None, typer.Option(help="Side of the square input, in pixels. [default: 128]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each candidate and of the baseline's control.")] = None,
    base_epochs: Annotated[int | None, typer.Option(help="Epochs of the common base, trained once and cached.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; all candidates are screened with it.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of the baseline and of each finalist.")] = None,
    finalists: Annotated[
        int | None,
        typer.Option(help="Best candidates that are trained with every seed; with --rungs, that reach the second."),
    ] = None,
    rungs: Annotated[
        str | None,
        typer.Option(help="Ladder of epochs x seeds, such as '3x1, 3x3, 12x4'; of each rung one in three climbs."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="What the whole study may take: '40 trainings', '200 epochs' or '2 h'; sets --trials."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of AdamW in a candidate's training.")] = None,
    block_rate_factor: Annotated[float | None, typer.Option(help="Rate of new blocks over the base's.")] = None,
    max_params: Annotated[
        str | None,
        typer.Option(help="Most parameters, as 2e6 or 2M; with more no candidate is trained.", metavar="COUNT"),
    ] = None,
    max_macs: Annotated[
        str | None,
        typer.Option(help="Most MACs an image, as 5e8 or 500M; with more no candidate is trained.", metavar="COUNT"),
    ] = None,
    max_latency_ratio: Annotated[
        float | None, typer.Option(help="Highest latency, times the baseline's; beyond it no candidate is a finalist.")
    ] = None,
    min_map50_95: Annotated[
        float | None, typer.Option("--min-map50-95", help="Lowest mAP50-95; below it no candidate is a finalist.")
    ] = None,
    required_sites: Annotated[
        list[str] | None, typer.Option("--with", help="Every candidate has a block at this site. Repeatable.")
    ] = None,
    forbidden_sites: Annotated[
        list[str] | None, typer.Option("--without", help="No candidate has a block at this site. Repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="Try this candidate first: an architecture file, one of the article's models (yolov5n-clo-head), or "
            "STUDY/ID of an earlier study. Repeatable."
        ),
    ] = None,
    latency_seconds: Annotated[
        float | None, typer.Option(help="Most seconds to measure one candidate's latency.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start every training from random weights.")
    ] = False,
    objectives: Annotated[
        str | None, typer.Option(help="Comma-separated: map50_95 and one or more of latency, macs, params.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="cost-aware, tpe, nsga2, nsga3, gp or random.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings at once. [default: one a core while memory lasts, or one a GPU]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of a training. [default: cores divided among the workers]")
    ] = None,
    loader_workers: Annotated[int | None, typer.Option(help="Image-loading processes of a CUDA training.")] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study and of its folder; the same name continues it.")
    ] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing until the end.")] = False,
    as_json: Json = False,
) -> None:
    """Search: propose candidates, measure and train them, write the Pareto report.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    from harness.settings import search_settings
    from harness.terminal import observer

    settings = search_settings(
        trials=trials, more=more, timeout_s=_duration(timeout), data=data, base=base, space=space, device=device,
        imgsz=imgsz, epochs=epochs, base_epochs=base_epochs, batch=batch, seed=seed, seeds=seeds, finalists=finalists,
        rungs=rungs, budget=budget, learning_rate=learning_rate, block_rate_factor=block_rate_factor,
        constraints={
            "max_params": _count("--max-params", max_params), "max_macs": _count("--max-macs", max_macs),
            "max_latency_ratio": max_latency_ratio, "min_map50_95": min_map50_95,
            "required_sites": required_sites or (), "forbidden_sites": forbidden_sites or (),
        },
        include=tuple(include or ()), latency_seconds=latency_seconds, from_scratch=from_scratch,
        objectives=None if objectives is None else tuple(objectives.split(",")), sampler=sampler, workers=workers,
        threads=threads, loader_workers=loader_workers, study=study, storage=storage, results=results,
    )  # fmt: skip
    title = f"clo search · {settings.study} · {settings.base} on {Path(settings.data).stem} at {settings.imgsz} px"
    interrupted = False
    with observer(title, quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.records import load_record
        from harness.search.run import search as run
        from harness.settings import without_password

        try:
            record = run(settings, watch, ["clo", *map(without_password, sys.argv[1:])])
        except KeyboardInterrupt:
            interrupted = True
            try:
                record = load_record(settings.storage_url, settings.study)
            except UserError:  # stopped before there was a study
                raise typer.Exit(130) from None
        watch.phase("writing the report")
        folder = _write(record, settings.folder)
    _close(record, folder, as_json)
    if interrupted:
        raise typer.Exit(130)


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write a study's report again, from its storage alone; also while the search is running."""
    record, folder = study_record(study, storage, results)
    _write(record, folder)
    _close(record, folder, as_json)


@app.command()
def fidelity(
    plan: Annotated[str, typer.Argument(help="Plan: a YAML, or one that ships by name.")] = "default",
    workers: Annotated[
        int | None, typer.Option(help="Trainings at once, one CPU thread each. [default: one a core]", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds one folder a plan.")] = Path("results/fidelity"),
    as_json: Json = False,
) -> None:
    """Measure whether short trainings rank architectures as long ones do; takes hours, and resumes.

    Reports of searches at the same setting quote what it finds.
    """
    from harness.report.fidelity import read_setting, write_fidelity, write_setting
    from harness.search.fidelity import check_same, load_plan, run_fidelity, study_setting

    chosen = load_plan(plan)
    folder = out / chosen.name
    setting = study_setting(chosen, ["clo", *sys.argv[1:]])
    before = read_setting(folder)
    if before:
        check_same(setting, before, folder)
    write_setting(setting, folder)
    rows = run_fidelity(
        chosen,
        folder,
        workers=workers,
        say=(lambda _: None) if as_json else print,
        after_each=lambda rows: write_fidelity(rows, setting["plan"], folder),
    )
    table = write_fidelity(rows, setting["plan"], folder)
    if as_json:
        print_json({"folder": str(folder), "table": table.astype(object).where(table.notna(), None).to_dict("records")})
    else:
        print(f"{len(rows)} trainings; read {folder / 'README.md'}")


@app.command()
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


@app.command()
def model(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    classes: Annotated[int | None, typer.Option(help="Classes of the data. [default: the model's own]", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="File to write. [default: standard output]")] = None,
    as_json: Json = False,
) -> None:
    """Print a model as an Ultralytics model YAML; it trains with plain Ultralytics once `harness` is imported."""
    from harness.detectors import build, find_detector, to_yaml

    detector = find_detector(name)
    config = detector.config(classes)
    build(config)
    shown = {key: value for key, value in config.items() if key not in {"yaml_file", "scale", "ch", "names"}}
    text = to_yaml(shown, f"{name}: {detector.architecture.describe()}\nmade by clo-nas; needs `import harness`")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"model": name, "file": str(out) if out else None, "yaml": shown})
    else:
        print(out or text, end="\n" if out else "")


@app.command()
def train(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: Annotated[str, typer.Option(help="Dataset YAML. [default: digits, embedded]")] = EMBEDDED_DATA,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the base to start from. [default: random weights]")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.", min=1)] = 20,
    imgsz: ImageSize = 128,
    batch: Annotated[int, typer.Option(help="Images a step.", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, or a CUDA device's number.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. [default: all cores]", min=1)] = None,
    loader_workers: Annotated[int, typer.Option(help="Image-loading processes of a CUDA training.", min=0)] = 4,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write. [default: results/train/<model>.pt]")] = None,
    as_json: Json = False,
) -> None:
    """Train one detector with the trainer of a search; validate it once, at the end."""
    from harness.search.train_model import TrainOptions, train_model
    from harness.terminal import observer

    target = out or Path("results") / "train" / f"{Path(model).stem}.pt"
    with observer(f"clo train · {model}", quiet=False, machine=as_json) as watch:
        watch.phase(f"training {model}, {epochs} epochs on {data} at {imgsz} px")
        result = train_model(
            TrainOptions(
                model=model, data=data, weights=weights, epochs=epochs, imgsz=imgsz, batch=batch, seed=seed,
                device=device, threads=threads, loader_workers=loader_workers, out=target,
            ),
            lambda message: watch.progress(*message[1:]),
        )  # fmt: skip
    if as_json:
        print_json({"model": model, "weights": str(target), "seed": seed, "epochs": epochs, **result.figures()})
        return
    print(f"mAP50-95 {result.map50_95:.4f}, mAP50 {result.map50:.4f} ({result.evaluator}; one seed, {seed})")
    print(f"{result.train_seconds:.0f} s; {result.transferred}\nWeights: {target}")


@app.command()
def cost(model: Annotated[str, typer.Argument(help=MODEL_HELP)], imgsz: ImageSize = 640, as_json: Json = False) -> None:
    """Count a model's parameters, MACs, FLOPs (2 × MACs), elementwise operations and peak activations, batch 1."""
    from harness.detectors import load_model
    from harness.detectors.description import silence
    from harness.measure.ledger import fused_ledger, model_ledger

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


@app.command()
def latency(
    a: Annotated[str, typer.Argument(help=MODEL_HELP)],
    b: Annotated[str, typer.Argument(help="What A is compared with; the same kinds.")],
    imgsz: ImageSize = 640,
    batch: Annotated[int, typer.Option(help="Images a pass.", min=1)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, or a CUDA device's number.")] = "auto",
    mode: Annotated[str, typer.Option(help="eager, compile, cuda_graphs or onnxruntime.")] = "eager",
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or bf16.")] = "fp32",
    memory_format: Annotated[
        str | None, typer.Option(help="contiguous or channels_last. [default: channels_last on CUDA]")
    ] = None,
    no_fuse: Annotated[bool, typer.Option("--no-fuse", help="As trained, batch norms not merged.")] = False,
    precision: Annotated[
        float, typer.Option(help="Stop once the ratio's 95 % interval is within ± this many percent of it.")
    ] = 1.0,
    seconds: Annotated[float, typer.Option(help="Most seconds to measure.", min=0.1)] = 45.0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    samples: Annotated[Path | None, typer.Option(help="Parquet file to write the time of every pass to.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the latency of model A over that of model B, the two interleaved so that drift cancels."""
    import torch

    from harness.detectors import load_model
    from harness.detectors.description import silence
    from harness.measure.latency import interleaved_latency
    from harness.measure.raw_samples import write_parquet
    from harness.measure.runtimes import Dtype, MemoryFormat, Mode, Runtime
    from harness.search.setting import resolve_device

    if not precision > 0:
        raise UserError(f"--precision {precision}: it is above 0, in percent")
    runtime = Runtime(
        mode=choice("--mode", Mode, mode),
        dtype=choice("--dtype", Dtype, dtype),
        memory_format=None if memory_format is None else choice("--memory-format", MemoryFormat, memory_format),
        fused=not no_fuse,
    )
    if threads:
        torch.set_num_threads(threads)
    chosen = resolve_device(device)
    models = load_model(a), load_model(b)
    with silence():
        measured = interleaved_latency(
            *models, imgsz=imgsz, device=chosen, runtime=runtime, batch=batch, target_half_width=precision / 100,
            max_seconds=seconds,
        )  # fmt: skip
    if samples:
        write_parquet(measured, samples, candidate_model=a, baseline_model=b)
    if as_json:
        plain = measured.to_dict()
        plain |= {"a": {"model": a, **plain.pop("candidate")}, "b": {"model": b, **plain.pop("baseline")}}
        plain["latency_ms_p50"] = {"a": measured.candidate.p50, "b": measured.baseline.p50}
        print_json(plain)
        return
    print_latency(a, b, measured)


@app.command()
def export(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    architecture: Annotated[str, typer.Argument(help="Identity of the architecture, as in the tables.")],
    to: Annotated[
        str, typer.Option(help="yaml: trainable Ultralytics model; architecture: base and placements.")
    ] = "yaml",
    out: Annotated[
        Path | None, typer.Option(help="File to write. [default: <id>.yaml in the study's export folder]")
    ] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Take an architecture home as an Ultralytics model YAML."""
    import yaml

    record, folder = study_record(study, storage, results)
    if architecture not in record.model_yamls:
        raise UserError(
            f"study {study} has no architecture '{architecture}'; it has {', '.join(record.model_yamls) or 'none'}"
        )
    if to not in {"yaml", "architecture"}:
        raise UserError(f"--to {to}: choose yaml or architecture")
    text = record.model_yamls[architecture]
    if to == "architecture":
        text = yaml.safe_dump(record.architectures[architecture].to_dict(), sort_keys=False)
    path = out or folder / "export" / f"{architecture}{'' if to == 'yaml' else '.architecture'}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"study": study, "architecture": architecture, "file": str(path)})
        return
    script = f"import harness; from ultralytics import YOLO; YOLO('{path}').train(data='your.yaml')"
    how = f"clo train {path} --data your.yaml" if to == "architecture" else f'python -c "{script}"'
    print(f"{path}\nTrain it: {how}")


app.command()(leave_one_out)
app.command()(simulate)


def main() -> None:
    """Entry point: errors of the user are one sentence and exit code 2."""
    try:
        isolate_ultralytics()
        app(prog_name="clo")
    except UserError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}; everything finished before is kept")
    except Exception as error:
        if not type(error).__module__.startswith(("sqlalchemy", "optuna")):
            raise
        from harness.records import storage_failure

        _fail(f"the study's storage failed ({storage_failure(error)}); everything finished before is kept")


def _fail(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


def _duration(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or float(match[1]) == 0:
        raise UserError(f"--timeout {text}: not a time; write 90, 90s, 25m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _count(option: str, text: str | None) -> float | None:
    """A number as reports print it, such as 1.77M."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*(?:e\d+)?)\s*([kMG]?)", text.strip())
    if not match:
        raise UserError(f"{option} {text}: not a count; write 1770000, 1.77e6 or 1.77M")
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]


def _write(record: Any, folder: Path) -> Path:
    from harness.report import write_report

    write_report(record, folder)
    return folder


def _close(record: Any, folder: Path, as_json: bool) -> None:
    from harness.report import closing

    summary = {**closing(record), "folder": str(folder)}
    if as_json:
        print_json(summary)
        return
    from rich.console import Console

    Console().print(f"\n{summary['answer']}\n", markup=False, highlight=False)
    print(f"Report: {folder / 'report.html'}")


if __name__ == "__main__":
    main()
