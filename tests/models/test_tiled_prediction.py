"""A model that looks at pixels alone finds in tiles what it finds in the whole image."""

import copy

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec, predict_in_tiles
from cellmm.registry import MODELS
from cellmm.structures import CellSample, PredictedInstances


class Same(nn.Module):
    """Encoder and decoder: the input as it is."""

    divisor, out_specs = 4, (FeatureSpec(1), FeatureSpec(1, 4))

    def forward(self, x):
        return [x] if torch.is_tensor(x) else x


class Large(Same):
    """Takes multiples of 6 pixels alone, though its coarsest stride is 4."""

    divisor = 6

    def forward(self, x):
        assert not torch.is_tensor(x) or not any(side % 6 for side in x.shape[-2:])
        return super().forward(x)


class Blobs(nn.Module):
    """Connected pixels above 0 are one instance; its score tells its size."""

    def __init__(self, windows=False):
        super().__init__()
        self.windows = windows

    def predict(self, features, samples):
        found = []
        for image in features[0][:, 0].numpy():
            labels, num = ndimage.label(image > 0)
            masks = labels[None] == np.arange(1, num + 1)[:, None, None]
            scores = torch.tensor([mask.sum() / (1 + mask.sum()) for mask in masks], dtype=torch.float64)
            order = scores.argsort(descending=True, stable=True)
            instances = dict(scores=scores[order], labels=torch.zeros(num, dtype=torch.long))
            masks = torch.from_numpy(masks).float()[order]
            if self.windows:
                boxes = [ndimage.find_objects(mask.numpy().astype(int))[0] for mask in masks]
                masks = [mask[box] for mask, box in zip(masks, boxes, strict=True)]
                origins = np.array([[box[0].start, box[1].start] for box in boxes]).reshape(-1, 2)
                instances.update(origins=origins, grid_shape=image.shape)
            found.append(PredictedInstances(probs=masks, **instances))
        return found


@pytest.fixture(autouse=True)
def registered():
    for module in (Same, Large, Blobs):
        MODELS.register_module(module=module, force=True)
    yield
    for module in (Same, Large, Blobs):
        MODELS.module_dict.pop(module.__name__)


def build(**more):
    head = dict(type="Blobs", windows=more.pop("windows", False))
    return MODELS.build(
        dict(
            type="CellSegmentor",
            encoder=dict(type=more.pop("encoder", "Same")),
            decoder=dict(type="Same"),
            heads=dict(instances=head),
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            **more,
        )
    ).eval()


def image_of(shape, num, seed):
    """Round blobs up to 9 pixels wide, some in one another's reach."""
    rng = np.random.default_rng(seed)
    image = np.zeros(shape, np.float32)
    yy, xx = np.indices(shape)
    for y, x, r in zip(
        rng.integers(0, shape[0], num), rng.integers(0, shape[1], num), rng.random(num), strict=True
    ):
        image[(yy - y) ** 2 + (xx - x) ** 2 <= (1 + 3 * r) ** 2] = 1
    labels, _ = ndimage.label(image)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):  # none longer than the overlap
        if max(side.stop - side.start for side in box) > 14:
            image[labels == label] = 0
    return image


def data(*images, to_original=None, ori_shape=None):
    samples = []
    for i, image in enumerate(images):
        samples.append(
            CellSample(
                metainfo=dict(
                    img_id=i,
                    img_path=f"{i}.tif",
                    img_shape=image.shape,
                    ori_shape=ori_shape or image.shape,
                    to_original=np.eye(3) if to_original is None else to_original,
                )
            )
        )
    return dict(inputs=[torch.from_numpy(image)[None] for image in images], data_samples=samples)


def found(model, batch):
    results = model.test_step(copy.deepcopy(batch))
    return [
        sorted(
            (score, mask["counts"])
            for score, mask in zip(r.pred_instances.scores.tolist(), r.pred_instances.masks, strict=True)
        )
        for r in results
    ]


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    ("shape", "num"),
    [((75, 101), 60), ((64, 64), 40), ((31, 140), 40), ((33, 20), 8), ((1, 1), 1), ((90, 90), 0)],
)
def test_tiles_find_what_the_whole_image_shows(shape, num, windows):
    batch = data(image_of(shape, num, seed=num))
    whole, tiled = build(windows=windows), build(windows=windows, tile=32, tile_overlap=16)
    expected = found(whole, batch)
    assert found(tiled, batch) == expected
    assert len(expected[0]) > 8 or num < 60


def test_a_batch_of_two_sizes_and_a_way_back_to_the_file():
    turn = np.array([[1.5, 0, 3], [0, 1.5, -4], [0, 0, 1]])
    batch = data(image_of((50, 60), 25, 1), image_of((70, 41), 25, 2), to_original=turn, ori_shape=(110, 100))
    assert found(build(tile=32, tile_overlap=16), batch) == found(build(), batch)
    instances = build(tile=32, tile_overlap=16).test_step(batch)[0].pred_instances
    assert (instances.scores.diff() <= 0).all() and instances.masks[0]["size"] == [110, 100]


def test_a_cell_whose_place_differs_between_two_tiles_is_found_once(monkeypatch):
    """Seen a pixel right of the seam by the left tile, and a pixel left of it by the right one."""
    image = np.zeros((32, 48), np.float32)
    image[10:14, 21:27] = 1
    places = PredictedInstances.places

    def shifted(self):
        return places(self) + (0, 1.5 if self.origins[:, 1].min(initial=0) == 0 else -1.5)

    model = build(tile=32, tile_overlap=16)
    monkeypatch.setattr(PredictedInstances, "places", shifted)
    assert len(model.test_step(data(image))[0].pred_instances.masks) == 1


