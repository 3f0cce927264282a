"""Which of a study's checkpoints goes along with an architecture.

The one with the most epochs, and of its seeds the first: the best of several seeds would be chosen by the validation
images that judge it.
"""

from __future__ import annotations

from pathlib import Path

from harness.search.arm_loop import weights_path
from harness.search.exported import TrainedWeights
from harness.study_record import StudyRecord


def trained_weights(record: StudyRecord, folder: Path, identity: str) -> TrainedWeights | None:
    """The checkpoint of an architecture's longest training, and of its seeds the first; None where there is none.

    Args:
        record: The study; a file of no complete training of it does not count.
        folder: The study's.
        identity: The architecture's.
    """
    rows = record.trials[(record.trials.architecture == identity) & (record.trials.state == "complete")]
    keys = {(int(e), int(b), int(s)) for e, b, s in zip(rows.epochs, rows.base_seed, rows.seed, strict=True)}
    kept = [
        TrainedWeights(path=path, epochs=epochs, base_seed=base_seed, seed=seed)
        for epochs, base_seed, seed in keys
        if (path := weights_path(folder, identity, base_seed, seed, epochs)).is_file()
    ]
    return min(kept, key=lambda found: (-found.epochs, found.base_seed, found.seed), default=None)
