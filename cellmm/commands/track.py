"""`cellmm track`: follow cells through films."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_folder, check_writable, put_away
from cellmm.messages import name_some
from cellmm.tracking import LinkOptions, track_cells
from cellmm.tracking.films import ResultFilm, group_films, read_results
from cellmm.tracking.writers import build_track_writers

MARK = ".cellmm-track"  # an empty file that marks the folders of tracks
DEFAULTS = LinkOptions()


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm track", description="Follow cells through films, also where they overlap."
    )
    parser.add_argument(
        "results",
        metavar="RESULTS",
        help="the folder that `cellmm predict` wrote, or a COCO json; images are sorted into films and "
        "frames by their names: film_t0003, film_p002_t0003, film012.png",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the tracks; one folder per film")
    parser.add_argument(
        "--save",
        default="ctc,trackmate,csv,napari",
        metavar="FORMATS",
        help="ctc (Cell Tracking Challenge), trackmate (XML for Fiji), csv, napari; default: all of them",
    )
    far = parser.add_mutually_exclusive_group()
    far.add_argument(
        "--max-distance",
        type=float,
        metavar="PX",
        help="how far a cell may be from where it is expected, in pixels; default: the diameter of the "
        "median cell of the film",
    )
    far.add_argument(
        "--max-distance-um", type=float, metavar="UM", help="the same in micrometres, by the pixel size"
    )
    parser.add_argument(
        "--max-gap",
        type=int,
        default=DEFAULTS.max_gap,
        metavar="N",
        help="frames in a row in which a cell may be missing; default: %(default)s",
    )
    parser.add_argument("--no-divisions", action="store_true", help="cells do not divide")
    return parser.parse_args(argv)


def options_for(film: ResultFilm, args: argparse.Namespace) -> LinkOptions:
    """What the arguments ask for, in the pixels of the film.

    Raises:
        CellMMError: a distance in micrometres for a film without a pixel size, or with oblong pixels.
    """
    options = LinkOptions(
        max_distance=args.max_distance, max_gap=args.max_gap, divisions=not args.no_divisions
    )
    if args.max_distance_um is None:
        return options
    size = film.frames[0].pixel_size
    if size is None or abs(size[0] - size[1]) > 1e-3 * size[0]:
        what = "no pixel size" if size is None else f"a pixel size of {size[0]:g} x {size[1]:g} um"
        raise CellMMError(f"--max-distance-um: {film.name} has {what}; give --max-distance in pixels")
    return replace(options, max_distance=args.max_distance_um / size[0])


def folders_of(films: Sequence[ResultFilm], out: Path) -> list[Path]:
    """The folder of each film, directly in ``out``, whatever folders the names of its images state.

    Raises:
        CellMMError: two films would have the same folder.
    """
    names = [re.sub(r"[\\/:]+", "_", film.name).strip("._") or "film" for film in films]
    for i, name in enumerate(names):
        if name in names[:i]:
            pair = f"{films[names.index(name)].name} and {films[i].name}"
            raise CellMMError(f"{pair} would both go to {out / name}: track them apart")
    return [out / name for name in names]


def refuse_other_folders(folders: Sequence[Path]) -> None:
    """Raise CellMMError where a folder for tracks is something that no earlier run wrote."""
    for folder in folders:
        if folder.exists() and not (folder / MARK).is_file():
            raise CellMMError(f"{folder} is not of an earlier `cellmm track`: name another folder with --out")


def say(line: str) -> None:
    sys.stderr.write(f"cellmm track: {line}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Track each film and write ``<out>/<film>/``; what an earlier run wrote goes to ``earlier/<time>``."""
    args = parse_args(argv)
    writers = build_track_writers(args.save)
    check_writable(args.out / MARK)
    films = group_films(read_results(args.results))
    if not films:
        raise CellMMError(f"{args.results} holds no image that could be used: predict images first")
    options = [options_for(film, args) for film in films]
    folders = folders_of(films, args.out)
    refuse_other_folders(folders)
    if earlier := put_away(folders, args.out):
        say(f"what {args.out} held of an earlier run is now in {earlier}")
    for film, option, folder in zip(films, options, folders, strict=True):
        if film.missing:
            say(
                f"{film.name}: frames {name_some(film.missing)} are not in the results and count as frames "
                f"without cells; longer gaps than {option.max_gap} frames end a track, see --max-gap"
            )
        if film.step > 1:
            say(
                f"{film.name}: the numbers of the images go up in steps of {film.step}, and count as "
                "successive frames; if frames between them could not be used, predict them again"
            )
        tracks = track_cells(film.frames, option)
        with atomic_folder(folder) as tmp:
            (tmp / MARK).touch()
            for writer in writers:
                for loss in writer.write(tmp, tracks, film.name):
                    say(f"{film.name}: {writer.option} does not keep {loss}")
        divisions = len(set(tracks.parents.values()))
        print(
            f"{film.name}: {len(film.frames)} frames, {len(tracks.frame)} cells, {len(tracks)} tracks, "
            f"{divisions} divisions: {folder}"
        )
    return 0
