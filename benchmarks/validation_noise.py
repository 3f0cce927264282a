"""How much of a paired difference's noise is the choice of validation images? One table.

Two detectors, a candidate and its control of one seed, are validated once; from their matches follows how much each
image moves the difference of mAP50-95. The standard deviation is what another sample of validation images would
change; compare it with the noise of a fidelity study, the scatter over seeds on the same images.

    python benchmarks/validation_noise.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from harness.analysis.new_images import image_noise
from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.common.isolation import cache_folder, isolate_ultralytics
from harness.data.check import check_dataset
from harness.detectors import find_sites, index_map, insert, resolve_base
from harness.jobs.base import base_schedule, common_base
from harness.jobs.place import find_place
from harness.jobs.setting import Prepared
from harness.record.settings import SearchSettings
from harness.training.accuracy import Schedule, Training, train
from harness.training.torchvision_compat import ensure_torchvision

DEFAULTS = SearchSettings()


def _block(site: str, kernel: int, local: int, others: int, kind: Kind = Kind.BLOCK) -> Placement:
    groups = (LocalGroup(kernel, local),) if local else ()
    return Placement(site=site, kind=kind, groups=groups, global_heads=others, kv_pool=1, ffn_ratio=2.0)


ARCHITECTURES = {
    "control": (),
    "A: neck.P3 + backbone.P4 blocks": (_block("neck.P3", 5, 4, 4), _block("backbone.P4", 5, 4, 4)),
    "B: neck.P5 local attention": (_block("neck.P5", 3, 4, 0, Kind.ATTENTION),),
    "C: three local blocks": tuple(_block(site, 3, 4, 0) for site in ("backbone.P3", "neck.P3", "neck.P4")),
}


def main(
    seed: Annotated[int, typer.Option(help="Seed of the trainings.")] = 0,
) -> None:
    """Print how much validation images move the difference of two detectors."""
    isolate_ultralytics()
    ensure_torchvision()
    base = resolve_base(DEFAULTS.base)
    sites = find_sites(base)
    data = check_dataset(DEFAULTS.data, DEFAULTS.imgsz, cache=cache_folder())
    schedule = Schedule(
        epochs=DEFAULTS.epochs,
        batch=DEFAULTS.batch,
        imgsz=DEFAULTS.imgsz,
        learning_rate=DEFAULTS.learning_rate,
        block_rate_factor=DEFAULTS.block_rate_factor,
    )
    prepared = Prepared(**vars(find_place(device="cpu", workers=1, threads=2)), base=base, sites=sites, data=data)
    own_schedule = base_schedule(schedule, DEFAULTS.base_epochs)
    start = common_base(prepared, own_schedule, seed=DEFAULTS.seed, loader_workers=0, results=Path())
    results = {}
    for name, placements in ARCHITECTURES.items():
        architecture = Architecture(base=base.name, placements=placements)
        result = train(
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
            )
        )
        results[name] = result
    control = results.pop("control")
    shown = Table("architecture", "difference", "sd over validation images", "images")
    for name, own in results.items():
        influence = np.subtract(own.image_influence, control.image_influence)
        difference = own.ultralytics_map50_95 - control.ultralytics_map50_95
        noise = image_noise(influence[None])
        shown.add_row(name, f"{difference:+.4f}", f"{noise.sd:.4f}", str(data.val_images))
    Console().print(shown)


if __name__ == "__main__":
    typer.run(main)
