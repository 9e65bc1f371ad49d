"""Distributions of values that come in parts, and their drawings."""

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

FINE = 2048  # bins while values come in
BARS = 32  # at most, in the drawing
MOST = 0.995  # of the values that are drawn at least; a few far larger ones are told instead
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 190, 46, 36, 10


class Histogram:
    """Counts of values of 0 and more; its memory does not grow with their number.

    The bins start at 0 and their width is a power of two, which doubles until the largest value fits. So the
    result does not depend on the order of the values.
    """

    def __init__(self, smallest: float = 2.0**-10) -> None:
        self.step = smallest
        self.counts = np.zeros(FINE, dtype=np.int64)
        self.num, self.total, self.least, self.most = 0, 0.0, math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        """Count the finite ones of ``values``."""
        values = np.asarray(values, dtype=np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return
        while values.max() >= FINE * self.step:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(FINE // 2, np.int64)])
            self.step *= 2
        self.counts += np.bincount((values / self.step).astype(np.int64), minlength=FINE)
        self.num += len(values)
        self.total += float(values.sum())
        self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    def bars(self, whole: bool = False) -> tuple[float, float, np.ndarray]:
        """Start and width of the bars, and their counts, at most ``BARS``; ``whole``: of whole numbers."""
        reached = np.flatnonzero(np.cumsum(self.counts) >= MOST * self.num)[0] + 1
        last = int(math.floor(self.most / self.step)) + 1
        end = last if last < 2 * reached else int(reached)
        first = int(math.floor(self.least / self.step))
        unit = max(round(1 / self.step), 1) if whole else 1
        bins = -(-(end - first) // (BARS * unit)) * unit
        first -= first % bins
        end += -(end - first) % bins
        counts = np.pad(self.counts[first:end], (0, max(end - FINE, 0)))
        return first * self.step, bins * self.step, counts.reshape(-1, bins).sum(1)


@dataclass(frozen=True)
class Figure:
    """A histogram as part of a page.

    Args:
        title: what is counted.
        things: what has the values: 'cells' or 'images'.
        unit: of the values; '' for none.
        whole: the values are whole numbers.
    """

    title: str
    things: str
    unit: str
    histogram: Histogram
    whole: bool = False

    @property
    def text(self) -> str:
        """The distribution in a line."""
        values, unit = self.histogram, f" {self.unit}" if self.unit else ""
        mean = values.total / values.num
        return (
            f"{values.num:,} {self.things}: {shown(values.least)} to {shown(values.most)}{unit}, "
            f"mean {shown(mean)}{unit}"
        )

    @property
    def svg(self) -> Markup:
        """The drawing, with a name for screen readers and the count of every bar as its title."""
        start, width, counts = self.histogram.bars(self.whole)
        hidden = self.histogram.num - int(counts.sum())
        top = nice_ticks(0, int(counts.max()), 4, whole=True)
        end = start + width * len(counts)
        across, up = (WIDTH - LEFT - 8) / (end - start), (HEIGHT - TOP - BOTTOM) / max(top[-1], 1)
        base = HEIGHT - BOTTOM
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(f"Histogram of {self.title}. {self.text}")}">'
        ]
        for tick in top:
            y = base - tick * up
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown(tick)}</text>')
        for i, count in enumerate(counts.tolist()):
            low = start + i * width
            span = shown(low) if self.whole and width == 1 else f"{shown(low)} to {shown(low + width)}"
            label = f"{span}{self.unit and ' ' + self.unit}: {count:,} {self.things}"
            parts.append(
                f'<rect class="bar" x="{LEFT + i * width * across + 0.5:.2f}" '
                f'y="{base - count * up:.2f}" width="{max(width * across - 1, 0.5):.2f}" '
                f'height="{count * up:.2f}"><title>{escape(label)}</title></rect>'
            )
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 8}" y1="{base}" y2="{base}"/>')
        for tick in nice_ticks(start, end, 5, whole=self.whole):
            if start <= tick <= end:
                x = LEFT + (tick - start) * across
                parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{shown(tick)}</text>')
        axis = (self.unit or self.title.lower()) + (f" ({hidden:,} larger, not drawn)" if hidden else "")
        x = (LEFT + WIDTH) / 2
        parts.append(f'<text x="{x}" y="{HEIGHT - 4}" text-anchor="middle">{escape(axis)}</text></svg>')
        return Markup("".join(parts))


def nice_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Round numbers that cover ``low`` to ``high``, about ``most`` of them.

    Examples:
        >>> nice_ticks(0, 87, 4)
        [0, 20, 40, 60, 80, 100]
    """
    rough = max((high - low) / most, 1e-12)
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.75), default=rough)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") if step % 1 else int(i * step) for i in range(first, last + 1)]


def shown(value: float) -> str:
    """A number for readers, to three digits.

    Examples:
        >>> shown(0.12345), shown(12.345), shown(12345.6), shown(3)
        ('0.123', '12.3', '12,346', '3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
