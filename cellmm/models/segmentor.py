"""The one model: an encoder, a decoder and a dict of heads."""

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from cellmm.models.postprocess.original_frame import masks_in_original_frame
from cellmm.registry import MODELS
from cellmm.structures import CellSample


@MODELS.register_module()
class CellSegmentor(BaseModel):
    """Encoder -> decoder -> heads.

    Every head has ``forward(features)``, ``loss(features, samples) -> dict`` and ``predict(features, samples)
    -> list[InstanceData]``. The losses of all heads are added; where there are several heads, their names
    come before the losses' names. Instances come from the head ``instance_head``.

    ``forward(inputs, data_samples, mode)``: ``'loss'`` gives a dict of losses, ``'predict'`` the samples with
    ``pred_instances`` (RLE masks in the original frame), ``'tensor'`` the raw output of each head.

    Args:
        encoder, decoder, data_preprocessor: configs.
        heads: config of each head by its name.
        instance_head: the head whose ``predict`` gives the instances.
        channels_last: keep the convolutions' weights in channels_last order.
    """

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        heads: dict,
        data_preprocessor: dict,
        instance_head: str = "instances",
        channels_last: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        if instance_head not in heads:
            raise ValueError(f"instance_head {instance_head!r} is not among the heads {sorted(heads)}")
        self.encoder = MODELS.build(encoder)
        self.decoder = MODELS.build(
            dict(decoder, in_channels=decoder.get("in_channels", self.encoder.out_channels))
        )
        self.heads = nn.ModuleDict(
            {
                name: MODELS.build(dict(head, in_channels=head.get("in_channels", self.decoder.out_channels)))
                for name, head in heads.items()
            }
        )
        self.instance_head = instance_head
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def extract(self, inputs: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> the decoder's maps, finest first."""
        return self.decoder(self.encoder(inputs))

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> dict | list[CellSample]:
        features = self.extract(inputs)
        if mode == "loss":
            losses = {name: head.loss(features, data_samples) for name, head in self.heads.items()}
            if len(losses) == 1:
                return next(iter(losses.values()))
            return {f"{name}.{key}": value for name, part in losses.items() for key, value in part.items()}
        if mode == "predict":
            return self._predict(features, data_samples, inputs.shape[-2:])
        if mode == "tensor":
            return {name: head(features) for name, head in self.heads.items()}
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def _predict(
        self, features: list[Tensor], samples: list[CellSample], batch_shape: tuple[int, int]
    ) -> list[CellSample]:
        head = self.heads[self.instance_head]
        for sample, instances in zip(samples, head.predict(features, samples), strict=True):
            probs = instances.mask_probs
            masks, kept = masks_in_original_frame(
                probs.detach().float().cpu().numpy(),
                stride=batch_shape[0] / probs.shape[-2],
                img_shape=sample.img_shape,
                to_original=sample.to_original,
                ori_shape=sample.ori_shape,
                mask_thr=head.mask_thr,
            )
            sample.pred_instances = InstanceData(
                masks=masks, scores=instances.scores.detach().cpu()[kept], labels=instances.labels.cpu()[kept]
            )
        return samples
