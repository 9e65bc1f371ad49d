"""What heads ask of their parts: contracts for parts of your own. No base class is needed.

The arguments that a head gives to a part's constructor are in its ``part_arguments``, see
``base.OwnsParts``. Finders, samplers, windows and test_cfg are built from TASK_UTILS. The other parts are
``nn.Module``, built from MODELS; their ``forward`` is what stands here as ``__call__``.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from cellmm.models.heads.gateway_targets import ImageTargets, WindowTargets
from cellmm.models.heads.gateway_windows import Decode, DecodedMasks
from cellmm.models.heads.gateways import Gateways, SampledGateways
from cellmm.models.heads.query.denoising_queries import NoisyQueries
from cellmm.models.heads.set_criterion import MatchedLosses
from cellmm.structures import CellSample

# parts of several heads


@runtime_checkable
class Objectness(Protocol):
    """``objectness`` of IAMHead and of GatewayScoring: the IoU that a mask is expected to have."""

    def __call__(self, features: Tensor, logits: Tensor, object_probs: Tensor) -> Tensor:
        """Expected IoU of K masks, as a logit: (K,).

        Args:
            features: of each mask, (K, num_features).
            logits: of the mask's pixels, (K, h, w).
            object_probs: probability that there is an object, (K,).
        """

    def loss(self, predicted: Tensor, iou: Tensor, avg_factor: Tensor | float) -> Tensor:
        """Loss, a scalar, of K logits against the true IoUs (K,), divided by ``avg_factor``."""

    def score(self, probs: Tensor, predicted: Tensor) -> Tensor:
        """Scores (K,) in [0, 1] from the probability of an object (K,) and the expected IoU, a logit (K,)."""

    def least_prob(self, score_thr: float) -> float:
        """The probability that a score above ``score_thr`` needs at least, whatever the IoU."""


@runtime_checkable
class MaskSelection(Protocol):
    """``test_cfg`` of the heads: which masks are returned.

    ``mask_thr``, ``score_thr``: as of InstanceTestCfg.
    """

    mask_thr: float
    score_thr: float

    def passing(self, scores: Tensor, filled: Tensor) -> Tensor:
        """Indices, int64, of the masks to keep, best first. ``filled``: those with pixels, bool (N,)."""

    def suppress(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None,
        origins: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Indices of the masks that stay, best first, and their scores.

        ``masks``: bool (N, h, w), or N windows that start at ``origins`` (N, 2). ``labels``: None: a mask may
        repeat one of any class.
        """


# parts of IAMHead


