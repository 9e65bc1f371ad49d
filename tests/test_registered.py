"""Every class that cellmm registers follows the contract of its kind; see cellmm.testing."""

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import BaseLoop
from mmengine.visualization import Visualizer
from torch import nn

from cellmm import testing
from cellmm.datasets import CellDataset
from cellmm.models import feature_pyramid
from cellmm.registry import (
    ALL,
    DATASETS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    TASK_UTILS,
    TRANSFORMS,
    VISUALIZERS,
)
from cellmm.simulation import make_dataset
from cellmm.structures import CellSample, PredictedInstances
from cellmm.testing import generated
from cellmm.testing.generated import SCENE

LOAD = [dict(type="LoadImage"), dict(type="LoadCells")]
POINTS = [dict(type="ReferencePoints")]
ROTATE = dict(type="Affine", rotate=(-180, 180), p=1.0)
COCO = dict(ann_file="train/annotations.json", img_dir="train/images")
SIMULATED = dict(type="SimulatedDataset", split="train")
FOLDERS = dict(img_dir="train/images", label_dir="train/layers", nuclei_dir="train/nuclei")
ROOTS = dict(
    AnnotatedFolderDataset="labels",
    BBBC010Dataset="worms",
    ClassFolderDataset="classes",
    SimulatedClassesDataset="classes",
    DSB2018Dataset="nuclei",
    GlaSDataset="glands",
    MaskFolderDataset="masks",
)  # below the data

SMALL_BOXES = dict(
    num_classes=4,  # the tester numbers its cells
    box_hidden=8,
    mask_hidden=4,
    roi_samples=16,
    max_proposals=4,
    test_cfg=dict(score_thr=0.0, nms=dict(type="MaskNMS", iou_thr=0.5)),
)

