"""Grey level distance zone matrix: zones of touching voxels of one grey level, by level and distance to the border.

The distance is the least number of steps across faces from any voxel of the zone to the outside of the region's form
(its morphological mask), 1 at the border; the edge of the box is border. pyradiomics lacks this family.
Source: Thibault et al. 2014, IEEE Transactions on Biomedical Engineering 61(3); the standard's family VMDZ.
"""

from ganatomy.radiomics.feature import Feature
from ganatomy.radiomics.region import Float, Regions
from ganatomy.radiomics.zones import measure_zones

FEATURES = (
    Feature("SmallDistanceEmphasis", "dzm_sde", "0GBI"),
    Feature("LargeDistanceEmphasis", "dzm_lde", "MB4I"),
    Feature("LowGrayLevelZoneEmphasis", "dzm_lgze", "S1RA"),
    Feature("HighGrayLevelZoneEmphasis", "dzm_hgze", "K26C"),
    Feature("SmallDistanceLowGrayLevelEmphasis", "dzm_sdlge", "RUVG"),
    Feature("SmallDistanceHighGrayLevelEmphasis", "dzm_sdhge", "DKNJ"),
    Feature("LargeDistanceLowGrayLevelEmphasis", "dzm_ldlge", "A7WM"),
    Feature("LargeDistanceHighGrayLevelEmphasis", "dzm_ldhge", "KLTH"),
    Feature("GrayLevelNonUniformity", "dzm_glnu", "VFT7"),
    Feature("GrayLevelNonUniformityNormalized", "dzm_glnu_norm", "7HP3"),
    Feature("ZoneDistanceNonUniformity", "dzm_zdnu", "V294"),
    Feature("ZoneDistanceNonUniformityNormalized", "dzm_zdnu_norm", "IATH"),
    Feature("ZonePercentage", "dzm_z_perc", "VIWW"),
    Feature("GrayLevelVariance", "dzm_gl_var", "QK93"),
    Feature("ZoneDistanceVariance", "dzm_zd_var", "7WT1"),
    Feature("ZoneDistanceEntropy", "dzm_zd_entr", "GBDU"),
)


def measure(regions: Regions, *, aggregation: str = "3D") -> Float:
    """FEATURES of each region: (B, 16).

    aggregation: a key of feature.ZONAL. "3D": zones are 26-connected and distances run in space; otherwise zones are
        8-connected and distances run within each slice. "2D" is the mean over the slices that hold a part of the
        region. A box of one slice is a plane: its distances run within it.
    InputError where the aggregation is none of these.
    """
    return measure_zones(regions, aggregation, by_distance=True)


def reason(name: str, voxels: int, levels: int) -> str:
    """Why the column `name` is NaN for a region of so many voxels and distinct grey levels."""
    return "an empty region has no zones"
