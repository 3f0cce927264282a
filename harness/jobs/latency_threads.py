"""The CPU threads of a study's latency measurements: chosen once, recorded, and the same ever after.

Ratios that were measured with one thread and with two are of two machines. So the first run of a study chooses
(`harness.latency.threads`), and every later one, and every other member, takes what it finds recorded.
"""

from __future__ import annotations

from harness.common.exclusive import Machine
from harness.jobs.progress import Observer
from harness.latency.threads import Threads, stable_threads
from harness.record.surroundings import LATENCY_THREADS, Device, Environment
from harness.storage.study import SearchStudy


def latency_threads(
    study: SearchStudy, observer: Observer, *, asked: int | None, device: str, otherwise: int, on_cluster: bool
) -> Threads:
    """Choose the threads, or take the study's; record and say them.

    Args:
        study: Open.
        observer: Told what is waited for, and of a number that is not the one asked for or not free now.
        asked: `--threads`.
        device: `cpu` or CUDA devices.
        otherwise: Threads where there is nothing to choose: on a GPU, and of a cluster's task.
        on_cluster: Whether tasks of a cluster measure, on cores that are theirs.
    """
    may_choose = device == "cpu" and not on_cluster
    with study.members.turn():
        environment = study.environment
        before = _recorded(study, environment)
        if before is not None:
            chosen = Threads(count=before, reason="as in this study before")
        elif asked or not may_choose:
            reason = "--threads" if asked else "the cluster's for a training" if on_cluster else "torch's own"
            chosen = Threads(count=asked or otherwise, reason=reason)
        else:
            chosen = _tried(observer)
        if environment.latency_threads is None:
            study.environment = environment | {LATENCY_THREADS: chosen.to_dict()}
    if before is None:
        if may_choose:
            observer.note(f"latency is measured with {chosen}")
    elif asked and asked != before:
        observer.note(f"latency is measured with {chosen}, not with --threads {asked}")
    elif may_choose and before > 1 and (now := _tried(observer, before)).count < before:
        observer.note(f"latency is measured with {chosen}; what would be stable now is {now}")
    return chosen


def _recorded(study: SearchStudy, environment: Environment) -> int | None:
    """Return the threads that the study's latencies are measured with; None where that is not decided yet."""
    if environment.latency_threads is not None:
        return environment.latency_threads.count
    if study.record().trials["latency_ms_p50"].isna().all():
        return None
    # a study from before they were chosen took as many as torch does, or --threads
    threads = environment.device.threads if isinstance(environment.device, Device) else None
    return environment.torch_threads_alone or threads


def _tried(observer: Observer, most: int | None = None) -> Threads:
    with Machine().alone(lambda what: observer.phase(f"waiting for {what}")):
        return stable_threads(most)
