"""Which annotation belongs to which image."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from cellmm.datasets.bbbc010 import BRIGHTFIELD, IMAGE, MASK
from cellmm.datasets.folders import names
from cellmm.io.annotations import ImageAnnotation

STRICT = 3  # rules that compare words and numbers as they are written
RULES = (  # by which an image has the name that an annotation states
    lambda path: path.name,
    lambda path: path.name.casefold(),
    lambda path: names.stem(str(path)),
    lambda path: names.key(str(path), 2, annotation=False),
)
NAMES = 3  # of these rules compare the name itself, whatever its suffix


@dataclass(frozen=True, eq=False)
class Unit:
    """What a file says of one image.

    Args:
        file: relative path.
        stated: the names of the image's files in the annotation; empty: it does not name its image.
        alone: the file is of one image.
        found: the cells; None: they are read later.
        instances: the same for COCO.
    """

    file: str
    stated: tuple[str, ...] = ()
    alone: bool = True
    found: ImageAnnotation | None = None
    instances: Sequence[dict] | None = None
    shape: tuple[int, int] | None = None


@dataclass
class Pairing:
    """
    Args:
        matches: {image: its annotations}, each of them the units of one or several files.
        planes: {image: all files of it}, where channels are in several files.
        left: units without an image.
        missing: {file: names of images that it states and that are absent}.
        problems: what leaves open which annotation belongs to an image, a line each.
        aside: images of other channels, which are not used.
    """

    matches: dict[str, list[list[Unit]]] = field(default_factory=lambda: defaultdict(list))
    planes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: list[Unit] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


def pair(images: Sequence[str], units: Sequence[Unit]) -> Pairing:
    """Pair by the names of images that annotations state, else by the names of files and folders."""
    pairing = Pairing()
    by_name = ByName(images, units)
    own = by_name.find([unit.file for unit in units if unit.stated and unit.alone], 1)
    waiting = []
    for unit in units:
        if not unit.stated or not _by_statement(pairing, by_name, unit, own.get(unit.file, [])):
            waiting.append(unit)
    waiting = _wells(pairing, images, waiting)
    waiting = _folders(pairing, by_name, waiting)
    hits = by_name.find([unit.file for unit in waiting])
    rest = []
    for unit in waiting:
        found = hits.get(unit.file, [])
        if len(found) > 1:
            pairing.problems.append(
                f"{unit.file}: it may belong to {found[0]} or to {found[1]}: give each image and its "
                "annotation a name of their own, or move one image away"
            )
        elif found:
            pairing.matches[found[0]].append([unit])
        elif unit.stated:
            pairing.missing[unit.file] += unit.stated
        else:
            rest.append(unit)
    pairing.left += _several_files(pairing, by_name, rest)
    for image, annotations in pairing.matches.items():
        if len(annotations) > 1:
            first, second = (annotation[0].file for annotation in annotations[:2])
            both = f"twice in {first}" if first == second else f"in {first} and in {second}"
            pairing.problems.append(f"{image} is annotated {both}: move one of them away")
    return pairing


class ByName:
    """Images by what their names and folders say.

    Args:
        images: relative paths.
        units: the annotations that are to be paired with them.
    """

    def __init__(self, images: Sequence[str], units: Sequence[Unit]) -> None:
        self.images = images
        self.contexts = defaultdict(list)
        for image in images:
            self.contexts[names.context(image)].append(image)
        self._annotated = {names.context(unit.file) for unit in units}
        self._words = {context: _words(found) for context, found in self.contexts.items()}
        self._by_rule = [defaultdict(list) for _ in RULES]
        for image in images:
            for rule, table in zip(RULES, self._by_rule, strict=True):
                table[rule(PurePosixPath(image))].append(image)

    def find(self, files: Sequence[str], tiers: int = names.TIERS) -> dict[str, list[str]]:
        """{annotation file: the images that it may belong to}: those of the strictest rule that finds any.

        Names are compared among the same folders first. An annotation may also belong to an image elsewhere
        if there is no image beside it and no annotation beside that image.
        """
        found: dict[str, list[str]] = {}
        words = defaultdict(list)
        for file in files:
            words[names.context(file)].append(file)
        annotation_words = {context: _words(some) for context, some in words.items()}

        def search(
            images: Iterable[str], files: Iterable[str], place: Callable[[str], object], numbers: bool
        ) -> None:
            files = list(files)
            for tier in range(tiers if numbers else min(tiers, names.TIERS - 1)):
                table = defaultdict(list)
                for image in images:
                    table[place(image), names.key(image, tier, annotation=False)].append(image)
                keys = {
                    file: (place(file), key)
                    for file in files
                    if file not in found
                    and ((key := names.key(file, tier, annotation=True)) or place(file) is not None)
                }
                if tier == names.TIERS - 1 and not set(keys.values()) <= table.keys():
                    break  # counted from 0 in the images and from 1 in the annotations, perhaps
                found.update({file: table[key] for file, key in keys.items() if key in table})

        for context, some in words.items():
            if images := self.contexts.get(context):
                numbers = _may_differ(self._words[context], annotation_words[context])
                search(images, some, names.context, numbers)
        apart = [file for file in files if names.context(file) not in self.contexts]
        images = [image for image in self.images if names.context(image) not in self._annotated]
        search(images, apart, lambda _: None, _may_differ(_words(images), _words(apart)))
        return found

    def named(self, name: str, file: str) -> list[str]:
        """The images that an annotation in ``file`` may mean by ``name``, a path of any computer."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        hits = [table.get(rule(wanted), []) for rule, table in zip(RULES, self._by_rule, strict=True)]

        def shared(image: str) -> int:
            return _common_end(PurePosixPath(image).parent, wanted.parent)

        # day1/a.png means day1/a.tif, and not day2/a.png
        most = max((shared(image) for some in hits[:NAMES] for image in some), default=None)
        if most is None:
            found = hits[NAMES]
            most = max(map(shared, found), default=0)
        else:
            found = next(some for some in hits[:NAMES] if most in map(shared, some))
        found = [image for image in found if shared(image) == most]
        if len(found) > 1:
            beside = [image for image in found if names.context(image) == names.context(file)]
            found = beside or found
        return found


