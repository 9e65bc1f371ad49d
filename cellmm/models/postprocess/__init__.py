from cellmm.models.postprocess.components import BoundaryComponents, ClassComponents
from cellmm.models.postprocess.foreground_agreement import ForegroundAgreement
from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.mask_nms import mask_nms, matrix_nms
from cellmm.models.postprocess.nms import MaskNMS, MatrixNMS
from cellmm.models.postprocess.seeded_watershed import SeededWatershed

__all__ = [
    "BoundaryComponents",
    "ClassComponents",
    "ForegroundAgreement",
    "MapAverage",
    "MaskNMS",
    "MatrixNMS",
    "SeededWatershed",
    "mask_nms",
    "matrix_nms",
]