# arguments of the constructor, for those that need some; a list: each of them is tested
ARGUMENTS: dict[str, dict | list[dict]] = dict(
    # transforms
    Albumentations=[
        dict(transforms=[ROTATE, dict(type="RandomCrop", height=40, width=48)]),
        dict(transforms=[dict(type="CoarseDropout", p=1.0)]),
    ],
    AuxiliaryMapHead=[dict(name="center"), dict(name="boundary", kernel_size=3, anneal=None)],
    AuxiliaryMaps=[dict(), dict(targets=("distance", "center_offsets"))],
    CenterCrop=dict(crop_size=(40, 24)),
    CutMix=[dict(prob=1.0)],
    Mosaic=[dict(prob=1.0)],
    MixUp=[dict(prob=1.0)],
    CopyPaste=[dict(prob=1.0, overlap=(0, 1)), dict(prob=1.0, mode="replace", overlap=(0, 1), blur=2.0)],
    CropRegion=dict(y0=4, x0=8, y1=40, x1=62),
    LimitedCrop=[dict(crop_size=(40, 24)), dict(crop_size=48, max_cells=1)],
    LoadAnnotations=dict(with_mask=True),
    LoadImageFromFile=dict(color_type="unchanged"),
    MirrorPad=[dict(top_left=9, bottom_right=20), dict(top_left=3, bottom_right=0, value=0.5)],
    Normalize=[dict(mode=mode) for mode in ("mean_std", "median_std", "percentile")]
    + [dict(mode="divide", divisor=2.0)],
    Pad=[dict(size_divisor=48), dict(size=(100, 70)), dict(pad_to_square=True)],
    PadTo=dict(size=(70, 80), divisor=16),
    ProximityMap=[dict(kind=f"v{i}") for i in range(5)],
    RandomCrop=[dict(crop_size=(40, 24)), dict(crop_size=(0.5, 0.7), crop_type="relative_range")],
    RandomFlip=[dict(prob=1.0, direction=name) for name in ("horizontal", "vertical", "diagonal")],
    RandomIntensity=dict(brightness=0.1, contrast=0.1, gamma=0.2, blur=1.0, noise=0.1),
    RandomResize=dict(scale=(64, 64), ratio_range=(0.5, 2.0)),
    RandomWarp=[dict(), dict(size=(40, 90), scale=(0.5, 2), shift=10, elastic_magnitude=2)],
    ReferencePoints=[dict(kind=kind) for kind in ("centroid", "inside", "medial")],
    RescaleToDiameter=[dict(diameter=30), dict(diameter=9, scale=(0.8, 1.5))],
    Rescale=[dict(factor=0.5), dict(factor=1.7)],
    RescaleToPixelSize=[dict(pixel_size=0.8), dict(pixel_size=(0.4, 0.7))],
    Resize=[dict(scale=(40, 90)), dict(scale_factor=0.5), dict(scale=(50, 100), keep_ratio=True)],
    ResizeTo=[dict(size=(96, 40)), dict(size=(30, 40), keep_ratio=True)],
    SemanticTargets=dict(targets=("cytoplasm", "nuclei", "border")),
    # datasets; data_root is added
    AnnotatedFolderDataset=dict(layout="label image"),
    CellCocoDataset=COCO,
    ClassBalancedDataset=dict(dataset=SIMULATED, oversample_thr=0.5),
    ConcatDataset=dict(datasets=[SIMULATED, SIMULATED]),
    LIVECellDataset=COCO,
    LabelImageDataset=FOLDERS,
    RepeatDataset=dict(dataset=SIMULATED, times=2),
    SimulatedClassesDataset=dict(split=""),
    SimulatedDataset=dict(split="train", nuclei=True),
    # formats of results
    GeoJSONWriter=[dict(object_type=kind) for kind in ("detection", "cell", "annotation")],
    OmeZarrWriter=[dict(), dict(version="0.4"), dict(image=True), dict(version=0.4, image=True)],
    # metrics, hooks
    SemanticMetric=dict(targets=["cytoplasm", "nuclei"]),
    EarlyStoppingHook=dict(monitor="AP", rule="greater"),
    PauseHook=dict(minutes=30),
    TimeBudgetHook=dict(minutes=30),
    TrainingReportHook=[dict(), dict(number=1)],
    # models and their parts
    ClassicalSegmentor=dict(data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2)),
    CellSegmentor=dict(
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 6, 8)),
        decoder=dict(
            type="ParallelDecoders",
            decoders={name: dict(type="SEUNetDecoder", widths=(4, 6)) for name in ("cells", "nuclei")},
        ),
        heads=dict(
            cells=dict(type="SemanticHead", target="cytoplasm"),
            nuclei=dict(type="SemanticHead", target="nuclei"),
        ),
        instance_head=None,
        postprocess=dict(type="SeededWatershed"),
    ),
    EncoNetDecoder=dict(widths=(4, 4), padding="same"),
    FPNDecoder=[dict(channels=4), dict(channels=4, norm="BN")],
    MaskRCNNHead=[dict(SMALL_BOXES), dict(SMALL_BOXES, v2=True, mask_deconvs=2, box_nms=None)],
    MaskNMS=dict(iou_thr=0.5),
    ParallelDecoders=dict(decoders={name: dict(type="SEUNetDecoder", widths=(4, 6)) for name in "ab"}),
    ResNetEncoder=[dict(depth="resnet18"), dict(depth="resnet18", norm="GN", stem_pool=False)],
    TimmEncoder=[dict(name="resnet10t"), dict(name="convnext_atto", stages=(0, 1))],
    VGGEncoder=[dict(depth="vgg11"), dict(depth="vgg11", norm="none")],
    SEUNetDecoder=[
        dict(widths=(4, 6)),
        dict(widths=(4, 6), upsample="deconv"),
        dict(widths=(6,), num_skips=1),
    ],
    SEUNetEncoder=[dict(widths=(4, 6, 8)), dict(widths=(4, 6), padding="valid")],
    BoundaryComponents=[dict(), dict(background="largest", bridge=2)],
    BoundaryTargets=[dict(), dict(kind="cuts", width=4), dict(kind="bell", width=8)],
    ClassComponents=[dict(), dict(bridge=2)],
    DiceLoss=[dict(), dict(squared=False)],
    PixelWeights=[dict(), dict(balance=False, w0=0.0)],
    SemanticHead=[
        dict(target="cytoplasm"),
        dict(target="boundary", loss=dict(type="MSELoss"), weighted=True),
        dict(target="boundary", loss=dict(type="DiceLoss", squared=False)),
    ],
    SoftmaxHead=[dict(), dict(loss=dict(type="DiceLoss")), dict(loss=dict(type="SigmoidFocalLoss"))],
)
SMALL_IAM = dict(
    type="IAMHead",
    num_queries=6,
    feature_dim=8,
    coord_order=2,
    num_refine=1,
    instance_branch=dict(type="TopDownBranch", channels=4, depth=1),
    mask_branch=dict(type="MaskBranch", channels=4, depth=1, mask_dim=4),
    test_cfg=dict(type="InstanceTestCfg", score_thr=0.0, nms=dict(type="MatrixNMS")),
)
SMALL_GATEWAY = dict(
    type="GatewayHead",
    feature_channels=4,
    mask_decoder=dict(type="DecoNet", widths=(4, 4), padding="same"),
    test_cfg=dict(score_thr=0.0, nms=dict(type="MaskNMS", iou_thr=0.7)),
)
SMALL_QUERIES = dict(
    type="QueryHead",
    num_queries=6,
    num_classes=4,
    dim=16,
    num_heads=2,
    feedforward=16,
    strides=(4, 2),
    mask_stride=1,
    layers_per_level=1,
    test_cfg=dict(score_thr=0.0, nms=dict(type="MaskNMS", iou_thr=0.7)),
)
# parts of heads that follow no contract of their own: configs of heads that have them, which are tested
HEADS: list[dict] = [
    SMALL_IAM
    | dict(
        activation=dict(type="InstanceActivation"),
        criterion=dict(type="SetCriterion", points=dict(type="UncertainPoints", num_points=50)),
        objectness=dict(type="MaskQuality"),
    ),
    SMALL_IAM
    | dict(
        activation=dict(type="SoftmaxInstanceActivation"),
        criterion=dict(type="SetCriterion", points=dict(type="AllPixels")),
        objectness=dict(type="IoUObjectness"),
    ),
    SMALL_QUERIES
    | dict(
        denoising=dict(type="DenoisingQueries", max_queries=9),
        criterion=dict(type="QuerySetCriterion", points=dict(type="OverlapPoints", num_points=50)),
    ),
    SMALL_QUERIES | dict(init="peaks", overlap_parts=True, order="round_robin"),
    SMALL_GATEWAY
    | dict(
        finder=dict(type="ComponentFinder"),
        sampler=dict(type="UnionGatewaySampler"),
        criterion=dict(type="GatewayCriterion"),
        scoring=dict(type="GatewayScoring"),
    ),
    SMALL_GATEWAY
    | dict(
        finder=dict(type="PeakFinder"),
        sampler=dict(type="SingleGatewaySampler"),
        windows=dict(type="GrowingWindows", size=16),
        scoring=dict(type="GatewayScoring", objectness=dict(type="MaskQuality")),
    ),
]
# what the testers need besides the config
OPTIONS: dict[str, dict] = dict(
    DiskTargets=dict(before=POINTS),
    LoadAnnotations=dict(before=LOAD[:1]),
    LoadCells=dict(before=LOAD[:1]),
    LoadNuclei=dict(before=LOAD),
    CrossEntropyLoss=dict(pred=torch.randn(3, 2, 8, 8), target=torch.randint(0, 2, (3, 8, 8))),
    EncoNetDecoder=dict(in_specs=feature_pyramid((4, 6), stride=2)),
    MaskRCNNHead=dict(in_specs=feature_pyramid((4, 4, 4), stride=4)),
    ProximityFocalLoss=dict(proximity=torch.rand(4, 30)),
    ProximityTargetFocalLoss=dict(proximity=torch.rand(4, 30)),
    ProximityWeightFocalLoss=dict(proximity=torch.rand(4, 30)),
)


