"""Simulated microscope images of overlapping cells: the data that comes with cellmm."""

from cellmm.simulation.dataset import make_dataset, remove_abandoned
from cellmm.simulation.film import Film, FilmConfig, FilmFrame, simulate_film
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene, take_images

__all__ = [
    "SCENES",
    "Film",
    "FilmConfig",
    "FilmFrame",
    "Scene",
    "SceneConfig",
    "make_dataset",
    "remove_abandoned",
    "simulate_film",
    "simulate_scene",
    "take_images",
]
