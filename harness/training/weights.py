"""Weights between two rungs: kept until the longer training has them, made again where they are lost."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from harness.common.atomic import remove_left_overs
from harness.common.digest import file_digest
from harness.record.ladder import Ladder
from harness.training.accuracy import Training


class KeptWeights:
    """Checkpoints in the study's folder, one for each training that a longer one may go on from.

    The last rung's are not kept, nor any where all rungs have the same number of epochs.

    Args:
        folder: Where they lie; made when the first is written.
        ladder: The search's rungs.
    """

    def __init__(self, folder: Path, ladder: Ladder) -> None:
        self._folder = folder
        self._ladder = ladder

    def path(self, identity: str, epochs: int, seed: int) -> Path:
        """Return where the weights of a training belong."""
        return self._folder / f"{identity}-{epochs}-{seed}.pt"

    def digest(self, identity: str, epochs: int, seed: int) -> str | None:
        """Return SHA-256 of a checkpoint, None where there is none: what is damaged later has another."""
        path = self.path(identity, epochs, seed)
        return file_digest(path) if path.is_file() else None

    def chain(self, training: Training, identity: str, epochs: int, digests: Mapping[int, str]) -> list[Training]:
        """List the trainings that lead to a step: the last is the step itself, others make lost weights again.

        Args:
            training: From the base's weights; its epochs and what it begins with are replaced.
            identity: The architecture.
            epochs: Of the step.
            digests: Epochs to `digest` of what this seed's finished trainings have left.
        """
        steps = [epochs]
        while below := self._ladder.below(steps[0]):
            digest = digests.get(below)
            if digest is not None and digest == self.digest(identity, below, training.seed):
                break
            steps.insert(0, below)
        return [self._one(training, identity, step) for step in steps]

    def _one(self, training: Training, identity: str, epochs: int) -> Training:
        below = self._ladder.below(epochs)
        return replace(
            training,
            schedule=replace(training.schedule, epochs=epochs - below),
            trained_epochs=below,
            start=self.path(identity, below, training.seed) if below else None,
            save_to=self.path(identity, epochs, training.seed) if epochs < self._ladder.levels[-1] else None,
        )

    def forget(self, identity: str, epochs: int, seed: int) -> None:
        """Remove what nothing goes on from any more."""
        self.path(identity, epochs, seed).unlink(missing_ok=True)

    def keep_only(self, identities: Collection[str]) -> None:
        """Remove the weights of all other architectures, and what a killed training left half written.

        What another search of the study writes just now stays; the folder too, until nothing is kept.
        """
        remove_left_overs(self._folder)
        for path in self._folder.glob("*.pt"):
            if path.name.split("-")[0] not in identities:
                path.unlink(missing_ok=True)
        if not identities:
            with contextlib.suppress(OSError):  # not there, or not empty
                self._folder.rmdir()
