"""Files that are cut off or vanish: checkpoints, the common base, images, the dataset's description."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import FAILURES
from benchmarks.fault_checks.scenario import Tally, scenario, until
from benchmarks.fault_checks.watched import Watched


@scenario("checkpoint cut off", faults=3)
def cut_checkpoint(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """What a longer training would go on from is damaged after a kill: it's made again first."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        weights = study.folder / "weights"
        program.run_until(lambda weights=weights: any(weights.glob("*.pt")))
        if not program.run_for(generator.uniform(0, ground.seconds / 2)):
            continue
        program.kill()
        study.check()
        if kept := sorted(weights.glob("*.pt")):
            cut(generator.choice(kept), generator)
            tally.faults += 1
            study.finish()
        study.remove()


@scenario("common base cut off", faults=2)
def cut_base(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The trained base in the cache is damaged between two runs: it's trained again, to the same weights."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        if not program.run_for(study.moment(generator)):
            continue
        program.kill()
        study.check()
        [base] = (ground.cache / "bases").glob("*.pt")
        whole = base.read_bytes()
        try:
            cut(base, generator)
            tally.faults += 1
            study.finish()
            study.remove()
        finally:
            base.write_bytes(whole)  # other scenarios need it, whatever became of this one


def cut(file: Path, generator: random.Random) -> None:
    """Leave only a random part of it, from its beginning."""
    content = file.read_bytes()
    file.write_bytes(content[: generator.randrange(len(content))])


@scenario("images removed", faults=3)
def images_removed(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """A few images vanish under a running search and are put back before the next start."""

    def remove(root: Path) -> None:
        images = sorted((root / "images" / generator.choice(["train", "val"])).glob("*.*"))
        for image in generator.sample(images, k=3):
            image.unlink()

    _remove_data(ground, generator, tally, faults, remove)


@scenario("dataset YAML removed", faults=2)
def yaml_removed(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The data set's description vanishes under a running search and is put back before the next start."""
    _remove_data(ground, generator, tally, faults, lambda root: (root / ground.data.name).unlink())


def _remove_data(
    ground: Ground, generator: random.Random, tally: Tally, faults: int, remove: Callable[[Path], None]
) -> None:
    """No training may be held against its candidate, and none may count that had less to learn from."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        root = ground.folder / "data of" / study.name
        copy_data(ground.data, root)
        study.options = {"data": str(root / ground.data.name)}
        program = study.start()
        if _is_met(study, program, generator):
            remove(root)
            if program.wait() != 0:  # else nothing was read any more
                tally.faults += 1
                study.expect_refusal(program, str(root))
        rows = study.check()
        wrong = [row for row in rows if row.state in FAILURES]
        tally.expect(not wrong, f"{study.name}: {wrong and wrong[0].content['reason']}")
        copy_data(ground.data, root)
        study.finish()
        study.remove()


def copy_data(yaml: Path, folder: Path) -> None:
    """Copy a data set, or what is missing of an earlier copy; its description names the folder it lies in."""
    shutil.copytree(yaml.parent, folder, dirs_exist_ok=True)
    (folder / yaml.name).write_text(yaml.read_text().replace(str(yaml.parent), str(folder)))


def _is_met(study: Watched, program: Program, generator: random.Random) -> bool:
    return program.run_until(lambda: bool(study.rows())) and program.run_for(study.moment(generator) / 2)
