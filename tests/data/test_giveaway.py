"""Columns that give the class away: a planted one is named; what goes with the class only in part is not."""

import numpy as np
import pandas as pd
import pytest

from ganatomy.core.cohort import Cohort
from ganatomy.data.giveaway import giveaways
from ganatomy.data.scan import read


def cohort(n=60, images=2, **columns):
    """n patients, one third of the class b, each with some images; columns: name -> value per patient."""
    rows = []
    for k in range(n):
        for i in range(images):
            own = {name: values[k] for name, values in columns.items()}
            rows.append(
                {"path": f"{k}-{i}.png", "class": "b" if k % 3 == 0 else "a", "patient": f"p{k}", "fold": 0, **own}
            )
    return Cohort(pd.DataFrame(rows))


K = np.arange(60)
RANDOM = np.random.default_rng(0)
PLANTED = {
    "two sites": np.where(K % 3 == 0, "X", "Y"),
    "several sites for each class": np.where(K % 3 == 0, "X", "Y") + pd.Series(K % 4).astype(str).to_numpy(),
    "all but one patient": np.where((K % 3 == 0) ^ (K == 4), "X", "Y"),
    "missing for one class": np.where(K % 3 == 0, "", "Y"),
    "numbers": (RANDOM.normal(0, 1, 60) + 100 * (K % 3 == 0)).astype(str),
}
CLEAN = {
    "chance": RANDOM.choice(["X", "Y", "Z"], 60),
    "partly": np.where((K % 3 == 0) & (K % 2 == 0), "X", "Y"),
    "names": K.astype(str) + "n",
    "numbers of chance": RANDOM.normal(0, 1, 60).astype(str),
    "larger in one class": (RANDOM.normal(0, 1, 60) + 1.0 * (K % 3 == 0)).astype(str),
    "one value": np.repeat("X", 60),
    "rare value": np.where(K == 0, "X", "Y"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_column_that_tells_the_class_is_named(name):
    told = giveaways(cohort(column=PLANTED[name], other=CLEAN["chance"]))
    assert list(told) == ["column"] and told["column"] > 0.9


@pytest.mark.parametrize("name", CLEAN)
def test_a_column_that_does_not_is_not(name):
    assert giveaways(cohort(column=CLEAN[name])) == {}


def test_images_are_not_counted_as_patients_and_few_patients_say_nothing():
    four = cohort(8, images=50, site=["X", "Y", "Y", "X", "Y", "Y", "X", "Y"])
    assert giveaways(four) == {}


def test_file_types_units_and_spacings_are_columns_too():
    plain = cohort()
    table = plain.table.assign(unit="HU")
    assert giveaways(Cohort(table)) == {}
    b = np.array(plain.labels) == "b"
    table["path"] = [path.replace(".png", ".jpg") if odd else path for path, odd in zip(table["path"], b, strict=True)]
    table["spacing"] = np.where(b, "0.7x0.7", "0.5x0.5")
    assert list(giveaways(Cohort(table))) == ["spacing", "file type"]


def test_three_classes_are_measured_against_their_own_chance():
    sites = cohort(site=np.where(K % 3 == 0, "X", "Y"))
    table = sites.table
    table["class"] = [("abc")[int(path.split("-")[0]) % 3] for path in table["path"]]
    assert giveaways(Cohort(table)) == {}  # X tells a, but Y does not tell b from c
    table["site"] = table["class"] + "-site"
    assert giveaways(Cohort(table)) == {"site": 1.0}


def test_a_confounded_phantom_is_named_and_a_plain_one_is_not():
    assert giveaways(read("phantom:patients=200")) == {}
    assert "site" in giveaways(read("phantom:patients=200,confounded=1"))