def _by_statement(pairing: Pairing, by_name: ByName, unit: Unit, own: Sequence[str]) -> bool:
    """Pair a unit with the image that it names; False: the image is absent, and the file's name may help.

    ``own``: images that have the name of the file.
    """
    hits = [by_name.named(name, unit.file) for name in unit.stated]
    if not all(hits):
        if not unit.alone:
            pairing.missing[unit.file] += unit.stated
        return not unit.alone
    for name, found in zip(unit.stated, hits, strict=True):
        if len(found) > 1:
            pairing.problems.append(
                f"{unit.file}: {name} may be {found[0]} or {found[1]}: give these images names of their own, "
                "or move one away"
            )
            return True
    image = hits[0][0]
    if own and image not in own:
        pairing.problems.append(
            f"{unit.file} has the name of {own[0]}, but says that its image is {unit.stated[0]}: rename it, "
            "or correct that name in it"
        )
        return True
    pairing.matches[image].append([unit])
    pairing.planes[image] = tuple(found[0] for found in hits)
    return True


def _wells(pairing: Pairing, images: Sequence[str], units: Sequence[Unit]) -> list[Unit]:
    """Pair the brightfield images and the masks of BBBC010; returns the other units."""
    wells = {
        image: match["image"]
        for image in images
        if (match := re.fullmatch(IMAGE.format(channel=r"(?P<channel>w\d)"), image))
    }
    masks, rest = defaultdict(list), []
    for unit in units:
        match = re.fullmatch(MASK, PurePosixPath(unit.file).name) if wells else None
        (masks[match["image"]] if match else rest).append(unit)
    for image, well in wells.items() if masks else ():
        if f"_{well}_{BRIGHTFIELD}_" not in image:
            pairing.aside.append(image)
        elif well in masks:
            pairing.matches[image].append(masks[well])
    paired = {well for image, well in wells.items() if image in pairing.matches}
    return rest + [unit for well, some in masks.items() if well not in paired for unit in some]


def _folders(pairing: Pairing, by_name: ByName, units: Sequence[Unit]) -> list[Unit]:
    """Pair folders that have the name of an image, as masks/a of a.tif; returns the other units."""
    folders = defaultdict(list)
    for unit in units:
        folders[str(PurePosixPath(unit.file).parent)].append(unit)
    apart = {
        folder: some
        for folder, some in folders.items()
        if folder != "." and names.context(f"{folder}/x") not in by_name.contexts
    }
    hits = by_name.find([f"{folder}.x" for folder in apart], STRICT)
    rest = []
    for folder, some in folders.items():
        found = hits.get(f"{folder}.x", []) if folder in apart else []
        if len(found) == 1:
            pairing.matches[found[0]].append(some)
        elif found:
            pairing.problems.append(
                f"{folder}: it may belong to {found[0]} or to {found[1]}: give each image a name of its own, "
                "or move one away"
            )
        else:
            rest += some
    return rest


def _several_files(pairing: Pairing, by_name: ByName, units: Sequence[Unit]) -> list[Unit]:
    """Pair files of one image, as masks/1.png, 2.png in the folder of an image, or a_01.png of a.tif."""
    folders = defaultdict(list)
    for unit in units:
        folders[names.context(unit.file)].append(unit)
    rest = []
    for context, some in folders.items():
        images = by_name.contexts.get(context, [])
        own = context and len(images) == 1 and images[0] not in pairing.matches
        if own and _names_its_folder(images[0], context[-1], some):
            pairing.matches[images[0]].append(some)
        else:
            rest += some
    series = defaultdict(list)
    for unit in rest:
        series[names.without_number(unit.file)].append(unit)
    hits = by_name.find([file for file in series if file is not None], STRICT)
    left = []
    for file, some in series.items():
        found = hits.get(file, []) if file is not None else []
        if len(found) == 1 and len(some) > 1 and found[0] not in pairing.matches:
            pairing.matches[found[0]].append(some)
        else:
            left += some
    return left


def _names_its_folder(image: str, folder: str, units: Sequence[Unit]) -> bool:
    """Whether the folder is that of this image: it has its name, or all names in it say nothing."""
    own = names.key(image, 2, annotation=False)
    numbered = len(units) > 1 and not any(_words(unit.file for unit in units) - {()})
    return not own or own == names.key(folder, 2, annotation=False) or numbered


def _words(files: Iterable[str]) -> set[tuple[str, ...]]:
    return {names.plain_words(file) for file in files}


def _may_differ(of_images: set[tuple[str, ...]], of_annotations: set[tuple[str, ...]]) -> bool:
    """Whether numbers alone tell images apart: all have the same words, and one kind has none."""
    one_each = len(of_images) == len(of_annotations) == 1
    return one_each and (not any(of_images) or not any(of_annotations))


def _common_end(first: PurePosixPath, second: PurePosixPath) -> int:
    """How many folders are the same, counted from the last."""
    count = 0
    for one, other in zip(reversed(first.parts), reversed(second.parts), strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count
