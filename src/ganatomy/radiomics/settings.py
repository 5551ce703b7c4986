"""What is measured, and how an image is made ready for it. Knows names and limits; measures nothing.

The defaults are pyradiomics', so that its parameter files and published signatures mean the same here.
"""

from dataclasses import dataclass
from typing import Literal

from ganatomy.core.errors import SettingsError, nearest
from ganatomy.core.settings import Settings, convert, flat, option
from ganatomy.radiomics.feature import DIRECTIONAL

# in the order of the columns; the first seven are pyradiomics', measured unless others are named
FAMILIES: tuple[str, ...] = ("firstorder", "shape", "shape2D", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
FAMILIES += ("gldzm", "histogram", "ivh", "local")
STANDARD = tuple(family for family in FAMILIES if family not in ("gldzm", "histogram", "ivh", "local"))
FILTERS: tuple[str, ...] = ("original", "wavelet", "log", "square", "squareroot", "logarithm", "exponential")
FILTERS += ("gradient", "lbp-2d")
FILTERS += ("mean", "laws", "gabor", "simoncelli")  # the standard's alone


@dataclass(frozen=True)
class RadiomicsSettings(Settings):
    """Every choice that changes a feature's value. Lengths are millimetres, axes are z, y, x."""

    families: tuple[str, ...] = option(
        (), f"feature families out of {', '.join(FAMILIES)}; not given: those of pyradiomics that fit the dimensions"
    )
    features: tuple[str, ...] = option(
        (), "only these features, as family_Name (glcm_Contrast); a family without one named here is measured whole"
    )
    ibsi: bool = option(False, "the definitions, names and codes of the IBSI standard instead of pyradiomics'")
    aggregation: tuple[str, ...] = option(
        ("3D_avg",), f"how texture matrices of slices and directions are added up: {', '.join(DIRECTIONAL)}"
    )
    bin_width: float = option(25.0, "width of a grey level, in the image's units")
    bin_count: int = option(0, "number of grey levels in each region; 0: bins of fixed width")
    levels_as_given: bool = option(False, "the values are grey levels already: whole numbers from 1")
    filters: tuple[str, ...] = option(("original",), f"images that are measured: {', '.join(FILTERS)}")
    wavelet: str = option("coif1", "wavelet, by its name in PyWavelets")
    wavelet_levels: int = option(1, "levels of the wavelet decomposition")
    wavelet_start: int = option(0, "level at which the decomposition begins")
    sigma: tuple[float, ...] = option((), "widths of the Laplacian of Gaussian, and of Gabor's filter", unit="mm")
    mean_size: int = option(3, "side of the mean filter", unit="voxels, odd")
    laws: tuple[str, ...] = option((), "Laws kernels along x, y, z, such as L5E5S5")
    laws_energy: int = option(0, "also average a Laws response's size over so many voxels to each side; 0: do not")
    wavelength: float = option(0.0, "wavelength of Gabor's filter", unit="mm")
    gabor_step: float = option(0.0, "average Gabor's filter over directions so far apart; 0: along x", unit="degrees")
    pooling: Literal["", "max", "mean"] = option("", "make Laws kernels invariant to rotation by this pooling")
    spacing: tuple[float, ...] = option(
        (), "resample to this voxel size; 0 keeps an axis as it is", unit="mm along z,y,x"
    )
    interpolator: Literal["bspline", "linear", "nearest"] = option("bspline", "how images are resampled")
    round_values: bool = option(
        False, "round the values before anything else; with ibsi, images of whole numbers stay whole when resampled"
    )
    pad_distance: int = option(5, "voxels around the region that resampling and filters see", unit="voxels")
    pre_crop: bool = option(False, "filter the region's surroundings (pad_distance) instead of the whole image")
    normalise: bool = option(False, "first shift and scale each image to mean 0 and standard deviation 1")
    normalise_scale: float = option(1.0, "standard deviation after normalising")
    remove_outliers: float = option(0.0, "clip to this many standard deviations when normalising; 0: do not")
    resegment: tuple[float, ...] = option((), "measure only voxels in this range: low,high (one number: low)")
    resegment_mode: Literal["absolute", "relative", "sigma"] = option(
        "absolute",
        "the range is in the image's units, shares of the region's maximum, or standard deviations from its mean",
    )
    outliers: float = option(0.0, "also leave out voxels so many standard deviations from the region's mean; 0: do not")
    resegment_shape: bool = option(False, "shape features see the narrower region too")
    voxel_shift: float = option(0.0, "added to values before energy is computed", unit="the image's units")
    distances: tuple[int, ...] = option((1,), "distances between neighbours in GLCM, GLDM and NGTDM", unit="voxels")
    gldm_alpha: int = option(0, "largest difference of grey levels that counts as dependent")
    symmetric: bool = option(True, "count each GLCM pair in both orders")
    weighting: Literal["", "manhattan", "euclidean", "infinity", "no_weighting"] = option(
        "", "add up GLCM and GLRLM directions, weighted by distance in this norm, instead of averaging features"
    )
    force_2d: bool = option(False, "neighbours within slices only; slices are added up")
    force_2d_axis: int = option(0, "the axis across slices", unit="0 = z, 1 = y, 2 = x")
    minimum_size: int = option(0, "smaller regions are not measured", unit="voxels")
    minimum_dimensions: int = option(1, "regions of fewer dimensions (a slice has 2, a line 1) are not measured")
    ivh_width: float = option(0.0, "width of a level of the intensity-volume histogram; 0: 1 where values are whole")
    ivh_count: int = option(0, "number of its levels instead; 0: 1000 where values are not whole")
    quadratic: bool = option(False, "also Moran's I and Geary's C, which compare all pairs of voxels")

    def __post_init__(self) -> None:
        for name, hint, _ in flat(type(self)):  # a list, a lone number or a word is taken as what it stands for
            object.__setattr__(self, name, convert(name, hint, getattr(self, name)))
        for name, given, known in (
            ("families", self.families, FAMILIES),
            ("aggregation", self.aggregation, tuple(DIRECTIONAL)),
            ("filters", self.filters, FILTERS),
        ):
            for word in given:
                if word not in known:
                    raise SettingsError(f"--{name} has no '{word}'; {nearest(word, known)}")
        if not self.aggregation or not self.filters:
            raise SettingsError("--aggregation and --filters need one name at least; leave them out for the usual ones")
        positive = {"bin-width": self.bin_width, "normalise-scale": self.normalise_scale}
        for name, value in (*positive.items(), *(("sigma", sigma) for sigma in self.sigma)):
            if value <= 0:
                raise SettingsError(f"--{name} needs a number above 0, not {value:g}")
        for name, value in (("bin-count", self.bin_count), ("remove-outliers", self.remove_outliers)):
            if value < 0:
                raise SettingsError(f"--{name} needs 0 or more, not {value:g}")
        for wrong, sentence in (
            (not self.aggregation or not self.filters, "--aggregation and --filters need one name at least"),
            (min(self.distances, default=0) < 1, "--distances are whole numbers of voxels from 1"),
            (len(self.resegment) > 2, f"--resegment is low,high or low alone, not {len(self.resegment)} numbers"),
            (
                bool(self.spacing) and (len(self.spacing) not in (2, 3) or min(self.spacing) < 0),
                "--spacing is z,y,x (y,x for slices) in mm, 0 where an axis is kept",
            ),
            (self.mean_size < 1 or self.mean_size % 2 == 0, f"--mean-size needs an odd number, not {self.mean_size}"),
            ("log" in self.filters and not self.sigma, "the filter log needs its widths in mm: --sigma 1,3,5"),
            ("laws" in self.filters and not self.laws, "the filter laws needs its kernels: --laws L5E5S5"),
            (
                "gabor" in self.filters and not (self.sigma and self.wavelength > 0),
                "the filter gabor needs its width and wavelength in mm: --sigma 5 --wavelength 2",
            ),
            (
                self.force_2d_axis not in (0, 1, 2),
                f"--force-2d-axis is 0 (z), 1 (y) or 2 (x), not {self.force_2d_axis}",
            ),
        ):
            if wrong:
                raise SettingsError(sentence)
