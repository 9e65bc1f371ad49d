"""mmengine's visualizer for cells."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import master_only
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from torch import Tensor

from cellmm.io.images import read_image
from cellmm.registry import VISUALIZERS
from cellmm.structures import CellSample, LabelLayers
from cellmm.visualization.colors import class_colors, instance_colors
from cellmm.visualization.montage import caption, grid, legend, save_picture
from cellmm.visualization.overlay import draw_instances, view_scale
from cellmm.visualization.translations import draw_translations

IGNORED = (150, 150, 150)


@VISUALIZERS.register_module()
class CellVisualizer(Visualizer):
    """Draws ground truth (left) beside prediction (right) in the original frame.

    With several classes, those of ``dataset_meta``, cells have the colour of their class, and a legend below
    names them. Of a model that gives maps and no cells, the prediction is its maps, side by side, from 0
    (black) to 1; of one that translates images, the real image above the translated one.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray | str | Path | Sequence[str],
        data_sample: CellSample,
        *,
        draw_gt: bool = True,
        draw_pred: bool = True,
        pred_score_thr: float = 0.3,
        out_file: str | Path | None = None,
        step: int = 0,
        scale: int | None = None,
    ) -> None:
        """Draw what ``data_sample`` holds of eval_instances and pred_instances (without these,
        pred_semantic or pred_image), else the plain image.

        Crowd regions of the ground truth are grey.

        Args:
            name: of the picture in the backends.
            image: (H, W, C) in the original frame, or the path or paths that it is read from, with the
                ``read_options`` of ``data_sample``.
            pred_score_thr: predictions that score less are left out.
            out_file: a PNG, written at once; without it the picture goes to the visualizer's backends.
            step: of the training, for the backends.
            scale: enlarge by this whole number; None: see ``draw_instances``.
        """
        if not isinstance(image, np.ndarray):
            image = read_image(image, data_sample.get("read_options"))
        parts = []
        if draw_gt and "eval_instances" in data_sample:
            parts.append(_draw_truth(image, data_sample.eval_instances, scale, len(self._classes())))
        if draw_pred and "pred_instances" in data_sample:
            found = data_sample.pred_instances
            found = found[found.scores >= pred_score_thr]
            layers = LabelLayers.from_rles(found.masks, image.shape[:2])
            colors = instance_colors(layers.bboxes(), found.get("labels"), len(self._classes()))
            picture = draw_instances(image, layers, found.scores.tolist(), scale=scale, colors=colors)
            text = f"prediction: {_cells(len(found))} with score >= {pred_score_thr:g}"
            parts.append(caption(picture, text))
        elif draw_pred and "pred_semantic" in data_sample:
            maps = sorted(data_sample.pred_semantic.items())  # of a set, in any order
            parts += [_draw_map(target, probs, scale) for target, probs in maps]
        elif draw_pred and "pred_image" in data_sample:
            parts.append(draw_translations([data_sample]))
        picture = grid(parts, len(parts)) if parts else draw_instances(image, [], scale=scale)
        if len(self._classes()) > 1:
            picture = legend(picture, self._classes(), class_colors(len(self._classes())))
        if out_file is not None:
            save_picture(out_file, picture)
        else:
            self.add_image(name, picture, step)

    def _classes(self) -> tuple[str, ...]:
        return tuple((self.dataset_meta or {}).get("classes", ()))


def _draw_truth(image: np.ndarray, truth: InstanceData, scale: int | None, num_classes: int) -> np.ndarray:
    layers = LabelLayers.from_rles(truth.masks, image.shape[:2])
    colors = instance_colors(layers.bboxes(), truth.get("labels"), num_classes)
    ignored = np.asarray(truth.get("ignore", np.zeros(len(layers))), bool)
    colors[ignored] = IGNORED
    text = f"ground truth: {_cells(int((~ignored).sum()))}"
    if ignored.any():
        text += f", {int(ignored.sum())} ignored"
    return caption(draw_instances(image, layers, scale=scale, colors=colors), text)


def _draw_map(target: str, probs: Tensor, scale: int | None) -> np.ndarray:
    scale = scale or view_scale(*probs.shape)
    grey = (255 * probs.numpy()).round().astype(np.uint8)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    return caption(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), f"prediction: {target}")


def _cells(number: int) -> str:
    return f"{number} cell{'s' * (number != 1)}"
