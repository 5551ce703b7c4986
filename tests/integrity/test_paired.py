"""Paired images: against scikit-image, the published formula written out, and closed forms; and verdicts."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ganatomy.core.errors import InputError
from ganatomy.integrity.features import Features
from ganatomy.integrity.paired import (
    WEIGHTS,
    absolute_error,
    agreement,
    concordance_findings,
    concordance_table,
    lin,
    ms_ssim,
    paired_findings,
    psnr,
    ssim,
)

HU = (-1000.0, 1000.0)


def scans(n: int, seed: int, height: int = 48, width: int = 40, channels: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, channels, height, width))
    return np.clip(900 * gaussian_filter(noise, (0, 0, 3, 3)) * 5, *HU)


def test_against_scikit_image() -> None:
    a = scans(4, 0, channels=2)
    b = a + np.random.default_rng(1).normal(0, 150, a.shape)
    options = {"data_range": 2000, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = [structural_similarity(x + 1000, y + 1000, channel_axis=0, **options) for x, y in zip(a, b, strict=True)]
    assert ssim(a, b, HU) == pytest.approx(theirs, abs=1e-9)
    assert psnr(a, b, HU) == pytest.approx(
        [peak_signal_noise_ratio(x, y, data_range=2000) for x, y in zip(a, b, strict=True)], abs=1e-9
    )
    wrong = [structural_similarity(x, y, channel_axis=0, **options) for x, y in zip(a, b, strict=True)]
    assert ssim(a, b, HU) != pytest.approx(wrong, abs=1e-3)  # HU below zero would make the luminance term absurd


def written_out(a: np.ndarray, b: np.ndarray, length: float) -> float:
    """Wang, Simoncelli & Bovik 2003, equation 7, pixel by pixel of one channel, without any of the module's code."""
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2, terms = (0.01 * length) ** 2, (0.03 * length) ** 2, []
    while min(a.shape) >= 11 and len(terms) < 5:
        cs, full = [], []
        for r in range(a.shape[0] - 10):
            for c in range(a.shape[1] - 10):
                p, q = a[r : r + 11, c : c + 11], b[r : r + 11, c : c + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                cs.append((2 * cov + c2) / (vp + vq + c2))
                full.append(cs[-1] * (2 * mp * mq + c1) / (mp**2 + mq**2 + c1))
        terms.append((np.mean(cs), np.mean(full)))
        h, w = a.shape[0] // 2, a.shape[1] // 2
        a, b = (z[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3)) for z in (a, b))
    weights = np.array(WEIGHTS[: len(terms)]) / sum(WEIGHTS[: len(terms)])
    values = [cs for cs, _ in terms[:-1]] + [terms[-1][1]]
    return float(np.prod(np.clip(values, 0, None) ** weights))


def test_multi_scale_against_the_published_formula() -> None:
    a = scans(2, 2, 45, 50)
    b = a + np.random.default_rng(3).normal(0, 300, a.shape)
    theirs = [written_out(x[0] + 1000, y[0] + 1000, 2000) for x, y in zip(a, b, strict=True)]
    assert ms_ssim(a, b, HU) == pytest.approx(theirs, abs=1e-9)
    assert sum(WEIGHTS) == pytest.approx(1, abs=1e-3)


def test_closed_forms() -> None:
    a = scans(3, 4, 64, 64)
    assert ssim(a, a, HU) == pytest.approx(1)
    assert ms_ssim(a, a, HU) == pytest.approx(1)
    assert np.isinf(psnr(a, a, HU)).all()
    assert psnr(a, a + 20, HU) == pytest.approx(20 * np.log10(2000 / 20))
    flat = np.zeros((1, 1, 64, 64))  # no structure: the luminance term alone, at the coarsest scale alone
    luminance = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    assert ssim(flat, flat + 200, HU) == pytest.approx(luminance)
    assert ms_ssim(flat, flat + 200, HU) == pytest.approx(luminance ** (WEIGHTS[2] / sum(WEIGHTS[:3])))
    assert ms_ssim(a, -a, HU) == pytest.approx(0)  # structure of opposite sign
    assert ssim(a, a + 100, (-1000, 1500)) != pytest.approx(ssim(a, a + 100, HU), abs=1e-6)  # the range matters


def test_errors_in_the_images_unit() -> None:
    a = scans(2, 5)
    b = a.copy()
    b[:, :, :24] += 30
    mean, bias = absolute_error(b, a)
    assert (*mean, *bias) == pytest.approx((15,) * 4)
    body = np.zeros((2, 1, 48, 40), bool)
    body[:, :, :12] = True
    assert absolute_error(a, b, body)[1] == pytest.approx(-30)
    with pytest.raises(InputError, match="region of image 1 is empty"):
        absolute_error(a, b, body & np.array([True, False])[:, None, None, None])


def test_what_cannot_be_compared() -> None:
    a = scans(2, 6)
    for images, range_, message in (
        (a[:1], HU, "no pairs"),
        (a, (1, 1), "is empty"),
        (a, (0, np.nan), "is empty"),
        (a, (5000, 6000), "in the unit of the images"),
        (a * np.nan, HU, "not numbers"),
    ):
        with pytest.raises(InputError, match=message):
            ssim(a, images, range_)
    with pytest.raises(InputError, match="too small"):
        ms_ssim(a[..., :10], a[..., :10], HU)


