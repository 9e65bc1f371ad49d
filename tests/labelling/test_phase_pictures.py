"""Pictures of phase contrast for annotators, and how crowded a field is."""

import numpy as np
import pytest

from cellmm.labelling.phase_pictures import crowding, phase_picture
from cellmm.simulation import SceneConfig, simulate_scene


def scene(cells: int, size: int = 200):
    config = SceneConfig(size=(size, size), pixel=0.5, cells=(cells, cells), min_visible=20)
    return simulate_scene(config, np.random.default_rng(1))


def test_crowding_ranks_fields_as_their_cells_do():
    scenes = [scene(number) for number in (0, 2, 5, 9, 14)]
    shares = [crowding(field.phase) for field in scenes]
    covered = [field.cells.covered().mean() for field in scenes]
    assert shares == sorted(shares) and covered == sorted(covered)
    assert shares[0] == 0
    for share, truth in zip(shares[1:], covered[1:], strict=True):
        assert truth / 2 < share < 3 * truth


def test_crowding_does_not_depend_on_level_and_gain():
    phase = scene(5).phase.astype(float)
    assert crowding(3 * phase + 5000) == pytest.approx(crowding(phase), abs=0.01)
    for nothing in (np.zeros((1, 1)), np.full((9, 9), 3.0), np.random.default_rng(0).normal(0, 1, (99, 99))):
        assert crowding(nothing) == 0
    with pytest.raises(ValueError, match="NaN"):
        crowding(np.full((9, 9), np.nan))


def test_faint_cells_gain_contrast_beside_bright_ones():
    """Two squares in noise; the second differs from its surroundings by a hundredth of the first."""
    phase = np.random.default_rng(0).normal(1000, 20, (160, 160))
    bright, faint, beside = (np.s_[i : i + 20, j : j + 20] for i, j in ((20, 20), (120, 120), (120, 90)))
    phase[bright] += 4000
    phase[faint] += 40
    picture = phase_picture(phase, clip_limit=0.05).astype(int)
    assert picture.shape == (160, 160, 3) and picture[bright].mean() > 200
    assert picture[faint].mean() - picture[beside].mean() > 4 * 255 * 40 / np.ptp(phase)


def test_fluorescence_brightens_in_its_colour_alone():
    field = scene(5)
    plain = phase_picture(field.phase).astype(int)
    shown = phase_picture(field.phase, field.fluorescence, color=(1, 0, 0)).astype(int)
    assert (shown[..., 1:] == plain[..., 1:]).all() and (shown >= plain).all()
    nuclei = field.nuclei.covered()
    added = (shown - plain)[..., 0]
    assert added[nuclei].mean() > 5 * added[~nuclei].mean()
    flat = phase_picture(np.full((20, 20), 7, np.uint16))
    assert flat.shape == (20, 20, 3) and np.ptp(flat) == 0
    with pytest.raises(ValueError, match="fluorescence"):
        phase_picture(field.phase, field.fluorescence[1:])
