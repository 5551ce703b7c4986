"""Facts: each defect that can be planted in files and columns is named, and a clean input is passed."""

import numpy as np
import pytest

from ganatomy.core.errors import SettingsError
from ganatomy.core.finding import Finding
from ganatomy.integrity.duplicates import duplicate_table
from ganatomy.integrity.hygiene import (
    Hygiene,
    constant_findings,
    duplicate_findings,
    hygiene_findings,
    patient_findings,
    quantiser_findings,
    quantiser_table,
    size_findings,
    spacing_findings,
    unit_findings,
    value_findings,
)
from ganatomy.integrity.rows import table_findings

SETS = ("train", "holdout", "synthetic")


def scans(n: int, seed: int, side: int = 48) -> np.ndarray:
    """(n, 1, side, side) int16 in HU: a body of its own size and place, with noise."""
    random, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side] / side
    out = []
    for _ in range(n):
        cy, cx, ry, rx = random.normal((0.5, 0.5, 0.35, 0.3), 0.02)
        body = 900 / (1 + np.exp(20 * (np.hypot((y - cy) / ry, (x - cx) / rx) - 1)))
        out.append(body - 850 + random.normal(0, 72, (side, side)))
    return np.rint(np.stack(out)[:, None]).astype(np.int16)


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return {name: scans(40, seed) for seed, name in enumerate(SETS)}


