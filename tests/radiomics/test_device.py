"""The torch engine against definitions written out, pyradiomics' numbers, the standard's and the compiled engine."""

import csv
import importlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from ganatomy.core.errors import InputError
from ganatomy.radiomics import device
from ganatomy.radiomics.feature import DIRECTIONAL
from ganatomy.radiomics.region import Regions

HERE = Path(__file__).parent
# pyradiomics 3.0.1: its three feature classes, every feature enabled, with the file's settings and arrays.
# These are random, framed by zeros; the volume without a mask has each value twice along x.
ORACLE = json.loads((HERE / "device_pyradiomics.json").read_text())
GLCM = {  # the standard's names
    **{"cm_joint_max": "MaximumProbability", "cm_joint_avg": "JointAverage", "cm_joint_var": "SumSquares"},
    **{"cm_joint_entr": "JointEntropy", "cm_diff_avg": "DifferenceAverage", "cm_diff_var": "DifferenceVariance"},
    **{"cm_diff_entr": "DifferenceEntropy", "cm_sum_avg": "SumAverage", "cm_sum_var": "ClusterTendency"},
    **{"cm_sum_entr": "SumEntropy", "cm_energy": "JointEnergy", "cm_contrast": "Contrast"},
    **{"cm_dissimilarity": "DifferenceAverage", "cm_inv_diff": "Id", "cm_inv_diff_norm": "Idn"},
    **{"cm_inv_diff_mom": "Idm", "cm_inv_diff_mom_norm": "Idmn", "cm_inv_var": "InverseVariance"},
    **{"cm_corr": "Correlation", "cm_auto_corr": "Autocorrelation", "cm_clust_tend": "ClusterTendency"},
    **{"cm_clust_shade": "ClusterShade", "cm_clust_prom": "ClusterProminence"},
}
GLRLM = dict(
    zip(
        (
            *("rlm_sre", "rlm_lre", "rlm_glnu", "rlm_glnu_norm", "rlm_rlnu", "rlm_rlnu_norm", "rlm_r_perc"),
            *("rlm_gl_var", "rlm_rl_var", "rlm_rl_entr", "rlm_lgre", "rlm_hgre", "rlm_srlge", "rlm_srhge"),
            *("rlm_lrlge", "rlm_lrhge"),
        ),
        device.NAMES["glrlm"],
        strict=True,
    )
)
REFERENCES = [
    (row["family"], {**GLCM, **GLRLM}[row["tag"]], row["aggregation"], float(row["reference"]), float(row["tolerance"]))
    for row in csv.DictReader((HERE / "ibsi_1.csv").read_text().splitlines())
    if row["tag"] in GLCM or row["tag"] in GLRLM
]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def named(values: dict[str, torch.Tensor]) -> list[dict[str, float]]:
    """One dict of family_Name -> value per region."""
    keys = [f"{family}_{name}" for family in values for name in device.NAMES[family]]
    return [dict(zip(keys, row.tolist(), strict=True)) for row in torch.cat(list(values.values()), 1)]


def brute(levels: NDArray[np.int64], cut: bool = False) -> dict[str, float]:
    """GLCM and GLRLM features of levels (D, H, W) by loops over voxels and the definitions' own double sums.

    cut: a matrix for each slice, in-plane offsets only.
    """
    offsets = [o for o in itertools.product((-1, 0, 1), repeat=3) if o > (0, 0, 0)]
    boxes = [levels]
    if cut or len(levels) == 1:
        offsets, boxes = [o for o in offsets if o[0] == 0], list(levels[:, None])
    n = int(levels.max())
    pairs, lines = [], []
    for box, offset in itertools.product(boxes, offsets):
        p, r = np.zeros((n, n)), np.zeros((n, max(box.shape)))

        def at(v, box=box):
            return box[tuple(v)] if all(0 <= c < s for c, s in zip(v, box.shape, strict=True)) else 0

        for v in np.ndindex(box.shape):
            if g := box[v]:
                if h := at(np.add(v, offset)):
                    p[g - 1, h - 1] += 1
                    p[h - 1, g - 1] += 1
                if at(np.subtract(v, offset)) != g:
                    end, length = np.add(v, offset), 1
                    while at(end) == g:
                        end, length = end + offset, length + 1
                    r[g - 1, length - 1] += 1
        if p.any():
            pairs.append(_glcm(p / p.sum(), n))
        if r.any():
            lines.append(_glrlm(r))
    found = {}
    for family, each in (("glcm", pairs), ("glrlm", lines)):
        for name in device.NAMES[family]:
            defined = [one[name] for one in each if not math.isnan(one[name])]
            found[f"{family}_{name}"] = float(np.mean(defined)) if defined else math.nan
    return found


