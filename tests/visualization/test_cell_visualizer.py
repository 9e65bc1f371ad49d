import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions
from cellmm.registry import VISUALIZERS
from cellmm.structures import CellSample, rle
from cellmm.visualization import CellVisualizer


def squares(*corners):
    masks = np.zeros((len(corners), 40, 50), bool)
    for mask, (y, x) in zip(masks, corners, strict=True):
        mask[y : y + 12, x : x + 12] = True
    return rle.encode(masks)


@pytest.fixture
def sample():
    """Two cells, one of them to be ignored; two predictions, the second with a low score."""
    packed = CellSample(metainfo=dict(img_id=3, img_path="a.tif", ori_shape=(40, 50)))
    packed.eval_instances = InstanceData(
        masks=squares((2, 2), (20, 30)), labels=np.zeros(2, int), ignore=np.array([False, True])
    )
    packed.pred_instances = InstanceData(
        masks=squares((2, 2), (20, 10)), labels=torch.zeros(2), scores=torch.tensor([0.9, 0.1])
    )
    return packed


def halves(path):
    """Ground truth and prediction without their captions, at scale 1."""
    picture = cv2.imread(str(path))[..., ::-1]
    assert picture.shape == (62, 106, 3)  # caption 22, gap 6
    return picture[22:, :50].astype(int), picture[22:, 56:].astype(int)


def test_truth_beside_prediction(sample, tmp_path):
    visualizer = VISUALIZERS.build(dict(type="CellVisualizer", name="beside"))
    assert isinstance(visualizer, CellVisualizer)
    visualizer.add_datasample("a", np.zeros((40, 50, 1)), sample, out_file=tmp_path / "a.png", scale=1)
    truth, found = halves(tmp_path / "a.png")
    assert truth[2, 8].max() > 150 and found[2, 8].max() > 150
    assert truth[20, 35].tolist() == [150, 150, 150]  # ignored: grey
    assert found[20:32, 10:22].max() == 0  # below the threshold
    visualizer.add_datasample(
        "a", np.zeros((40, 50, 1)), sample, out_file=tmp_path / "b.png", scale=1, pred_score_thr=0.05
    )
    assert halves(tmp_path / "b.png")[1][20:32, 10:22].max() > 150


def test_reads_the_image_and_draws_what_there_is(sample, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(4000, dtype=np.uint16).reshape(2, 40, 50))
    visualizer = CellVisualizer(name="reads")
    for options, width in (
        (dict(draw_gt=False), 50),
        (dict(draw_pred=False), 50),
        (dict(), 106),
    ):
        visualizer.add_datasample(
            "a", str(tmp_path / "a.tif"), sample, out_file=tmp_path / "a.png", scale=1, **options
        )
        assert cv2.imread(str(tmp_path / "a.png")).shape == (62, width, 3)
    visualizer.add_datasample("a", np.zeros((40, 50)), CellSample(), out_file=tmp_path / "a.png", scale=1)
    assert cv2.imread(str(tmp_path / "a.png")).shape == (40, 50, 3)


def test_goes_to_the_backends(sample, tmp_path):
    visualizer = CellVisualizer(
        name="backends", vis_backends=[dict(type="LocalVisBackend")], save_dir=str(tmp_path)
    )
    visualizer.add_datasample("wells", np.zeros((40, 50)), sample, step=7, scale=1)
    assert len(list(tmp_path.rglob("wells_7.png"))) == 1


def test_no_cells_at_all(tmp_path):
    packed = CellSample()
    packed.eval_instances = InstanceData(masks=[], labels=np.zeros(0, int), ignore=np.zeros(0, bool))
    packed.pred_instances = InstanceData(masks=[], labels=torch.zeros(0), scores=torch.zeros(0))
    CellVisualizer(name="none").add_datasample(
        "a", np.zeros((40, 50)), packed, out_file=tmp_path / "a.png", scale=1
    )
    assert halves(tmp_path / "a.png")[0].max() == 0


def test_maps_where_there_are_no_cells_to_draw(sample, tmp_path):
    """By name, grey from 0 to 1 as they are, on the scale of the truth."""
    sample.pred_semantic = BaseDataElement(
        overlap=torch.ones(40, 50), nuclei=torch.full((40, 50), 0.2), border=torch.zeros(40, 50)
    )
    visualizer = CellVisualizer(name="maps")
    visualizer.add_datasample("a", np.zeros((40, 50)), sample, out_file=tmp_path / "a.png", scale=1)
    assert halves(tmp_path / "a.png")[1][2, 8].max() > 150  # there are cells
    del sample.pred_instances
    for options, scale in ((dict(scale=1), 1), (dict(scale=3), 3), (dict(), 4)):
        visualizer.add_datasample("a", np.zeros((40, 50)), sample, out_file=tmp_path / "a.png", **options)
        page = cv2.imread(str(tmp_path / "a.png"))
        assert page.shape == (22 + 40 * scale, 4 * 50 * scale + 3 * 6, 3)  # truth and three maps
        for i, grey in enumerate((0, 51, 255), start=1):
            left = i * (50 * scale + 6)
            assert (page[22:, left : left + 50 * scale] == grey).all()
    visualizer.add_datasample(
        "a", np.zeros((40, 50)), sample, out_file=tmp_path / "a.png", scale=1, draw_gt=False
    )
    assert cv2.imread(str(tmp_path / "a.png")).shape == (62, 162, 3)


def test_reads_the_image_as_the_dataset_did(sample, tmp_path):
    """A plane of a z-stack, as ``read_options`` of the sample says."""
    stack = np.zeros((4, 40, 50), np.uint16)
    stack[2, :20] = 1000
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    visualizer, path = CellVisualizer(name="plane"), str(tmp_path / "a.tif")
    plain = dict(draw_gt=False, draw_pred=False, out_file=tmp_path / "a.png", scale=1)
    with pytest.raises(CellMMError, match=r"a\.tif has 4 focal planes"):
        visualizer.add_datasample("a", path, sample, **plain)
    sample.set_metainfo(dict(read_options=ReadOptions(z=2)))
    visualizer.add_datasample("a", path, sample, **plain)
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture[:20].min() > 200 and picture[20:].max() < 20
