"""What surrounds the numbers: how they were measured, where, with what, and what is not known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from harness.architecture import BASELINE, Init, Kind, Mode
from harness.common.printable import quoted
from harness.record.settings import MIN_GAIN
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import DATA_CAUTIONS, DATA_REPAIRS, Environment, LatencyCheck, SpaceSummary
from harness.report import words

Pairs = tuple[tuple[str, str], ...]

_SAID_APART = (DATA_REPAIRS, DATA_CAUTIONS, "control")
# mAP50-95 that is printed as 0.000.
_NOTHING = 0.0005
JUDGING = (
    "Gain: a candidate's mAP50-95 minus the baseline's, of the same seed and number of epochs.",
    "Interval: 95 %, Student's t, from a candidate's own scatter between seeds, moderated towards that of the others "
    "(Smyth), whose differences of one seed share the baseline's training; the degrees of freedom are fewer for that "
    "(Satterthwaite). A candidate of one seed is taken to be as noisy as those with more are on average. Of an mAP: "
    "from its own seeds alone.",
    "On new images like these: the interval, the tests and the verdict also hold what another sample of as many "
    "validation images would change, from how much each image moves the gain. On these images: over seeds alone, "
    "where the trainings did not keep that.",
    "The seed on which the search picked its finalists does not judge them: the highest of many noisy "
    "readings is too high on average. On a ladder of rungs no seed that picked judges on a higher one. "
    "mAP columns are means over all complete seeds and therefore need not differ by the gain.",
    "“gain” needs Holm's correction over all judged candidates, because with many looks one passes a "
    "5 % test by luck; it can therefore be withheld although the plain 95 % interval excludes zero. Each time that "
    "a study is judged on more seeds than before, less of the 5 % is left: 61 %, 15 %, 7 %, 4 %, 2 % of it "
    "(6 / π² k² at the k-th look), so that adding seeds until a gain shows finds none that is not there.",
    "“loss” needs only the whole interval below zero, uncorrected: of candidates equal to the baseline, and as noisy "
    "as the others, about one in fifty is called so. One seed can rule a candidate out, never in.",
    "Front: the baseline and the judged candidates that none of these beats, by their means, after as many epochs; "
    "whether the noise tells a member from the baseline is the verdict's to say. A candidate of one seed that they do "
    "not beat is listed as not judged, and pushes nobody off the front.",
)


def measured(record: StudyRecord) -> Pairs:
    """Say what each number is and how it came about."""
    settings = record.settings
    start = (
        "random initialisation"
        if settings.from_scratch
        else f"one trained baseline, the same for all; {_start_of_blocks(record)}"
    )
    rungs = settings.rungs
    ladder = [f"rungs of {rungs} (epochs × seeds), each going on from the weights of the one below"] if rungs else []
    epochs = None if rungs else settings.epochs
    sizes = ((epochs, "epochs"), (settings.batch, "images a batch"), (settings.imgsz, "pixels"))
    given = ladder + [f"{value} {unit}" for value, unit in sizes if value is not None]
    trained = "".join(
        f"; then {name} and the baseline for {words.epochs(epochs)} under seeds {seeds}"
        for name, epochs, seeds in trained_longer(record)
    )
    environment = record.environment
    taken = environment.latency_threads  # None of a study from before that was recorded
    threads = f"; {words.count(taken.count, 'thread')}, {taken.reason}" if taken else ""
    uncounted = ", ".join(f"{name} ({number}×)" for name, number in environment.uncounted.items())
    return (
        ("mAP50-95, mAP50", f"{_evaluators(record)}, on the validation set of the data; 0 to 1"),
        ("Training", f"{', '.join(given) or 'see settings'}; from {start}{trained}"),
        ("Baseline", "the unmodified base, trained under the same budget and seeds as a candidate"),
        (
            "Latency",
            "one image a forward pass, candidate and baseline interleaved so that drift cancels; "
            "the ratio is the interquartile mean over the rounds, with its 95 % interval; milliseconds are that "
            "ratio times the baseline's median; on the device below, and on no other; "
            "every pass is in latency/<id>.parquet" + threads,
        ),
        *((("Latency check", text),) if (text := _aa_check(environment.latency_aa_check)) else ()),
        ("MACs, parameters", "fvcore on the unfused model, exact; FLOPs are 2 × MACs"),
        ("Not counted in MACs", uncounted or "elementwise operations; clo cost lists them for a model"),
    )


def _evaluators(record: StudyRecord) -> str:
    """Name what evaluated the rows; those that name nothing are from before it was kept, when there was only one."""
    complete = record.trials[record.trials["state"] == State.COMPLETE]
    named = [str(name) or "Ultralytics' validator" for name in complete["evaluator"].unique()]
    return " and, in other rows, ".join(named or ["Ultralytics' validator"])


def _start_of_blocks(record: StudyRecord) -> str:
    """Say how the blocks of this study began, as its architectures say."""
    placements = [placement for one in record.architectures.values() for placement in one.placements]
    official = sum(p.init is Init.OFFICIAL or p.kind == Kind.BARE for p in placements)
    replaced = sum(p.mode is Mode.REPLACE for p in placements)
    residual = any(p.init is Init.RESIDUAL for p in placements)
    usual = "inserted blocks start " + ("as residual branches (layer scale 1)" if residual else "as the identity")
    started = (
        usual
        if not official
        else "inserted blocks start as published"
        if official == len(placements)
        else f"{usual}, but {official} of {len(placements)} as published"
    )
    return started + (f"; {replaced} took the place of a layer, whose weights are lost" if replaced else "")


def provenance(record: StudyRecord) -> Pairs:
    """List settings and surroundings, flattened."""
    proposals, space = record.proposals, _space(record.space)
    return (
        *((("search space", space),) if space else ()),
        (
            "proposals not trained",
            f"{proposals.get('duplicate', 0)} repeated a known architecture and were answered from the record; "
            f"{proposals.get('infeasible', 0)} were above a bound on parameters or MACs",
        ),
        *settings_and_surroundings(record),
    )


def settings_and_surroundings(record: StudyRecord) -> Pairs:
    """List all options and all that is known of the machine."""
    environment = record.environment
    others = {name: value for name, value in environment.to_dict().items() if name not in _SAID_APART}
    control = ""  # of a study from before it was kept
    if (last := environment.control) and last.passed is None:
        control = (
            "none was run with this version on this machine: `clo control` shows whether it finds a planted effect"
        )
    elif last:
        found = "passed" if last.passed else "FAILED: the instrument misses or invents effects here"
        control = f"{'quick, ' * last.quick}{last.when[:10]}: {found}"
    said = (
        ("repairs of the data, and what is not used", " ".join(environment.data_repairs)),
        ("cautions about the data", " ".join(environment.data_cautions)),
        ("last control", control),
    )
    return (*(pair for pair in said if pair[1]), *flat(record.settings.to_dict()), *flat(others))


def unknowns(record: StudyRecord) -> tuple[str, ...]:
    """List the limits of what this study can say."""
    settings, size = record.settings, record.space.size
    return (
        *record.environment.data_cautions,
        *_blind_baseline(record),
        f"One data set ({settings.data or 'not recorded'}): a gain there need not be one elsewhere.",
        f"One device ({device(record)}): another one's front is another front.",
        *filter(None, [unknown_images(record)]),
        "Only the architectures in the table were tried; the space holds more than these."
        if size is None or size > record.trials["architecture"].nunique() - 1
        else "Architectures outside the search space were not tried.",
    )


def unknown_images(record: StudyRecord) -> str:
    """Return what the study cannot say of other images; empty where every training kept what its images contribute."""
    complete = record.trials[record.trials["state"] == State.COMPLETE]
    kept = complete["image_influence"].fillna("").astype(str).str.contains(" ")
    if len(complete) and kept.all():
        return ""
    return (
        "Gains on other images: trainings of this study did not keep what each validation image contributes, so that "
        "their intervals hold the scatter of training, not that of another sample of images."
    )


def _blind_baseline(record: StudyRecord) -> tuple[str, ...]:
    """Warn where the baseline finds no object, so that everything is as good as it."""
    trials = record.trials
    read = trials[(trials["architecture"] == BASELINE) & (trials["state"] == State.COMPLETE)]["map50_95"]
    if read.empty or read.max() >= _NOTHING:
        return ()
    return (
        f"The baseline detects nothing: its mAP50-95 is 0.000 in all of its {words.count(len(read), 'training')}. "
        "Without one that does, no gain over it can be judged: look at the labels, or train longer.",
    )


def device(record: StudyRecord) -> str:
    """Name what latency was measured on: a processor with its threads, or a GPU."""
    environment = record.environment
    found = environment.device or record.settings.device or "not recorded"
    if isinstance(found, str):  # a study from before more was kept
        return found
    if found.name != "cpu":
        return found.name or f"CUDA device {found.asked}"
    processor = environment.cpu.model or "CPU"
    threads = environment.latency_threads.count if environment.latency_threads else found.threads
    return f"{processor}, {words.count(threads, 'thread')}" if threads else processor


def commands(record: StudyRecord, what: str = "search") -> Pairs:
    """Return what to type to get the study and its report again."""
    again = command_of(record.environment)
    first = (f"Finish or repeat this {what} (nothing is trained twice)", in_its_folder(record, again))
    # a report may have been told to recommend by another least gain than its study
    option = () if record.min_gain == MIN_GAIN else ("--min-gain", f"{record.min_gain:g}")
    report = in_its_folder(record, to_type(record, "report", record.name, *option))
    longer = []
    for name, epochs, seeds in trained_longer(record):
        typed = to_type(record, "train", record.name, name, "--epochs", str(epochs), "--seeds", seeds)
        longer.append((f"Train {name} for {words.epochs(epochs)}, as here", in_its_folder(record, typed)))
    return (*((first,) if again else ()), *longer, ("Make this report again", report))


def trained_longer(record: StudyRecord) -> list[tuple[str, int, str]]:
    """Return which candidates were trained for more epochs than the search's, for how many, under which seeds."""
    trials, epochs = record.trials, record.settings.epochs
    if epochs is None or record.settings.rungs or record.ablation:
        return []
    done = (trials["state"] == State.COMPLETE) & (trials["architecture"] != BASELINE) & (trials["epochs"] > epochs)
    groups: Any = trials[done].groupby(["architecture", "epochs"], sort=False)["seed"]
    return [(str(name), int(longer), ",".join(map(str, sorted(seeds)))) for (name, longer), seeds in groups]


