"""Simulated microscope images of overlapping cells: the data that comes with cellmm."""

from cellmm.simulation.dataset import make_dataset, remove_abandoned
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene

__all__ = ["SCENES", "Scene", "SceneConfig", "make_dataset", "remove_abandoned", "simulate_scene"]
