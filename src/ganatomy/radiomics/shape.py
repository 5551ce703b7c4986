"""Shape of regions in space: volume, surface, diameters, axes and densities, from the mesh and the voxels.

Knows pyradiomics' definitions and the standard's; meshes are in mesh.py, slices in shape2d.py, all pairs in moran.py.
Sources: van Griethuysen et al. 2017, Cancer Research 77(21); IBSI manual (Zwanenburg et al. 2020), family HCUG.
"""

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.mesh import CELLS, EXCESS, Byte, Int, areas, diameters, extent, hull, surface
from ganatomy.radiomics.moran import correlations
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.shape2d import FEATURES_2D, measure_2d

__all__ = ["FEATURES", "FEATURES_2D", "measure", "measure_2d", "reason"]

FEATURES = (
    Feature("MeshVolume"),
    Feature("VoxelVolume", "morph_vol_approx", "YEKZ"),
    Feature("SurfaceArea"),
    Feature("SurfaceVolumeRatio"),
    Feature("Sphericity"),
    Feature("Maximum3DDiameter", "morph_diam", "L0JK"),
    Feature("Maximum2DDiameterSlice"),
    Feature("Maximum2DDiameterColumn"),
    Feature("Maximum2DDiameterRow"),
    Feature("MajorAxisLength"),
    Feature("MinorAxisLength"),
    Feature("LeastAxisLength"),
    Feature("Elongation", "morph_pca_elongation", "Q3CK"),
    Feature("Flatness", "morph_pca_flatness", "N17B"),
    Feature("Compactness1"),
    Feature("Compactness2"),
    Feature("SphericalDisproportion"),
    Feature("", "morph_volume", "RNU0"),
    Feature("", "morph_area_mesh", "C0JK"),
    Feature("", "morph_av", "2PR5"),
    Feature("", "morph_sphericity", "QCFX"),
    Feature("", "morph_comp_1", "SKGS"),
    Feature("", "morph_comp_2", "BQWJ"),
    Feature("", "morph_sph_dispr", "KRCK"),
    Feature("", "morph_asphericity", "25C7"),
    Feature("", "morph_com", "KLMA"),
    Feature("", "morph_pca_maj_axis", "TDIC"),
    Feature("", "morph_pca_min_axis", "P9VJ"),
    Feature("", "morph_pca_least_axis", "7J51"),
    Feature("", "morph_vol_dens_aabb", "PBX1"),
    Feature("", "morph_area_dens_aabb", "R59B"),
    Feature("", "morph_vol_dens_aee", "6BDE"),
    Feature("", "morph_area_dens_aee", "RDD2"),
    Feature("", "morph_vol_dens_conv_hull", "R3ER"),
    Feature("", "morph_area_dens_conv_hull", "7T7F"),
    Feature("", "morph_integ_int", "99N0"),
    Feature("", "morph_moran_i", "N365"),
    Feature("", "morph_geary_c", "NPT7"),
)
TERMS = 20  # of the series for an ellipsoid's area, as the standard has it


