"""OME-Zarr 0.4 and 0.5: images, levels, plates and collections."""

import shutil

import numpy as np
import pytest
import zarr

from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions, open_images

AXES = [
    dict(name="t", type="time"),
    dict(name="c", type="channel"),
    dict(name="z", type="space", unit="micrometer"),
    dict(name="y", type="space", unit="micrometer"),
    dict(name="x", type="space", unit="nanometer"),
]


@pytest.fixture(params=["0.4", "0.5"])
def version(request):
    return request.param


def group(path, version, **metadata):
    node = zarr.open_group(str(path), mode="a", zarr_format=2 if version == "0.4" else 3)
    node.attrs.update(metadata if version == "0.4" else dict(ome=dict(version=version, **metadata)))
    return node


def write_image(path, values, version, *, axes=AXES, levels=2, scale=(1, 1, 1, 0.5, 250), omero=None, **more):
    """``levels`` of every second pixel each."""
    datasets = []
    for level in range(levels):
        step = 2**level
        scaled = [
            side * (step if axis["name"] in "yx" else 1) for side, axis in zip(scale, axes, strict=True)
        ]
        datasets.append(dict(path=str(level), coordinateTransformations=[dict(type="scale", scale=scaled)]))
    scales = dict(axes=axes, datasets=datasets, **more)
    node = group(path, version, multiscales=[scales], **({"omero": omero} if omero else {}))
    for level in range(levels):
        data = values[..., :: 2**level, :: 2**level]
        node.create_array(str(level), data=data, chunks=(1,) * (data.ndim - 2) + (16, 16))


def test_an_image(tmp_path, tczyx, opened, version):
    names = dict(channels=[dict(label="DAPI"), dict(label="GFP")])
    write_image(tmp_path / "a.ome.zarr", tczyx, version, omero=names)
    images = opened(tmp_path / "a.ome.zarr", z="max")
    assert [source.name for source in images] == ["a_t0000", "a_t0001", "a_t0002"]
    for source, frame in zip(images, tczyx, strict=True):
        np.testing.assert_array_equal(source.read_all(), frame.max(axis=1).transpose(1, 2, 0))
        assert source.pixel_size == pytest.approx((0.5, 0.25))
    (source,) = opened(tmp_path / "a.ome.zarr", z=1, time=1, channels=["GFP"], level=1)
    np.testing.assert_array_equal(source.read_all()[..., 0], tczyx[1, 1, 1, ::2, ::2])
    assert source.pixel_size == pytest.approx((1, 0.5)) and source.channel_names == ("GFP",)
    with pytest.raises(CellMMError, match=r"has 2 levels: level is 2, but it has to be 0 to 1"):
        open_images(tmp_path / "a.ome.zarr", ReadOptions(level=2))


def test_a_part_reads_its_chunks_alone(tmp_path, tczyx, version, monkeypatch):
    write_image(tmp_path / "a.zarr", tczyx, version)
    (source,) = open_images(tmp_path / "a.zarr", ReadOptions(z=2, time=0, channels=[1]))
    read, get = [], zarr.storage.LocalStore.get

    async def counted(self, key, *args, **kwargs):
        read.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    np.testing.assert_array_equal(source.read(17, 20, 20, 40)[..., 0], tczyx[0, 1, 2, 17:20, 20:40])
    assert len(read) == 2, read


def test_planes_that_share_a_chunk_are_decoded_once(tmp_path, tczyx, opened, monkeypatch):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=(2, 4, 40, 56),
        dtype=tczyx.dtype,
        chunks=(1, 3, 40, 56),
        dimension_names=["c", "z", "y", "x"],
    )
    array[...] = tczyx[0]
    (source,) = opened(tmp_path / "a.zarr", z="max")
    np.testing.assert_array_equal(source.read_all(), tczyx[0].max(axis=1).transpose(1, 2, 0))
    read, get = [], zarr.storage.LocalStore.get

    async def counted(self, key, *args, **kwargs):
        read.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    source.read_all()
    assert len(read) == len(set(read)) == 4, "2 channels, planes 0 to 2 and 3"


