"""The contracts of the heads' parts: cellmm's parts keep them, and parts of your own need nothing else."""

import inspect

import pytest
import torch
from torch import nn

from cellmm.models import feature_pyramid
from cellmm.models.heads import parts
from cellmm.models.heads.base import HeadContract
from cellmm.registry import MODELS

IAM_HEAD = dict(
    type="IAMHead",
    in_specs=feature_pyramid((4, 6)),
    num_queries=3,
    feature_dim=8,
    instance_branch=dict(channels=5, depth=1),
    mask_branch=dict(channels=5, depth=1, mask_dim=4),
)
GATEWAY_HEAD = dict(
    type="GatewayHead",
    in_specs=feature_pyramid((4, 6, 8)),
    feature_channels=4,
    mask_decoder=dict(widths=(4, 6), padding="same"),
    windows=dict(size=16),
    sampler=dict(type="SingleGatewaySampler"),
)
QUERY_HEAD = dict(
    type="QueryHead",
    in_specs=feature_pyramid((4, 6, 8)),
    num_queries=3,
    dim=16,
    num_heads=2,
    feedforward=8,
    strides=(4, 2),
    mask_stride=1,
)
CONTRACTS = dict(
    QueryHead=dict(criterion=parts.QueryCriterion, test_cfg=parts.MaskSelection),
    IAMHead=dict(
        instance_branch=parts.InstanceBranch,
        mask_branch=parts.MaskBasis,
        activation=parts.Activation,
        criterion=parts.QueryCriterion,
        test_cfg=parts.MaskSelection,
        objectness=parts.Objectness,
    ),
    GatewayHead=dict(
        mask_decoder=parts.MaskDecoder,
        finder=parts.GatewayFinder,
        sampler=parts.GatewaySampler,
        criterion=parts.DiskCriterion,
        scoring=parts.MaskScoring,
        windows=parts.GatewayWindows,
        test_cfg=parts.MaskSelection,
    ),
)


@pytest.mark.parametrize(
    "config",
    [
        dict(IAM_HEAD, objectness=dict(type="IoUObjectness")),
        dict(
            IAM_HEAD,
            objectness=dict(type="MaskQuality"),
            activation=dict(type="SoftmaxInstanceActivation"),
        ),
        GATEWAY_HEAD,
        dict(
            GATEWAY_HEAD,
            finder=dict(type="PeakFinder"),
            scoring=dict(objectness=dict(type="MaskQuality")),
        ),
        dict(GATEWAY_HEAD, sampler=dict(type="UnionGatewaySampler")),
        QUERY_HEAD,
    ],
)
def test_the_parts_of_cellmm_keep_their_contracts(config):
    head = MODELS.build(config)
    contracts = CONTRACTS[config["type"]]
    assert set(type(head).default_parts) == set(contracts) - {"objectness"}
    for name, contract in contracts.items():
        part = getattr(head, name)
        assert isinstance(part, contract), (name, part)
        for method in ("__call__", *(key for key in vars(contract) if not key.startswith("_"))):
            expected = vars(contract).get(method)
            if not inspect.isfunction(expected):
                continue
            actual = part.forward if method == "__call__" else getattr(part, method)
            names = list(inspect.signature(expected).parameters)[1:]
            assert list(inspect.signature(actual).parameters)[: len(names)] == names, (name, method)


class Flat(nn.Module):
    """An objectness without ``num_features``' default."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, 1)

    def forward(self, features, logits, object_probs):
        return self.linear(features)[:, 0]

    def loss(self, predicted, iou, avg_factor):
        return (predicted - iou).abs().sum() / avg_factor

    def score(self, probs, predicted):
        return probs

    def least_prob(self, score_thr):
        return score_thr


class Uniform(nn.Module):
    """An activation that needs the number of queries alone."""

    def __init__(self, num_queries: int) -> None:
        super().__init__()
        self.num_queries = num_queries

    def forward(self, x):
        return torch.ones_like(x[:, :1]).expand(-1, self.num_queries, -1, -1).float()

    def reset_parameters(self):
        pass


def test_parts_of_your_own_get_what_their_constructors_name():
    for cls in (Flat, Uniform):
        MODELS.register_module(module=cls)
    try:
        head = MODELS.build(dict(IAM_HEAD, objectness=dict(type="Flat"), activation=dict(type="Uniform")))
        assert head.objectness.linear.in_features == 8 and head.activation.num_queries == 3
        assert isinstance(head.objectness, parts.Objectness) and isinstance(head.activation, parts.Activation)
        scoring = dict(objectness=dict(type="Flat"))
        scoring = MODELS.build(dict(GATEWAY_HEAD, scoring=scoring)).scoring
        assert scoring.objectness.linear.in_features == 12
        found = head.eval().predict([torch.rand(1, 4, 8, 8), torch.rand(1, 6, 4, 4)], [])
        assert len(found) == 1
    finally:
        for cls in (Flat, Uniform):
            MODELS.module_dict.pop(cls.__name__)


def test_a_head_says_which_thresholds_hide_cells():
    thresholds = [
        HeadContract.of(MODELS.build(config)).score_thrs
        for config in (
            IAM_HEAD,
            GATEWAY_HEAD,
            dict(GATEWAY_HEAD, finder=dict(type="PeakFinder", score_thr=0.2)),
        )
    ]
    own = {"test_cfg.score_thr": 0.05}
    assert thresholds == [own, own, own | {"finder.score_thr": 0.2}]