def _entropy(p):
    return -sum(x * math.log2(x) for x in np.ravel(p) if x > 0)


def _glcm(p: NDArray[np.float64], n: int) -> dict[str, float]:
    i, j = np.indices(p.shape) + 1
    px = p.sum(1)
    mean = (i * p).sum()
    variance = ((i - mean) ** 2 * p).sum()
    minus = np.array([p[abs(i - j) == k].sum() for k in range(n)])
    plus = np.array([p[i + j == k].sum() for k in range(2, 2 * n + 1)])
    hxy, hx = _entropy(p), _entropy(px)
    outer = np.outer(px, px)
    hxy1 = -sum(a * math.log2(b) for a, b in zip(p.ravel(), outer.ravel(), strict=True) if a > 0)
    k = np.arange(n)
    some = px > 0
    flat = some.sum() == 1
    step = p[some][:, some] / px[some][:, None]
    q = step @ step  # sum_k p(i,k) p(j,k) / px(i) py(k)
    return {
        "Autocorrelation": (i * j * p).sum(),
        "JointAverage": mean,
        "ClusterProminence": ((i + j - 2 * mean) ** 4 * p).sum(),
        "ClusterShade": ((i + j - 2 * mean) ** 3 * p).sum(),
        "ClusterTendency": ((i + j - 2 * mean) ** 2 * p).sum(),
        "Contrast": ((i - j) ** 2 * p).sum(),
        "Correlation": math.nan if flat else ((i - mean) * (j - mean) * p).sum() / variance,
        "DifferenceAverage": (k * minus).sum(),
        "DifferenceEntropy": _entropy(minus),
        "DifferenceVariance": ((k - (k * minus).sum()) ** 2 * minus).sum(),
        "JointEnergy": (p**2).sum(),
        "JointEntropy": hxy,
        "Imc1": math.nan if flat else (hxy - hxy1) / hx,
        "Imc2": math.sqrt(max(0.0, 1 - math.exp(-2 * (_entropy(outer) - hxy)))),
        "Idm": (p / (1 + (i - j) ** 2)).sum(),
        "MCC": math.nan if flat else math.sqrt(max(0.0, sorted(np.linalg.eigvals(q).real)[-2])),
        "Idmn": (p / (1 + (i - j) ** 2 / n**2)).sum(),
        "Id": (p / (1 + abs(i - j))).sum(),
        "Idn": (p / (1 + abs(i - j) / n)).sum(),
        "InverseVariance": (p[i != j] / (i - j)[i != j] ** 2).sum(),
        "MaximumProbability": p.max(),
        "SumAverage": (np.arange(2, 2 * n + 1) * plus).sum(),
        "SumEntropy": _entropy(plus),
        "SumSquares": variance,
    }


def _glrlm(r: NDArray[np.float64]) -> dict[str, float]:
    i, j = (np.indices(r.shape) + 1).astype(float)
    total = r.sum()
    p = r / total
    mean_i, mean_j = (i * p).sum(), (j * p).sum()
    values = (
        *((p / j**2).sum(), (p * j**2).sum(), (r.sum(1) ** 2).sum() / total, (p.sum(1) ** 2).sum()),
        *((r.sum(0) ** 2).sum() / total, (p.sum(0) ** 2).sum(), total / (r * j).sum()),
        *((p * (i - mean_i) ** 2).sum(), (p * (j - mean_j) ** 2).sum(), _entropy(p)),
        *((p / i**2).sum(), (p * i**2).sum(), (p / (i * j) ** 2).sum(), (p * (i / j) ** 2).sum()),
        *((p * (j / i) ** 2).sum(), (p * (i * j) ** 2).sum()),
    )
    return dict(zip(device.NAMES["glrlm"], values, strict=True))