def to_type(record: StudyRecord, command: str, *words: str) -> str:
    """Return a command about a study, with where the study lies if that is not the default."""
    results, storage = record.settings.results, record.settings.storage
    typed = [command, *words]
    typed += [] if results in {None, "results"} else ["--results", str(results)]
    typed += [] if storage is None else ["--storage", str(storage)]
    return f"{record.environment.program} {shlex.join(typed)}"


def in_its_folder(record: StudyRecord, command: str) -> str:
    """Return a command that works from everywhere: paths of a study's settings are relative to where it was begun."""
    folder = record.environment.folder
    if not folder:  # a study from before it was kept
        return command
    return f"cd {quoted(folder)} && {command}"


def command_of(environment: Environment) -> str:
    """Return what was typed, as one would type it; old studies have a list of words."""
    typed = environment.command
    return typed if isinstance(typed, str) else shlex.join(typed)


def row_commands(record: StudyRecord, architecture: str) -> Pairs:
    """List what to type for one architecture: to measure it again, to train it on a full schedule, to export it."""
    export, train = (
        in_its_folder(record, to_type(record, command, record.name, architecture)) for command in ("export", "train")
    )
    if architecture == BASELINE:
        return (("Export", export),)
    return (
        ("Measure again, beside the baseline", in_its_folder(record, _again(record, architecture))),
        ("Train on a full schedule, beside the baseline", train),
        ("Export", export),
    )