def in_training(name: str) -> None:
    """A step with an optimizer's wrapper changes the weights."""
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    options = dict(dtype="bfloat16") if "Amp" in name else {}
    wrapper = OPTIM_WRAPPERS.build(dict(type=name, optimizer=optimizer, **options))
    before = layer.weight.detach().clone()
    wrapper.update_params(layer(torch.ones(1, 2)).sum())
    assert not torch.equal(layer.weight, before)


def average(name: str) -> None:
    layer = nn.Linear(2, 1)
    average = MODELS.build(dict(type=name, momentum=0.5), default_args=dict(model=layer))
    average.update_parameters(layer)
    assert torch.equal(average.module.weight, layer.weight)


def preprocess(name: str) -> None:
    part = MODELS.build(dict(type=name, in_channels=2, divisor=16))
    batch = part(dict(inputs=[torch.rand(2, 20, 30), torch.rand(2, 33, 9)], data_samples=None))
    assert batch["inputs"].shape == (2, 2, 48, 32)


def find_diameter(name: str) -> None:
    """By a network that finds the same cells whatever it is shown."""
    probs, scores = torch.zeros(6, 16, 16), torch.ones(6)
    probs[:, :8, :8] = 1
    found = PredictedInstances(probs, scores, torch.zeros(6, dtype=torch.long))
    finder = TASK_UTILS.build(dict(type=name, diameter=2 * 8 / np.sqrt(np.pi)))
    assert finder.find(torch.zeros(1, 2, 16, 16), lambda part: found) == pytest.approx(finder.diameter)