@pytest.mark.parametrize("labels", [["DAPI"], ["DAPI", None], []])
def test_channels_that_are_not_all_named(tmp_path, tczyx, opened, version, labels):
    omero = dict(channels=[dict(label=label) for label in labels])
    write_image(
        tmp_path / "a.zarr", tczyx[0, :, 0], version, axes=AXES[1:2] + AXES[3:], scale=(1, 1, 1), omero=omero
    )
    (source,) = opened(tmp_path / "a.zarr")
    assert source.num_channels == 2 and source.channel_names == (("DAPI", "") if len(labels) == 2 else ())


def test_axes_of_another_name_are_what_their_type_says(tmp_path, tczyx, opened, version):
    axes = [dict(name="frame", type="time"), dict(name="dye", type="channel"), *AXES[3:]]
    write_image(tmp_path / "a.zarr", tczyx[:, :, 0], version, axes=axes, scale=(1, 1, 0.5, 250))
    images = opened(tmp_path / "a.zarr")
    assert [(source.time, source.num_channels) for source in images] == [(0, 2), (1, 2), (2, 2)]


def test_versions_before_0_3_have_five_axes(tmp_path, tczyx, opened):
    write_image(tmp_path / "a.zarr", tczyx, "0.4")
    node = zarr.open_group(str(tmp_path / "a.zarr"), mode="a")
    node.attrs["multiscales"] = [dict(version="0.2", datasets=[dict(path="0")])]
    (source,) = opened(tmp_path / "a.zarr", z=2, time=1)
    np.testing.assert_array_equal(source.read_all(), tczyx[1, :, 2].transpose(1, 2, 0))
    assert source.pixel_size is None


@pytest.mark.parametrize("lost", ["A/2", "A/1/0"])
def test_a_plate_without_a_well_or_field_that_it_states(tmp_path, tczyx, version, lost):
    path = tmp_path / "plate.zarr"
    wells = [dict(path=well) for well in ("A/1", "A/2")]
    group(path, version, plate=dict(wells=wells, rows=[], columns=[]))
    for well in ("A/1", "A/2"):
        group(path / "A", version)
        group(path / well, version, well=dict(images=[dict(path="0")]))
        write_image(path / well / "0", tczyx[0, 0, 0], version, axes=AXES[3:], scale=(1, 1))
    shutil.rmtree(path / lost)
    with pytest.raises(CellMMError, match=rf"plate\.zarr lacks {lost}, which its metadata states: copy"):
        open_images(path)


def test_transformations_of_all_levels_and_units(tmp_path, tczyx, version):
    whole = [dict(type="scale", scale=[1, 1, 1, 2, 2])]
    write_image(tmp_path / "a.zarr", tczyx, version, coordinateTransformations=whole)
    assert open_images(tmp_path / "a.zarr", ReadOptions(z=0))[0].pixel_size == pytest.approx((1, 0.5))
    bare = [dict(name=axis["name"]) for axis in AXES]
    write_image(tmp_path / "b.zarr", tczyx, version, axes=bare)
    assert open_images(tmp_path / "b.zarr", ReadOptions(z=0))[0].pixel_size is None


def test_a_plate(tmp_path, tczyx, opened, version):
    path, values = tmp_path / "plate.zarr", tczyx[:, 0, 0]
    wells = [dict(path=well, rowIndex=0, columnIndex=0) for well in ("A/1", "B/03")]
    group(path, version, plate=dict(wells=wells, rows=[], columns=[]))
    options = dict(axes=[AXES[1], *AXES[3:]], scale=(1, 0.5, 250))
    for number, field in enumerate(("A/1/0", "B/03/0", "B/03/1")):
        well = path / field.rpartition("/")[0]
        group(well.parent, version)
        images = [dict(path=str(i)) for i in range(2 if "B" in field else 1)]
        group(well, version, well=dict(images=images))
        write_image(path / field, values[number : number + 1], version, **options)
    images = opened(path)
    assert [source.name for source in images] == ["plate/A/1/0", "plate/B/03/0", "plate/B/03/1"]
    for number, source in enumerate(images):
        np.testing.assert_array_equal(source.read_all()[..., 0], values[number])
        assert source.position == number and source.time is None
    (source,) = opened(path, position=2)
    assert source.name == "plate/B/03/1"
    assert [source.name for source in opened(path / "B/03", channels=[0])] == ["03/0", "03/1"]
    assert opened(path / "B/03/1")[0].name == "1", "one field, named itself"


