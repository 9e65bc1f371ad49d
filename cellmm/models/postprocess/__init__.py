from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.mask_nms import mask_nms, matrix_nms
from cellmm.models.postprocess.nms import MaskNMS, MatrixNMS
from cellmm.models.postprocess.original_frame import map_in_original_frame, masks_in_original_frame
from cellmm.models.postprocess.seeded_watershed import SeededWatershed

__all__ = [
    "MapAverage",
    "MaskNMS",
    "MatrixNMS",
    "SeededWatershed",
    "map_in_original_frame",
    "mask_nms",
    "masks_in_original_frame",
    "matrix_nms",
]
