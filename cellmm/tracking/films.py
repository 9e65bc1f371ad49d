"""The films in the results of a folder of images."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.io.coco_index import read_coco_index
from cellmm.io.coco_segmentations import instance_rle
from cellmm.io.file_index import IMAGE_SUFFIXES
from cellmm.messages import name_some
from cellmm.results import Instances
from cellmm.results.run_folder import read_run
from cellmm.structures import MaskRuns

_TIME = re.compile(r"(?:^|(?<=[/_.\- ]))t(?P<time>\d+)(?=$|[/_.\- ])", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(?P<time>\d+)$")


@dataclass(frozen=True)
class ResultFilm:
    """The cells of a film.

    Args:
        name: what the names of its images share.
        frames: at equal intervals; frames that the results lack have no cells.
        missing: numbers of these frames, from 0.
        step: of the numbers that the images have.
    """

    name: str
    frames: tuple[Instances, ...]
    missing: tuple[int, ...] = ()
    step: int = 1


def read_results(path: str | Path) -> list[Instances]:
    """The cells of each image in a folder that ``cellmm predict`` wrote, or in a COCO json.

    Annotations of a json without a score get 1. Its regions of many cells (``iscrowd``) are left out, with a
    warning.

    Raises:
        CellMMError: neither such a file nor such a folder, a run that is not finished, or a damaged file.
    """
    path = Path(path)
    if path.is_dir():
        return list(read_run(path))
    index = read_coco_index(path)
    ids = sorted(index["categories"])
    found, num_crowds = [], 0
    for image in index["images"]:
        shape = image["height"], image["width"]
        cells = [cell for cell in image["instances"] if not cell["iscrowd"]]
        num_crowds += len(image["instances"]) - len(cells)
        found.append(
            Instances(
                masks=MaskRuns.from_rles(
                    [instance_rle(cell["segmentation"], shape) for cell in cells], shape
                ),
                scores=np.array([cell.get("score", 1.0) for cell in cells], dtype=np.float32),
                labels=np.array([ids.index(cell["category_id"]) for cell in cells], dtype=np.int64),
                classes=tuple(index["categories"][number] for number in ids),
                category_ids=tuple(ids),
                name=image["files"][0],
            )
        )
    if num_crowds:
        print_log(
            f"{path}: {num_crowds} regions of many cells (iscrowd) are not tracked: outline their cells",
            logger="current",
            level=logging.WARNING,
        )
    return found


def group_films(images: Iterable[Instances]) -> list[ResultFilm]:
    """Sort images into films by their names, and each film by time.

    The time is the last part ``t0003`` of a name (``film_p002_t0003.tif``), else the number at its end
    (``film012.png``), and the film is what remains. An image without a number is a film of one frame. Numbers
    that go up in steps count as successive frames. Numbers that are missing become frames without cells,
    unless most of them are missing.

    Raises:
        CellMMError: two images of one film and time.

    Examples:
        >>> film_and_time("day2/film_p002_t0003.tif"), film_and_time("worms12.png"), film_and_time("a.tif")
        (('day2/film_p002', 3), ('worms', 12), ('a', 0))
    """
    films: dict[str, dict[int, Instances]] = {}
    for cells in images:
        name, time = film_and_time(cells.name)
        film = films.setdefault(name, {})
        if time in film:
            raise CellMMError(
                f"{cells.name} and {film[time].name} are both frame {time} of the film {name}: track films "
                "whose images have the same names apart"
            )
        film[time] = cells
    return [_film(name, film) for name, film in sorted(films.items())]


def film_and_time(name: str) -> tuple[str, int]:
    """The film and the time that the name of an image states, see :func:`group_films`."""
    stem = name
    while Path(stem).suffix.lower() in (*IMAGE_SUFFIXES, ".ome", ".zarr"):
        stem = stem[: -len(Path(stem).suffix)]
    matches = list(_TIME.finditer(stem)) or list(_LAST_NUMBER.finditer(stem))
    if not matches:
        return stem, 0
    start, end = matches[-1].span()
    film = stem[:start].rstrip("_.- ") + stem[end:]
    return film.strip("/_.- ") or "film", int(matches[-1]["time"])


def _film(name: str, film: dict[int, Instances]) -> ResultFilm:
    times = np.array(sorted(film))
    step = max(int(np.gcd.reduce(np.diff(times))), 1) if len(times) > 1 else 1
    place = (times - times[0]) // step
    if place[-1] >= 2 * len(times):
        print_log(
            f"{name}: images with the numbers {name_some(times.tolist())} count as successive frames; number "
            "them by time if they are not",
            logger="current",
            level=logging.WARNING,
        )
        place, step = np.arange(len(times)), 1
    first = film[int(times[0])]
    others = [cells for cells in film.values() if cells.pixel_size != first.pixel_size]
    if others:
        print_log(
            f"{name}: {first.name} has a pixel size of {first.pixel_size}, {others[0].name} of "
            f"{others[0].pixel_size}; lengths in micrometres are by the first, see --pixel-size of predict",
            logger="current",
            level=logging.WARNING,
        )
    empty = first.select(np.zeros(0, dtype=np.int64))
    frames = [empty] * int(place[-1] + 1)
    for t, time in zip(place.tolist(), times.tolist(), strict=True):
        frames[t] = film[time]
    missing = tuple(sorted(set(range(len(frames))) - set(place.tolist())))
    return ResultFilm(name, tuple(frames), missing, step)
