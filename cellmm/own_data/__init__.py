"""A person's own images: what they are like, how to split them, and the config that suits them."""

from cellmm.own_data.choices import MODELS, Choices, choose
from cellmm.own_data.config_text import config_text
from cellmm.own_data.prepare import Place, find_prepared, in_no_split, next_commands, prepare
from cellmm.own_data.split import Split, split_images
from cellmm.own_data.start import StartModel, start_model, starts_from
from cellmm.own_data.statistics import ImageStatistics, SetStatistics, measure_dataset, measure_image

__all__ = [
    "MODELS",
    "Choices",
    "ImageStatistics",
    "Place",
    "SetStatistics",
    "Split",
    "StartModel",
    "choose",
    "config_text",
    "find_prepared",
    "in_no_split",
    "measure_dataset",
    "measure_image",
    "next_commands",
    "prepare",
    "split_images",
    "start_model",
    "starts_from",
]
