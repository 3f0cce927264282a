"""How much of a paired difference's noise is the choice of validation images? One table.

Two detectors, a candidate and its control of one seed, are validated once; the images are then drawn with
replacement, and the difference of mAP50-95 is computed anew from the same detections. Its standard
deviation is what another sample of validation images would change; compare it with `noise.py`, the scatter
over seeds on the same images.

    python benchmarks/validation_noise.py --draws 200
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from noise import ARCHITECTURES, DEFAULTS, SCHEDULES
from rich.console import Console
from rich.table import Table

from harness.architecture import Architecture
from harness.data.check import check_dataset
from harness.detectors import find_sites, index_map, insert, resolve_base
from harness.isolation import cache_folder, isolate_ultralytics
from harness.measure.accuracy import Training, train
from harness.search.base import base_schedule, common_base
from harness.torchvision_compat import ensure_torchvision


def main(
    draws: Annotated[int, typer.Option(help="Bootstrap samples of the validation images.", min=20)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the trainings.")] = 0,
) -> None:
    """Bootstrap the difference of two detectors over validation images."""
    isolate_ultralytics()
    ensure_torchvision()
    base = resolve_base(DEFAULTS.base)
    sites = find_sites(base)
    data = check_dataset(DEFAULTS.data, DEFAULTS.imgsz, cache=cache_folder())
    schedule = SCHEDULES["default: base 1e-3, blocks 5e-3"]
    start = common_base(
        base, data, base_schedule(schedule, DEFAULTS.base_epochs), seed=DEFAULTS.seed, device="cpu", threads=2,
        loader_workers=0, on_progress=lambda _: None,
    )  # fmt: skip
    detections = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, placements in ARCHITECTURES.items():
            architecture = Architecture(base=base.name, placements=placements)
            path = Path(folder) / f"{len(detections)}.pt"
            train(
                Training(
                    config=insert(base, architecture, sites=sites, classes=len(data.names)),
                    base_config=base.config,
                    base_weights=start.weights,
                    layers=index_map(base, architecture, sites),
                    data=str(data.path),
                    classes=len(data.names),
                    schedule=schedule,
                    seed=seed,
                    device="cpu",
                    threads=2,
                    save_to=path,
                )
            )
            detections[name] = _validate(path, str(data.path))
    control = detections.pop("control")
    images = len(control["tp"])
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, images, images) for _ in range(draws)]
    shown = Table("architecture", "difference", "sd over validation images", "images")
    for name, own in detections.items():
        differences = [_map(own, sample) - _map(control, sample) for sample in samples]
        everything = np.arange(images)
        difference = _map(own, everything) - _map(control, everything)
        shown.add_row(name, f"{difference:+.4f}", f"{np.std(differences, ddof=1):.4f}", str(images))
    Console().print(shown)


def _validate(path: Path, data: str) -> dict[str, list[Any]]:
    """Matches, confidences and classes of every detection, an entry an image."""
    from ultralytics.models.yolo.detect import DetectionValidator

    kept: dict[str, list[Any]] = {"tp": [], "conf": [], "pred_cls": [], "target_cls": []}

    class Keeping(DetectionValidator):
        def get_stats(self) -> dict[str, Any]:
            for key in kept:
                kept[key] = list(self.metrics.stats[key])
            return dict(super().get_stats())

    options = {"model": str(path), "data": data, "imgsz": DEFAULTS.imgsz, "batch": 32, "device": "cpu", "plots": False}
    with tempfile.TemporaryDirectory() as folder:
        Keeping(args={**options, "project": folder})(model=str(path))
    return kept


def _map(kept: dict[str, list[Any]], images: np.ndarray[Any, Any]) -> float:
    """mAP50-95 of a sample of images."""
    from ultralytics.utils.metrics import ap_per_class

    drawn = {key: np.concatenate([np.asarray(values[i]) for i in images]) for key, values in kept.items()}
    average_precision = ap_per_class(drawn["tp"], drawn["conf"], drawn["pred_cls"], drawn["target_cls"])[5]
    return float(average_precision.mean())


if __name__ == "__main__":
    typer.run(main)
