"""The last transform of every pipeline."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.registry import TRANSFORMS
from cellmm.structures import CellSample

META_KEYS = ("img_id", "img_path", "img_shape", "ori_shape", "to_original", "draw")


@TRANSFORMS.register_module()
class PackCellInputs(BaseTransform):
    """``results`` -> dict(inputs: float32 tensor (C, H, W), data_samples: CellSample); see CellSample.

    Crowd regions (``gt_ignore``) and cells without a pixel are left out of what is trained on.
    """

    def transform(self, results: dict) -> dict:
        sample = CellSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        if "gt_layers" in results:
            kept = (results["gt_layers"].areas() > 0) & ~results["gt_ignore"]
            cells = results["gt_layers"] if kept.all() else results["gt_layers"].select(kept)
            if "gt_points" in results:
                sample.gt_points = torch.from_numpy(results["gt_points"][kept])
            if "gt_disks" in results:
                ids = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
                sample.gt_disks = torch.from_numpy(ids.astype(np.int32)[results["gt_disks"]])
                sample.gt_disk_weight = torch.from_numpy(results["gt_disk_weight"])
            sample.gt_layers = torch.from_numpy(np.ascontiguousarray(cells.layers))
            sample.gt_instances = InstanceData(labels=torch.from_numpy(results["gt_labels"][kept]))
        if "gt_semantic" in results:
            maps = {name: torch.from_numpy(one) for name, one in results["gt_semantic"].items()}
            sample.gt_semantic = BaseDataElement(**maps)
        if "gt_proximity" in results:
            sample.gt_proximity = torch.from_numpy(results["gt_proximity"])
        if "ignore" in results:
            sample.ignore = torch.from_numpy(np.ascontiguousarray(results["ignore"]))
        if "eval_instances" in results:
            sample.eval_instances = InstanceData(**results["eval_instances"])
        if "eval_nuclei" in results:
            sample.eval_nuclei = InstanceData(masks=results["eval_nuclei"])
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1), dtype=np.float32)
        return dict(inputs=torch.from_numpy(image), data_samples=sample)