def part_of_a_classical_model(name: str) -> None:
    """With it, the model finds a square that is brighter than the rest."""
    key = dict(Threshold="threshold", Declumping="declumping")[name]
    preprocessor = dict(type="CellDataPreprocessor", in_channels=1)
    model = MODELS.build(
        {"type": "ClassicalSegmentor", "data_preprocessor": preprocessor, key: dict(type=name)}
    )
    image = np.zeros((32, 32), np.float32)
    image[8:22, 9:23] = 1
    assert model.find_objects(image)[0].max() == 1


def network_of_pix2pix(name: str) -> None:
    """All of it learns; tests/models/translation has the rest."""
    channels = dict(out_channels=2) if "Generator" in name else {}
    network = MODELS.build(dict(type=name, in_channels=3, **channels))
    x = torch.rand(1, 3, 512, 512) if channels else torch.rand(1, 1, 70, 70)
    out = network(x) if channels else network(x, torch.rand(1, 2, 70, 70))[0]
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def optimizers_of_parts(name: str) -> None:
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 1), b=nn.Linear(2, 1)))
    config = {part: dict(optimizer=dict(type="SGD", lr=rate)) for part, rate in dict(a=0.1, b=0.2).items()}
    built = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(type=name, optim_wrapper_cfg=config))(model)
    assert built.get_lr() == {"a.lr": [0.1], "b.lr": [0.2]}


def translate(name: str) -> None:
    """It learns, and predicts; tests/models/translation has the rest."""
    preprocessor = dict(type="CellDataPreprocessor", in_channels=2)
    config = dict(
        data_preprocessor=preprocessor, target_channels=1, generator=dict(widths=(4, 6, 8)), discriminator={}
    )
    model = MODELS.build(dict(config, type=name))
    sample = CellSample(metainfo=dict(img_id=1, img_shape=(32, 32)))
    sample.gt_image = torch.zeros(1, 32, 32)
    batch = dict(inputs=[torch.rand(2, 32, 32)], data_samples=[sample])
    losses = model(**model.data_preprocessor(batch, True), mode="loss")
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval().test_step(batch)[0].pred_image.shape == (1, 32, 32)


def score_translations(name: str) -> None:
    metric = METRICS.build(dict(type=name, prefix="a"))
    image = torch.rand(2, 16, 16)
    metric.process(None, [dict(img_id=1, gt_image=image, pred_image=image)])
    assert metric.evaluate(1) == dict(zip(metric.metric_keys, (0, 1, 0), strict=True))


def score_a_set_of_translations(name: str) -> None:
    metric = METRICS.build(dict(type=name, prefix="a"))
    image = torch.rand(2, 16, 16)
    metric.process(None, [dict(img_id=i, gt_image=image, pred_image=image) for i in (1, 2)])
    assert metric.metric_keys == ["a/FD_spectrum"]
    assert metric.evaluate(2) == {"a/FD_spectrum": pytest.approx(0, abs=1e-6)}


def pack_a_pair(name: str) -> None:
    step = TRANSFORMS.build(dict(type=name, white=1))
    packed = step(generated.results((20, 30)))
    assert packed["inputs"].shape == packed["data_samples"].gt_image.shape == (1, 20, 30)


def pairs_of_images(name: str) -> None:
    """Its pairs have no cells, so the contract of other datasets does not fit; see tests/datasets."""
    assert issubclass(DATASETS.get(name), CellDataset)


def is_a(registry, base: type) -> Callable[[str], None]:
    def check(name: str) -> None:
        assert issubclass(registry.get(name), base)

    return check


