"""Draw the packages of cellmm and their imports as docs/pictures/imports.svg.

    python docs/draw_imports.py            # draw it anew
    python docs/draw_imports.py --check    # exit status 1 where it is out of date

Packages stand in layers, the highest at the top. An import may only point downwards: one that points up or
sideways is an error, in the script as in the tests. Implied (transitive) arrows are omitted: where commands
import engine and engine imports io, there is no arrow from commands to io.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/pictures/imports.svg"
BASE = "base"  # the modules of LAYERS[0], drawn as one box; modules outside of any package count as base
# From bottom to top: packages of one layer do not import each other.
LAYERS: tuple[Mapping[str, str], ...] = (
    {BASE: "errors, messages, checks, arguments, extras, randomness, registry, plugins"},
    {"structures": "label layers, RLE, polygons, samples"},
    {"io": "images, TIFF, label images, COCO, safe writing"},
    {"simulation": "microscope images of overlapping cells"},
    {"datasets": "index files; transforms; samplers"},
    {"models": "encoders, decoders, heads, losses, postprocess"},
    {"evaluation": "AP, S, PQ, errors; metrics"},
    {"visualization": "cells drawn on images"},
    {"results": "cells of an image; the files of other programs"},
    {"config": "read, complete and check configs"},
    {"engine": "Runner, loops, hooks, checkpoints, preflight"},
    {"zoo": "models that come with cellmm"},
    {"own_data": "a config for a person's images"},
    {"apis": "CellInferencer"},
    {
        "tiles": "large images in pieces",
        "tracking": "cells through a film",
        "labelling": "cells for a person to correct",
        "export": "models for other programs",
        "tuning": "searches for the best values",
        "comparison": "results of programs side by side",
        "synthesis": "annotated images from a few",
    },
    {"commands": "train, test, predict, config, doctor"},
    {"napari": "results and clicks in napari", "appose": "worker of Fiji, QuPath ..."},
    {"ablation": "grids of runs and their tables"},
    {"testing": "contract tests for parts of your own"},
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
WIDTH, HEIGHT, ACROSS, DOWN = 300, 46, 40, 34  # a box, and the gaps between boxes and between rows


def package_of(module: str) -> str:
    """'cellmm.io.files' -> 'io'; modules outside the packages of LAYERS are the base."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else BASE


def imported(path: Path) -> Iterator[str]:
    """The modules of cellmm that a file imports, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "cellmm":
            names = [f"cellmm.{alias.name}" for alias in node.names]
            yield from names if node.module == "cellmm" else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "cellmm")


def imports(package: Path = ROOT / "cellmm") -> dict[str, set[str]]:
    """{package: the packages that it imports}, of all packages that exist.

    Raises:
        ValueError: a package that LAYERS lacks, or an import that does not point down.
    """
    graph: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if len(parts) > 1 and parts[0] not in LEVEL:
            raise ValueError(f"{path}: add the package {parts[0]} to LAYERS in docs/draw_imports.py")
        name = package_of(".".join(("cellmm", *parts)))
        targets = graph.setdefault(name, set())
        for module in imported(path):
            target = package_of(module)
            if target != name and LEVEL[target] >= LEVEL[name]:
                raise ValueError(f"{path} imports {module}: {target} lies above {name}, imports only go down")
            targets |= {target} - {name}
    return graph


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The graph without implied (transitive) arrows."""

    def below(name: str) -> set[str]:
        return graph[name].union(*(below(target) for target in graph[name]))

    return {
        name: {t for t in targets if not any(t in below(other) for other in targets - {t})}
        for name, targets in graph.items()
    }


def rows(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Packages from bottom to top, each in the lowest row above all that it imports."""
    height: dict[str, int] = {}
    for name in sorted(graph, key=LEVEL.__getitem__):
        height[name] = 1 + max((height[target] for target in graph[name]), default=-1)
    return [[name for name in height if height[name] == i] for i in range(max(height.values()) + 1)]


def arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """From one box's upper left corner to another's: straight down, or around the boxes in between."""
    (x, y), (to_x, to_y) = start, end
    if to_y - y == HEIGHT + DOWN:
        points = x + WIDTH // 2, y + HEIGHT, x + WIDTH // 2, to_y - 8, to_x + WIDTH // 2, y + HEIGHT + 8
        curve = (*points, to_x + WIDTH // 2, to_y)
    else:
        around = max(x, to_x) + WIDTH + 2 * ACROSS
        curve = (x + WIDTH, y + HEIGHT // 2, around, y + HEIGHT // 2, around, to_y + HEIGHT // 2)
        curve += (to_x + WIDTH, to_y + HEIGHT // 2)
    path = "M{} {}C{} {} {} {} {} {}".format(*curve)
    return f'<path d="{path}" fill="none" stroke="#57606a" stroke-width="1.5" marker-end="url(#tip)"/>'


def draw(graph: Mapping[str, set[str]]) -> str:
    """The picture as SVG text."""
    floors = rows(graph)
    widest = max(map(len, floors))
    size = widest * (WIDTH + ACROSS) + 3 * ACROSS, len(floors) * (HEIGHT + DOWN) + DOWN
    summaries = {name: text for layer in LAYERS for name, text in layer.items()}
    place = {}
    for i, floor in enumerate(floors):
        left = (size[0] - len(floor) * (WIDTH + ACROSS) + ACROSS) // 2 - ACROSS
        for j, name in enumerate(floor):
            place[name] = left + j * (WIDTH + ACROSS), size[1] - (i + 1) * (HEIGHT + DOWN)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        'font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>',
        f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>',
    ]
    for name, targets in reduced(graph).items():
        lines += [arrow(place[name], place[target]) for target in sorted(targets)]
    for name, (x, y) in place.items():
        middle = x + WIDTH // 2
        lines += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef4fb" '
            'stroke="#4477aa"/>',
            f'<text x="{middle}" y="{y + 19}" text-anchor="middle" font-size="15" font-weight="bold" '
            f'fill="#1f2328">{name}</text>',
            f'<text x="{middle}" y="{y + 36}" text-anchor="middle" font-size="11" fill="#424a53">'
            f"{summaries[name]}</text>",
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, say whether it is out of date")
    args = parser.parse_args(argv)
    picture = draw(imports())
    if not args.check:
        PICTURE.write_text(picture, encoding="utf-8")
    elif PICTURE.read_text(encoding="utf-8") != picture:
        print(f"{PICTURE.relative_to(ROOT)}: run python docs/draw_imports.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
