"""What an Optuna study says of each candidate: its readings, what it cost, and whether it was asked for at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optuna.study import Study
from optuna.trial import TrialState

from harness.architecture import BASELINE
from harness.record.study import DUPLICATE, ROLE, ROW
from harness.search.candidates import Candidates, Codes
from harness.search.improvement import Floats


@dataclass(frozen=True, kw_only=True)
class History:
    """What a study has of each candidate; more accuracy and less cost is better.

    Attributes:
        codes: Candidates with a reading, (N, D).
        accuracy: Mean of each one's readings, (N,).
        readings: How many, (N,).
        cost: What each was found to cost, (N,).
        noise_sd: Standard deviation of a reading, from candidates that have several; None if none has. The baseline is
            not among them: its gain is 0 by definition, so that all its readings are told as equal.
        pending: Candidates without a reading that are being trained, (M, D).
        taken: Keys of all candidates that were ever asked for.
    """

    codes: Codes
    accuracy: Floats
    readings: Floats
    cost: Floats
    noise_sd: float | None
    pending: Codes
    taken: frozenset[bytes]

    @classmethod
    def of(cls, study: Study, candidates: Candidates, learnt: int, *, without: int | None = None) -> History:
        """Read a study.

        Args:
            study: With two objectives. A trial that is none of the candidates teaches nothing.
            candidates: What may be proposed.
            learnt: Number of the objective that is accuracy.
            without: Number of a trial to leave out: the one that is being asked for.
        """
        codes: dict[bytes, Codes] = {}
        running: set[bytes] = set()
        defined: set[bytes] = set()
        found: dict[bytes, list[tuple[float, float]]] = {}
        for trial in study.get_trials(deepcopy=False):
            code = candidates.code(trial.params)
            if code is None or trial.number == without:
                continue
            codes[key_of(code)] = code
            if trial.state == TrialState.RUNNING:
                running.add(key_of(code))
            elif trial.user_attrs.get(ROLE) == DUPLICATE:
                continue  # answered from the record: no reading of its own
            elif trial.state == TrialState.COMPLETE:
                found.setdefault(key_of(code), []).append((trial.values[learnt], trial.values[1 - learnt]))
                if trial.user_attrs.get(ROW, {}).get("architecture") == BASELINE:
                    defined.add(key_of(code))
        readings = [np.array(each) for each in found.values()]
        return cls(
            codes=np.vstack([candidates.no_codes, *(codes[key] for key in found)]),
            accuracy=np.array([each[:, 0].mean() for each in readings]),
            readings=np.array([len(each) for each in readings], dtype=float),
            cost=np.array([each[:, 1].mean() for each in readings]),
            noise_sd=_pooled_sd([np.array(each)[:, 0] for key, each in found.items() if key not in defined]),
            pending=np.vstack([candidates.no_codes, *(codes[key] for key in sorted(running - found.keys()))]),
            taken=frozenset(codes),
        )


def key_of(code: Codes) -> bytes:
    """Return a key that is equal for equal candidates."""
    return code.tobytes()


def _pooled_sd(readings: list[Floats]) -> float | None:
    """Compute the standard deviation within candidates that have several observations."""
    several = [each for each in readings if len(each) > 1]
    if not several:
        return None
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in several)
    return float(np.sqrt(squares / sum(len(each) - 1 for each in several)))
