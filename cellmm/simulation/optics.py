"""How thin transparent cells look in a microscope: defocused brightfield, phase contrast, fluorescence."""

import numpy as np
from scipy import fft, ndimage

from cellmm.simulation.shapes import smooth_noise


def transmitted_field(
    thickness: np.ndarray, *, index_step: float, wavelength: float, absorption: float
) -> np.ndarray:
    """The light just behind the cells, exp(i phi - a): complex64 of the shape of ``thickness`` (um).

    phi = 2 pi index_step thickness / wavelength; a = absorption thickness (``absorption`` in 1/um). Both add
    up where cells overlap, since their thicknesses do.

    Examples:
        >>> field = transmitted_field(np.zeros(2), index_step=0.02, wavelength=0.55, absorption=0.01)
        >>> field.tolist()
        [(1+0j), (1+0j)]
    """
    phase = 2 * np.pi * index_step / wavelength * thickness
    return np.exp(1j * phase - absorption * thickness).astype(np.complex64)


def _squared_frequency(shape: tuple[int, int], pixel: float) -> np.ndarray:
    """Squared spatial frequency of each Fourier coefficient, 1/um^2, float32."""
    fy, fx = (fft.fftfreq(n, pixel).astype(np.float32) for n in shape)
    return fy[:, None] ** 2 + fx[None] ** 2


def propagate(
    field: np.ndarray, *, distance: float, wavelength: float, pixel: float, aperture: float | None = None
) -> np.ndarray:
    """The field ``distance`` um further along the light, by the angular spectrum of plane waves.

    ``aperture``: numerical aperture of the objective, which lets no steeper wave through; None: all waves
    that travel. A pure phase object keeps its energy where nothing is cut off.
    """
    squared = _squared_frequency(field.shape, pixel)
    axial = np.sqrt(np.maximum(wavelength**-2 - squared, 0))
    # without the common factor exp(2 pi i distance / wavelength), which no camera sees
    transfer = np.exp(2j * np.pi * distance * (axial - 1 / wavelength)).astype(np.complex64)
    limit = wavelength**-2 if aperture is None else (aperture / wavelength) ** 2
    transfer[squared > limit] = 0
    return fft.ifft2(fft.fft2(field) * transfer)


def brightfield(
    field: np.ndarray, *, defocus: float, wavelength: float, pixel: float, aperture: float, coherence: float
) -> np.ndarray:
    """Intensity at ``defocus`` um from focus (positive: above), 1 without cells.

    The lamp is not a point: its size blurs a plane by ``coherence`` x |defocus| (um).
    """
    there = propagate(field, distance=defocus, wavelength=wavelength, pixel=pixel, aperture=aperture)
    return ndimage.gaussian_filter(
        np.abs(there) ** 2, max(coherence * abs(defocus) / pixel, 0.3), mode="wrap"
    )


def phase_contrast(
    field: np.ndarray, *, ring: float, dimming: float, wavelength: float, pixel: float, aperture: float
) -> np.ndarray:
    """Zernike's phase contrast: dark cells with bright halos, about 1 without cells.

    The direct light, all that is coarser than 1 / ``ring`` um, is shifted by a quarter wave and dimmed to
    ``dimming`` of its amplitude; ``ring`` in 1/um. The halo comes from the ring taking some of the
    diffracted light too.
    """
    squared = _squared_frequency(field.shape, pixel)
    direct = np.exp(-squared / (2 * ring**2))
    plate = 1 + direct * (dimming * np.exp(-0.5j * np.pi) - 1)
    plate = np.where(squared > (aperture / wavelength) ** 2, 0, plate).astype(np.complex64)
    seen = np.abs(fft.ifft2(fft.fft2(field) * plate)) ** 2
    return seen / dimming**2


def dark_field(
    field: np.ndarray, *, stop: float, wavelength: float, pixel: float, aperture: float
) -> np.ndarray:
    """Dark field: what scatters light is bright on black, most of all the edges of cells.

    The direct light, all that is coarser than 1 / ``stop`` um, is blocked; ``stop`` in 1/um. The unit is the
    light of an empty brightfield image.
    """
    squared = _squared_frequency(field.shape, pixel)
    passed = 1 - np.exp(-squared / (2 * stop**2))
    passed[squared > (aperture / wavelength) ** 2] = 0
    return np.abs(fft.ifft2(fft.fft2(field) * passed.astype(np.float32))) ** 2


def illumination(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> np.ndarray:
    """Uneven light with mean about 1: a slope, a bright centre and slow blotches, each of ``strength``."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.sin(angle) * y[:, None] + np.cos(angle) * x[None]
    bowl = 0.5 - (y[:, None] - rng.uniform(-0.4, 0.4)) ** 2 - (x[None] - rng.uniform(-0.4, 0.4)) ** 2
    blotches = smooth_noise(rng, shape, max(shape) / 3)
    return (1 + strength * (0.5 * slope + 0.5 * bowl + 0.3 * blotches)).astype(np.float32)


def dust(rng: np.random.Generator, shape: tuple[int, int], number: int, pixel: float) -> np.ndarray:
    """Specks far out of focus: faint dark disks with a brighter rim, to multiply an image by."""
    result = np.ones(shape, np.float32)
    yy, xx = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    for _ in range(number):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        radius = rng.uniform(1.0, 6.0) / pixel
        distance = np.hypot((yy - y) * rng.uniform(0.8, 1.2), xx - x) / radius
        result -= rng.uniform(0.02, 0.10) / (1 + np.exp(np.clip(8 * (distance - 1), -50, 50)))
        result += rng.uniform(0.01, 0.04) * np.exp(-((distance - 1.15) ** 2) / 0.02)
    return result


def camera(
    rng: np.random.Generator, light: np.ndarray, *, photons: float, read_noise: float, bits: int
) -> np.ndarray:
    """Counts of a camera, uint16: shot noise of ``photons`` at light 1, read noise in photons, offset 100.

    Counts beyond ``bits`` bits saturate.

    Examples:
        >>> counts = camera(np.random.default_rng(0), np.ones(4), photons=1e6, read_noise=0, bits=12)
        >>> counts.tolist()
        [4095, 4095, 4095, 4095]
    """
    counts = rng.poisson(np.maximum(light, 0) * photons) + rng.normal(100, read_noise, light.shape)
    return np.clip(np.rint(counts), 0, 2**bits - 1).astype(np.uint16)
