"""Pictures of images, cells and predictions."""

from cellmm.visualization.cell_visualizer import CellVisualizer
from cellmm.visualization.colors import cell_colors, class_colors, instance_colors
from cellmm.visualization.display import to_display
from cellmm.visualization.montage import caption, encode_picture, fit, grid, legend, save_picture
from cellmm.visualization.overlay import draw_instances

__all__ = [
    "CellVisualizer",
    "caption",
    "cell_colors",
    "class_colors",
    "draw_instances",
    "encode_picture",
    "fit",
    "grid",
    "instance_colors",
    "legend",
    "save_picture",
    "to_display",
]
