"""Simulated microscope images of overlapping cells: the data that comes with cellmm."""

from cellmm.simulation.cell_types import CELL_TYPES, CellType, StainedScene, simulate_stained_scene
from cellmm.simulation.class_folders import make_class_folders
from cellmm.simulation.dataset import make_dataset, remove_abandoned
from cellmm.simulation.film import Film, FilmConfig, FilmFrame, simulate_film
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene, take_images

__all__ = [
    "CELL_TYPES",
    "SCENES",
    "CellType",
    "Film",
    "FilmConfig",
    "FilmFrame",
    "Scene",
    "SceneConfig",
    "StainedScene",
    "make_class_folders",
    "make_dataset",
    "remove_abandoned",
    "simulate_film",
    "simulate_scene",
    "simulate_stained_scene",
    "take_images",
]
