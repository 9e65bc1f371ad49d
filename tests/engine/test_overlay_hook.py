"""OverlayHook: pictures carry the names of their images."""

from types import SimpleNamespace

import pytest

from cellmm.errors import CellMMError
from cellmm.registry import HOOKS
from cellmm.structures import CellSample


class Images:
    """A set of these files, one or several per image."""

    def __init__(self, *paths, **more):
        self.infos = [dict(img_path=path, img_id=i, **more) for i, path in enumerate(paths, start=1)]

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


def pictures(folder, dataset):
    """The pictures of a test, relative to ``folder``."""
    files = []
    visualizer = SimpleNamespace(add_datasample=lambda *a, out_file, **more: files.append(out_file))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset), visualizer=visualizer)
    hook = HOOKS.build(dict(type="OverlayHook", out_dir=str(folder)))
    hook.before_test_epoch(runner)
    for info in dataset.infos:
        sample = CellSample(metainfo=dict(img_id=info["img_id"], img_path=info["img_path"]))
        hook.after_test_iter(runner, 0, outputs=[sample])
    return [file.removeprefix(f"{folder}/") for file in files]


def test_pictures_carry_the_names_of_the_images(tmp_path):
    planes = ["data/c_low.tif", "data/c_high.tif"]
    assert pictures(tmp_path, Images("data/a.tif", "data/day2/a.tif", planes)) == [
        "a.png",
        "day2/a.png",
        "c_low.png",
    ]
    assert pictures(tmp_path, Images("data/a.tif", "data/a.png")) == ["a.tif.png", "a.png.png"]
    assert pictures(tmp_path, Images("a.tif", "a.tif")) == ["a.tif_1.png", "a.tif_2.png"]


@pytest.mark.parametrize("key", ["img_path", "label_path", "mask_paths"])
def test_a_picture_never_replaces_a_file_of_the_test_set(tmp_path, key):
    files = {key: [str(tmp_path / "a.png")] if key == "mask_paths" else str(tmp_path / "a.png")}
    path = files.pop("img_path", "elsewhere/a.tif")
    with pytest.raises(CellMMError, match=r"a\.png belongs to the test set, .*: name another folder"):
        pictures(tmp_path, Images(path, **files))
