"""The physics: energy, focus, additivity, contrast that inverts with defocus."""

import numpy as np
import pytest

from cellmm.simulation import optics

LIGHT = dict(wavelength=0.55, pixel=0.3)


def bump(size=96, sigma=8.0):
    y, x = np.mgrid[0:size, 0:size] - size / 2
    return np.exp(-(x**2 + y**2) / (2 * sigma**2)).astype(np.float32)


def field(thickness, absorption=0.0):
    return optics.transmitted_field(thickness, index_step=0.02, wavelength=0.55, absorption=absorption)


def test_phase_and_absorption_by_hand_add_up_where_cells_overlap():
    first, second = np.float32([[0, 2, 2, 0]]), np.float32([[0, 0, 3, 3]])
    both = field(first + second, absorption=0.1)
    assert np.angle(both[0, 1]) == pytest.approx(2 * np.pi * 0.02 * 2 / 0.55, rel=1e-5)
    assert np.abs(both[0, 1]) == pytest.approx(np.exp(-0.2), rel=1e-5)
    np.testing.assert_allclose(both, field(first, 0.1) * field(second, 0.1), rtol=1e-5)


def test_a_pure_phase_object_keeps_its_energy():
    start = field(4 * bump())
    there = optics.propagate(start, distance=12.0, **LIGHT)
    assert (np.abs(there) ** 2).sum() == pytest.approx((np.abs(start) ** 2).sum(), rel=1e-4)
    assert (np.abs(there) ** 2).std() > 10 * (np.abs(start) ** 2).std()


def test_propagation_there_and_back_is_nothing():
    start = field(4 * bump(), absorption=0.05)
    back = optics.propagate(optics.propagate(start, distance=7.0, **LIGHT), distance=-7.0, **LIGHT)
    np.testing.assert_allclose(back, start, atol=1e-3)


def test_defocus_inverts_the_contrast_of_a_weak_phase_object():
    weak = field(0.3 * bump())
    planes = [
        optics.brightfield(weak, defocus=z, aperture=0.7, coherence=0.0, **LIGHT) - 1 for z in (-4.0, 4.0)
    ]
    assert np.corrcoef(planes[0].ravel(), planes[1].ravel())[0, 1] < -0.99
    assert planes[1][48, 48] > 0 > planes[0][48, 48]  # a thick middle gathers light above it, like a lens


def test_phase_contrast_shows_cells_dark_in_a_bright_halo():
    seen = optics.phase_contrast(
        field(3 * bump(192, 12.0)), ring=0.02, dimming=0.5, aperture=0.7, wavelength=0.55, pixel=0.3
    )
    middle = seen[96]
    assert middle[96] < 0.8 and middle[96 - 45 : 96 - 25].max() > middle[:20].mean()


def test_dark_field_shows_what_scatters_on_black():
    """Nothing without cells; a pure phase object is bright where it is steep, and the more the thicker."""
    light = dict(LIGHT, stop=0.1, aperture=1.2)
    assert optics.dark_field(field(np.zeros((32, 32), np.float32)), **light).max() < 1e-10
    disk = (bump(192, 12.0) > 0.5).astype(np.float32)
    thin, thick = (optics.dark_field(field(height * disk), **light) for height in (0.5, 1.0))
    edge, middle = thin[96, 96 + 14], thin[96, 96]
    assert edge > 5 * middle and edge > 50 * thin[96, :20].mean()
    assert thick[96, 96 + 14] == pytest.approx(4 * edge, rel=0.05)


def test_camera_noise_offset_and_saturation():
    rng = np.random.default_rng(0)
    flat = optics.camera(rng, np.ones((300, 300), np.float32), photons=400.0, read_noise=10.0, bits=16)
    assert flat.dtype == np.uint16
    assert flat.mean() == pytest.approx(500, abs=0.5)
    assert flat.std() == pytest.approx(np.sqrt(400 + 100), rel=0.02)
    assert optics.camera(rng, np.full((4, 4), 9.0), photons=1000.0, read_noise=1.0, bits=12).max() == 4095


def test_light_and_dust_stay_near_one():
    rng = np.random.default_rng(0)
    lamp = optics.illumination(rng, (64, 80), 0.1)
    assert lamp.shape == (64, 80) and abs(lamp.mean() - 1) < 0.1 and 0.01 < lamp.std() < 0.2
    specks = optics.dust(rng, (64, 80), 3, 0.5)
    assert 0.5 < specks.min() < 1 <= optics.dust(rng, (4, 4), 0, 0.5).max() == 1
