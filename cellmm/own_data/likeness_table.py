"""What was measured of annotated images, as a table for people."""

import numpy as np

from cellmm.simulation.likeness import Likeness


def likeness_rows(like: Likeness) -> list[tuple[str, np.ndarray]]:
    """(what, its values): of all cells that are whole, or of all images. Lengths in px.

    ``roundness``: area over that of a circle as long as the cell. Contrast, rim, noise and texture are in
    grey values; those of several channels have the number of the channel.
    """
    pairs = [(image.diameter, cell) for image in like.images for cell in image.shapes]
    length, width, area = (
        np.array([getattr(cell, name) * scale**power for scale, cell in pairs])
        for name, power in (("length", 1), ("width", 1), ("area", 2))
    )
    turn = np.array([cell.turn for _, cell in pairs])
    rows = [
        ("area, px", area),
        ("length, px", length),
        ("width, px", width),
        ("length / width", length / width),
        ("roundness", area / (np.pi / 4 * length**2)),
        ("bend, rad from end to end", turn),
        ("curvature, 1/px", turn / length),
        ("cells per image", _of(like, "cells")),
        ("covered, %", 100 * _of(like, "covered")),
        ("cells that overlap, %", 100 * _of(like, "overlapping") / _of(like, "cells")),
        ("cells that touch, %", 100 * _of(like, "touching") / _of(like, "cells")),
    ]
    number = len(like.images[0].channels)
    for c in range(number):
        which = f"channel {c + 1}: " if number > 1 else ""
        looks = [image.channels[c] for image in like.images]
        for text, name in (
            ("background", "background"),
            ("contrast of cells", "contrast"),
            ("rim over middle", "rim"),
            ("width of edges, px", "edge"),
            ("noise", "noise_deviation"),
            ("texture of cells", "texture_deviation"),
        ):
            rows.append((f"{which}{text}", np.array([getattr(look, name) for look in looks])))
        rows.append(
            (f"{which}contrast, of cells to each other", np.concatenate([look.gains for look in looks]))
        )
    return rows


def likeness_table(like: Likeness) -> list[str]:
    """Lines for people: median, and between which 8 of 10 values lie."""
    sizes = sorted({f"{height}x{width}" for height, width in (image.shape for image in like.images)})
    kind = {"rgb": "RGB", "grey": "grey stored as RGB"}.get(
        like.color, f"{len(like.images[0].channels)} channel(s)"
    )
    shown = ", ".join(sizes[:4]) + (f" and {len(sizes) - 4} others" if len(sizes) > 4 else "")
    bits = f", {like.bits} bits used" if like.bits else ""
    lines = [
        f"images: {shown} px, {like.dtype}{bits}, {kind}",
        f"{'':36}{'median':>10}{'10th':>10}{'90th percentile':>18}",
    ]
    for what, values in likeness_rows(like):
        low, middle, high = np.percentile(values, (10, 50, 90)) if len(values) else (np.nan,) * 3
        lines.append(f"{what:36}{_text(middle):>10}{_text(low):>10}{_text(high):>18}")
    return lines


def _of(like: Likeness, name: str) -> np.ndarray:
    return np.array([getattr(image, name) for image in like.images], dtype=float)


def _text(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