@runtime_checkable
class InstanceBranch(Protocol):
    """``instance_branch``: what queries take their features from.

    ``channels``: of the merged map; ``in_channels``: of ``inputs``, finest first.
    """

    channels: int
    in_channels: Sequence[int]

    def inputs(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The maps (B, c, h, w) that the branch reads of those of the decoder, finest first."""

    def merge(self, maps: Sequence[Tensor]) -> Tensor:
        """``inputs`` -> (B, channels, h, w), of the size of the first of them."""


@runtime_checkable
class MaskBasis(Protocol):
    """``mask_branch``: what mask kernels act on.

    ``level``: the decoder map that has the size of the masks. ``kernel_size``: numbers of a mask's kernel.
    """

    level: int

    @property
    def kernel_size(self) -> int: ...

    def __call__(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Decoder maps -> the basis (B, kernel_size - 1, h, w), the same at the size that masks are matched
        at, and positions (B, P, h, w), of which each query gets the mean; P may be 0."""

    def place(self, kernels: Tensor, centres: Tensor) -> Tensor:
        """Kernels (B, N, kernel_size) of queries whose mean positions are ``centres`` (B, N, P), for the
        basis."""


@runtime_checkable
class Activation(Protocol):
    """``activation``: where each query looks."""

    def __call__(self, x: Tensor) -> Tensor:
        """The merged map (B, C, h, w) -> weights (B, N, h, w), float32, 0 or more, of any sum."""

    def reset_parameters(self) -> None:
        """Set the weights as a training should start; called once, after the head is built."""


@runtime_checkable
class QueryCriterion(Protocol):
    """``criterion`` of IAMHead and of QueryHead: what queries learn."""

    def __call__(self, outputs: Mapping, samples: Sequence[CellSample], stride: int) -> MatchedLosses:
        """The losses, the pairs of queries and cells of each image, and their number.

        ``outputs``: what the head's ``forward`` gives; of QueryHead with denoising also ``noisy``.
        ``stride``: of the masks.
        """


# parts of QueryHead


@runtime_checkable
class Denoising(Protocol):
    """``denoising``: queries that are given a noisy version of their cell, in training alone."""

    def __call__(self, samples: Sequence[CellSample], pixels: Tensor, stride: int) -> NoisyQueries:
        """Queries for the cells of ``samples``. ``pixels``: the finest map that queries look at,
        (B, dim, h, w), at ``stride``."""


# parts of GatewayHead


@runtime_checkable
class MaskDecoder(Protocol):
    """``mask_decoder``: draws the masks. See DecoNet for all attributes.

    ``levels``: which of the image's maps it takes. ``multiple``: windows start at multiples of it.
    ``origin``: pixels of the window before the first pixel of the mask. ``min_size``: side of the smallest
    window. ``coarsest_channels``: channels of the second map that it gives.
    """

    levels: Sequence[int]
    multiple: int
    origin: int
    min_size: int
    coarsest_channels: int

    def __call__(self, x: Tensor, maps: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """Windows (K, C, h, w) of the gated feature map, and of each of ``levels`` -> mask logits
        (K, 1, h', w') and the coarsest map (K, coarsest_channels, h'', w'')."""

    def check_window(self, window: int | None) -> None:
        """Raise ValueError, with the cure, if it cannot take windows of this side; None: any."""


@runtime_checkable
class GatewayFinder(Protocol):
    """``finder``: where gateways open when predicting.

    Optional is ``score_thr``, float: disks with lower scores are left out; and ``radius``, float, of a
    gateway that a user opens by a click, in pixels of the map: without it, a click opens none.
    """

    def find(self, disk_probs: Tensor) -> Gateways:
        """The gateways of one image in its disk probabilities (h, w)."""


@runtime_checkable
class GatewayWindows(Protocol):
    """``windows``: which part of the feature map DecoNet sees. ``size``: side in pixels; None: all of it."""

    size: int | None

    def shape_on(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of a window for training on a map of ``shape`` (h, w)."""

    def first_pixels(self, points: Tensor, size: tuple[int, int], shape: Sequence[int]) -> Tensor:
        """Where windows of ``size`` around ``points`` (K, 2) start, inside the map: int64 (K, 2)."""

    def decode_each(
        self, gateways: Gateways, shape: Sequence[int], decode: Decode, *, mask_thr: float, score_thr: float
    ) -> DecodedMasks:
        """The mask of each gateway when predicting, see GrowingWindows."""


@runtime_checkable
class GatewaySampler(Protocol):
    """``sampler``: which gateways open in training.

    ``one_per_window``: whether each window has a single gateway, so that its mask can be judged.
    """

    one_per_window: bool

    def sample(
        self, targets: ImageTargets, disk_probs: Tensor, finder: GatewayFinder, windows: GatewayWindows
    ) -> SampledGateways:
        """Gateways of one image.

        Args:
            targets: the truth of the image.
            disk_probs: what the head predicts, detached, 0 where it is not learned: float (h, w).
            finder: how the head finds gateways when predicting.
            windows: how large windows on the feature map are.
        """


@runtime_checkable
class MaskScoring(Protocol):
    """``scoring``: what masks score. ``learns``: whether it learns, from the masks of single gateways."""

    learns: bool

    def __call__(self, logits: Tensor, coarsest: Tensor, disk_probs: Tensor, mask_thr: float) -> Tensor:
        """Scores (K,) in [0, 1] of masks, see GatewayScoring."""

    def loss(
        self,
        logits: Tensor,
        coarsest: Tensor,
        disk_probs: Tensor,
        mask_thr: float,
        windows: Sequence[WindowTargets],
    ) -> dict[str, Tensor]:
        """Losses by name; empty if it does not learn. ``windows``: the truth under each mask."""


@runtime_checkable
class DiskCriterion(Protocol):
    """``criterion`` of GatewayHead: what disks and masks learn."""

    def __call__(
        self,
        disk_logits: Tensor,
        targets: Sequence[ImageTargets],
        mask_logits: Tensor,
        windows: Sequence[WindowTargets],
        gateways: SampledGateways,
    ) -> dict[str, Tensor]:
        """Losses by name, see GatewayCriterion."""