# Settings that decide a row's figures and are command-line options.
_OPTIONS = (
    "base", "data", "space", "imgsz", "epochs", "base_epochs", "batch", "learning_rate", "block_rate_factor", "seed",
    "seeds", "rungs",
)  # fmt: skip


def _again(record: StudyRecord, architecture: str) -> str:
    """Return the search of this one candidate under the study's own settings: the same rows on the same machine."""
    typed = ["--include", f"{record.name}/{architecture}", "--study", f"{record.name}-{architecture}"]
    for name in _OPTIONS:
        if (value := getattr(record.settings, name)) is not None:
            typed += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("from_scratch", "allow_unusable", "allow_val_in_train"):
        if getattr(record.settings, name):
            typed.append(f"--{name.replace('_', '-')}")
    return to_type(record, "search", *typed, "--trials", "1", "--finalists", "1")


def _aa_check(check: LatencyCheck | None) -> str:
    if check is None:
        return ""
    low, high = check.ratio_ci95
    return f"the baseline against its own copy in the same way: {check.ratio:.3f}× [{low:.3f}, {high:.3f}] 95 %; " + (
        "the interval holds 1, as it should" if low <= 1 <= high else "the interval misses 1: distrust small ratios"
    )


def _space(space: SpaceSummary) -> str:
    """Describe the search space in a line; nothing where there is none."""
    if not space.to_dict():
        return ""
    parts = [space.name, "size not counted" if space.size is None else f"{space.size} distinct architectures"]
    if space.feasible_share is not None:
        parts.append(f"{100 * space.feasible_share:.2g} % within the bounds on parameters and MACs")
    ranges = (space.macs_min, space.macs_max, "MACs"), (space.params_min, space.params_max, "parameters")
    parts += [f"{words.amount(low)} to {words.amount(high)} {unit}" for low, high, unit in ranges if low <= high]
    if space.sites:
        parts.append("sites " + ", ".join(space.sites))
    return "; ".join(parts)


def flat(data: Mapping[str, Any], prefix: str = "") -> Pairs:
    """Return nested settings as `versions.torch` → `2.13.0`."""
    pairs: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(map(str, value)) or words.DASH))
        else:
            pairs.append((name, words.DASH if value is None else str(value)))
    return tuple(pairs)
