"""What it would take to decide a claim on accuracy: the arms that are missing, the seeds that are too few."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.power import NoNumber
from harness.claims.required import Case, Comparison, Missing
from harness.claims.verdict import Verdict


def what_is_left(found: Sequence[Case], claimed: float) -> str:
    """Say what an undecided claim lacks.

    Args:
        found: What its rule rests on.
        claimed: At least so much is claimed.

    Returns:
        Which arms are missing and what to do, and how many seeds it takes for those comparisons that are open.
    """
    undecided = [case for case in found if case.verdict(claimed) is Verdict.UNDECIDED]
    missing = [each for case in undecided for each in case.missing]
    if not any(case.measured for case in found):
        return "the trainings themselves: run the command below"
    compared = [each for case in undecided for each in case.measured if each.verdict(claimed) is Verdict.UNDECIDED]
    return "; ".join(filter(None, [*_by_remedy(missing), _seeds_to_decide(compared, claimed)]))


def _by_remedy(missing: Sequence[Missing]) -> list[str]:
    """Format what is missing, what is fixed alike together."""
    remedies = dict.fromkeys(each.remedy for each in missing)
    return [
        f"{', '.join(dict.fromkeys(f'of {each.model} {each}' for each in missing if each.remedy == said))}: {said}"
        for said in remedies
    ]


def _seeds_to_decide(compared: Sequence[Comparison], claimed: float) -> str:
    """Format how many seeds the open comparisons need; empty where there are none."""
    unknown = dict.fromkeys(each.unknown for each in compared if each.unknown)
    if unknown:
        return f"two seeds or more of every arm, that differ ({'; '.join(unknown)})"
    needed = [each.needed(claimed) for each in compared]
    if not needed:
        return ""
    if NoNumber.TOO_MANY in [each.seeds for each in needed]:
        why = (
            "which lies almost exactly on what is claimed: more seeds first have to show on which side it falls"
            if claimed
            else "which is nothing for any practical purpose"
        )
        return (
            f"{NoNumber.TOO_MANY} seeds for at least one comparison, if its true difference is the measured one, {why}"
        )
    most = max(needed, key=lambda each: int(each.seeds))
    return (
        f"{most.seeds} seeds an arm for the hardest of the open comparisons, if its true difference is the measured "
        f"one (power 80 % if the noise is as estimated, {100 * most.expected_power:.0f} % on average over what it may "
        f"be; {most.cautious} seeds where it is at the upper end of its 95 % interval)"
    )
