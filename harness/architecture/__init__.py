"""What is placed where: blocks at sites of a base, and the identity of the whole; neither torch nor Optuna."""

from harness.architecture.architecture import BASELINE, Architecture
from harness.architecture.choices import FeedForward, Gate, Init, Kind, LocalGroup, MapSize, Mode, Operator
from harness.architecture.placement import Placement

__all__ = [
    "BASELINE",
    "Architecture",
    "FeedForward",
    "Gate",
    "Init",
    "Kind",
    "LocalGroup",
    "MapSize",
    "Mode",
    "Operator",
    "Placement",
]
