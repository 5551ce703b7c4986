"""What a feature is called: by pyradiomics and by the Image Biomarker Standardisation Initiative (IBSI).

Every family's module has a tuple FEATURES of these, in the order of its columns. Knows no numbers.
"""

from typing import NamedTuple

# Ways to add up a texture matrix over slices and directions, with the standard's codes. "2D": a matrix per slice, the
# features averaged over slices; "2_5D": the slices' matrices added up; "3D": neighbours across slices.
# "avg": features averaged over directions; "comb": the directions' matrices added up.
DIRECTIONAL = {
    "2D_avg": "BTW3",
    "2D_comb": "SUJT",
    "2_5D_avg": "JJUI",
    "2_5D_comb": "ZW7Z",
    "3D_avg": "ITBB",
    "3D_comb": "IAZD",
}
ZONAL = {"2D": "8QNN", "2_5D": "62GR", "3D": "KOBO"}  # matrices without directions


class Feature(NamedTuple):
    """One column of a family.

    name: pyradiomics' name, or one in its style where it lacks the family; "" where pyradiomics defines the quantity
        otherwise or not at all, so that the column belongs to the standard alone
    tag, code: the standard's short name (stat_mean) and identifier (Q4LE); "" where the standard lacks the quantity
        or defines it otherwise
    """

    name: str
    tag: str = ""
    code: str = ""