def same(ours: dict[str, float], theirs: dict[str, float], rel: float = 1e-9, abs_: float = 1e-7) -> None:
    """Imc2 and MCC are roots: rounding of 1e-16 below the root is 1e-8 above it, hence abs_."""
    wrong = {k: (ours[k], v) for k, v in theirs.items() if ours[k] != pytest.approx(v, rel=rel, abs=abs_, nan_ok=True)}
    assert not wrong


def made(shape: tuple[int, ...], seed: int = 0, top: int = 6) -> torch.Tensor:
    """Levels 1..top with some runs in them."""
    draw = np.random.default_rng(seed)
    x = draw.integers(1, top + 1, shape)
    return torch.from_numpy(np.where(draw.random(shape) < 0.4, np.roll(x, 1, -1), x))


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 6), (4, 5, 6), (3, 1, 4), (5, 4, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_matrices_by_loops(shape: tuple[int, ...], masked: bool) -> None:
    images = made((3, *shape))
    inside = torch.from_numpy(np.random.default_rng(1).random(images.shape) < 0.7) if masked else None
    rows = named(device.measure(images, inside, families=("glcm", "glrlm")))
    levels = (images if inside is None else images * inside).numpy().reshape(3, *((1,) * (3 - len(shape))), *shape)
    for row, level in zip(rows, levels, strict=True):
        same(row, brute(level))


def test_a_matrix_for_each_slice_by_loops() -> None:
    images = made((2, 3, 4, 5))
    inside = torch.from_numpy(np.random.default_rng(1).random(images.shape) < 0.6)
    inside[0, 1] = False  # a slice without a region has no matrix
    rows = named(device.measure(images, inside, families=("glcm", "glrlm"), aggregation="2D_avg"))
    for row, level in zip(rows, (images * inside).numpy(), strict=True):
        same(row, brute(level, cut=True))


@pytest.mark.parametrize("case", ORACLE)
def test_pyradiomics(case: str) -> None:
    given = ORACLE[case]
    images = torch.tensor([given["images"]], dtype=torch.float64)
    inside = torch.tensor([given["inside"]], dtype=torch.bool)
    row = named(device.measure(images, inside, spacing=given["spacing"], **given["settings"]))[0]
    theirs = {f"{family}_{name}": value for family, own in given["values"].items() for name, value in own.items()}
    assert set(theirs) == set(row)
    same(row, theirs, rel=1e-7)  # pyradiomics adds 2e-16 inside its logarithms and to divisors of about 1e-4
    if inside.all():
        same(named(device.measure(images, spacing=given["spacing"], **given["settings"]))[0], row, rel=1e-12)


@pytest.mark.parametrize("aggregation", DIRECTIONAL)
def test_the_standards_phantom(aggregation: str, phantom: Regions, agrees) -> None:
    images, inside = torch.from_numpy(phantom.values), torch.from_numpy(phantom.inside)
    row = named(device.measure(images, inside, aggregation=aggregation))[0]
    references = [reference for reference in REFERENCES if reference[2] == aggregation]
    assert len(references) == 23 + 16
    for family, name, _, reference, tolerance in references:
        assert agrees(row[f"{family}_{name}"], reference, tolerance), (family, name)


def test_the_phantoms_information_correlation(phantom: Regions, agrees) -> None:
    images, inside = torch.from_numpy(phantom.values), torch.from_numpy(phantom.inside)
    row = named(device.measure(images, inside, aggregation="2D_avg"))[0]
    assert agrees(row["glcm_Imc1"], -0.155, 0)
    assert agrees(row["glcm_Imc2"], 0.487, 0)


def compiled(family: str):
    """A compiled family module, where numba is installed."""
    pytest.importorskip("numba")
    try:
        return importlib.import_module(f"ganatomy.radiomics.{family}")
    except ModuleNotFoundError:
        pytest.skip(f"{family} is not there")


@pytest.mark.parametrize("family", device.NAMES)
def test_names_are_the_compiled_engines(family: str) -> None:
    assert device.NAMES[family] == tuple(feature.name for feature in compiled(family).FEATURES if feature.name)


@pytest.mark.parametrize("family", device.NAMES)
@pytest.mark.parametrize("shape", [(6, 12, 9), (6, 4, 7, 6)])
@pytest.mark.parametrize("settings", [{"bin_width": 0.3}, {"bin_count": 9}])
def test_values_are_the_compiled_engines(family: str, shape: tuple[int, ...], settings: dict[str, float]) -> None:
    module = compiled(family)
    prepare = compiled("prepare")
    draw = np.random.default_rng(3)
    images, inside = draw.normal(size=shape), draw.random(shape) < 0.8
    images[1] = np.round(images[1], 1)  # values on the edges of bins
    images[2] = 0.3  # flat
    images[3][inside[3]] = draw.integers(0, 2, inside[3].sum())
    inside[4:6] = False  # empty, and one voxel
    inside[5].flat[7] = True
    box = (shape[0], *((1,) * (4 - len(shape))), *shape[1:])
    regions = prepare.regions(images.reshape(box), inside.reshape(box), None, (1.0, 1.0, 1.0), **settings)
    for aggregation in DIRECTIONAL if family != "firstorder" else ["3D_avg"]:
        extra = {} if family == "firstorder" else {"aggregation": aggregation}
        theirs = module.measure(regions, **extra)[:, [bool(feature.name) for feature in module.FEATURES]]
        ours = device.measure(
            torch.from_numpy(images), torch.from_numpy(inside), families=(family,), aggregation=aggregation, **settings
        )
        np.testing.assert_allclose(ours[family].numpy(), theirs, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("settings", [{"bin_width": 0.1}, {"bin_width": 25.0}, {"bin_count": 7}, {"bin_count": 1}])
def test_levels_are_numpys_digitize(settings: dict[str, float]) -> None:
    """Values on the edges and beside them: pyradiomics calls numpy.digitize with these edges."""
    low, high = -3.7, 59.3
    if "bin_width" in settings:
        width = settings["bin_width"]
        edges = np.arange(low - low % width, high + 2 * width, width)
    else:
        edges = np.histogram([low, high], int(settings["bin_count"]))[1]
    on = edges[(edges >= low) & (edges <= high)]
    x = np.unique(np.concatenate([[low, high], on, np.nextafter(on, -99), np.nextafter(on, 99)]).clip(low, high))
    if "bin_count" in settings:
        edges[-1] += 1
    levels, highest = device._levels(
        torch.from_numpy(x)[None, None, None], None, settings.get("bin_width"), settings.get("bin_count"), 1
    )
    assert np.array_equal(levels.numpy().ravel(), np.digitize(x, edges))
    assert highest == [levels.max()]


def test_what_is_undefined_is_nan() -> None:
    images = torch.full((4, 5, 5), torch.nan, dtype=torch.float64)  # NaN outside is no one's business
    inside = torch.zeros(images.shape, dtype=torch.bool)
    inside[1, 2, 3] = True  # image 0 is empty, 1 has one voxel, 2 is flat, 3 is a line of two levels
    inside[2], inside[3, 1] = True, True
    images[1, 2, 3], images[2] = 4.0, 7.0
    images[3, 1] = torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0])
    for settings in ({"bin_width": 1.0}, {"bin_count": 4}, {}):
        empty, voxel, flat, line = named(device.measure(images, inside, **settings))
        assert all(math.isnan(value) for value in empty.values())
        spread = {"firstorder_Skewness", "firstorder_Kurtosis"}
        assert {k for k, v in voxel.items() if math.isnan(v)} == {k for k in voxel if k.startswith("glcm")} | spread
        assert voxel["firstorder_Mean"] == voxel["firstorder_10Percentile"] == 4
        assert voxel["firstorder_Entropy"] == voxel["firstorder_RobustMeanAbsoluteDeviation"] == 0
        assert voxel["glrlm_RunPercentage"] == voxel["glrlm_ShortRunEmphasis"] == 1
        nan = {k for k, v in flat.items() if math.isnan(v)}
        assert nan == {"glcm_Correlation", "glcm_Imc1", "glcm_MCC"} | spread
        assert flat["glcm_Contrast"] == flat["glcm_JointEntropy"] == flat["glrlm_GrayLevelVariance"] == 0
        assert not any(math.isnan(v) for v in line.values())
        assert line["glrlm_RunPercentage"] == pytest.approx((0.4 + 3) / 4)  # two runs in a row, five across it


