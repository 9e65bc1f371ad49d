from cellmm.models.postprocess.original_frame import masks_in_original_frame

__all__ = ["masks_in_original_frame"]
