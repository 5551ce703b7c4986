"""Copies are found, at the rate that is promised; fresh, smooth or monotonous images are not called copies."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from ganatomy.core.errors import InputError, SettingsError
from ganatomy.integrity.copies import LEVEL, closest_pairs, detectable, tail
from ganatomy.integrity.copying import COLUMNS, Copying, copying, copying_findings, drop_suspects
from ganatomy.integrity.evidence import evidence
from ganatomy.integrity.features import Features
from ganatomy.integrity.nearest import mirror_thumbnails, nearest, thumbnails


def pictures(n: int, generator: np.random.Generator) -> np.ndarray:
    """(n, 1, 32, 32) smooth random textures."""
    return gaussian_filter(generator.normal(size=(n, 1, 32, 32)), (0, 0, 2.5, 2.5)) * 10


def sets(
    seed: int, copies: int = 0, *, holdout: int = 100, noise: float = 0.0, flip: bool = False, shrink: float = 1.0
):  # type: ignore[no-untyped-def]
    """Thumbnails of 150 training images, one per holdout patient, and 100 synthetic ones whose first are copies."""
    generator = np.random.default_rng(seed)
    train, real, synthetic = (pictures(n, generator) for n in (150, holdout, 100))
    synthetic *= shrink
    synthetic[:copies] = train[:copies, :, :, :: -1 if flip else 1]
    synthetic[:copies] += noise * train.std() * generator.normal(size=(copies, 1, 32, 32))
    names = tuple(map(str, range(256)))
    of = lambda x, who: Features(thumbnails(x), names, tuple(f"{who}{i}" for i in range(len(x))) if who else ())  # noqa: E731
    return of(train, "t"), of(real, "h"), of(synthetic, "")


def find(*args, **options):  # type: ignore[no-untyped-def]
    (found,) = copying_findings("pixels", "c", *sets(*args, **options), 0, mirror_thumbnails)
    return found


def test_clean_generators_pass() -> None:
    found = [find(seed) for seed in range(20)]
    states = [f.state for f in found]
    assert states.count("pass") >= 18
    assert "fail" not in states
    assert (
        "would have noticed, with 95% probability, if 6% or more of the images were copies of different"
        in found[0].note
    )


@pytest.mark.parametrize("options", [{}, {"noise": 0.1}, {"flip": True}], ids=["exact", "near", "mirrored"])
def test_copies_fail(options) -> None:  # type: ignore[no-untyped-def]
    found = [find(seed, 15, **options) for seed in range(8)]
    assert [f.state for f in found] == ["fail"] * 8
    if options != {"noise": 0.1}:
        assert find(0, 1, **options).state == "fail"  # a single exact copy is one
        assert "1 of 100 synthetic images equal a training image" in find(0, 1, **options).note
        assert find(0, 1, holdout=5, **options).state == "fail"
    assert found[0].bar[1] >= found[0].yardstick  # type: ignore[operator, index]


def test_monotonous_images_are_not_called_copies() -> None:
    """Images of less contrast lie nearer to all training images: the plain distance test would reject."""
    train, holdout, synthetic = sets(0, shrink=0.5)
    g, h = (nearest(train, x.values, mirror_thumbnails)[0] for x in (synthetic, holdout))
    assert tail(g, h)[2] < 0.01
    found = [find(seed, shrink=0.5) for seed in range(5)]
    assert {f.state for f in found} == {"inconclusive"}
    assert "no nearer to one patient than to the next" in found[0].note


def test_too_few_holdout_patients() -> None:
    train, holdout, synthetic = sets(0, holdout=40)
    (found,) = copying_findings("pixels", "c", train, holdout, synthetic.take(np.arange(30)), 0)
    assert found.state == "inconclusive"
    more = int(found.note.split("; ")[1].split()[0])
    assert detectable(more, 100, LEVEL / 2) <= 0.10 < detectable(30, 1000, LEVEL / 2)
    assert find(0, holdout=40).state == "pass"  # by the closest pairs
    assert "copies of different training images" in find(0, holdout=40).note


def test_counts_are_told_in_plain_words() -> None:
    train, holdout, synthetic = sets(0)
    (one,) = copying_findings("pixels", "c", train, holdout, synthetic.take(np.arange(1)), 0)
    assert "1 synthetic image and 100 holdout patients" in one.note
    few = holdout.take(np.arange(4))
    (found,) = copying_findings("pixels", "c", train, few, synthetic.take(np.arange(4)), 0)
    assert found.state == "inconclusive" and "copies would not be noticed, not even if all images were" in found.note
    alone = train.take(np.arange(1))
    (found,) = copying_findings("pixels", "c", alone, holdout, synthetic, 0)
    assert found.note.startswith(
        "the search for copies needs 2 or more training patients of this class, and there is 1"
    )


def test_images_that_were_left_out_are_told_as_such() -> None:
    features, _ = world(0)
    values = features[2].values[:12].copy()
    values[np.arange(12), np.arange(12)] = np.nan  # each in another column, so that no column is left out
    (found,), _ = copying("c", {"radiomics": (*features[:2], Features(values, features[2].names))}, None, seed=0)
    assert found.state == "not computed" and "needs 1 or more synthetic images" in found.note
    assert "12 of 12 synthetic images have undefined features" in found.note


def test_slices_of_one_patient_count_once() -> None:
    train, holdout, synthetic = sets(0)
    few = Features(holdout.values, holdout.names, tuple(str(i // 10) for i in range(100)))
    (found,) = copying_findings("pixels", "c", train, few, synthetic, 0)
    assert (found.n_images, found.n_patients, found.yardstick) == (100, 10, 2 / 11)


def hidden_sets(seed: int, n=(60, 60, 60), images: int = 1, copies: int = 0, tight: float = 1.0):  # type: ignore[no-untyped-def]
    """Points of 8 dimensions; `images` of each real patient, alike by 0.7; the first synthetic are near-copies."""
    generator = np.random.default_rng(seed)
    of = []
    for k, who in zip(n, "th ", strict=True):
        each = images if who != " " else 1
        own = np.repeat(generator.normal(size=(k, 8)), each, 0)
        mixed = np.sqrt(0.7) * own + np.sqrt(0.3) * generator.normal(size=own.shape) if each > 1 else own
        of.append(
            Features(mixed, tuple("abcdefgh"), tuple(f"{who}{i // each}" for i in range(len(own))) * (who != " "))
        )
    values = tight * of[2].values
    pick = generator.choice(len(of[0]), copies, replace=False)
    values[:copies] = of[0].values[pick] + 0.05 * generator.normal(size=(copies, 8))
    return of[0], of[1], Features(values, of[2].names)


@pytest.mark.parametrize("options", [{}, {"n": (20, 15, 120), "images": 6}], ids=["patients", "slices"])
def test_both_tests_have_their_size(options) -> None:  # type: ignore[no-untyped-def]
    """At the level 0.2 that a call is given, 80 clean sets: no more failures than it allows."""
    failed = [copying_findings("x", "c", *hidden_sets(s, **options), s, level=0.2)[0].state for s in range(80)]
    assert failed.count("fail") <= 23  # P(more) of 80 at 0.2 is 2 %
    p = []
    for seed in range(80):
        found = evidence(*hidden_sets(seed, **options), seed, None)
        p.append(closest_pairs(found.pairs, found.pooled)[0])
    assert np.mean(np.array(p) <= 0.1) <= 0.18


def test_the_closest_pairs_find_what_the_tail_cannot() -> None:
    """Five near-copies among 100: no test on 100 holdout patients alone can reach p < 1/32."""
    states, pairs = [], []
    for seed in range(8):
        sets_ = hidden_sets(seed, (100, 100, 100), copies=6)
        (found,) = copying_findings("x", "c", *sets_, seed, level=0.005)
        states.append(found.state)
        pairs.append("closest pairs" in found.note)
        assert set(range(6)) <= set(evidence(*sets_, seed, None).suspects(0.005).tolist()) or found.state != "fail"
    assert states.count("fail") >= 7 and any(pairs)


@pytest.mark.parametrize("tight", [0.5, 1.6])
def test_a_generator_that_differs_is_no_copier(tight: float) -> None:
    found = [copying_findings("x", "c", *hidden_sets(s, tight=tight), s)[0].state for s in range(20)]
    assert "fail" not in found


def test_a_blank_image_is_nobodys_copy() -> None:
    train, holdout, synthetic = sets(0)
    values, fake = train.values.copy(), synthetic.values.copy()
    values[:2], fake[:3] = 0, 0
    shared = Features(values, train.names, train.patients)
    (found,) = copying_findings("pixels", "c", shared, holdout, Features(fake, synthetic.names), 0)
    assert found.state != "fail"
    values[1] = 1  # now it is the image of one patient
    (found,) = copying_findings("pixels", "c", shared, holdout, Features(fake, synthetic.names), 0)
    assert (found.state, found.note[:8]) == ("fail", "3 of 100")


def test_duplicates_in_the_holdout_blind_the_test() -> None:
    train, holdout, synthetic = sets(0)
    values = holdout.values.copy()
    values[:3] = train.values[:3]
    leaky = Features(values, holdout.names, holdout.patients)
    (found,) = copying_findings("pixels", "c", train, leaky, synthetic, 0)
    assert found.state == "inconclusive"
    assert "duplicates" in found.note


def test_suspects_name_the_copies() -> None:
    three = sets(0, 12, noise=0.05)
    named = evidence(*three, 0, mirror_thumbnails).suspects()
    assert set(range(12)) <= set(named.tolist())
    assert len(named) <= 14
    assert len(evidence(*sets(1), 0, None).suspects()) == 0
    exact = sets(0, 2, holdout=4)  # p cannot be small with 4 holdout patients, equality can be seen
    assert evidence(*exact, 0, None).suspects().tolist() == [0, 1]


def test_the_note_tells_c_t_and_authenticity_beside_their_yardsticks() -> None:
    note = find(0).note
    assert "C_T" in note and "(new patients 0, below -3 suspicious)" in note
    own, real = (
        float(part.split()[-1].strip("(),")) for part in note.split("authenticity")[1].split(")")[0].split("(")
    )
    assert own == pytest.approx(real, abs=0.2) and 0.3 < own < 0.8
    (few,) = copying_findings("x", "c", *hidden_sets(0, (100, 10, 100)), 0)
    assert "C_T" not in few.note and "median distance to training images" in few.note
    (near,) = copying_findings("x", "c", *hidden_sets(0, (200, 100, 200), tight=0.3), 0)
    assert near.state == "inconclusive" and "no nearer to one patient" in near.note


def world(seed: int, copied: int = 0, n: int = 120, images: int = 2):  # type: ignore[no-untyped-def]
    """Pictures of a class, `images` of each real patient; the last `copied` synthetic are mirrored training images."""
    generator = np.random.default_rng(seed)
    stacks = []
    for who in "ths":
        own = np.repeat(pictures(n // images, generator), images, 0)
        stacks.append(own + pictures(n, generator) if who != "s" else 1.41 * pictures(n, generator))
    if copied:
        stacks[2][-copied:] = stacks[0][:copied, :, :, ::-1]
    people = [tuple(f"{who}{i // images}" for i in range(n)) for who in "th"]
    flat = [stack.reshape(n, -1)[:, ::40] for stack in stacks]
    names = tuple(map(str, range(flat[0].shape[1])))
    features = Features(flat[0], names, people[0]), Features(flat[1], names, people[1]), Features(flat[2], names)
    return features, (stacks[0], stacks[1], stacks[2])


def test_the_gate_compares_what_there_is() -> None:
    features, stacks = world(0, 3)
    found, table = copying("c", {"radiomics": features, "classifier": features}, stacks, seed=0, level=0.003)
    assert [f.name.split(", ")[1] for f in found] == ["classifier", "pixels", "shifted or mirrored"]
    assert [f.state == "fail" for f in found] == [False, True, True]
    assert {(f.gate, f.subject, f.n_images, f.n_patients) for f in found} == {("copying", "c", 120, 60)}
    assert tuple(table.columns) == COLUMNS
    copies = table[table["image"] >= 117]
    assert set(copies["image"] - copies["original"]) == {117} and copies["image"].nunique() == 3
    assert len(table) - len(copies) <= 1
    assert table["ratio"].is_monotonic_increasing and set(table["class"]) == {"c"}
    assert all("suspects.csv" in f.note for f in found[1:])
    (alone,), none = copying("c", {"radiomics": features}, None, seed=0, level=0.003)
    assert alone.name.endswith("radiomics") and alone.state != "fail" and len(none) == 0
    assert "C_T" in alone.note


def test_the_gate_on_a_table_alone() -> None:
    (train, holdout, made), _ = world(1)
    values = made.values.copy()
    values[5] = train.values[7].round(6)
    values[0, 0] = np.nan  # rows with undefined values are left out, and rows keep their numbers
    found, table = copying("c", {"radiomics": (train, holdout, Features(values, made.names))}, None, seed=0)
    assert found[0].state == "fail" and "1 of 119" in found[0].note
    assert table[["image", "original"]].to_numpy().tolist() == [[5, 7]]


def test_clean_pictures_do_not_fail() -> None:
    """30 sets at level 0.2, two images of each patient: no more failures than it allows."""
    failed = 0
    for seed in range(30):
        features, _ = world(seed, n=80)
        found, _ = copying("c", {"radiomics": features}, None, seed=seed, level=0.2)
        failed += any(f.state == "fail" for f in found)
    assert failed <= 11  # P(more) of 30 at 0.2 is 1 %


def test_many_suspects_are_no_pass() -> None:
    """Copies too few for the tests stand out one by one: no pass, and they are listed."""
    train, holdout, made = hidden_sets(0, (300, 150, 300), copies=4)
    found, table = copying("c", {"classifier": (train, holdout, made)}, None, seed=0, level=1e-4)
    assert found[0].state == "inconclusive" and "stand out as suspected copies" in found[0].note
    assert {0, 1, 2, 3} <= set(table["image"])


def test_suspects_are_dropped_once_each() -> None:
    table = pd.DataFrame({"class": ["a", "a", "a", "b"], "image": [7, 2, 7, 0], "compared_by": list("xyxx")})
    out = drop_suspects(table, {"a": 9, "b": 2, "c": 4})
    assert {label: rows.tolist() for label, rows in out.items()} == {"a": [2, 7], "b": [0], "c": []}
    with pytest.raises(InputError, match="all 1 synthetic images of the class 'b'"):
        drop_suspects(table, {"b": 1})
    assert drop_suspects(table.iloc[:0], {"a": 0})["a"].tolist() == []


def test_bars() -> None:
    assert find(0).state == "pass"
    (strict,) = copying_findings("pixels", "c", *sets(0), 0, mirror_thumbnails, bars=Copying(copies_share=0.01))
    assert strict.state == "inconclusive" and "notice 1%" in strict.note
    with pytest.raises(SettingsError, match="--copies-share"):
        Copying(copies_share=1.5)
    with pytest.raises(SettingsError, match="--suspect-rate"):
        Copying(suspect_rate=0)
