"""Results of cellmm as layers of napari, each of which can be edited."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cellmm.io.layered_tiff import read_label_layers, written_by_cellmm
from cellmm.results import Instances
from cellmm.results.run_folder import RunFolder, read_run
from cellmm.structures import LabelLayers

Layer = tuple[np.ndarray, dict, str]  # data, arguments and kind, as napari takes them
MOST = 100  # images of a folder that are opened


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """The reader of a folder of `cellmm predict` or of label TIFFs that cellmm wrote; None of other files."""
    paths = [path] if isinstance(path, str) else path
    return read_layers if all(_is_ours(Path(name)) for name in paths) else None


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """Labels layers of each file or folder: cells that overlap are on different layers.

    Of the images of a folder, the first is shown and the others are hidden.

    Raises:
        CellMMError: a damaged file, a run that is not finished, or a folder of more than 100 images.
    """
    layers: list[Layer] = []
    for name in [path] if isinstance(path, str) else path:
        layers += _of_folder(Path(name)) if Path(name).is_dir() else _of_file(Path(name))
    return layers


def label_layers(
    cells: LabelLayers, name: str, *, visible: bool = True, features: dict | None = None
) -> list[Layer]:
    """One Labels layer for each layer of ``cells``; ``features``: of all cells, with their ``index``."""
    arguments = dict(visible=visible, opacity=0.6)
    layers = []
    for number, data in enumerate(cells.layers, 1):
        title = f"{name} cells" if cells.num_layers == 1 else f"{name} cells, layer {number}"
        more = {} if features is None else dict(features=_of_layer(features, data))
        layers.append((data, dict(arguments, name=title, **more), "labels"))
    return layers


def of_instances(instances: Instances, name: str | None = None, *, visible: bool = True) -> list[Layer]:
    """The layers of predicted cells, with the score and the class of each."""
    features = dict(
        index=np.arange(1, len(instances) + 1),
        score=np.asarray(instances.scores, dtype=np.float64).round(4),
        label=np.array(instances.class_names(), dtype=object),
    )
    cells = instances.to_layers()
    return label_layers(cells, name or instances.name, visible=visible, features=features)


def _is_ours(path: Path) -> bool:
    return RunFolder(path).exists if path.is_dir() else path.is_file() and written_by_cellmm(path)


def _of_folder(path: Path) -> list[Layer]:
    RunFolder(path).check_size(MOST)
    found: Iterable[Instances] = read_run(path)
    return [layer for i, cells in enumerate(found) for layer in of_instances(cells, visible=i == 0)]


def _of_file(path: Path) -> list[Layer]:
    return label_layers(read_label_layers(path), path.name.split(".")[0])


def _of_layer(features: dict, data: np.ndarray) -> dict:
    """Those of the cells on one layer."""
    here = np.isin(features["index"], data)
    return {name: values[here] for name, values in features.items()}
