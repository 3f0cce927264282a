"""A training that nobody runs."""

from __future__ import annotations

from harness.measure.training import Schedule, Training


def pretended_training(folder: str, device: str) -> Training:
    """Its data are a folder, in which the pretended processes leave what they were told."""
    return Training(
        config={}, base_config={}, base_weights=None, layers={}, data=folder, classes=1, seed=0, device=device,
        threads=7, schedule=Schedule(epochs=1, batch=6, imgsz=64, learning_rate=1e-3),
    )  # fmt: skip
