"""The split: every patient has one role, classes keep their shares, and what cannot be split is refused by name."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ganatomy.core.cohort import HOLDOUT, ROLES, SELECT, TEST, TRAIN, Cohort
from ganatomy.core.errors import InputError
from ganatomy.data.split import Split, apportion, duplicates, split, summary


def cohort(patients, labels, **columns):
    table = {"path": [f"{i}.png" for i in range(len(labels))], "class": labels, "patient": patients, **columns}
    return Cohort(pd.DataFrame(table), "lesions")


def chance_cohort(seed):
    """Two to four classes, 6 to 60 patients each with one to five images, a few patients in two classes."""
    chance = np.random.default_rng(seed)
    patients, labels = [], []
    for k in range(chance.integers(2, 5)):
        for p in range(chance.integers(6, 61)):
            for _ in range(chance.integers(1, 6)):
                labels.append("abcd"[k])
                patients.append(f"p{p}" if chance.random() < 0.1 else f"{k}-{p}")
    order = chance.permutation(len(labels))
    return cohort([patients[i] for i in order], [labels[i] for i in order])


def roles_of(done):
    found = {}
    for who, role in zip(done.patients, done.column("role"), strict=True):
        found.setdefault(who, set()).add(role)
    return found


@pytest.mark.parametrize("seed", range(25))
def test_every_patient_has_one_role_and_every_class_every_role(seed):
    some = chance_cohort(seed)
    done = split(some, Split(fold=seed % 5, split_seed=seed))
    assert all(len(found) == 1 for found in roles_of(done).values())
    assert {(c, r) for c in some.classes for r in ROLES} == set(zip(done.labels, done.column("role"), strict=True))
    assert done.column("path") == some.column("path") and "role" not in some.table
    assert set(done.column("fold")) == {str(seed % 5)}


@pytest.mark.parametrize("seed", range(10))
def test_the_test_sets_of_all_folds_partition_the_patients(seed):
    some = chance_cohort(seed)
    tested = Counter(
        who
        for fold in range(5)
        for who, found in roles_of(split(some, Split(fold=fold, split_seed=seed))).items()
        if found == {TEST}
    )
    assert tested == Counter(set(some.patients))


def test_shares_are_kept_within_each_class():
    chance = np.random.default_rng(0)
    patients = [f"{k}-{p}" for k, n in enumerate((400, 60)) for p in range(n) for _ in range(chance.integers(1, 4))]
    some = cohort(patients, ["ab"[int(who[0])] for who in patients])
    facts = summary(split(some, Split()))
    for label, tolerance in (("a", 0.01), ("b", 0.04)):
        n = some.counts[label]
        for role, share in ((TRAIN, 0.55), (SELECT, 0.10), (HOLDOUT, 0.15), (TEST, 0.20)):
            assert facts[label][role][0] / n == pytest.approx(share, abs=tolerance), (label, role)
    assert sum(patients for roles in facts.values() for _, patients in roles.values()) == len(set(patients))


def test_the_split_is_a_function_of_seed_and_fold_and_not_of_the_order_of_rows():
    some = chance_cohort(1)
    assert roles_of(split(some)) == roles_of(split(some)) == roles_of(split(some.take(range(len(some))[::-1])))
    assert roles_of(split(some)) != roles_of(split(some, Split(split_seed=1)))
    assert roles_of(split(some)) != roles_of(split(some, Split(fold=1)))


def test_images_of_unknown_patients_are_split_one_by_one():
    done = split(cohort([""] * 100, ["a"] * 50 + ["b"] * 50))
    assert Counter(done.column("role")) == {TRAIN: 56, SELECT: 10, HOLDOUT: 14, TEST: 20}


@pytest.mark.parametrize("n", range(5, 12))
@pytest.mark.parametrize("images", [1, 3])
def test_five_patients_of_a_class_reach_for_every_role_in_every_fold(n, images):
    patients = [f"r{i}" for i in range(n) for _ in range(images)] + [f"m{i}" for i in range(80)]
    some = cohort(patients, ["rare"] * (n * images) + ["many"] * 80)
    for fold in range(5):
        assert "rare" in split(some, Split(fold=fold)).where(SELECT).classes


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_patients_are_refused_by_class(n):
    patients = [f"r{i % n}" for i in range(12)] + [f"m{i}" for i in range(30)]
    with pytest.raises(
        InputError, match=rf"class 'rare' has 12 image\(s\) of {n} patient\(s\), and none falls to"
    ) as e:
        split(cohort(patients, ["rare"] * 12 + ["many"] * 30))
    assert "at least 5 patients" in str(e.value)


def test_one_class_only_is_refused():
    with pytest.raises(InputError, match=r"lesions holds one class only \(a\)"):
        split(cohort(list("pqrst"), ["a"] * 5))


def test_the_four_roles_are_kept_as_they_came():
    given = list(ROLES) * 4
    done = split(cohort([f"p{i}" for i in range(16)], ["a"] * 8 + ["b"] * 8, role=given), Split(split_seed=9))
    assert done.column("role") == given


@pytest.mark.parametrize("seed", range(5))
def test_train_and_test_of_another_program_are_kept_and_val_is_halved(seed):
    some = chance_cohort(seed)
    word = {who: ("train", "train", "val", "test")[i % 4] for i, who in enumerate(sorted(set(some.patients)))}
    given = Cohort(some.table.assign(role=[word[who] for who in some.patients]), "x")
    done = split(given)
    for who, found in roles_of(done).items():
        assert found <= ({SELECT, HOLDOUT} if word[who] == "val" else {word[who]})
    n = Counter(done.column("role"))
    assert 0.2 < n[SELECT] / (n[SELECT] + n[HOLDOUT]) < 0.6  # 0.10 to 0.15


def test_without_a_val_the_train_of_another_program_is_shared_out():
    some = cohort([f"p{i}" for i in range(80)], ["a", "b"] * 40, role=["train"] * 60 + ["test"] * 20)
    done = split(some)
    assert done.column("role")[60:] == [TEST] * 20
    assert Counter(done.column("role")[:60]).keys() == {TRAIN, SELECT, HOLDOUT}


def test_val_beside_our_own_roles_is_shared_out_too():
    given = ["train", "val", "val", "val", "select", "holdout", "test"] * 4
    done = split(cohort([f"p{i}" for i in range(28)], ["a"] * 14 + ["b"] * 14, role=given))
    assert set(done.column("role")) == set(ROLES)


def test_a_patient_in_two_given_roles_is_refused_by_name():
    some = cohort(["p", "q", "p"], ["a", "b", "b"], role=["train", "test", "val"])
    with pytest.raises(InputError, match="lesions: patient 'p' is in two roles, train and val"):
        split(some)


@pytest.mark.parametrize("word", ["Train", "", "0"])
def test_an_unknown_role_is_refused_by_image(word):
    some = cohort(list("pq"), list("ab"), role=["train", word])
    with pytest.raises(InputError, match=rf"role of 1\.png is '{word}'; it must be one of train, select, holdout"):
        split(some)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fold": 5}, "--fold 5 is not one of 0 to 4"),
        ({"fold": -1}, "--fold -1"),
        ({"folds": 1}, "--folds must be 2 or more"),
        ({"select_share": 0.0}, "--select-share 0 leaves no patient for the role 'select'"),
        ({"train_share": -0.5}, "--train-share -0.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        split(chance_cohort(0), Split(**changes))


def test_each_part_is_served_before_any_is_served_twice_when_patients_are_few():
    members = {f"p{i}": Counter(a=i + 1) for i in range(4)}
    assert sorted(apportion(members, {"x": 0.97, "y": 0.01, "z": 0.01, "w": 0.01}, 0, "t").values()) == list("wxyz")


def test_summary_counts_images_and_patients():
    some = cohort(list("ppqr"), list("aabb"), role=[TRAIN, TRAIN, TEST, TRAIN])
    assert summary(some) == {
        "a": {TRAIN: [2, 1], SELECT: [0, 0], HOLDOUT: [0, 0], TEST: [0, 0]},
        "b": {TRAIN: [1, 1], SELECT: [0, 0], HOLDOUT: [0, 0], TEST: [1, 1]},
    }


def test_duplicates_are_counted_within_and_across_roles():
    some = cohort(list("pqrstu"), list("aaabbb"), role=[TRAIN, TRAIN, TEST, TEST, SELECT, TRAIN], sha256=list("112234"))
    assert duplicates(some) == {"within": 2, "across": 0}
    some = cohort(list("pqrs"), list("aabb"), role=[TRAIN, TEST, TEST, SELECT], sha256=list("1112"))
    assert duplicates(some) == {"within": 1, "across": 1}


def test_shares_of_more_than_all_are_refused():
    with pytest.raises(InputError, match=r"make 2\.25, more than all"):
        split(chance_cohort(0), Split(train_share=2.0))
