"""Packing with MMDetection's arguments."""

from collections.abc import Sequence

from cellmm.datasets.transforms.packing import PackCellInputs
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackDetInputs(PackCellInputs):
    """PackCellInputs with ``meta_keys``.

    Args:
        meta_keys: keys that become metainfo of the sample where they are present, besides those that always
            do: ``img_id``, ``img_path``, ``img_shape``, ``ori_shape``, ``to_original`` and ``draw``.
        keys, cell_keys: of PackCellInputs.
    """

    def __init__(
        self,
        *,
        meta_keys: Sequence[str] = ("scale_factor", "flip", "flip_direction"),
        keys: Sequence[str] = (),
        cell_keys: Sequence[str] = (),
    ) -> None:
        super().__init__(keys=keys, cell_keys=cell_keys)
        self.meta_keys = tuple(dict.fromkeys((*self.meta_keys, *meta_keys)))
