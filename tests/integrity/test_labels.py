"""Estimates against scikit-learn, SciPy and closed forms; no alarm from real patients; planted lies about labels."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import fisher_exact, norm
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import roc_auc_score

from ganatomy.core.errors import InputError
from ganatomy.integrity import labels as gate
from ganatomy.integrity.features import Features
from ganatomy.integrity.labels import NAMES, Pool, label_table, labels_findings

MIX = np.random.default_rng(99).normal(size=(3, 12)) / np.sqrt(3)
NAMED = tuple(f"f{i}" for i in range(12))


def measured(hidden: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """12 features of 3 hidden factors, the first four log-normal."""
    values = hidden @ MIX + 0.3 * generator.normal(size=(len(hidden), 12))
    values[:, :4] = np.exp(values[:, :4] / 2)
    return values


def centre(codes: np.ndarray, k: int, apart: float) -> np.ndarray:
    """Where classes lie: along the first factor, or one factor each where there are three."""
    at = np.zeros((len(codes), 3))
    if k == 2:
        at[:, 0] = apart * (codes - 0.5)
    else:
        at[np.arange(len(codes)), codes % 3] = apart
    return at


def world(seed, *, n=(200, 100, 100), images=1, alike=0.0, k=2, apart=2.5, shared=False, lie=lambda z, codes: z):  # type: ignore[no-untyped-def]
    """classes, train, holdout, synthetic. n: patients of each class; lie: what the generator does to hidden factors."""
    generator = np.random.default_rng(seed)
    out = []
    for what, size in zip(("t", "h", "s"), n, strict=True):
        tables = {}
        for code in range(k):
            many = images if what != "s" else 1
            own = np.repeat(generator.normal(size=(size, 3)), many, axis=0)
            codes = np.full(len(own), code)
            inner = generator.normal(size=own.shape)
            hidden = np.sqrt(alike) * own + np.sqrt(1 - alike) * inner if many > 1 else own
            hidden = hidden + centre(codes, k, apart)
            if what == "s":
                hidden = lie(hidden, codes)
            who = tuple(f"{what}{'' if shared else code}{i // many}" for i in range(len(own))) if what != "s" else ()
            tables[f"c{code}"] = Features(measured(hidden, generator), NAMED, who)
        out.append(tables)
    return tuple(f"c{i}" for i in range(k)), *out


def find(seed=0, level=0.05 / 8, **options):  # type: ignore[no-untyped-def]
    found = labels_findings("x", *world(seed, **options), seed=seed, level=level)
    assert [f.gate for f in found] == ["labels"] * 6
    return {key: next(f for f in found if f.name == f"{name}, x") for key, name in NAMES.items()}


def swapped(share):  # type: ignore[no-untyped-def]
    """That share of images was made of the other class, of two."""

    def lie(z, codes):  # type: ignore[no-untyped-def]
        wrong = np.arange(len(z)) < share * len(z)
        return z + wrong[:, None] * (centre(1 - codes, 2, 2.5) - centre(codes, 2, 2.5))

    return lie


def test_aucs_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [30, 50, 20])
    values = np.round(generator.normal(size=(100, 4)) + codes[:, None] * [0, 0.5, 1, -1], 1)  # ties
    two = codes < 2
    assert gate.aucs(values[two], codes[two], 2)[0] == pytest.approx(
        [roc_auc_score(codes[two], values[two, j]) for j in range(4)]
    )
    for label in range(3):
        pairs = []
        for other in {0, 1, 2} - {label}:
            rows = np.isin(codes, [label, other])
            pairs.append([roc_auc_score(codes[rows] == label, values[rows, j]) for j in range(4)])
        assert gate.aucs(values, codes, 3)[label] == pytest.approx(np.mean(pairs, 0))


def test_placements_are_the_first_order_of_the_auc() -> None:
    generator = np.random.default_rng(1)
    codes = np.repeat([0, 1, 2], [30, 50, 20])
    values = generator.normal(size=(100, 3)) + 0.4 * codes[:, None]
    cards = gate.placements(values, codes, 3).reshape(100, 3, 3)
    for label in range(3):  # the mean placement of a class is its AUC; those of the rest are minus theirs, less 1
        assert cards[codes == label, label].mean(0) == pytest.approx(gate.aucs(values, codes, 3)[label], abs=1e-6)
    # DeLong's variance is that of the AUC over samples
    pool = [generator.normal(size=(2000, 60, 1)), 1 + generator.normal(size=(2000, 60, 1))]
    both = np.repeat([0, 1], 60)
    spread = np.var([gate.aucs(np.concatenate([a, b]), both, 2)[0, 0] for a, b in zip(*pool, strict=True)])
    told = []
    for a, b in zip(pool[0][:30], pool[1][:30], strict=True):
        cards = gate.placements(np.concatenate([a, b]), both, 2)
        told.append(sum(cards[both == c].var(ddof=1) / 60 for c in (0, 1)))
    assert np.mean(told) == pytest.approx(spread, rel=0.15)


def test_information_is_scikit_learns_and_near_the_truth() -> None:
    generator = np.random.default_rng(2)
    codes = np.repeat([0, 1], 1500)
    values = generator.normal(size=(3000, 3)) + codes[:, None] * [0, 1, 2]
    ours = gate.information(values, codes, 2)
    theirs = mutual_info_classif(values, codes, n_neighbors=3, discrete_features=False, random_state=0)
    assert np.maximum(ours, 0) == pytest.approx(theirs, abs=2e-3)

    def entropy(x: float) -> float:
        p = (norm.pdf(x) + norm.pdf(x - 2)) / 2
        return -p * np.log(p)

    truth = quad(entropy, -8, 10)[0] - norm.entropy()
    excess = gate.excess_information(values, codes, 2, generator, 10)
    assert excess[2] == pytest.approx(truth, abs=0.05)
    assert abs(excess[0]) < 0.04
    ties = gate.excess_information(np.round(values), codes, 2, generator, 10)
    assert ties[2] == pytest.approx(truth, abs=0.1)
    assert abs(ties[0]) < 0.05


def test_fisher_by_class() -> None:
    generator = np.random.default_rng(3)
    hits, made = generator.random(60) < 0.3, np.arange(60) < 25
    one = Pool(np.zeros((60, 1)), np.zeros(60, np.int64), made, 1)
    table = [[(hits & made).sum(), (~hits & made).sum()], [(hits & ~made).sum(), (~hits & ~made).sum()]]
    assert gate.more_hits(hits, one) == pytest.approx(fisher_exact(table, "greater").pvalue)
    two = Pool(np.zeros((60, 1)), np.arange(60) % 2, made, 2)
    seen, more = (hits & made).sum(), 0
    for _ in range(4000):
        flags = made.copy()
        for c in (0, 1):
            flags[two.codes == c] = generator.permutation(flags[two.codes == c])
        more += (hits & flags).sum() >= seen
    assert gate.more_hits(hits, two) == pytest.approx(more / 4000, abs=0.03)


def test_fieller() -> None:
    low, high = gate.fieller(1.2, 1.0, 0.01, 0.02)
    for r in (low, high):
        assert (1.2 - r) ** 2 == pytest.approx(1.959964**2 * (0.01 + r * r * 0.02))
    assert gate.fieller(1.2, 1.0, 0.0, 0.0) == pytest.approx((1.2, 1.2))
    assert gate.fieller(1.0, 0.1, 0.01, 0.01) is None


def test_one_row_of_each_patient() -> None:
    codes = np.repeat([0, 1], [95, 5])
    who = tuple(f"p{i % 10}" for i in range(100))  # every patient has images of class 0, half of them of class 1
    table = Features(np.zeros((100, 1)), ("a",), who)
    picked = [gate._independent(table, codes, np.random.default_rng(i)) for i in range(200)]
    assert all(len(set(np.array(who)[rows])) == len(rows) == 10 for rows in picked)
    rare = np.mean([codes[rows].mean() for rows in picked])
    assert 0.25 < rare < 0.42  # 5 patients could be either; the rare class is twice as likely


CLUSTERED = {"n": (30, 30, 150), "images": 20, "alike": 0.7}


def test_no_false_alarm_from_slices() -> None:
    alarms = 0
    for options in (CLUSTERED, {**CLUSTERED, "n": (50, 50, 100), "shared": True}, {"n": (60, 40, 60)}):
        alarms += sum("fail" in [f.state for f in find(seed, 0.05, **options).values()] for seed in range(8))
    assert alarms <= 4  # of 24 at 5 %: more in 3 of 1000
    few = {**CLUSTERED, "n": (30, 20, 150), "alike": 0.9}
    proper, loose = [], []  # slices taken for patients: the alarm that is avoided
    for seed in range(6):
        classes, train, holdout, synthetic = world(seed, **few)
        slices = {c: Features(t.values, t.names, tuple(f"{c}{i}" for i in range(len(t)))) for c, t in holdout.items()}
        for real, found in ((holdout, proper), (slices, loose)):
            states = [f.state for f in labels_findings("x", classes, train, real, synthetic, seed=seed, level=0.05)]
            found.append("fail" in states)
    assert sum(proper) <= 1
    assert sum(loose) >= 3


def test_p_is_uniform_without_a_difference() -> None:
    generator = np.random.default_rng(5)
    p = []
    for seed in range(100):
        x, codes = generator.normal(size=(60, 4)), np.repeat([0, 1], 30)
        x += codes[:, None]
        pool = Pool(x, codes, np.tile(np.arange(30) < 12, 2), 2)
        cards = gate.placements(x, codes, 2)
        for c in (0, 1):
            cards[codes == c] -= cards[codes == c].mean(0)
        facts = gate.surprise(x, codes, 2)
        scores = gate.Scores(pool, cards, gate.aucs(x, codes, 2).ravel(), facts, x[:, 0])
        p.append(gate.shuffle_p(scores, 0.05, np.random.default_rng(seed)))
    for column in (0, 2, 3, 4, 5):
        assert 0 <= (np.array(p)[:, column] <= 0.1).mean() <= 0.2
        assert (np.array(p)[:, column] <= 0.5).mean() > 0.3


def test_wrong_labels() -> None:
    found = [find(seed, n=(300, 200, 200), lie=swapped(0.1))["wrong"] for seed in range(4)]
    assert [f.state for f in found].count("fail") >= 3
    assert np.mean([f.value for f in found]) == pytest.approx(0.1, abs=0.035)
    assert all(f.yardstick < 0.05 for f in found)
    easier = [
        find(seed, n=(300, 200, 200), lie=lambda z, c: swapped(0.1)(z, c) * [1, 0.5, 0.5])["wrong"] for seed in (0, 1)
    ]
    assert [f.state for f in easier] == ["fail", "fail"]
    clean = find(0, n=(300, 200, 200))["wrong"]
    assert clean.state == "pass"
    assert "contradicts" in clean.note


def test_caricature() -> None:
    def lie(z, codes):  # type: ignore[no-untyped-def]
        return z + 0.5 * centre(codes, 2, 1.5)

    several = [find(seed, n=(300, 200, 200), apart=1.5, lie=lie) for seed in range(3)]
    assert [found["caricature"].state for found in several].count("fail") >= 2
    found = several[1]
    assert found["caricature"].value > 1.4
    assert found["caricature"].low > 1
    assert found["wrong"].state != "fail"
    assert found["lost"].state == "pass"


def test_lost_and_reversed_labels() -> None:
    lost = find(0, lie=lambda z, c: z - centre(c, 2, 2.5))
    assert {key: lost[key].state for key in ("agreement", "difference", "lost")} == dict.fromkeys(
        ("agreement", "difference", "lost"), "fail"
    )
    assert lost["caricature"].state == "pass"
    back = find(0, lie=swapped(1.0))
    assert back["sign"].state == back["wrong"].state == back["agreement"].state == "fail"
    assert back["sign"].value == 0
    assert back["wrong"].value == pytest.approx(1, abs=0.1)
    assert back["lost"].state != "fail"  # the labels tell as much, of the other class
    assert find(0, lie=swapped(1.0), level=1e-9)["sign"].state == "inconclusive"  # no p is that small


def test_a_site_confounded_with_the_class() -> None:
    found = find(0, lie=lambda z, c: z + 1.2 * (c[:, None] - 0.5) * [0, 1, 0])
    assert found["difference"].state == "fail"
    assert "the largest: f" in found["difference"].note
    assert found["wrong"].state != "fail"


def test_three_classes() -> None:
    assert "fail" not in [f.state for f in find(0, k=3, n=(150, 80, 80)).values()]
    lie = find(0, k=3, n=(150, 80, 80), lie=lambda z, c: np.where((c == 2)[:, None], z - centre(c, 3, 2.5), z))
    assert lie["agreement"].state == lie["difference"].state == "fail"


def test_large_sets_pass_and_small_ones_say_what_they_need() -> None:
    assert [f.state for f in find(1, n=(600, 500, 900)).values()] == ["pass"] * 6
    small = find(0, n=(40, 25, 40))
    open_ = [f for f in small.values() if f.state == "inconclusive"]
    assert len(open_) >= 3
    assert any("holdout patients and as many synthetic images of each class" in f.note for f in open_)
    assert "fail" not in [f.state for f in small.values()]


def test_what_cannot_be_computed_says_why() -> None:
    def notes(*sets):  # type: ignore[no-untyped-def]
        found = labels_findings("x", *sets, seed=0)
        assert {f.state for f in found} == {"not computed"}
        assert len(found) == 6
        return found[0].note

    classes, train, holdout, synthetic = world(0, n=(60, 25, 25))
    assert "fewer than two classes" in notes(("c0",), train, holdout, synthetic)
    assert "fewer than two classes" in notes(classes, {"c0": train["c0"]}, holdout, synthetic)
    assert notes(classes, train, holdout, {}) == "there is no synthetic image of these classes"
    few = {**holdout, "c1": holdout["c1"].take(np.arange(19))}
    assert "c1 is left out: 60 train and 19 holdout patients can be used, 20 of each" in notes(
        classes, train, few, synthetic
    )
    one = {c: Features(t.values, t.names, ("a",) * len(t)) for c, t in holdout.items()}
    assert "1 holdout patients can be used" in notes(classes, train, one, synthetic)
    shared = {c: Features(t.values, t.names, tuple(map(str, range(len(t))))) for c, t in holdout.items()}
    assert "counts for one of them" in notes(classes, train, shared, synthetic)
    same = {c: Features(np.ones((30, 12)), NAMED, tuple(f"{c}{i}" for i in range(30))) for c in classes}
    assert "no feature varies" in notes(classes, same, same, synthetic)
    nothing = {c: Features(np.full((30, 12), np.nan), NAMED) for c in classes}
    assert "have undefined features" in notes(classes, train, holdout, nothing)
    other = {c: Features(t.values[:, :5], NAMED[:5]) for c, t in synthetic.items()}
    with pytest.raises(InputError, match="different feature columns"):
        labels_findings("x", classes, train, holdout, other, seed=0)


def test_only_the_rare_class_was_made() -> None:
    """Its images are held against holdout's, beside real images of the other class."""

    def states(lie, level=0.05 / 8):  # type: ignore[no-untyped-def]
        classes, train, holdout, synthetic = world(1, n=(300, 200, 200), lie=lie)
        found = labels_findings("x", classes, train, holdout, {"c1": synthetic["c1"]}, seed=0, level=level)
        assert all("c0 has 0 synthetic images" in f.note for f in found)
        return {key: next(f.state for f in found if f.name == f"{name}, x") for key, name in NAMES.items()}

    assert set(states(lambda z, c: z).values()) <= {"pass", "inconclusive"}
    assert states(swapped(0.2))["wrong"] == "fail"
    assert states(lambda z, c: z - centre(c, 2, 2.5))["difference"] == "fail"
    alarms = 0
    for seed in range(12):
        classes, train, holdout, synthetic = world(seed, n=(60, 40, 60))
        found = labels_findings("x", classes, train, holdout, {"c1": synthetic["c1"]}, seed=seed, level=0.05)
        alarms += "fail" in [f.state for f in found]
    assert alarms <= 3
    # of three classes, one that is too small does not keep the others from being compared
    classes, train, holdout, synthetic = world(0, n=(100, 60, 60), k=3)
    small = {**holdout, "c1": holdout["c1"].take(np.arange(5))}
    found = labels_findings("x", classes, train, small, synthetic, seed=0)
    assert "fail" not in [f.state for f in found]
    assert all(f.value is not None and "c1 is left out" in f.note for f in found)


def test_features_that_know_no_class() -> None:
    found = find(0, apart=0.0)
    assert found["lost"].state == found["caricature"].state == "not computed"
    assert "too little about the class" in found["lost"].note
    assert found["wrong"].state != "pass"  # nothing could have been seen
    assert "fail" not in [f.state for f in found.values()]


def test_a_seed_fixes_the_numbers_and_the_table() -> None:
    sets = world(3, n=(60, 30, 40))
    assert labels_findings("x", *sets, seed=1) == labels_findings("x", *sets, seed=1)
    table = label_table(*sets, 1)
    assert list(table.columns) == ["class", "feature", "AUC", "AUC_real", "AUC_train", "I", "I_real"]
    assert len(table) == 12
    assert (table["class"] == "c1").all()
    assert np.corrcoef(table["AUC"], table["AUC_real"])[0, 1] > 0.8
    assert table["I_real"].max() > 0.1
    assert len(label_table(*world(3, n=(60, 30, 40), k=3), 1)) == 36
    assert label_table(("c0",), *sets[1:], 1).empty
