from cellmm.models.postprocess.mask_nms import mask_nms
from cellmm.models.postprocess.original_frame import masks_in_original_frame

__all__ = ["mask_nms", "masks_in_original_frame"]
