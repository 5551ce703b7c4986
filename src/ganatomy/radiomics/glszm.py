"""Grey level size zone matrix: zones of touching voxels of one grey level, counted by level and size.

Source: Thibault et al. 2014, IEEE Transactions on Biomedical Engineering 61(3); the standard's family 9SAK.
"""

from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.zones import measure_zones

FEATURES = (
    Feature("SmallAreaEmphasis", "szm_sze", "5QRC"),
    Feature("LargeAreaEmphasis", "szm_lze", "48P8"),
    Feature("LowGrayLevelZoneEmphasis", "szm_lgze", "XMSY"),
    Feature("HighGrayLevelZoneEmphasis", "szm_hgze", "5GN9"),
    Feature("SmallAreaLowGrayLevelEmphasis", "szm_szlge", "5RAI"),
    Feature("SmallAreaHighGrayLevelEmphasis", "szm_szhge", "HW1V"),
    Feature("LargeAreaLowGrayLevelEmphasis", "szm_lzlge", "YH51"),
    Feature("LargeAreaHighGrayLevelEmphasis", "szm_lzhge", "J17V"),
    Feature("GrayLevelNonUniformity", "szm_glnu", "JNSA"),
    Feature("GrayLevelNonUniformityNormalized", "szm_glnu_norm", "Y1RO"),
    Feature("SizeZoneNonUniformity", "szm_zsnu", "4JP3"),
    Feature("SizeZoneNonUniformityNormalized", "szm_zsnu_norm", "VB3A"),
    Feature("ZonePercentage", "szm_z_perc", "P30P"),
    Feature("GrayLevelVariance", "szm_gl_var", "BYLV"),
    Feature("ZoneVariance", "szm_zs_var", "3NSA"),
    Feature("ZoneEntropy", "szm_zs_entr", "GU8N"),
)


def measure(regions: Regions, *, aggregation: str = "3D") -> Float:
    """FEATURES of each region: (B, 16).

    aggregation: a key of feature.ZONAL; zones are 26-connected for "3D", 8-connected within slices otherwise.
        "2D" is the mean over the slices that hold a part of the region.
    InputError where the aggregation is none of these.
    """
    return measure_zones(regions, aggregation, by_distance=False)


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no zones"
