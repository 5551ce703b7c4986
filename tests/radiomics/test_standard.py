"""All 482 values of the IBSI-1 digital phantom, through the one public call."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ganatomy.radiomics import RadiomicsSettings, extract
from ganatomy.radiomics.feature import DIRECTIONAL, ZONAL
from ganatomy.radiomics.region import Regions

REFERENCE = pd.read_csv(Path(__file__).parent / "ibsi_1.csv", keep_default_na=False)
# the discretised phantom is used as it is; these features are of the intensities' histogram, which here is the same
SETTINGS = RadiomicsSettings(ibsi=True, levels_as_given=True, aggregation=tuple(DIRECTIONAL), quadratic=True)


@pytest.fixture(scope="module")
def row() -> Callable[[Regions], "pd.Series[float]"]:
    found: list[pd.Series[float]] = []

    def measured(phantom: Regions) -> "pd.Series[float]":
        if not found:
            table = extract(phantom.values, phantom.inside, settings=SETTINGS, spacing=phantom.spacing)
            found.append(table.iloc[0])
        return found[0]

    return measured


def column(tag: str, code: str, aggregation: str) -> str:
    suffix = {**DIRECTIONAL, **ZONAL}.get(aggregation, "")
    return f"original_{tag}_{code}" + (f"_{suffix}" if suffix else "")


def test_there_are_482() -> None:
    assert len(REFERENCE) == 482


@pytest.mark.parametrize("family", sorted(REFERENCE["family"].unique()))
def test_every_value_of_a_family_agrees(
    family: str,
    phantom: Regions,
    agrees: Callable[[float, float, float], bool],
    row: Callable[[Regions], "pd.Series[float]"],
) -> None:
    values = row(phantom)
    wrong = [
        f"{name}: {values.get(name)} is not {one.reference} +- {one.tolerance}"
        for one in REFERENCE[REFERENCE["family"] == family].itertuples()
        for name in [column(str(one.tag), str(one.code), str(one.aggregation))]
        if not (name in values and agrees(float(values[name]), float(one.reference), float(one.tolerance)))
    ]
    assert not wrong, wrong
