"""Pure functions from a study's tables to fronts, intervals and verdicts."""

from harness.analysis.fronts import non_dominated
from harness.analysis.statistics import summarise

__all__ = ["non_dominated", "summarise"]
