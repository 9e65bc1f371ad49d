"""Simulated microscope images of overlapping cells: the data that comes with cellmm."""

from cellmm.simulation.dataset import make_dataset
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene

__all__ = ["SCENES", "Scene", "SceneConfig", "make_dataset", "simulate_scene"]
