"""The nuclei of the cells, from a file with the ids of the cells."""

from mmcv.transforms import BaseTransform

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.structures.image_file import read_pixels


@TRANSFORMS.register_module()
class LoadNuclei(BaseTransform):
    """Read ``nuclei_path`` into ``gt_nuclei``, LabelLayers: id i + 1 is the nucleus of cell i (from 0).

    The file is a label image (H, W) or a TIFF whose pages are layers. Its ids are kept: a cell without a
    nucleus leaves a gap. After LoadCells and before anything that moves pixels.

    ``keep_original``: also ``eval_nuclei``, a list of RLEs of the original frame, one a cell, for test
    pipelines.
    """

    def __init__(self, *, keep_original: bool = False) -> None:
        self.keep_original = keep_original

    def transform(self, results: dict) -> dict:
        if "gt_layers" not in results or results["img_shape"] != results["ori_shape"]:
            raise CellMMError("LoadNuclei has to come right after LoadCells in the pipeline")
        if "nuclei_path" not in results:
            raise CellMMError(
                f"{results['img_path']} has no nuclei_path: set nuclei=True of SimulatedDataset, or leave "
                "LoadNuclei out"
            )
        path, num = results["nuclei_path"], len(results["gt_layers"])
        label, axes = read_pixels(path)
        if axes.endswith("S"):
            raise CellMMError(f"{path} is a colour image of shape {label.shape}: save the ids as 16 bit")
        try:
            LabelLayers.from_label_image(label)
        except CellMMError as error:
            raise CellMMError(f"{path}: {error}") from error
        if label.shape[-2:] != results["gt_layers"].shape:
            raise CellMMError(
                f"{path} is {label.shape[-2:]} pixels (h, w), but its image {results['img_path']} "
                f"{results['gt_layers'].shape}: one of them was cropped, resized or turned, export it again"
            )
        if (top := int(label.max())) > num:
            raise CellMMError(
                f"{path} holds the id {top}, but its image has {num} cells: give each nucleus the number of "
                "its cell, counted from 1"
            )
        results["gt_nuclei"] = LabelLayers(label.astype("int32"), num=num)
        if self.keep_original:
            results["eval_nuclei"] = results["gt_nuclei"].to_rles()
        return results