def test_a_collection_of_series(tmp_path, tczyx, opened, version):
    path, options = tmp_path / "a.zarr", dict(axes=AXES[3:], scale=(0.5, 250))
    group(path, version, **{"bioformats2raw.layout": 3})
    for number in (0, 1, 10):
        write_image(path / str(number), tczyx[0, 0, 0] + number, version, **options)
    images = opened(path)
    assert [source.name for source in images] == ["a/0", "a/1", "a/10"]
    assert [int(source.read_all()[0, 0, 0]) for source in images] == [0, 1, 10]


def test_a_plain_array(tmp_path, opened):
    zarr.save_array(str(tmp_path / "a.zarr"), np.zeros((40, 30, 2), np.uint8))
    (source,) = opened(tmp_path / "a.zarr")
    assert source.name == "a" and source.shape == (40, 30) and source.path == tmp_path / "a.zarr"


@pytest.mark.parametrize("how", ["no metadata", "no array", "no zarr", "axes", "json"])
def test_damaged_folders_are_one_line(tmp_path, tczyx, version, how):
    path = tmp_path / "a.zarr"
    if how == "no metadata":
        group(path, version)
    elif how == "no zarr":
        path.mkdir()
    elif how == "axes":
        write_image(path, tczyx[0], version, axes=AXES[1:], scale=(1, 1, 1, 1))
        found = zarr.open_group(str(path), mode="a")
        scales = found.attrs.asdict()
        (scales if version == "0.4" else scales["ome"])["multiscales"][0]["axes"] = AXES
        found.attrs.put(scales)
    else:
        write_image(path, tczyx, version)
        if how == "no array":
            shutil.rmtree(path / "0")
        else:
            (path / (".zattrs" if version == "0.4" else "zarr.json")).write_text("{")
    with pytest.raises(CellMMError, match=r"a\.zarr.*(: |; )") as caught:
        open_images(path, ReadOptions(z=0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["nested", "flat", "shards"])
def test_absent_chunks_are_told_once(tmp_path, said, layout):
    path = tmp_path / "a.zarr"
    how = dict(shards=(32, 32)) if layout == "shards" else {}
    keys = dict(name="v2", separator="." if layout == "flat" else "/")
    group(path, "0.5", multiscales=[dict(axes=AXES[3:], datasets=[dict(path="0")])]).create_array(
        "0", data=np.ones((40, 60), np.uint8), chunks=(16, 16), chunk_key_encoding=keys, **how
    )
    assert open_images(path)[0].read_all().all() and not said
    lost = tmp_path / "b.zarr"
    shutil.copytree(path, lost)
    (lost / "0" / ("1.1" if layout == "flat" else "1/1")).unlink()
    for _ in range(2):
        assert not open_images(lost)[0].read_all().all()
    (line,) = said
    count = 4 if layout == "shards" else 12
    assert f"b.zarr/0: 1 of {count} chunks are absent and read as background; copy" in line


def test_a_chunk_that_cannot_be_decoded_is_one_line(tmp_path, version):
    write_image(tmp_path / "a.zarr", np.ones((32, 32), np.uint16), version, axes=AXES[3:], scale=(1, 1))
    (source,) = open_images(tmp_path / "a.zarr")
    (chunk,) = [path for path in (tmp_path / "a.zarr" / "0").rglob("*1/1" if version == "0.5" else "1.1")]
    chunk.write_bytes(b"damaged")
    assert source.read(0, 0, 16, 16).mean() == 1
    with pytest.raises(CellMMError, match=r"a\.zarr cannot be read .*: copy it again"):
        source.read_all()


def test_without_zarr(tmp_path, monkeypatch):
    (tmp_path / "a.zarr").mkdir()
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(
        CellMMError, match=r'^OME-Zarr files need zarr: in the folder of cellmm, pip install -e "\.\[zarr\]"$'
    ):
        open_images(tmp_path / "a.zarr")
