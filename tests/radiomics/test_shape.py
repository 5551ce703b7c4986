"""Shape against the standard's phantom, pyradiomics' values for made-up masks, and what must hold for any mask.

shape_pyradiomics.json: masks (bits of numpy.packbits, in hexadecimal, cropped to their boxes) and what pyradiomics
3.0.1 gave for them: RadiomicsShape and, for one slice, RadiomicsShape2D with force2D=True. null is its NaN.
"""

import csv
import json
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform
from scipy.special import eval_legendre

from ganatomy.radiomics import mesh, shape
from ganatomy.radiomics.region import Regions

HERE = Path(__file__).parent
TABLE = csv.DictReader((HERE / "ibsi_1.csv").read_text(encoding="utf-8").splitlines())
IBSI = [row for row in TABLE if row["family"] == "morphology"]
CASES = json.loads((HERE / "shape_pyradiomics.json").read_text(encoding="utf-8"))
NAMES = [feature.name for feature in shape.FEATURES]
NAMES_2D = [feature.name for feature in shape.FEATURES_2D]
TAGS = [feature.tag for feature in shape.FEATURES]
DEFAULT = """
MeshVolume VoxelVolume SurfaceArea SurfaceVolumeRatio Sphericity Maximum3DDiameter Maximum2DDiameterSlice
Maximum2DDiameterColumn Maximum2DDiameterRow MajorAxisLength MinorAxisLength LeastAxisLength Elongation Flatness
"""
DEFAULT_2D = """
MeshSurface PixelSurface Perimeter PerimeterSurfaceRatio Sphericity MaximumDiameter MajorAxisLength MinorAxisLength
Elongation
"""


def regions(mask, spacing=(1.0, 1.0, 1.0), values=None) -> Regions:
    """One region, or several of one size."""
    mask = np.asarray(mask, bool)
    mask = mask[None] if mask.ndim == 3 else mask
    values = np.ones(mask.shape) if values is None else np.asarray(values, np.float64).reshape(mask.shape)
    levels = np.pad(mask.astype(np.uint16), ((0, 0), (1, 1), (1, 1), (1, 1)))
    return Regions(values, mask, mask, levels, mask.any((1, 2, 3)).astype(np.int64), spacing)


def case(name):
    given_ = CASES[name]
    size = given_["size"]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(given_["mask"]), np.uint8), count=int(np.prod(size)))
    return bits.reshape(size).astype(bool), tuple(given_["spacing"])


def vertices(mask):
    """Midpoints between neighbours inside and outside, in half voxels."""
    padded = np.pad(mask, 1).astype(int)
    found = []
    for axis in range(3):
        places = 2 * np.argwhere(np.diff(padded, axis=axis))
        places[:, axis] += 1
        found.append(places)
    return np.concatenate(found)


def test_names():
    assert set(DEFAULT.split()) <= set(NAMES)
    assert set(DEFAULT_2D.split()) <= set(NAMES_2D)
    assert {row["tag"]: row["code"] for row in IBSI} == {f.tag: f.code for f in shape.FEATURES if f.tag}
    assert len(IBSI) == 25


@pytest.mark.parametrize("row", IBSI, ids=lambda row: row["tag"])
def test_standard(row, phantom, agrees):
    value = shape.measure(phantom, quadratic=True)[0, TAGS.index(row["tag"])]
    assert agrees(value, float(row["reference"]), float(row["tolerance"]))


def test_the_standards_values_in_full(phantom):
    """mirp 2.7.0's values for the phantom, where it reckons in double precision."""
    expected = {
        "morph_volume": 556.333333333,
        "morph_area_mesh": 388.070629881,
        "morph_com": 0.671544925879,
        "morph_diam": 13.1148770486,
        "morph_pca_maj_axis": 11.4023872667,
        "morph_pca_least_axis": 8.5359812196,
        "morph_area_dens_aabb": 0.866229084556,
        "morph_area_dens_aee": 1.35512873451,
        "morph_vol_dens_conv_hull": 0.960852043754,
        "morph_area_dens_conv_hull": 1.03286884323,
    }
    value = shape.measure(phantom)[0]
    for tag, number in expected.items():
        assert value[TAGS.index(tag)] == pytest.approx(number, rel=1e-11), tag


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("margin", [0, 2])
def test_pyradiomics(name, margin):
    mask, spacing = case(name)
    around = ((0, 0) if mask.shape[0] == 1 else (margin, 0), (0, margin), (margin, margin))
    region = regions(np.pad(mask, around), spacing)
    found, found_2d = shape.measure(region)[0], shape.measure_2d(region)[0]
    for names, values, expected in (
        (NAMES, found, CASES[name]["shape"]),
        (NAMES_2D, found_2d, CASES[name]["shape2D"]),
    ):
        for feature, value in expected.items():
            ours = values[names.index(feature)]
            if value is None:
                assert np.isnan(ours), feature
            else:  # a variance of 0 is 1e-17 there, and its root 1e-8
                rough = feature.endswith(("AxisLength", "Elongation", "Flatness")) and ours == 0
                assert ours == pytest.approx(value, rel=1e-12, abs=1e-7 if rough else 0), feature
    if mask.shape[0] > 1:
        assert np.isnan(found_2d).all()


