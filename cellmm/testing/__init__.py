"""Do the parts that you wrote follow cellmm's contracts? Testers for the tests of a plug-in.

Each builds a component from its config, runs it on generated images of 64 x 64 pixels, and raises a
CellMMError of one line that names the rule that is broken.

>>> check_loss(dict(type="DiceLoss"))
>>> check_transform(dict(type="Normalize", mode="divide", divisor=255))
"""

from cellmm.testing.annotation_readers import check_annotation_reader
from cellmm.testing.component import check_component
from cellmm.testing.data import check_dataset, check_sampler
from cellmm.testing.heads import check_head, check_instances, check_postprocess, check_refinement
from cellmm.testing.hooks import check_hook
from cellmm.testing.losses import check_loss
from cellmm.testing.metrics import check_metric
from cellmm.testing.model_parts import check_matcher, check_model, check_nms
from cellmm.testing.networks import check_decoder, check_encoder
from cellmm.testing.track_writers import check_track_writer
from cellmm.testing.transforms import check_transform
from cellmm.testing.writers import check_writer

__all__ = [
    "check_annotation_reader",
    "check_component",
    "check_dataset",
    "check_decoder",
    "check_encoder",
    "check_head",
    "check_hook",
    "check_instances",
    "check_loss",
    "check_matcher",
    "check_metric",
    "check_model",
    "check_nms",
    "check_postprocess",
    "check_refinement",
    "check_sampler",
    "check_track_writer",
    "check_transform",
    "check_writer",
]