def test_any_function_can_be_called_on_tiles():
    """Not a network: bright pixels are cells; maps at a stride of their own; a frame of its own."""
    image = image_of((50, 75), 25, seed=4)
    shapes = []

    def predict(part):
        shapes.append(part.shape)
        blobs = Blobs().predict([torch.from_numpy(part)[None, None]], [None])[0]
        return {"brightness": part, "halved": part[::2, ::2]}, blobs

    result = predict_in_tiles(predict, image, tile=32, overlap=16, strides={"halved": 2})
    whole = predict_in_tiles(predict, image, tile=100, overlap=0)
    assert shapes[-1] == (50, 75) and set(shapes[:12]) == {(32, 32)}
    assert len(shapes) == 12 + result.num_again + 1
    assert np.array_equal(result.maps["brightness"], image)
    assert result.maps["halved"].shape == (25, 38)
    assert sorted(map(str, result.instances.masks)) == sorted(map(str, whole.instances.masks))
    assert len(result.instances) > 5 and result.num_united == 0 and not result.limits
    maps_alone = predict_in_tiles(lambda part: ({"same": part}, None), image, tile=32, overlap=16)
    assert maps_alone.instances is None and np.array_equal(maps_alone.maps["same"], image)


def lines_of(model, batch):
    """What the model found, and the lines of its warnings."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellmm.models.segmentor.print_log", lambda text, **_: lines.append(text))
        return found(model, batch), lines


@pytest.mark.parametrize("windows", [False, True])
def test_cells_longer_than_a_tile_are_whole(windows):
    image = np.zeros((32, 96), np.float32)
    image[10:14, 4:60] = image[20:24, 30:50] = 1
    model = build(tile=32, tile_overlap=8, windows=windows)
    tiled, lines = lines_of(model, data(image))
    assert tiled == found(build(), data(image)) and not lines


def test_cells_longer_than_a_window_are_united_and_told():
    image = np.zeros((32, 400), np.float32)
    image[10:14, 4:390] = image[20:24, 20:60] = 1
    tiled, lines = lines_of(build(tile=32, tile_overlap=8), data(image))
    whole = found(build(), data(image))
    assert {mask for _, mask in tiled[0]} == {mask for _, mask in whole[0]} and len(tiled[0]) == 2
    assert len(lines) == 1 and "1 cells are too long" in lines[0] and "set tile (now 32 px)" in lines[0]


def test_a_tile_has_to_be_larger_than_the_overlap():
    with pytest.raises(ValueError, match="half of tile, 32: got 17"):
        build(tile=32, tile_overlap=17)


def test_nets_without_padding_need_more_overlap(monkeypatch):
    monkeypatch.setattr(Blobs, "out_spec", FeatureSpec(1, 1, origin=7), raising=False)
    assert build(tile=64, tile_overlap=14).tile == 64
    with pytest.raises(ValueError, match="must be 14 and the length of a cell or more, got 13"):
        build(tile=64, tile_overlap=13)


def test_thousands_of_cells():
    image = np.zeros((1024, 1024), np.float32)
    image[4::16, 4::16] = image[5::16, 4::16] = 1
    instances = build(tile=256, tile_overlap=32, windows=True).test_step(data(image))[0].pred_instances
    assert len(instances.masks) == 4096


@pytest.mark.parametrize(
    ("tile", "overlap", "works"), [(4, 1, False), (3, 0, True), (5, 2, True), (8, 4, True)]
)
def test_tiles_as_small_as_the_stride(tile, overlap, works):
    """Rounded up to the coarsest stride of 4 px, a tile and its overlap can be the same."""
    if not works:
        with pytest.raises(
            CellMMError, match="model.tile 4 and .* rounded up to 4 px, .*: take tiles of 8 px"
        ):
            build(tile=tile, tile_overlap=overlap)
        return
    image = image_of((30, 41), 12, seed=3)
    (result,) = build(tile=tile, tile_overlap=overlap).test_step(data(image))
    assert len(result.pred_instances) > 0


def test_tiles_are_multiples_of_what_the_encoder_takes_and_of_the_strides():
    image = image_of((50, 67), 20, seed=4)
    whole, tiled = build(encoder="Large"), build(encoder="Large", tile=20, tile_overlap=10)
    assert tiled.tile_step == 12 and build().tile_step == 4
    assert found(tiled, data(image)) == found(whole, data(image))
    with pytest.raises(CellMMError, match="both rounded up to 12 px, .*: take tiles of 24 px"):
        build(encoder="Large", tile=10, tile_overlap=2)


def test_even_tiles_are_as_many_and_smaller():
    image = image_of((50, 67), 20, seed=4)
    seen = []
    for even in (False, True):
        model = build(tile=48, tile_overlap=12)
        model.even_tiles = even
        model.encoder.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
        assert found(model, data(image)) == found(build(), data(image))
    assert seen[:4] == [(48, 48)] * 4 and set(seen[4:8]) == {(40, 40)}


def test_activations_of_a_model_without_stacks_cannot_be_computed_again():
    with pytest.raises(CellMMError, match="model.activation_checkpointing: .* has no stack .*; leave it out"):
        build(activation_checkpointing=("encoder.levels.0",))


def test_a_tile_of_no_pixel():
    with pytest.raises(ValueError, match="tile must be"):
        build(tile=0)
