"""Any folder of annotated images as a dataset, as other programs leave it."""

from cellmm.datasets.folders.annotated_folder_dataset import AnnotatedFolderDataset
from cellmm.datasets.folders.contents import AnnotatedImage, FolderContents
from cellmm.datasets.folders.look import look_at
from cellmm.datasets.folders.splits import read_names

__all__ = ["AnnotatedFolderDataset", "AnnotatedImage", "FolderContents", "look_at", "read_names"]
