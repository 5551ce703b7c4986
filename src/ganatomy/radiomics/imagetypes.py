"""Which filtered images a choice of settings asks for, in the order of the columns.

pyradiomics calls these image types. Knows which module has which filter; measures nothing.
"""

from collections.abc import Callable, Iterable, Iterator

from ganatomy.radiomics import filters, response, wavelet
from ganatomy.radiomics.region import Float
from ganatomy.radiomics.settings import RadiomicsSettings


def filtered(
    stack: Float, spacing: tuple[float, float, float], settings: RadiomicsSettings
) -> Iterator[tuple[str, Float]]:
    """Name and images (B, D, H, W) of each; `stack` itself is "original"."""
    plane = settings.force_2d or stack.shape[1] == 1
    pooling = settings.pooling or None
    makers: dict[str, Callable[[], Iterable[dict[str, Float]]]] = {
        "original": lambda: [{"original": stack}],
        "wavelet": lambda: [
            wavelet.stationary(
                stack,
                settings.wavelet,
                level=settings.wavelet_levels,
                start_level=settings.wavelet_start,
                without=settings.force_2d_axis if settings.force_2d else None,
            )
        ],
        "log": lambda: (
            response.laplacian_of_gaussian(stack, spacing, sigma, plane=plane)
            if settings.ibsi
            else filters.laplacian_of_gaussian(stack, spacing, sigma)
            for sigma in settings.sigma
        ),
        "square": lambda: [filters.square(stack)],
        "squareroot": lambda: [filters.square_root(stack)],
        "logarithm": lambda: [filters.logarithm(stack)],
        "exponential": lambda: [filters.exponential(stack)],
        "gradient": lambda: [filters.gradient(stack, spacing)],
        "lbp-2d": lambda: [filters.local_binary_pattern(stack, axis=settings.force_2d_axis)],
        "mean": lambda: [response.mean(stack, settings.mean_size, plane=plane)],
        "laws": lambda: (
            response.laws(stack, kernels, invariant=pooling, energy=settings.laws_energy or None)
            for kernels in settings.laws
        ),
        "gabor": lambda: (
            response.gabor(stack, spacing, sigma, settings.wavelength, step=settings.gabor_step or None)
            for sigma in settings.sigma
        ),
        "simoncelli": lambda: (
            response.simoncelli(stack, level=level + 1, plane=plane) for level in range(settings.wavelet_levels)
        ),
    }
    for name in settings.filters:
        for images in makers[name]():
            yield from images.items()