def test_flat_runs_by_loops() -> None:
    same(named(device.measure(torch.full((1, 5, 5), 3), families=("glcm", "glrlm")))[0], brute(np.full((1, 5, 5), 3)))


def test_no_image_is_no_row() -> None:
    found = device.measure(torch.zeros(0, 4, 4), bin_width=1.0)
    assert {family: tuple(values.shape) for family, values in found.items()} == {
        family: (0, len(names)) for family, names in device.NAMES.items()
    }


def test_other_images_change_nothing() -> None:
    """Batches, chunks, their order, and a neighbour of very many levels."""
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 8, 8)).round(2))
    images[4] *= 40  # about 200 levels where the others have 5
    together = torch.cat(list(device.measure(images, bin_width=1.0).values()), 1)
    assert not together.isnan().any()
    alone = torch.cat([torch.cat(list(device.measure(x[None], bin_width=1.0).values()), 1) for x in images])
    small = torch.cat(list(device.measure(images, bin_width=1.0, memory=1).values()), 1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = torch.cat(list(device.measure(images[order], bin_width=1.0).values()), 1)
    for other in (alone, small, shuffled[order.argsort()]):
        torch.testing.assert_close(other, together, rtol=1e-12, atol=1e-9)


def test_settings_do_what_they_say() -> None:
    images = made((2, 6, 6)).double()
    plain = named(device.measure(images))[0]
    x = images[0].numpy()
    shifted = named(device.measure(images, shift=10.0, spacing=(0.5, 0.4)))[0]
    assert shifted["firstorder_Energy"] == pytest.approx(((x + 10) ** 2).sum())
    assert shifted["firstorder_TotalEnergy"] == pytest.approx(0.2 * ((x + 10) ** 2).sum())
    assert shifted["firstorder_Mean"] == plain["firstorder_Mean"]
    no = named(device.measure(images, mcc=False))[0]
    assert math.isnan(no.pop("glcm_MCC"))
    same(no, {k: v for k, v in plain.items() if k != "glcm_MCC"}, abs_=0)
    assert list(device.measure(images, families=("glrlm",))) == ["glrlm"]
    whole = torch.ones(6, 6)
    whole[0] = 0
    cut = named(device.measure(images, whole))[0]  # one region for all, any type
    same(cut, named(device.measure(images[:, 1:]))[0], rel=1e-12)
    same(named(device.measure(images.float()))[0], plain, abs_=0)
    same(named(device.measure(images.to(torch.uint8)))[0], plain, abs_=0)
    two = named(device.measure(images, distances=(2,), families=("glcm",)))[0]
    by_hand = np.zeros((6, 6))
    for a, b in zip(x[:, :-2].ravel(), x[:, 2:].ravel(), strict=True):
        by_hand[int(a) - 1, int(b) - 1] += 1
    found = device.cooccurrence(images[:1, None].to(torch.int16), 6, [(0, 0, 2)], False, False)[0, 0].numpy()
    assert np.array_equal(found[1:, 1:7], np.triu(by_hand) + np.tril(by_hand, -1).T)
    assert found.sum() == by_hand.sum()
    assert two["glcm_Contrast"] != plain["glcm_Contrast"]
    assert len(device.neighbours((2,), True)) == 8  # pyradiomics' angles at distance 2 in a plane
    assert len(device.neighbours((1, 2), False)) == 13 + 49


def test_the_largest_eigenvalue_by_squaring() -> None:
    """What accelerators use for MCC, against LAPACK; pairs of equal size and sign included."""
    draw = np.random.default_rng(0)
    axes = np.linalg.qr(draw.normal(size=(6, 12, 12)))[0]
    values = draw.uniform(-0.9, 0.9, (6, 12))
    values[1, :2] = 0.95, -0.95
    values[2, :2] = 0.95, 0.95 - 1e-7
    values[3] = 0
    values[4] *= 1e-6
    matrices = torch.from_numpy((axes * values[:, None]) @ axes.swapaxes(1, 2))
    found = device.radius(matrices).numpy()
    np.testing.assert_allclose(found, np.abs(values).max(1), rtol=2e-7, atol=1e-15)


def test_the_accelerators_coefficient_is_the_processors() -> None:
    images = made((4, 9, 9), top=12)
    images[3] = (torch.arange(9) % 2 + 1) * torch.ones(9, 1)  # columns 1 2 1 2: MCC is 1
    plain = device.measure(images, families=("glcm",))["glcm"]
    pairs = device.cooccurrence(images[:, None].to(torch.int16), 16, device.neighbours((1,), True), False, False)
    half = pairs[..., 1:, 1:17].double()
    counts = half + half.mT
    px = counts.sum(-1)
    root = torch.where(px > 0, px.clamp_min(1).rsqrt(), 0)
    vector = (px / px.sum(-1, keepdim=True)).sqrt()
    scaled = counts * root[..., None] * root[..., None, :] - vector[..., None] * vector[..., None, :]
    found = device.radius(scaled)
    column = device.NAMES["glcm"].index("MCC")
    several = (px > 0).sum(-1) > 1
    mean = torch.where(several, found, torch.nan).nanmean(0)
    torch.testing.assert_close(mean, plain[:, column], rtol=1e-7, atol=1e-9)
    assert plain[3, column] == pytest.approx(1)


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (torch.zeros(4, 4), {}, r"shape \(B, H, W\)"),
        (torch.zeros(1, 4, 0), {}, "no voxel"),
        (torch.zeros(1, 4, 4, dtype=torch.complex64), {}, "complex64"),
        (torch.zeros(1, 4, 4), {"bin_width": 1.0, "bin_count": 4}, "not both"),
        (torch.zeros(1, 4, 4), {"bin_width": 0.0}, "above 0"),
        (torch.zeros(1, 4, 4), {"bin_width": math.nan}, "above 0"),
        (torch.zeros(1, 4, 4), {"bin_count": 0}, "1 to 1024"),
        (torch.zeros(1, 4, 4), {"aggregation": "4D"}, "no aggregation '4D'"),
        (torch.zeros(1, 4, 4), {"families": ("shape",)}, "no family 'shape'"),
        (torch.zeros(1, 4, 4), {"inside": torch.ones(1, 4, 5)}, "mask has shape"),
        (torch.zeros(2, 4, 4), {}, "image 0 holds .* grey levels, whole numbers from 1"),
        (torch.full((2, 4, 4), 1.5), {}, "image 0 holds .* grey levels"),
        (torch.arange(32.0).reshape(2, 4, 4), {"bin_width": 0.0005}, "bin width of 0.0005 .* image 0 more than 1024"),
        (torch.arange(32.0).reshape(2, 4, 4) * 60 + 1, {}, "image 1 more than 1024"),
    ],
)
def test_bad_input_is_named(images: torch.Tensor, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        device.measure(images, **settings)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("settings", [{"bin_width": 1.0}, {"bin_count": 4}, {}])
def test_values_that_are_not_finite(value: float, settings: dict[str, float]) -> None:
    images = torch.ones(3, 4, 4)
    images[1, 2, 2] = value
    with pytest.raises(InputError, match="image 1 holds"):
        device.measure(images, **settings)
    inside = torch.ones(3, 4, 4)
    inside[1, 2, 2] = 0
    assert device.measure(images, inside, **settings)["firstorder"][1, 7] == 1


class _Waits(TorchDispatchMode):
    """Notes each operation for which a host would wait for its accelerator."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "_linalg_eigh", "bincount", "item"}:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("aggregation", DIRECTIONAL)
def test_what_an_accelerator_does_gives_the_same(monkeypatch: pytest.MonkeyPatch, aggregation: str) -> None:
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4, 8, 9)))
    images[2] = 1.0
    inside = torch.from_numpy(np.random.default_rng(1).random(images.shape) < 0.8)
    inside[3] = False
    plain = device.measure(images, inside, bin_width=0.2, aggregation=aggregation)
    with _Waits() as waits:
        device.measure(images, inside, bin_width=0.2, aggregation=aggregation)
    assert waits.seen  # the processor's way would wait, so the list below can be wrong
    monkeypatch.setattr(device, "_processor", lambda tensor: False)
    with _Waits() as waits:
        other = device.measure(images, inside, bin_width=0.2, aggregation=aggregation)
    assert waits.seen == []
    for family, values in plain.items():
        torch.testing.assert_close(other[family], values, rtol=1e-7, atol=1e-7, equal_nan=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_gives_the_same() -> None:
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 24, 24)))
    inside = torch.from_numpy(np.random.default_rng(1).random(images.shape) < 0.8)
    here = device.measure(images, inside, bin_width=0.2)
    there = device.measure(images.cuda(), inside.cuda(), bin_width=0.2)
    for family, values in here.items():
        torch.testing.assert_close(there[family].cpu(), values, rtol=1e-6, atol=1e-7)
