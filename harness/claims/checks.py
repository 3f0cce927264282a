"""Which function decides which claim, of those that need no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.claims import content, convffn, equivariance, frequency, insertion, network, pooling
from harness.claims.ledger import Claim, ClaimKind
from harness.claims.verdict import Finding
from harness.common.errors import UserError

Check = Callable[[], Finding]

# By the name that a claim gives its check: `module.function`.
CHECKS: Mapping[str, Check] = {
    f"{function.__module__.rpartition('.')[2]}.{function.__name__}": function
    for function in (
        equivariance.attnconv_is_equivariant,
        content.weights_adapt,
        frequency.local_branch_supplies_high_frequencies,
        pooling.cuts_flops,
        pooling.keeps_global_field,
        pooling.cuts_params,
        convffn.aggregates_neighbours,
        convffn.downsamples,
        network.has_the_published_shape,
        network.has_the_published_params,
        network.has_the_published_flops,
        insertion.goes_into_yolov5,
        insertion.goes_into_yolov7,
        insertion.goes_into_yolov8,
    )
}


def needs_training(claim: Claim) -> bool:
    """Return whether deciding it from scratch requires training detectors."""
    return claim.kind is ClaimKind.ACCURACY


def run_check(claim: Claim) -> Finding:
    """Decide a claim here and now; the one on trained weights stays undecided without them.

    Raises:
        UserError: Its check trains detectors, or there is no such check.
    """
    if claim.check not in CHECKS:
        raise UserError(f"claim {claim.id}: its check {claim.check} is none of those that need no training")
    return CHECKS[claim.check]()