def columns(images: dict[str, np.ndarray]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Paths and patients, two images each."""
    paths = {name: [f"{name}/{i}.png" for i in range(len(stack))] for name, stack in images.items()}
    people = {name: [f"{name}{i // 2}" for i in range(len(images[name]))] for name in SETS[:2]}
    return paths, people | {"synthetic": [""] * len(images["synthetic"])}


def states(found: list[Finding]) -> dict[str, str]:
    return {f.name: f.state for f in found}


def test_a_clean_input_passes_everywhere(images) -> None:  # type: ignore[no-untyped-def]
    paths, people = columns(images)
    units = {name: ["HU"] * 40 for name in SETS}
    spacings = {name: ["0.7x0.7", "0.8x0.8"] * 20 for name in SETS}
    found = hygiene_findings("a", images, paths, people, units, spacings)
    assert {f.state for f in found} == {"pass"}
    assert len(found) == 16
    assert all(f.gate == "hygiene" and f.subject == "a" and f.bar is not None for f in found)


def duplicates(images) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return states(duplicate_findings("", images, *columns(images)))


@pytest.mark.parametrize(("a", "b"), [("train", "holdout"), ("train", "synthetic"), ("holdout", "synthetic")])
def test_equal_images_of_two_sets_are_named(a, b, images) -> None:  # type: ignore[no-untyped-def]
    images[b] = images[b].astype(np.float32)  # another type hides nothing
    images[b][7] = images[a][3]
    table = duplicate_table(images, *columns(images))
    assert table.loc[0, ["kind", "path", "other_path"]].tolist() == ["exact", f"{a}/3.png", f"{b}/7.png"]
    assert len(table) == 1
    found = duplicates(images)
    assert found.pop(f"equal images, {a} and {b}") == "fail"
    assert set(found.values()) == {"pass"}


def test_near_duplicates_beyond_those_of_real_images_are_told(images) -> None:  # type: ignore[no-untyped-def]
    noise = np.random.default_rng(9).normal(0, 15, (1, 48, 48))
    images["synthetic"][5] = images["train"][9] + noise
    found = {f.name: f for f in duplicate_findings("", images, *columns(images))}[
        "near duplicates, train and synthetic"
    ]
    assert (found.state, found.value, found.yardstick) == ("inconclusive", 1 / 40, 0)
    assert "1 of 40 synthetic images show the picture of an image of train, such as train/9.png and" in found.note
    images["holdout"][4] = images["train"][8] + noise
    found = {f.name: f for f in duplicate_findings("", images, *columns(images))}
    assert found["near duplicates, train and holdout"].state == "inconclusive"
    assert "train/8.png and holdout/4.png" in found["near duplicates, train and holdout"].note
    assert found["near duplicates, train and synthetic"].state == "pass"  # as many as of other real patients
    assert "2.5% do" in found["near duplicates, train and synthetic"].note
    assert found["near duplicates, holdout and synthetic"].state == "pass"
    assert found["near duplicates, holdout and synthetic"].value == 0


def test_within_one_real_set_people_may_look_alike(images) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(9)
    for row in range(0, 20, 2):  # images 0 and 20 are of different patients
        images["train"][20 + row] = images["train"][row] + random.normal(0, 15, (1, 48, 48))
    images["holdout"][4] = images["train"][30] + random.normal(0, 15, (1, 48, 48))
    found = {f.name: f for f in duplicate_findings("", images, *columns(images))}
    assert found["near duplicates, train and holdout"].state == "pass"
    assert found["near duplicates, train and holdout"].yardstick == 0.5


def test_where_real_sets_share_images_synthetic_is_not_blamed(images) -> None:  # type: ignore[no-untyped-def]
    images["holdout"][0] = images["synthetic"][0] = images["train"][0]
    found = duplicates(images)
    assert found["equal images, train and holdout"] == "fail"
    assert found["equal images, train and synthetic"] == "inconclusive"


def test_blank_images_are_nobodys_copies_but_are_counted(images) -> None:  # type: ignore[no-untyped-def]
    for stack in images.values():
        stack[:2] = -1000
    assert set(duplicates(images).values()) == {"pass"}
    assert constant_findings("", images)[0].state == "pass"  # as many as in the real ones
    images["synthetic"][:6] = 0
    (found,) = constant_findings("", images)
    assert (found.state, found.value, found.yardstick) == ("fail", 0.15, 0.05)


def test_repeats_within_synthetic_fail_beyond_those_of_real_images(images) -> None:  # type: ignore[no-untyped-def]
    images["synthetic"] = np.repeat(images["synthetic"][:2], 20, 0)  # 20 copies of each good image
    (found,) = [f for f in duplicate_findings("", images, *columns(images)) if f.name.startswith("repeated")]
    assert (found.state, found.value) == ("fail", 38 / 40)
    images["train"][20:] = images["train"][:20]
    images["synthetic"] = scans(40, 2)
    images["synthetic"][0] = images["synthetic"][1]
    assert duplicates(images)["repeated images, synthetic"] == "pass"  # the real set has more


def test_patients_of_two_sets() -> None:
    people = {"train": ["a", "b"], "holdout": ["c", "a"], "synthetic": ["", ""]}
    (found,) = patient_findings("", people)
    assert (found.state, found.value) == ("fail", 1)
    assert found.note.startswith("1 patient with images in several") and "(a)" in found.note
    assert patient_findings("", people | {"holdout": ["c", "d"]})[0].state == "pass"
    (unknown,) = patient_findings("", people | {"holdout": ["c", ""]})
    assert unknown.state == "not computed"
    assert "holdout" in unknown.note
    nobody = {"train": ["?a.png", "?b.png"], "holdout": ["?c.png", "d"], "synthetic": []}
    (found,) = patient_findings("", nobody)  # as Cohort.patients has them
    assert (found.state, found.value) == ("not computed", None)
    assert "train and holdout" in found.note and "leakage cannot be excluded" in found.note
    assert patient_findings("", nobody | {"train": ["?a.png", "d"]})[0].state == "fail"  # this much is known


def rows(n: int = 50, d: int = 6) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(seed).normal(size=(n, d)) for seed, name in enumerate(SETS)}


def owners(n: int = 50) -> dict[str, list[str]]:
    return {name: [f"{name}{i // 2}" for i in range(n)] for name in SETS[:2]} | {"synthetic": [""] * n}


def test_clean_tables_pass_and_what_pixels_show_is_not_seen() -> None:
    tables = rows()
    tables["train"][1] = tables["train"][0]  # of one patient
    found = table_findings("a", tables, owners())
    assert states(found) == {
        "repeated rows, synthetic": "pass",
        "equal rows, train and holdout": "pass",
        "equal rows, train and synthetic": "pass",
        "equal rows, holdout and synthetic": "pass",
        "patients in several sets": "pass",
        "what only pixels show (sizes, steps between values, near duplicates)": "not computed",
    }
    assert all(f.gate == "hygiene" and f.subject == "a" for f in found) and "tables" in found[-1].note
    assert all(f.state == "not computed" for f in table_findings("", tables, dict.fromkeys(SETS, ()))[-2:])


@pytest.mark.parametrize(("a", "b"), [("train", "holdout"), ("train", "synthetic"), ("holdout", "synthetic")])
def test_equal_rows_of_two_tables_are_named(a: str, b: str) -> None:
    tables = rows()
    tables[a][3, 2] = np.nan
    tables[b][7] = tables[a][3]  # NaN equals NaN
    tables[b][8] = np.where(np.arange(6) == 2, 0, tables[a][4])  # equal but for one column
    found = states(table_findings("", tables, owners()))
    assert found.pop(f"equal rows, {a} and {b}") == "fail"
    assert list(found.values()).count("pass") == 4
    tables["train"][20] = tables["train"][10]  # doubled rows of two patients are not chance, and hide no copies
    one = {f.name: f for f in table_findings("", tables, owners())}[f"equal rows, {a} and {b}"]
    assert (one.state, one.yardstick) == ("inconclusive", 0.04)
    tables[b][:20] = tables[a][:20]
    assert states(table_findings("", tables, owners()))[f"equal rows, {a} and {b}"] == "fail"


def test_copies_in_tables_are_not_blamed_where_real_tables_share_rows() -> None:
    tables = rows()
    tables["holdout"][0] = tables["synthetic"][0] = tables["train"][0]
    found = states(table_findings("", tables, owners()))
    assert found["equal rows, train and holdout"] == "fail"
    assert found["equal rows, train and synthetic"] == "inconclusive"


def test_repeated_rows_of_a_table() -> None:
    tables = rows()
    tables["synthetic"][25:] = tables["synthetic"][:25]
    (found,) = [f for f in table_findings("", tables, owners()) if f.name.startswith("repeated")]
    assert (found.state, found.value, found.yardstick) == ("fail", 0.5, 0)
    assert "25 of 50 synthetic rows repeat another one" in found.note
    lax = table_findings("", tables, owners(), bars=Hygiene(repeated_images=0.6))
    assert states(lax)["repeated rows, synthetic"] == "pass"


def test_people_of_few_values_are_equal_by_chance() -> None:
    tables = {name: np.round(table[:, :2]) for name, table in rows().items()}
    found = table_findings("", tables, owners())
    assert "fail" not in states(found).values()
    assert states(found)["equal rows, train and synthetic"] == "inconclusive"
    assert any("by chance" in f.note for f in found)


def test_tables_without_rows_or_numbers() -> None:
    tables = rows() | {"synthetic": np.empty((0, 6))}
    found = states(table_findings("", tables, owners() | {"synthetic": []}))
    assert found["equal rows, train and synthetic"] == found["repeated rows, synthetic"] == "not computed"
    blank = {name: np.full((9, 3), np.nan) for name in SETS}
    assert "fail" not in states(table_findings("", blank, owners(9))).values()


def step(images) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    return tuple(f.state for f in quantiser_findings("", images))  # type: ignore[return-value]


def test_an_8_bit_set_among_12_bit_ones(images) -> None:  # type: ignore[no-untyped-def]
    assert step(images) == ("pass", "pass")
    fine = images["synthetic"].astype(np.float64)
    width = (fine.max() - fine.min()) / 255
    coarse = np.rint((fine - fine.min()) / width) * width + fine.min()
    assert step(images | {"synthetic": coarse.astype(np.float32)}) == ("fail", "fail")
    whole = np.rint(coarse).astype(np.int16)  # steps of 4 and 5: no lattice, and whole numbers
    assert step(images | {"synthetic": whole}) == ("pass", "fail")
    table = quantiser_table(images | {"synthetic": whole}).set_index("set")
    assert table.loc["synthetic", "distinct"] <= 256 < table.loc["train", "distinct"]
    assert table.loc["train", "smallest_step"] == table.loc["train", "usual_step"] == 1
    assert table.loc["train", "bits"] - table.loc["synthetic", "bits"] == pytest.approx(np.log2(width), abs=0.4)


def test_whole_numbers_and_fractions(images) -> None:  # type: ignore[no-untyped-def]
    floats = {name: stack.astype(np.float32) for name, stack in images.items()}
    assert step(floats) == ("pass", "pass")
    assert step(images | {"synthetic": floats["synthetic"]}) == ("pass", "pass")  # the type alone is no defect
    noisy = floats["synthetic"] + np.random.default_rng(0).normal(0, 0.1, floats["synthetic"].shape)
    assert step(floats | {"synthetic": noisy}) == ("fail", "fail")
    random = np.random.default_rng(1)
    smooth = {name: stack + random.normal(0, 1, stack.shape) for name, stack in floats.items()}
    assert step(smooth) == ("pass", "pass")  # fractions everywhere, without any lattice
    assert step(smooth | {"synthetic": floats["synthetic"]}) == ("fail", "fail")


def test_quantisers_are_compared_at_equal_numbers_of_values() -> None:
    """More values are more finely spaced where there is no lattice: a larger set is no finer one."""
    random = np.random.default_rng(0)
    sets = {
        name: random.normal(size=(n, 1, 16, 16)) for name, n in (("train", 400), ("holdout", 20), ("synthetic", 90))
    }
    assert step(sets) == ("pass", "pass")
    sets["train"] = (sets["train"] > 0).astype(float)
    assert quantiser_findings("", sets)[1].state == "not computed"


def test_sizes_and_units() -> None:
    shapes = {name: [(1, 32, 32)] * 4 for name in SETS}
    assert size_findings("", shapes)[0].state == "pass"
    (found,) = size_findings("", shapes | {"synthetic": [(1, 32, 32)] * 3 + [(1, 64, 64)]})
    assert (found.state, found.value) == ("fail", 0.25)
    assert "1 x 64 x 64" in found.note
    units = {name: ["HU"] * 4 for name in SETS}
    assert unit_findings("", units)[0].state == "pass"
    assert unit_findings("", units | {"synthetic": [""] * 4})[0].state == "not computed"
    assert unit_findings("", units | {"synthetic": ["SUV"] * 4})[0].state == "fail"
    assert "several units" in unit_findings("", units | {"holdout": ["SUV"] * 4})[0].note


def test_spacing() -> None:
    spacings = {"train": ["0.6x0.6", "0.8x0.8"], "holdout": ["0.7x0.7"], "synthetic": ["0.75x0.75"] * 3}
    assert spacing_findings("", spacings)[0].state == "pass"
    (found,) = spacing_findings("", spacings | {"synthetic": ["0.7x0.7", "1x1"]})
    assert (found.state, found.value) == ("fail", 0.5)
    assert "such as 1x1 mm" in found.note
    for wrong in (["", ""], ["one"], ["0.7x0.7x2"]):
        assert spacing_findings("", spacings | {"synthetic": wrong})[0].state == "not computed"


def test_values_of_another_unit_and_no_values(images) -> None:  # type: ignore[no-untyped-def]
    scaled = (images["synthetic"] + 1000) / 2000  # 0 to 1
    assert states(value_findings("", images))["range of values"] == "pass"
    assert states(value_findings("", images | {"synthetic": scaled}))["range of values"] == "fail"
    assert states(value_findings("", images | {"synthetic": images["synthetic"] + 20}))["range of values"] == "pass"
    assert "next to no contrast" in value_findings("", images | {"synthetic": scaled})[1].note
    scaled[3, 0, 5, 5] = np.nan
    (found, _) = value_findings("", images | {"synthetic": scaled})
    assert (found.state, found.value) == ("fail", 1 / 120)
    assert "in 1 image (1 in synthetic)" in found.note


@pytest.mark.parametrize(
    ("value", "word"), [(100, "are 100, where half of the real"), (500, "which no real image has")]
)
def test_images_of_one_value_are_not_said_to_be_of_another_unit(value: float, word: str) -> None:
    random = np.random.default_rng(0)
    sets = {name: random.integers(84, 108, (20, 1, 16, 16)) for name in SETS} | {
        "synthetic": np.full((20, 1, 16, 16), value)
    }
    found = value_findings("", sets)[1]
    assert found.state == "fail" and word in found.note and "units" not in found.note
    moved = value_findings("", sets | {"synthetic": sets["train"] * 10})[1]
    assert moved.state == "fail" and "different units" in moved.note and "contrast" not in moved.note


def test_facts_need_no_synthetic_images_and_survive_empty_sets(images) -> None:  # type: ignore[no-untyped-def]
    real = {name: images[name] for name in SETS[:2]}
    paths, people = columns(images)
    empty = images | {"synthetic": images["synthetic"][:0]}
    for sets in (real, empty, {name: stack[:1] for name, stack in images.items()}):
        n = {name: len(stack) for name, stack in sets.items()}
        text = [{name: values[: n[name]] for name, values in c.items() if name in n} for c in (paths, people)]
        blank = {name: [""] * k for name, k in n.items()}
        found = hygiene_findings("", sets, *text, blank, blank)
        assert "fail" not in states(found).values()
        assert all(f.note for f in found if f.state == "not computed")


def test_images_of_one_value_everywhere() -> None:
    flat = {name: np.full((30, 1, 32, 32), -1000, np.int16) for name in SETS}
    blank = {name: [""] * 30 for name in SETS}
    found = hygiene_findings("", flat, *columns(flat), blank, blank)
    assert "fail" not in states(found).values()
    assert "has too few distinct values" in next(f.note for f in found if f.name == "step between stored values")
    made = flat | {"synthetic": scans(30, 1, 32)}
    assert "pass" in states(hygiene_findings("", made, *columns(made), blank, blank)).values()


def test_bars_are_settings(images) -> None:  # type: ignore[no-untyped-def]
    images["synthetic"][:10] = 0
    spacings = {"train": ["0.6x0.6"], "holdout": ["0.7x0.7"], "synthetic": ["0.6x0.6", "1x1"]}
    lax = Hygiene(repeated_images=0.6, constant_images=0.3, spacing_outside=0.6)
    assert constant_findings("", images)[0].state == "fail"
    assert constant_findings("", images, lax)[0].state == "pass"
    assert spacing_findings("", spacings, lax)[0].state == "pass"
    images["synthetic"] = np.repeat(images["train"][:20] + 1, 2, 0)
    found = duplicate_findings("", images, *columns(images), lax)
    assert states(found)["repeated images, synthetic"] == "pass"
    assert states(found)["near duplicates, train and synthetic"] == "inconclusive"
    for name in ("repeated_images", "near_duplicates", "constant_images", "spacing_outside"):
        with pytest.raises(SettingsError, match="--" + name.replace("_", "-")):
            Hygiene(**{name: 1.0})