def pairs(seed: int, before: float, after: float, patients: int = 20, images: int = 3):  # type: ignore[no-untyped-def]
    """target, source and made with noise of these standard deviations, alike within a patient."""
    random = np.random.default_rng(seed)
    target = scans(patients * images, seed, 24, 24)
    noise = [
        np.repeat(random.uniform(0.5, 1.5, patients), images)[:, None, None, None] * random.normal(0, s, target.shape)
        for s in (before, after)
    ]
    return target + noise[1], target, tuple(str(i // images) for i in range(len(target))), target + noise[0]


def verdicts(seed: int, before: float, after: float, level: float = 0.05) -> list[str]:
    return [f.state for f in paired_findings("c", *pairs(seed, before, after), data_range=HU, unit="HU", level=level)]


def test_a_restoration_is_held_to_what_it_was_given() -> None:
    assert verdicts(0, 100, 40) == ["pass"] * 4
    assert verdicts(0, 40, 100) == ["fail"] * 4
    made, target, people, source = pairs(0, 100, 40)
    found = paired_findings("c", made, target, people, source, data_range=HU, unit="HU")
    assert [f.name for f in found] == ["SSIM", "MS-SSIM", "PSNR", "mean absolute error, HU"]
    assert found[3].value == pytest.approx(absolute_error(made, target)[0].mean())
    assert all(f.n_images == 60 and f.n_patients == 20 and f.low < f.value < f.high for f in found)
    alone = paired_findings("c", made, target, people, data_range=HU)
    assert {f.state for f in alone} == {"inconclusive"}
    assert "no yardstick" in alone[0].note
    few = paired_findings("c", made[:9], target[:9], people[:9], source[:9], data_range=HU)
    assert {f.state for f in few} == {"not computed"}


def test_a_restoration_that_does_nothing_rarely_fails() -> None:
    """Slices of one patient count once: at level 0.5, all four findings alike, at most half may fail."""
    failed = [("fail" in verdicts(s, 60, 60, level=0.5)) for s in range(40)]
    assert 0 < sum(failed) <= 26  # 20 expected at most; 26 has p = 0.04
    assert not any("fail" in verdicts(s, 60, 60, level=0.002) for s in range(10))


def test_lin_and_limits_of_agreement() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400_000, 1))
    y = 0.5 + 2 * (0.8 * x + 0.6 * random.normal(size=x.shape))
    assert lin(x, y)[0] == pytest.approx(2 * 0.8 * 2 / (1 + 4 + 0.25), abs=0.005)  # closed form
    assert lin(x, x)[0] == pytest.approx(1)
    assert lin(x, -x)[0] == pytest.approx(-1, abs=0.01)
    bias, spread = agreement((y - x)[:500], np.arange(500))
    assert (bias[0], spread[0]) == pytest.approx(((y - x)[:500].mean(), (y - x)[:500].std(ddof=1)))
    owners = np.repeat(np.arange(4000), 5)  # components: 2^2 between, 1 within
    gap = 3 + 2 * random.normal(size=4000)[owners] + random.normal(size=20000)
    bias, spread = agreement(gap[:, None], owners)
    assert (bias[0], spread[0]) == pytest.approx((3, np.sqrt(5)), abs=0.1)


def tables(seed: int, noise: float, patients: int = 60, images: int = 2) -> tuple[Features, Features]:
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(size=(patients, 8)), images, 0) + 0.3 * random.normal(size=(patients * images, 8))
    people = tuple(str(i // images) for i in range(len(own)))
    names = tuple("abcdefgh")
    error = np.repeat(random.normal(size=(patients, 8)), images, 0)
    return Features(own + noise * error, names, people), Features(own, names, people)


def test_concordance_of_features() -> None:
    def state(seed: int, noise: float) -> str:
        return concordance_findings("x", "c", *tables(seed, noise), seed=seed, level=0.002)[0].state

    assert [state(s, 0.2) for s in range(3)] == ["pass"] * 3  # about 0.98
    assert [state(s, 1.0) for s in range(3)] == ["fail"] * 3  # about 0.69
    at_the_bar = [state(s, 0.49) for s in range(20)]  # 0.90
    assert at_the_bar.count("fail") <= 1
    assert "inconclusive" in at_the_bar
    made, target = tables(0, 0.2)
    table = concordance_table(made, target).set_index("feature")
    assert table["concordance"].to_numpy() == pytest.approx(lin(made.values, target.values))
    assert ((table["low"] < table["concordance"]) & (table["concordance"] < table["high"])).all()
    assert (table["loa_low"] < table["bias"]).all()
    (found,) = concordance_findings("x", "c", made, target, tables(1, 1.0)[0], seed=0)
    assert found.yardstick is not None and found.yardstick < found.value
    with pytest.raises(InputError, match="no pairs"):
        concordance_table(made, target.take(np.arange(5)))


def test_intervals_of_concordance_cover() -> None:
    truth = 2 * 1.09 / (2 * 1.09 + 0.25)  # 2 s_xy / (s_x^2 + s_y^2)
    hits = []
    for seed in range(12):
        table = concordance_table(*tables(seed, 0.5, patients=40), seed=seed, resamples=200)
        hits += list((table["low"] < truth) & (truth < table["high"]))
    assert np.mean(hits) > 0.88


def test_undefined_features_are_left_out_one_by_one() -> None:
    made, target = tables(0, 0.2)
    made.values[:30, 0], target.values[:, 1] = np.nan, np.nan
    table = concordance_table(made, target).set_index("feature")
    assert table.loc["a", "n_images"] == 90
    assert np.isnan(table.loc["b", "concordance"])
    assert concordance_findings("x", "c", made, target)[0].state == "pass"
    target.values[:] = np.nan
    assert concordance_findings("x", "c", made, target)[0].state == "not computed"
