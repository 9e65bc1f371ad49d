"""Simulated films: identities by construction."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.simulation import FilmConfig, SceneConfig, simulate_film, take_images
from cellmm.simulation.film import moved
from cellmm.simulation.shapes import make_cell

SCENE = SceneConfig(size=(160, 160), pixel=0.5, cells=(8, 8), min_visible=20)


def film(seed=0, **options):
    return simulate_film(FilmConfig(scene=SCENE, **options), np.random.default_rng(seed))


def test_same_seed_same_film():
    first, second = film(frames=5), film(frames=5)
    for a, b in zip(first.frames, second.frames, strict=True):
        assert a.masks.to_rles() == b.masks.to_rles() and a.ids.tolist() == b.ids.tolist()
    assert first.frames[4].masks.to_rles() != film(1, frames=5).frames[4].masks.to_rles()


def test_ids_are_new_in_order_and_never_come_back():
    found = film(frames=40, speed=(4.0, 8.0))
    seen, before = set(), set()
    for frame in found.frames:
        ids = frame.ids.tolist()
        assert len(set(ids)) == len(ids) == len(frame.masks)
        new = sorted(set(ids) - before)
        assert not seen & set(new) and (not new or new[0] == len(seen) + 1)
        seen |= set(ids)
        before = set(ids)
    assert len(seen) > 8  # some left and came in again


def test_divisions_end_the_mother_and_halve_her_area():
    found = film(frames=20, division_share=1.0)
    assert found.parents
    area = {}
    for t, frame in enumerate(found.frames):
        for number, pixels in zip(frame.ids.tolist(), frame.masks.areas().tolist(), strict=True):
            area.setdefault(number, {})[t] = pixels
    shares = []
    for child, parent in found.parents.items():
        assert max(area[parent]) == min(area[child]) - 1
        shares.append(area[child][min(area[child])] / area[parent][max(area[parent])])
    assert 0.4 < np.median(shares) < 0.6
    assert film(frames=20, division_share=0.0).parents == {}


def test_cells_move_by_their_speed():
    found = film(frames=2, speed=(3.0, 3.0), division_share=0.0)
    first, second = (
        {
            number: np.mean(np.argwhere(frame.masks.crop(i)[0]), 0) + frame.masks.crop(i)[1]
            for i, number in enumerate(frame.ids.tolist())
        }
        for frame in found.frames
    )
    inside = [n for n in first if n in second and all(30 < v < 130 for v in first[n])]
    assert inside
    for number in inside:
        assert np.hypot(*(second[number] - first[number])) == pytest.approx(6.0, abs=0.5)


def test_moved_turns_and_scales():
    rng = np.random.default_rng(0)
    cell = make_cell(rng, centre=(40, 40), length=30, width=8, bend=0, height=4, roughness=0.1, pixel=0.5)
    turned = moved(cell, (70.0, 50.0), np.pi / 2, 0.5)
    points, before = np.argwhere(turned.mask) + turned.origin, np.argwhere(cell.mask)
    np.testing.assert_allclose(points.mean(0), (70, 50), atol=0.5)
    assert turned.mask.sum() == pytest.approx(cell.mask.sum() / 4, rel=0.1)
    before_cov, cov = np.cov(before.T), np.cov(points.T) * 4
    np.testing.assert_allclose(cov, np.rot90(before_cov, 2) * [[1, -1], [-1, 1]], rtol=0.15, atol=8)
    assert turned.nucleus.any() and not (turned.nucleus & ~turned.mask).any()


def test_images_show_the_cells():
    frame = film(frames=2).frames[1]
    scene = take_images(frame.shapes, SCENE, np.random.default_rng(0))
    assert scene.brightfield.shape == (2, 160, 160) and scene.brightfield.dtype == np.uint16
    assert scene.cells.areas().max() == frame.masks.areas().max()


@pytest.mark.parametrize("speed", [(-1, 2), (3, 2)])
def test_wrong_speed(speed):
    with pytest.raises(CellMMError, match="film.speed is a range from 0, lowest first"):
        FilmConfig(speed=speed)
