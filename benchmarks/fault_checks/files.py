"""Files that are cut off or vanish: checkpoints, the pretrained baseline, images, the dataset's description."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.fault_checks.again import again_and_again
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.scenario import Tally, scenario
from benchmarks.fault_checks.watched import Watched


@scenario("checkpoint cut off", faults=3)
def cut_checkpoint(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """What a longer training would go on from is damaged after a kill: it's made again first."""

    def strike(study: Watched, program: Program) -> bool:
        still_runs = program.run_until(lambda: bool(_checkpoints(study)))
        program.kill()
        return still_runs

    def damage(study: Watched) -> None:
        if kept := _checkpoints(study):
            cut(generator.choice(kept), generator)

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike, damage=damage)


def _checkpoints(study: Watched) -> list[Path]:
    return sorted((study.folder / "weights").glob("*.pt"))


@scenario("pretrained baseline cut off", faults=2)
def cut_base(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The trained base in the cache is damaged between two runs: it's trained again, to the same weights."""
    [base] = (ground.cache / "bases").glob("*.pt")
    whole = base.read_bytes()

    def strike(_study: Watched, program: Program) -> bool:
        program.kill()
        return True

    try:
        again_and_again(
            tally,
            generator,
            faults,
            lambda: Watched(ground=ground, tally=tally),
            strike,
            damage=lambda _: cut(base, generator),
        )
    finally:
        base.write_bytes(whole)  # other scenarios need it, whatever became of this one


def cut(file: Path, generator: random.Random) -> None:
    """Leave only a random part of it, from its beginning."""
    content = file.read_bytes()
    file.write_bytes(content[: generator.randrange(len(content))])


@scenario("images removed", faults=2)
def images_removed(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """A few images vanish under a running search and are put back before the next start."""

    def remove(root: Path) -> None:
        images = sorted((root / "images" / generator.choice(["train", "val"])).glob("*.*"))
        for image in generator.sample(images, k=3):
            image.unlink()

    _remove_data(ground, generator, tally, faults, remove)


@scenario("dataset YAML removed", faults=1)
def yaml_removed(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The data set's description vanishes under a running search and is put back before the next start."""
    _remove_data(ground, generator, tally, faults, lambda root: (root / ground.data.name).unlink())


def _remove_data(
    ground: Ground, generator: random.Random, tally: Tally, faults: int, remove: Callable[[Path], None]
) -> None:
    """No training may be held against its candidate, and none may count that had less to learn from."""

    def make() -> Watched:
        study = Watched(ground=ground, tally=tally)
        study.options = {"data": str(ground.folder / "data of" / study.name / ground.data.name)}
        put_back(study)
        return study

    def put_back(study: Watched) -> None:
        copy_data(ground.data, Path(study.options["data"]).parent)

    def strike(study: Watched, program: Program) -> bool:
        program.run_until(study.has_begun)
        remove(Path(study.options["data"]).parent)
        is_refused = program.wait() != 0
        if is_refused:
            study.expect_refusal(program, study.options["data"])
        study.expect_no_failure()
        return is_refused

    again_and_again(tally, generator, faults, make, strike, mend=put_back)


def copy_data(yaml: Path, folder: Path) -> None:
    """Copy a data set, or what is missing of an earlier copy; its description names the folder it lies in."""
    shutil.copytree(yaml.parent, folder, dirs_exist_ok=True)
    (folder / yaml.name).write_text(yaml.read_text().replace(str(yaml.parent), str(folder)))
