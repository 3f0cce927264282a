"""Where the images of a COCO annotation file are."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.common.errors import UserError
from harness.data.coco_file import CocoFile, CocoImage, counted


@dataclass(frozen=True, kw_only=True)
class CocoImages:
    """A folder, and the path of each image below it by the image's id."""

    folder: Path
    names: dict[int, str]

    def path(self, image: CocoImage) -> Path:
        """Return where an image is."""
        return self.folder / self.names[image.id]


def find_images(file: Path, content: CocoFile, *, unique_names: bool) -> CocoImages:
    """Find all images of an annotation file, where COCO has them.

    With `<root>` the folder of `annotations/` and `<split>` the file's name without `instances_`, they are in
    `<root>/<split>/`, `<root>/images/<split>/`, `<root>/images/` or `<root>/`.

    Args:
        file: The annotation file.
        content: What is in it.
        unique_names: Whether no two images may have one name in different folders.

    Raises:
        UserError: Images are missing, or their names do not do for a data set.
    """
    names = [image.file_name for image in content.images]
    for name in names:
        _check_name(file, name)
    _check_labels_apart(file, names)
    if unique_names and (twice := _repeated([PurePosixPath(name).name for name in names])):
        raise UserError(f"{file} has images named {twice} in several folders; in a validation set names must differ.")
    shared = PurePosixPath(posixpath.commonpath([f"/{PurePosixPath(name).parent}" for name in names])).parts[1:]
    below = {i.id: str(PurePosixPath(*PurePosixPath(i.file_name).parts[len(shared) :])) for i in content.images}
    # Ultralytics finds a label by putting `labels` for the last `images` in an image's path.
    if inner := next((name for name in below.values() if "images" in PurePosixPath(name).parent.parts), None):
        raise UserError(
            f"{file}: image {inner} is in an inner folder named 'images', for which Ultralytics finds no labels."
        )
    return CocoImages(folder=_folder(file, names).joinpath(*shared), names=below)


def _check_name(file: Path, name: str) -> None:
    from ultralytics.data.utils import IMG_FORMATS

    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise UserError(f"{file}: file name {name!r} is not a path below the folder of the images.")
    if path.suffix[1:].lower() not in IMG_FORMATS:
        raise UserError(f"{file}: image {name} is in none of the formats that Ultralytics reads, such as .jpg or .png.")


def _check_labels_apart(file: Path, names: list[str]) -> None:
    twice = _repeated([str(PurePosixPath(name).with_suffix("")) for name in names])
    if twice:
        raise UserError(f"{file} has two images {twice} of different suffixes, which would share their labels.")


def _repeated(values: list[str]) -> str | None:
    value, count = Counter(values).most_common(1)[0]
    return value if count > 1 else None


def _folder(file: Path, names: list[str]) -> Path:
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    split = file.stem.removeprefix("instances_")
    folders = dict.fromkeys((split, re.sub(r"\d+$", "", split)))  # train2017, and train as Ultralytics has it
    places = (*(root / up / name for name in folders for up in ("", "images")), root / "images", root)
    missing: dict[Path, list[str]] = {}
    for place in places:
        missing[place] = [name for name in names if not (place / name).is_file()]
        if not missing[place]:
            return place
    best = min(places, key=lambda place: len(missing[place]))
    looked = ", ".join(map(str, places[:-1])) + f" and {places[-1]}"
    raise UserError(
        f"{file}: {len(missing[best]):,} of {counted(len(names), 'image')} missing, first {missing[best][0]}; "
        f"they were looked for in {looked}."
    )


def wrong_size(path: Path, image: CocoImage) -> str | None:
    """Return what is wrong with an image's size on disk, as Ultralytics sees it; None if it is as the file tells."""
    from PIL import Image
    from ultralytics.data.utils import exif_size

    try:
        with Image.open(path) as opened:
            width, height = exif_size(opened)
    except (OSError, ImportError):  # Ultralytics looks for a HEIF reader where Pillow knows no better
        return f"image {path} cannot be read"
    if (width, height) != (image.width, image.height):
        return f"image {path} has {width} × {height} pixels and not {image.width:g} × {image.height:g}"
    return None
