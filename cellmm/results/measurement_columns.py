"""The columns of measurements: their names, units and meanings."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """What a column of measurements holds.

    Args:
        name: as in ``skimage.measure.regionprops_table`` where that function has it.
        meaning: one phrase, without the unit.
        power: of the pixel's side in its unit; 1: length, 2: area, -1: curvature, None: without unit.
    """

    name: str
    meaning: str
    power: int | None = None

    @property
    def unit(self) -> str:
        """As in tables: 'px', 'px²', '1/px' or ''."""
        return {None: "", 1: "px", 2: "px²", -1: "1/px"}[self.power]

    @property
    def in_micrometres(self) -> str | None:
        """The name of the column in micrometres; None: it has no unit.

        Examples:
            >>> [Column("", "", power).in_micrometres for power in (1, 2, -1, None)]
            ['_um', '_um2', '_per_um', None]
        """
        suffix = {1: "_um", 2: "_um2", -1: "_per_um"}
        return None if self.power is None else self.name + suffix[self.power]


IDENTITY = (
    Column("label", "number of the cell in its image, from 1, as in the other outputs"),
    Column("class", "name of its class"),
    Column("score", "how sure the model is, 0 to 1"),
)
BOX = (
    Column("bbox-0", "first row of the box"),
    Column("bbox-1", "first column of the box"),
    Column("bbox-2", "row after the last of the box"),
    Column("bbox-3", "column after the last of the box"),
)
SHAPE = (
    Column("area", "number of pixels, those shared with other cells included", 2),
    Column("centroid-0", "mean row of the pixels, from 0 at the middle of the first row", 1),
    Column("centroid-1", "mean column of the pixels, from 0 at the middle of the first column", 1),
    Column("area_convex", "area of the convex hull", 2),
    Column("solidity", "area divided by the area of the convex hull"),
    Column("eccentricity", "of the ellipse with the same second moments: 0 is a circle, 1 a line"),
    Column("orientation", "angle between the rows' axis and the ellipse's long axis, radians, -pi/2 to pi/2"),
    Column("axis_major_length", "long axis of that ellipse", 1),
    Column("axis_minor_length", "short axis of that ellipse", 1),
    Column("perimeter", "length of the border, holes included", 1),
    Column("feret_diameter_max", "longest distance between two points of the convex hull", 1),
)
AXIS = (
    Column("length", "along the medial axis, from tip to tip", 1),
    Column("width_mean", "mean width at right angles to the medial axis", 1),
    Column("width_max", "largest width at right angles to the medial axis", 1),
    Column("curvature", "mean of 1 / radius along the medial axis; 0 is straight", -1),
)
OVERLAP = (
    Column("overlap_labels", "labels of the cells that share pixels with this cell, separated by spaces"),
    Column("overlap_areas", "number of pixels shared with each of them, separated by spaces"),
    Column("area_overlap", "number of pixels shared with any other cell", 2),
    Column("overlap_fraction", "area_overlap divided by area"),
)
INTENSITY = (
    Column("intensity_mean", "mean of the channel in the cell, in the values of the file"),
    Column("intensity_max", "maximum"),
    Column("intensity_min", "minimum"),
    Column("intensity_std", "standard deviation"),
)
COLUMNS = IDENTITY + BOX + SHAPE + AXIS + OVERLAP


def in_order(names: Iterable[str]) -> list[str]:
    """Names of columns, each once, in the order of tables; intensities last, channel by channel.

    Examples:
        >>> in_order(["intensity_mean-0", "length_um", "length", "score"])
        ['score', 'length', 'length_um', 'intensity_mean-0']
    """
    names = set(names)
    order = [name for c in COLUMNS for name in (c.name, c.in_micrometres) if name in names]
    channels = sorted({int(name.rsplit("-", 1)[1]) for name in names if name.startswith("intensity_")})
    intensities = [f"{column.name}-{channel}" for channel in channels for column in INTENSITY]
    return order + [name for name in intensities if name in names]
