"""Loading with MMDetection's arguments."""

from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.datasets.transforms.mmdet.arguments import refuse
from cellmm.registry import TRANSFORMS

COLORS = dict(color="rgb", grayscale="grayscale", unchanged="unchanged")


def _refuse_readers(step: str, imdecode_backend: str | None, backend_args: dict | None) -> None:
    reader = "leave it out; the file decides what reads it"
    refuse(step, "imdecode_backend", imdecode_backend, ("cv2", None), reader)
    local = (None, {}, dict(backend="local"), dict(backend="disk"))
    refuse(step, "backend_args", backend_args, local, "leave it out; files are read from the disk")


@TRANSFORMS.register_module()
class LoadImageFromFile(LoadImage):
    """LoadImage: float32 with the raw values of the file, whatever its depth.

    Args:
        to_float32: either value; images are float32 always.
        color_type: 'color' makes three channels, in the order R, G, B, of RGB and grey images; 'grayscale'
            makes one; 'unchanged' keeps those of the file, as images of other channels need it.
        imdecode_backend, ignore_empty, backend_args: only MMDetection's defaults.
    """

    def __init__(
        self,
        *,
        to_float32: bool = False,
        color_type: str = "color",
        imdecode_backend: str | None = "cv2",
        ignore_empty: bool = False,
        backend_args: dict | None = None,
    ) -> None:
        colors = f"choose among {', '.join(COLORS)}"
        refuse("LoadImageFromFile", "color_type", color_type, tuple(COLORS), colors)
        refuse(
            "LoadImageFromFile", "ignore_empty", ignore_empty, (False,), "take broken files out of the set"
        )
        _refuse_readers("LoadImageFromFile", imdecode_backend, backend_args)
        super().__init__(color=COLORS[color_type])


@TRANSFORMS.register_module()
class LoadAnnotations(LoadCells):
    """LoadCells. After ``Resize``, as in MMDetection's test pipelines, it reads the cells of the original
    image for the metrics (``eval_instances``) and writes no ``gt_*``.

    Args:
        with_mask: must be True: cells are learned from their masks.
        with_bbox, poly2mask: either value; boxes are those of the masks, which are pixels always.
        with_label, with_seg, box_type, reduce_zero_label, imdecode_backend, backend_args: only MMDetection's
            defaults.
        ignore_index: not used, as there is no semantic map.
        keep_original, cache: of LoadCells. A test pipeline without Resize needs ``keep_original=True``.
    """

    def __init__(
        self,
        *,
        with_mask: bool = False,
        with_bbox: bool = True,
        with_label: bool = True,
        with_seg: bool = False,
        poly2mask: bool = True,
        box_type: str = "hbox",
        reduce_zero_label: bool = False,
        ignore_index: int = 255,
        imdecode_backend: str | None = "cv2",
        backend_args: dict | None = None,
        keep_original: bool = False,
        cache: bool = False,
    ) -> None:
        for name, value, only, cure in (
            ("with_mask", with_mask, True, "set with_mask=True; cells are learned from their masks"),
            ("with_label", with_label, True, "leave it out, and set class_agnostic=True of the dataset"),
            ("with_seg", with_seg, False, "leave it out, and add SemanticTargets, which makes maps of cells"),
            ("box_type", box_type, "hbox", "leave it out; there are no boxes but those of the masks"),
            ("reduce_zero_label", reduce_zero_label, False, "leave it out; label 0 is the first class"),
        ):
            refuse("LoadAnnotations", name, value, (only,), cure)
        _refuse_readers("LoadAnnotations", imdecode_backend, backend_args)
        super().__init__(keep_original=keep_original, cache=cache)

    def transform(self, results: dict) -> dict:
        if "scale_factor" not in results:
            return super().transform(results)
        results["eval_instances"] = self.original_cells(self.read(results))
        return results
