"""What a search trains next: the control, what the user wants, what a sampler proposes, what climbs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import optuna

from harness.architecture import BASELINE, Architecture
from harness.jobs.progress import Observer
from harness.record.state import Key, State
from harness.search.promotion import has_to_wait, is_lost, missing
from harness.search.proposals import propose
from harness.search.region import Region
from harness.search.sampler import startup_of
from harness.search.setting import Setting
from harness.storage.study import Known, SearchStudy


class Start(NamedTuple):
    """A training to start."""

    architecture: Architecture
    key: Key
    name: str
    trial: optuna.trial.Trial | None = None


class Starts:
    """Chooses among what is not trained, nor under way anywhere.

    Args:
        study: Has what is trained; other searches may work on it.
        setting: The search's.
        region: Bounds on cost, if there are any.
        wanted: Candidates that the user wants tried first.
        observer: Told when nothing is left.
    """

    def __init__(
        self,
        study: SearchStudy,
        setting: Setting,
        region: Region | None,
        wanted: Sequence[Architecture],
        observer: Observer,
    ) -> None:
        settings = setting.settings
        self.base = Architecture(base=setting.base.name)
        self.control = Key(BASELINE, settings.epochs, settings.seed)
        self._study = study
        self._setting = setting
        self._region = region
        self._wanted = wanted
        self._observer = observer
        self._old_failures = study.failures(BASELINE)

    def candidates(self) -> int:
        """Count the candidates that have ended."""
        return sum(identity != BASELINE for identity in self._study.known())

    def most(self) -> int:
        """Count the possible candidates: those within the bounds on cost, if counted, and what was trained beyond."""
        record = self._study.record()
        feasible = record.space.feasible
        if self._region is None or feasible is None:
            return self._setting.space.size
        known = [record.architectures[identity] for identity in self._study.known() if identity != BASELINE]
        return feasible + sum(not self._region.holds(architecture) for architecture in known)

    def is_decided(self, control: Key) -> bool:
        """Return whether a control is trained, or has failed in this search."""
        return self._states().get(control, State.INTERRUPTED).settled

    def control_or_more(self, candidates: int | None) -> Start | None:
        """Return the control first; who finds it under way need not wait for it, if its trainings do not slow it down.

        What a sampler would propose by then is drawn at random all the same.

        Args:
            candidates: How many there are to be in all; None where only the control will tell.
        """
        if self.is_decided(self.control):
            return None
        if self.control not in self._study.under_way():
            return Start(self.base, self.control, "baseline")
        setting = self._setting
        apart = self._study.members.are_many or setting.cluster is not None or setting.device != "cpu"
        if candidates is None or not apart:
            return None
        return self.candidate(candidates, at_random=True)

    def candidate(self, target: int, *, at_random: bool = False) -> Start | None:
        """Return the next one that is neither known nor being trained; None if there is none.

        Args:
            target: How many candidates there are to be in all.
            at_random: Whether the sampler is left out.
        """
        settings, space, region = self._setting.settings, self._setting.space, self._region
        trained_now = {key.identity: Known(values=None) for key in self._study.under_way()}
        known = {**trained_now, **self._study.known()}
        count = sum(identity != BASELINE for identity in known)
        if count >= target:
            return None
        name = f"candidate {count + 1} of {target}"
        for architecture in [*self._study.unfinished(), *self._wanted]:
            identity = space.identity(architecture)
            if identity not in known and (not region or region.holds(architecture)):
                return Start(architecture, Key(identity, settings.epochs, settings.seed), name)
        rng = random.Random(f"{settings.seed}-{len(self._study.optuna.get_trials(deepcopy=False))}")
        startup = target if at_random else startup_of(settings.sampler)
        proposal = propose(self._study.optuna, space, lambda: known, rng, startup, region)
        if proposal is not None:
            key = Key(proposal.identity, settings.epochs, settings.seed)
            return Start(proposal.architecture, key, name, proposal.trial)
        if not trained_now:
            which = "candidates within the bounds" if region else f"{space.size} candidates of the space"
            self._observer.note(f"all {which} are done")
        return None

    def on_rung(self, architectures: Mapping[str, Architecture], chosen: Sequence[str], number: int) -> Start | None:
        """Return the first of a rung whose own control, and what it goes on from, need not be waited for.

        Args:
            architectures: By identity; those of the candidates that were promoted, at least.
            chosen: Identities of those.
            number: The rung's, from 0.
        """
        settings = self._setting.settings
        states, under_way = self._states(), self._study.under_way()
        for key in missing(settings, states, list(chosen), number):
            is_there = (key in states and states[key].settled) or key in under_way
            is_ready = not is_lost(key, settings.ladder, states) and not has_to_wait(
                key, settings.ladder, states, under_way
            )
            if is_ready and not is_there:
                return Start({**architectures, BASELINE: self.base}[key.identity], key, self._name(key))
        return None

    def of_extension(self, architectures: Mapping[str, Architecture], keys: Sequence[Key]) -> Start | None:
        """Return the first of an extension that nobody has trained or trains; what lost its control is not begun.

        Args:
            architectures: By identity.
            keys: From `promotion.extension`.
        """
        states, under_way = self._states(), self._study.under_way()
        for key in keys:
            control = states.get(key._replace(identity=BASELINE), State.INTERRUPTED)
            is_lost = key.identity != BASELINE and control.settled and control is not State.COMPLETE
            is_there = states.get(key, State.INTERRUPTED).settled or key in under_way
            if not is_there and not is_lost:
                return Start({**architectures, BASELINE: self.base}[key.identity], key, self._name(key))
        return None

    def _name(self, key: Key) -> str:
        name, levels = f"seed {key.seed} of {key.identity}", self._setting.settings.ladder.levels
        return name if levels == (key.epochs,) else f"{name}, up to {key.epochs} epochs"

    def _states(self) -> dict[Key, State]:
        """Return the study's states; but a control that failed before this search began is tried again.

        It may have been the machine, and without it nothing on its rung can be compared.
        """
        states, failures = self._study.states(), self._study.failures(BASELINE)
        again = [key for key, count in self._old_failures.items() if failures[key] == count]
        return states | {key: State.INTERRUPTED for key in again if states[key] is not State.COMPLETE}
