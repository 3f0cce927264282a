"""What a model costs and how fast it is, as tables for people; imported where torch is there already."""

from __future__ import annotations

from harness.cli.printing import print_table
from harness.cost.ledger import Ledger
from harness.latency.latency import Latency
from harness.latency.threads import Threads


def print_ledger(title: str, ledger: Ledger, fused: Ledger | None) -> None:
    """Print what a model costs: by layer, by operator, and in total as trained and as deployed."""
    print_table(
        ["layer", "class", "parameters", "MACs, M", "FLOPs, M", "elementwise, M", "output"], _layer_rows(ledger)
    )
    counted = ledger.cost
    share = {name: f"{macs / max(1, counted.macs):.1%}" for name, macs in counted.by_operator.items()}
    print_table(
        ["operator", "MACs", "FLOPs", "share"],
        [[name, f"{macs:,}", f"{2 * macs:,}", share[name]] for name, macs in counted.by_operator.items()],
    )
    print_table(["operator", "elementwise operations"], [[n, f"{k:,}"] for n, k in counted.elementwise.items()])
    print("not counted:", *ledger.not_counted, sep="\n  ")
    for form, each in (("as trained, unfused", ledger), ("as deployed, fused", fused)):
        if each:
            total = each.cost
            print(
                f"{title}, {form}: {total.params:,} parameters, {total.macs:,} MACs, "
                f"{total.flops:,} FLOPs, {sum(total.elementwise.values()):,} elementwise operations, "
                f"{each.peak_activation_bytes:,} bytes of activations at the peak"
            )


def print_latency(a: str, b: str, measured: Latency, threads: Threads) -> None:
    """Print how model A's latency compares with model B's, and in three lines under which conditions."""
    low, high = measured.ratio_ci95
    print(
        f"A over B: {measured.ratio:.3f} [95 % interval {low:.3f} to {high:.3f}], stopped: {measured.stopped} "
        f"(asked: ±{measured.target_half_width:.1%}, {measured.max_seconds:g} s)"
    )
    rows = [
        [name, *(f"{ms:.3f}" for ms in (timing.p50, timing.p90, timing.p99)), timing.repetitions]
        for name, timing in ((a, measured.candidate), (b, measured.baseline))
    ]
    print_table(["model", "p50 ms", "p90 ms", "p99 ms", "passes"], rows)
    print(*_conditions(measured), f"CPU threads: {threads}", sep="\n")


def _conditions(measured: Latency) -> list[str]:
    """Say how the models ran, and what the machine did meanwhile; what it doesn't tell is left out."""
    runs = [
        f"{measured.mode} ({measured.engine})",
        measured.dtype + (" with TF32" if measured.tf32 else ""),
        measured.memory_format,
        "fused" if measured.fused else "unfused",
        f"batch {measured.batch} at {measured.imgsz} px",
        f"NMS {measured.nms}",
    ]
    cores = "" if measured.affinity is None else f" on {len(measured.affinity)} cores"
    machine = [
        measured.cpu if measured.device == "cpu" else measured.device,
        f"{measured.threads} {'thread' if measured.threads == 1 else 'threads'}{cores}",
        f"L2 {measured.l2_cache}",
    ]
    for said, before, after in (
        ("load {} → {}", measured.before.load_average, measured.after.load_average),
        ("CPU {} → {} MHz", measured.before.cpu_mhz, measured.after.cpu_mhz),
    ):
        if before is not None and after is not None:
            machine.append(said.format(f"{before:.4g}", f"{after:.4g}"))
    if gpu := measured.after.gpu:
        machine.append(
            f"SM {gpu.sm_mhz} of {gpu.sm_mhz_max} MHz, throttled by: {', '.join(gpu.throttle_reasons or ['-'])}"
        )
    return [", ".join(runs), ", ".join(filter(None, machine))]


def _layer_rows(ledger: Ledger) -> list[list[str]]:
    """Format the table by layer in millions; of several outputs the first."""
    rows = []
    for layer in ledger.layers:
        millions = [f"{count / 1e6:.3f}" for count in (layer.macs, layer.flops, layer.elementwise)]
        shapes = ["×".join(map(str, shape)) for shape in layer.outputs]
        output = shapes[0] + (" …" if len(shapes) > 1 else "") if shapes else ""
        rows.append([layer.name, layer.kind, f"{layer.params:,}", *millions, output])
    return rows