# classes of kinds that no plug-in writes: what is tested of them here; trainings of tests/engine do the rest
OTHERS: dict[str, Callable[[str], None]] = dict(
    AmpOptimWrapper=in_training,
    CellDataPreprocessor=preprocess,
    Declumping=part_of_a_classical_model,
    DiameterFinder=find_diameter,
    CellDistributedDataParallel=is_a(MODEL_WRAPPERS, MMDistributedDataParallel),
    CellVisualizer=is_a(VISUALIZERS, Visualizer),
    EpochBasedTrainLoop=is_a(LOOPS, BaseLoop),
    ExponentialMovingAverage=average,
    IterBasedTrainLoop=is_a(LOOPS, BaseLoop),
    OptimWrapper=in_training,
    PackImagePair=pack_a_pair,
    PairedImageDataset=pairs_of_images,
    PartsDistributedDataParallel=is_a(MODEL_WRAPPERS, nn.Module),
    PartsOptimWrapperConstructor=optimizers_of_parts,
    PatchGANDiscriminator=network_of_pix2pix,
    FrechetMetric=score_a_set_of_translations,
    Pix2Pix=translate,
    Threshold=part_of_a_classical_model,
    TranslationMetric=score_translations,
    UNetGenerator=network_of_pix2pix,
)
NETWORKS = dict(
    EncoNetDecoder=testing.check_decoder,
    FPNDecoder=testing.check_decoder,
    ParallelDecoders=testing.check_decoder,
    ResNetEncoder=testing.check_encoder,
    TimmEncoder=testing.check_encoder,
    VGGEncoder=testing.check_encoder,
    SEUNetDecoder=testing.check_decoder,
    SEUNetEncoder=testing.check_encoder,
)


def registered() -> list[str]:
    names = set()
    for registry in ALL.values():
        registry.import_from_location()
        names |= {name for name, cls in registry.module_dict.items() if cls.__module__.startswith("cellmm.")}
    return sorted(names)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Two simulated images, and one image with two masks in each layout that has one file per mask."""
    root = tmp_path_factory.mktemp("registered") / "data"
    make_dataset(root, splits=dict(train=2), scene=SCENE, extra_modalities=True)
    image, mask = np.full((20, 30), 7, np.uint8), np.zeros((20, 30), np.uint8)
    mask[2:9, 3:12] = 255
    for name, pixels in {
        "labels/a.tif": image,
        "labels/a_mask.tif": mask,
        "masks/images/a.tif": image,
        "masks/masks/a/1.png": mask,
        "masks/masks/a/2.png": mask[::-1],
        "classes/a/image.tif": image,
        "classes/a/class1.tif": mask,
        "classes/a/class3.tif": mask[::-1],
        "worms/images/1_A01_w2_x.tif": image,
        "worms/masks/A01_01_ground_truth.png": mask,
        "worms/masks/A01_02_ground_truth.png": mask[::-1],
        "glands/train_1.bmp": image,
        "glands/train_1_anno.bmp": mask // 255,
        "nuclei/a/images/a.png": image,
        "nuclei/a/masks/1.png": mask,
        "nuclei/a/masks/2.png": mask[::-1],
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), pixels)
    (root / "worms" / "split.json").write_text(json.dumps(dict(train=["A01"])))
    return root


def with_root(config: dict, root: Path) -> dict:
    """The config of a dataset, or of the datasets in it, with its ``data_root``."""
    if "dataset" in config:
        return config | dict(dataset=with_root(config["dataset"], root))
    if "datasets" in config:
        return config | dict(datasets=[with_root(part, root) for part in config["datasets"]])
    return config | dict(data_root=str(root / ROOTS.get(config["type"], "")))


@pytest.mark.parametrize("name", registered())
def test_follows_its_contract(name, data, tmp_path):
    if name in OTHERS:
        OTHERS[name](name)
        return
    if any(f"'{name}'" in repr(config) for config in HEADS):
        return  # tested with a head, below
    given = ARGUMENTS.get(name, {})
    for arguments in given if isinstance(given, list) else [given]:
        config = dict(arguments, type=name)
        if name in DATASETS.module_dict:
            config = with_root(config, data)
        if name == "OverlayHook":
            config["out_dir"] = str(tmp_path)
        check = NETWORKS.get(name, testing.check_component)
        try:
            check(config, **OPTIONS.get(name, {}))
        except ValueError as error:
            if "building it failed" in str(error) or "of many kinds" in str(error):
                error.add_note(f"{name} is new or changed? Its arguments are in {__file__}: ARGUMENTS, HEADS")
            raise


@pytest.mark.parametrize("config", HEADS, ids=lambda config: f"{config['type']}")
def test_heads_with_each_of_their_parts(config):
    testing.check_head(config)


def test_the_table_names_what_is_registered():
    known = set(registered())
    assert {"IAMHead", "CellCocoMetric", "BBBC010Dataset", "Albumentations", "DrawSampler"} <= known
    assert {*ARGUMENTS, *OPTIONS, *OTHERS, *NETWORKS, *ROOTS} <= known