def measure(regions: Regions, *, quadratic: bool = False) -> Float:
    """FEATURES of each region: (B, 38). Form is taken from `shape`, intensity from `values` in `inside`.

    quadratic: also Moran's I and Geary's C, which compare all pairs of voxels; else NaN
    An axis length that the standard lacks has n for a divisor, where the standard's has n - 1. Volume, area and what
    follows from them are of a closed mesh where they have the standard's code, else of pyradiomics', which has gaps.
    """
    shape, inside = _bytes(regions.shape), _bytes(regions.inside)
    values = np.ascontiguousarray(regions.values, np.float64)
    spacing = np.array(regions.spacing, np.float64)
    area, close = areas(regions.spacing), areas(regions.spacing, close=True)
    raw = _measure(shape, inside, values, CELLS, area, EXCESS, close, spacing)
    found = np.full((len(raw), len(FEATURES)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        _finish(raw, found, spacing)
    if quadratic:
        for b in range(len(found)):
            found[b, 36:] = correlations(values[b], regions.inside[b], regions.spacing)
    found[~np.isfinite(found)] = np.nan
    return found


def _bytes(mask: NDArray[np.bool_]) -> Byte:
    return np.ascontiguousarray(mask).view(np.uint8)


def _finish(raw: Float, found: Float, spacing: Float) -> None:
    """Raw numbers (B, 24) -> features (B, 36 and on)."""
    n = raw[:, 0]
    found[:, [0, 2, 3, 4, 14, 15, 16]] = _compactness(raw[:, 1], raw[:, 2])
    found[:, 1] = n * spacing.prod()
    found[:, 5] = raw[:, 6]
    found[:, 6:9] = raw[:, 3:6]
    least, minor, major = _variances(raw[:, 7:13]).T
    found[:, 9:12] = 4 * np.sqrt(np.stack([major, minor, least], 1))
    found[:, 12] = np.sqrt(minor / major)
    found[:, 13] = np.sqrt(least / major)
    volume, area = raw[:, 22], raw[:, 23]
    found[:, 17:24] = _compactness(volume, area)
    found[:, 24] = found[:, 23] - 1
    found[:, 25] = np.sqrt((raw[:, 18:21] ** 2).sum(1))
    found[:, 26:29] = found[:, 9:12] * np.sqrt(n / (n - 1))[:, None]
    z, y, x = (raw[:, 13:16] * spacing).T
    found[:, 29] = volume / (z * y * x)
    found[:, 30] = area / (2 * (z * y + z * x + y * x))
    c, b, a = (2 * np.sqrt(np.stack([least, minor, major]) * (n / (n - 1)))).copy()
    found[:, 31] = 3 * volume / (4 * np.pi * a * b * c)
    found[:, 32] = np.where(c > 0, area / ellipsoid_area(a, b, c), np.nan)
    found[:, 33] = volume / raw[:, 16]
    found[:, 34] = area / raw[:, 17]
    found[:, 35] = volume * raw[:, 21]
    found[n == 0] = np.nan


def _compactness(volume: Float, area: Float) -> Float:
    """Volume, area, their ratio, sphericity, both compactnesses and spherical disproportion: (B, 7)."""
    sphere = np.cbrt(36 * np.pi * volume**2)  # area of a sphere of that volume
    ratios = area / volume, sphere / area, volume / np.sqrt(np.pi * area**3), 36 * np.pi * volume**2 / area**3
    return np.stack([volume, area, *ratios, area / sphere], 1)


def _variances(covariance: Float) -> Float:
    """Eigenvalues, smallest first, of (B, 6) covariances zz, yy, xx, zy, zx, yx: (B, 3). Remainders of rounding: 0."""
    full = covariance[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3)
    values = np.linalg.eigvalsh(np.nan_to_num(full))
    values[values < 1e-13 * values[:, 2:]] = 0
    return values


def ellipsoid_area(a: Float, b: Float, c: Float) -> Float:
    """Area of ellipsoids with semi-axes a >= b >= c, by the standard's series in Legendre polynomials.

    The polynomials come multiplied with powers of the eccentricities, so that balls and spheroids are no special case.
    Both eccentricities are against a, as the standard writes; against c the area would be exact, as it is it is so for
    balls only (0.04 % off at 3 : 2.9 : 2.8, 12 % at 3 : 2 : 2).
    """
    alpha, beta = 1 - (b / a) ** 2, 1 - (c / a) ** 2  # squared eccentricities
    before, now = np.zeros_like(a), np.ones_like(a)
    total = np.zeros_like(a)
    for k in range(TERMS + 1):
        total += now / (1 - 4 * k**2)
        before, now = now, ((2 * k + 1) * (alpha + beta) / 2 * now - k * alpha * beta * before) / (k + 1)
    area: Float = 4 * np.pi * a * b * total
    return area


@compiled
def _measure(
    shape: Byte, inside: Byte, values: Float, cells: Int, area: Float, excess: Float, close: Float, spacing: Float
) -> Float:
    """(B, 24): voxels, mesh volume, area, four diameters, six covariances, three sides in voxels, hull volume and area,
    shift of the centre of mass along z, y, x, mean intensity, volume and area of the closed mesh."""
    batch, depth, height, width = shape.shape
    raw = np.full((batch, 24), np.nan)
    along_x = np.empty((2, 2 * depth + 2, 2 * height + 2), np.int32)
    along_y = np.empty((2, 2 * depth + 2, 2 * width + 2), np.int32)
    kept_x = np.empty(along_x.shape, np.uint8)
    kept_y = np.empty(along_y.shape, np.uint8)
    corners = np.empty((along_x.size, 3), np.int64)
    box = np.empty(16, np.int64)
    counts = np.empty(256, np.int64)
    sides = np.empty(3, np.int64)
    centre = np.empty(3)
    for b in range(batch):
        extent(shape[b], box)
        n = box[6]
        raw[b, 0] = n
        if n == 0:
            continue
        raw[b, 1] = surface(shape[b], box, cells, counts, along_x, along_y) * spacing[0] * spacing[1] * spacing[2] / 48
        total, beyond, surrounding = 0.0, 0.0, 0.0
        for cube in range(256):
            total += counts[cube] * area[cube]
            beyond += counts[cube] * excess[cube]
            surrounding += counts[cube] * close[cube]
        raw[b, 2], raw[b, 23] = total, surrounding
        raw[b, 22] = (n + beyond) * spacing[0] * spacing[1] * spacing[2]
        for k in range(3):
            sides[k] = box[2 * k + 1] - box[2 * k] + 1
            raw[b, 13 + k] = sides[k]
            centre[k] = box[7 + k] / n
        number = diameters(along_x, along_y, sides, spacing, kept_x, kept_y, corners, raw[b, 3:7])
        hull(corners[:number], spacing, raw[b, 16:18])
        for k in range(3):
            raw[b, 7 + k] = (box[10 + k] / n - centre[k] * centre[k]) * spacing[k] * spacing[k] / 4
        raw[b, 10] = (box[13] / n - centre[0] * centre[1]) * spacing[0] * spacing[1] / 4
        raw[b, 11] = (box[14] / n - centre[0] * centre[2]) * spacing[0] * spacing[2] / 4
        raw[b, 12] = (box[15] / n - centre[1] * centre[2]) * spacing[1] * spacing[2] / 4
        _weigh(inside[b], values[b], box, centre, spacing, raw[b, 18:22])
    return raw


@compiled
def _weigh(inside: Byte, values: Float, box: Int, centre: Float, spacing: Float, found: Float) -> None:
    """Shift of the centre of mass from the centre of the form, in mm along z, y, x, and the mean intensity: (4,)."""
    depth, height, width = inside.shape
    count, total, total_z, total_y, total_x = 0, 0.0, 0.0, 0.0, 0.0
    for z in range(depth):
        for y in range(height):
            row, row_x = 0.0, 0.0
            for x in range(width):
                if inside[z, y, x]:
                    count += 1
                    row += values[z, y, x]
                    row_x += values[z, y, x] * (2 * x - box[4] - box[5])
            total += row
            total_z += row * (2 * z - box[0] - box[1])
            total_y += row * (2 * y - box[2] - box[3])
            total_x += row_x
    if count == 0:
        return
    found[3] = total / count
    if total != 0:
        found[0] = (total_z / total - centre[0]) * spacing[0] / 2
        found[1] = (total_y / total - centre[1]) * spacing[1] / 2
        found[2] = (total_x / total - centre[2]) * spacing[2] / 2


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    if voxels == 0:
        return "an empty region has no shape"
    if "moran" in name or "geary" in name:
        if voxels > 1 and levels > 1:
            return "pairs of voxels are compared only on request"
        return "pairs of voxels of one intensity have no correlation" if voxels > 1 else "one voxel has no pairs"
    if "morph_com" in name or "integ_int" in name:
        return "the intensities sum to 0, or there are none"
    if voxels == 1:
        return "one voxel has no axes"
    return "a flat region has no ellipsoid around it" if "aee" in name else "a region of several slices has no outline"