def test_a_gap_in_the_surface_counts_as_in_pyradiomics():
    """Its volume of a surface with gaps depends on the origin, one voxel before the box: the cases must hold some."""
    cells = [
        sum(
            corner << bit
            for bit, corner in enumerate(np.pad(case("noise")[0], 1)[z : z + 2, y : y + 2, x : x + 2].ravel())
        )
        for z, y, x in product(range(6), range(8), range(7))
    ]
    assert mesh.CELLS[cells, 1:].sum(0).any()


def borders(cubes: dict[int, str]) -> dict[tuple, set]:
    """How the triangles of all cubes end on a face, for each of three axes and each pattern of the face's corners."""
    found = {}
    for cube, letters in cubes.items():
        corners = np.array([cube >> bit & 1 for bit in range(8)]).reshape(2, 2, 2)
        sides = Counter(
            (tuple(begin), tuple(end))
            for triangle in mesh.triangles(letters).tolist()
            for begin, end in zip(triangle, triangle[1:] + triangle[:1], strict=True)
        )
        lines = sides - Counter({line[::-1]: count for line, count in sides.items()})
        for axis, side in product(range(3), (0, 2)):
            on = [sorted((begin, end)) for begin, end in lines if begin[axis] == end[axis] == side]
            flat = frozenset(tuple(tuple(np.delete(point, axis)) for point in line) for line in on)
            found.setdefault((axis, *corners.take(side // 2, axis).ravel()), set()).add(flat)
        assert all(any(begin[a] == end[a] != 1 for a in range(3)) for begin, end in lines), cube
    return found


def test_the_mesh_of_the_standard_is_closed():
    """Two cubes that share a face end there alike, and no triangle has a free side within a cube."""
    assert len(mesh.closed()) == 254
    assert all(len(ways) == 1 for ways in borders(mesh.closed()).values())
    gaps = dict(enumerate(mesh._TRIANGLES.split(), 1))
    assert not all(len(ways) == 1 for ways in borders(gaps | {255 - c: way[::-1] for c, way in gaps.items()}).values())


@settings(max_examples=40, deadline=None)
@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_volume_of_the_closed_mesh(mask):
    """By its triangles one by one; of a closed mesh it does not depend on where the origin is."""
    cubes, volumes = mesh.closed(), []
    for origin in ((0, 0, 0), (7, -5, 11)):
        total = 0
        padded = np.pad(mask, 1)
        for corner in product(*(range(n - 1) for n in padded.shape)):
            inside = padded[tuple(slice(c, c + 2) for c in corner)].ravel()
            cube = sum(int(bit) << i for i, bit in enumerate(inside))
            for a, b, c in mesh.triangles(cubes.get(cube, "")) + 2 * np.array(corner) + np.array(origin):
                total += (a * np.cross(b, c)).sum()
        volumes.append(total / 48)
    assert volumes[0] == volumes[1]
    found = shape.measure(regions(mask))[0]
    if mask.any():
        assert found[TAGS.index("morph_volume")] == pytest.approx(volumes[0], rel=1e-12)


def test_one_voxel():
    found = shape.measure(regions(np.ones((1, 1, 1)), (2.0, 3.0, 4.0)), quadratic=True)[0]
    value = dict(zip(NAMES, found, strict=True)) | dict(zip(TAGS, found, strict=True))
    assert value["VoxelVolume"] == 24
    assert value["MeshVolume"] == pytest.approx(4)  # an octahedron
    assert value["Maximum3DDiameter"] == 4
    assert value["MajorAxisLength"] == 0
    assert value["morph_vol_dens_conv_hull"] == pytest.approx(1)
    for undefined in (
        "Elongation",
        "Flatness",
        "morph_pca_maj_axis",
        "morph_vol_dens_aee",
        "morph_moran_i",
        "morph_geary_c",
    ):
        assert np.isnan(value[undefined]), undefined
        assert shape.reason(undefined, 1, 1)
    assert "only on request" in shape.reason("morph_moran_i_N365", 9, 3)


def test_empty_and_full_and_lines():
    masks = np.zeros((4, 3, 4, 5))
    masks[1] = 1
    masks[2, 1, 2] = 1
    masks[3, 1] = 1
    found = shape.measure(regions(masks), quadratic=True)
    assert np.isnan(found[0]).all()
    assert "empty" in shape.reason("MeshVolume", 0, 0)
    assert found[1, NAMES.index("VoxelVolume")] == 60
    assert found[2, NAMES.index("Elongation")] == 0
    assert found[3, NAMES.index("LeastAxisLength")] == 0
    assert np.isnan(found[3, TAGS.index("morph_vol_dens_aee")])
    assert np.isnan(shape.measure_2d(regions(np.zeros((2, 1, 4, 5))))).all()
    slice_ = shape.measure_2d(regions(np.ones((1, 4, 5))))[0]
    assert slice_[NAMES_2D.index("MeshSurface")] == pytest.approx(20 - 4 / 8)
    assert slice_[NAMES_2D.index("Perimeter")] == pytest.approx(6 + 8 + 2 * np.sqrt(2))


def test_a_region_without_intensities_keeps_its_form():
    mask = np.ones((1, 2, 3, 3), bool)
    region = regions(mask)
    values = np.full(mask.shape, np.nan)
    bare = Regions(values, ~mask, mask, region.levels * 0, np.zeros(1, np.int64), region.spacing)
    found = shape.measure(bare)[0]
    assert found[0] == shape.measure(region)[0, 0]
    assert np.isnan(found[TAGS.index("morph_com")])
    assert np.isnan(found[TAGS.index("morph_integ_int")])


def test_intensities_that_sum_to_zero_have_no_centre():
    found = shape.measure(regions(np.ones((1, 1, 2)), values=[-1.0, 1.0]))[0]
    assert np.isnan(found[TAGS.index("morph_com")])
    assert "sum to 0" in shape.reason("morph_com_KLMA", 2, 2)


def test_the_axes_of_a_ball_are_equal():
    z, y, x = np.mgrid[:21, :21, :21] - 10
    found = shape.measure(regions(z * z + y * y + x * x < 90))[0]
    assert found[NAMES.index("Flatness")] == pytest.approx(1, abs=1e-14)
    assert found[NAMES.index("Sphericity")] == pytest.approx(0.92, abs=0.02)


def test_area_of_ellipsoids():
    """The standard's series as it is written; equal axes, where its argument is infinite, are no special case."""
    a, b, c = np.array([5.0, 3.0]), np.array([4.0, 2.5]), np.array([2.0, 0.5])
    alpha, beta = np.sqrt(1 - (b / a) ** 2), np.sqrt(1 - (c / a) ** 2)
    middle = (alpha**2 + beta**2) / (2 * alpha * beta)
    terms = [(alpha * beta) ** v / (1 - 4 * v**2) * eval_legendre(v, middle) for v in range(21)]
    assert shape.ellipsoid_area(a, b, c) == pytest.approx(4 * np.pi * a * b * sum(terms), rel=1e-12)
    spheroid, near = (shape.ellipsoid_area(*np.array([[3.0], [b], [2.0]]))[0] for b in (3, 3 - 1e-9))
    assert spheroid == pytest.approx(near, rel=1e-8)
    assert shape.ellipsoid_area(*np.full((3, 1), 3.0))[0] == pytest.approx(36 * np.pi)


@settings(max_examples=60, deadline=None)
@given(
    arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7)).filter(np.any),
    st.tuples(*[st.floats(0.3, 4)] * 3),
)
def test_diameters_and_hull_by_trying_all(mask, spacing):
    points = vertices(mask)
    found = shape.measure(regions(mask, spacing))[0]
    distance = squareform(pdist(points * spacing)) / 2
    assert found[NAMES.index("Maximum3DDiameter")] == pytest.approx(distance.max(), rel=1e-12)
    for axis, name in enumerate(("Slice", "Column", "Row")):
        same = points[:, None, axis] == points[None, :, axis]
        assert found[NAMES.index(f"Maximum2DDiameter{name}")] == pytest.approx(distance[same].max(), rel=1e-12)
    around = ConvexHull(points * spacing / 2)
    volume, area = (found[TAGS.index(f"morph_{tag}")] for tag in ("volume", "area_mesh"))
    assert volume / found[TAGS.index("morph_vol_dens_conv_hull")] == pytest.approx(around.volume, rel=1e-9)
    assert area / found[TAGS.index("morph_area_dens_conv_hull")] == pytest.approx(around.area, rel=1e-9)


def test_hull_of_many_points():
    """A ball and a blob, larger than hypothesis tries; the hull is tested against Qhull's."""
    z, y, x = np.mgrid[:25, :27, :29]
    for mask in (
        (z - 12) ** 2 + (y - 13) ** 2 + (x - 14) ** 2 < 140,
        np.random.default_rng(0).random((25, 27, 29)) < 0.01,
    ):
        around = ConvexHull(vertices(mask) / 2)
        found = shape.measure(regions(mask))[0]
        volume, area = (found[TAGS.index(f"morph_{tag}")] for tag in ("volume", "area_mesh"))
        assert volume / found[TAGS.index("morph_vol_dens_conv_hull")] == pytest.approx(around.volume, rel=1e-11)
        assert area / found[TAGS.index("morph_area_dens_conv_hull")] == pytest.approx(around.area, rel=1e-11)


def test_flat_points_have_no_hull():
    found = np.zeros(2)
    flat = np.array([[0, 0, 0], [0, 0, 2], [0, 2, 0], [0, 2, 2], [0, 5, 7]])
    mesh.hull(flat, np.ones(3), found)
    assert np.isnan(found).all()


@settings(max_examples=20, deadline=None)
@given(arrays(bool, (3, 4, 5)).filter(lambda mask: mask.sum() > 1), st.integers(0, 99))
def test_spatial_correlation_by_trying_all_pairs(mask, seed):
    spacing = (1.5, 0.7, 1.0)
    values = np.random.default_rng(seed).normal(100, 5, mask.shape)
    found = shape.measure(regions(mask, spacing, values), quadratic=True)[0]
    weight = 1 / pdist(np.argwhere(mask) * spacing)
    picked = values[mask]
    n, deviation = len(picked), picked - picked.mean()
    i, j = np.triu_indices(n, 1)
    moran = n * (weight * deviation[i] * deviation[j]).sum() / weight.sum() / (deviation**2).sum()
    geary = (n - 1) * (weight * (picked[i] - picked[j]) ** 2).sum() / 2 / weight.sum() / (deviation**2).sum()
    assert found[TAGS.index("morph_moran_i")] == pytest.approx(moran, rel=1e-9, abs=1e-10)
    assert found[TAGS.index("morph_geary_c")] == pytest.approx(geary, rel=1e-9, abs=1e-10)


def test_spatial_correlation_of_one_intensity_is_undefined():
    found = shape.measure(regions(np.ones((2, 3, 4))), quadratic=True)[0]
    assert np.isnan(found[[TAGS.index("morph_moran_i"), TAGS.index("morph_geary_c")]]).all()
    assert "one intensity" in shape.reason("morph_geary_c_NPT7", 24, 1)


@settings(max_examples=25, deadline=None)
@given(arrays(bool, (3, 5, 6)).filter(lambda mask: mask.sum() > 1))
def test_turning_by_a_right_angle(mask):
    """What does not depend on how the mesh is cut into triangles; columns and rows change places."""
    spacing = (2.0, 0.5, 0.5)
    a, b = (shape.measure(regions(turned, spacing))[0] for turned in (mask, np.rot90(mask, axes=(1, 2))))
    column, row = (NAMES.index(f"Maximum2DDiameter{name}") for name in ("Column", "Row"))
    assert (b[column], b[row]) == pytest.approx((a[row], a[column]), rel=1e-12)
    same = [NAMES.index(name) for name in ("VoxelVolume", "Maximum3DDiameter", "Maximum2DDiameterSlice")]
    same += [i for i, f in enumerate(shape.FEATURES) if f.name.endswith("AxisLength") or "_pca_" in f.tag]
    assert b[same] == pytest.approx(a[same], rel=1e-9, abs=1e-9, nan_ok=True)
    hull, volume = TAGS.index("morph_vol_dens_conv_hull"), TAGS.index("morph_volume")
    assert b[volume] * a[hull] == pytest.approx(a[volume] * b[hull], rel=1e-12, nan_ok=True)  # volume of the hull


def test_the_batch_does_not_matter():
    masks = np.random.default_rng(3).random((6, 4, 5, 6)) < np.array([0, 0.1, 0.4, 0.7, 0.9, 1])[:, None, None, None]
    values = np.random.default_rng(4).normal(size=masks.shape)
    found = shape.measure(regions(masks, (2.0, 1.0, 1.0), values), quadratic=True)
    order = [4, 0, 5, 2, 1, 3]
    assert np.array_equal(
        shape.measure(regions(masks[order], (2.0, 1.0, 1.0), values[order]), quadratic=True),
        found[order],
        equal_nan=True,
    )
    assert np.array_equal(shape.measure(regions(masks[3:4], (2.0, 1.0, 1.0), values[3:4]), quadratic=True), found[3:4])
    flat = masks[:, :1]
    found = shape.measure_2d(regions(flat))
    assert np.array_equal(shape.measure_2d(regions(flat[order])), found[order], equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (4, 5)).filter(np.any), st.integers(0, 3), st.integers(0, 3))
def test_moving_a_region_in_its_box(mask, down, right):
    box = np.zeros((1, 7, 8), bool)
    box[0, down : down + 4, right : right + 5] = mask
    for measure in (shape.measure, shape.measure_2d):
        a, b = measure(regions(mask[None]))[0], measure(regions(box))[0]
        assert b == pytest.approx(a, rel=1e-12, abs=1e-12, nan_ok=True)
