"""First-order, GLCM and GLRLM features of a batch of tensors, on the device that holds them.

The same numbers as the compiled modules of these families, to 1e-6, through torch alone: for images that are on an
accelerator already. Knows pyradiomics' two ways of binning; every other preparation is done before.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ganatomy.core.errors import InputError
from ganatomy.radiomics.feature import DIRECTIONAL

NAMES: dict[str, tuple[str, ...]] = {
    "firstorder": (
        *("Energy", "TotalEnergy", "Entropy", "Minimum", "10Percentile", "90Percentile", "Maximum", "Mean", "Median"),
        *("InterquartileRange", "Range", "MeanAbsoluteDeviation", "RobustMeanAbsoluteDeviation", "RootMeanSquared"),
        *("Skewness", "Kurtosis", "Variance", "Uniformity", "StandardDeviation"),
    ),
    "glcm": (
        *("Autocorrelation", "JointAverage", "ClusterProminence", "ClusterShade", "ClusterTendency", "Contrast"),
        *("Correlation", "DifferenceAverage", "DifferenceEntropy", "DifferenceVariance", "JointEnergy", "JointEntropy"),
        *("Imc1", "Imc2", "Idm", "MCC", "Idmn", "Id", "Idn", "InverseVariance", "MaximumProbability", "SumAverage"),
        *("SumEntropy", "SumSquares"),
    ),
    "glrlm": (
        *("ShortRunEmphasis", "LongRunEmphasis", "GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized"),
        *("RunLengthNonUniformity", "RunLengthNonUniformityNormalized", "RunPercentage", "GrayLevelVariance"),
        *("RunVariance", "RunEntropy", "LowGrayLevelRunEmphasis", "HighGrayLevelRunEmphasis"),
        *("ShortRunLowGrayLevelEmphasis", "ShortRunHighGrayLevelEmphasis", "LongRunLowGrayLevelEmphasis"),
        "LongRunHighGrayLevelEmphasis",
    ),
}
LEVELS = 1024  # grey levels of a region, at most: a matrix of that many is 8 MiB, its eigenvalues take 0.3 s
MEMORY = {"cpu": 2**26}  # bytes of intermediates: what a processor's cache nearly holds
MEMORY_ELSEWHERE = 2**31  # an accelerator is busy only with thousands of images at a time
SQUARINGS = 24

Offset = tuple[int, int, int]


def measure(
    images: Tensor,
    inside: Tensor | None = None,
    *,
    bin_width: float | None = None,
    bin_count: int | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    shift: float = 0.0,
    aggregation: str = "3D_avg",
    distances: Sequence[int] = (1,),
    mcc: bool = True,
    families: Sequence[str] = tuple(NAMES),
    memory: int | None = None,
) -> dict[str, Tensor]:
    """Features of each region: family -> (B, F) float64 on the images' device, columns as in NAMES.

    images: (B, H, W) slices or (B, D, H, W) volumes, any real type, in physical units
    inside: the same shape, or one region for all; what is not 0 is measured. None: everything is
    bin_width: width of a grey level in the images' units; or bin_count: number of grey levels of a region; neither:
        the values are the levels, whole numbers from 1
    spacing: mm along z, y, x (or y, x), for TotalEnergy; shift: added to the values before their energy is taken
    aggregation: a key of feature.DIRECTIONAL; a box of one slice has in-plane neighbours alone
    distances: between the neighbours of GLCM, voxels along the longest axis of the offset
    mcc: False leaves the maximal correlation coefficient, the dearest feature, NaN
    memory: bytes of intermediates, about; a single region may need more
    What is undefined is NaN. A feature's value does not depend on the other images of the batch, up to rounding. The
    host waits for the device once. GLCM counts each pair in both orders; directions are not weighted.
    InputError: shapes, settings, values in a region that are not finite, more than LEVELS grey levels.
    Definitions: pyradiomics 3.0.1 (van Griethuysen et al. 2017).
    """
    values, mask = _checked(images, inside, bin_width, bin_count, aggregation, families)
    box = values.shape[1:]
    memory = memory or MEMORY.get(values.device.type, MEMORY_ELSEWHERE)
    levels, n = _levels(values, mask, bin_width, bin_count, max(1, memory // (256 * math.prod(box))))
    by_slice = aggregation.startswith("2D")
    merge = aggregation.endswith("comb")
    flat = box[0] == 1 or not aggregation.startswith("3D")
    pairs, lines = neighbours(distances, flat), 4 if flat else 13
    volume = math.prod(spacing)
    chunks = list(_chunks(n, box, len(pairs), lines, by_slice, memory))
    order = torch.tensor([image for chosen, _ in chunks for image in chosen], dtype=torch.int64, device=values.device)
    highest = torch.tensor([n[image] for chosen, _ in chunks for image in chosen], dtype=torch.float64).to(order.device)
    found: dict[str, list[Tensor]] = {family: [] for family in families}
    done = 0
    for chosen, top in chunks:
        index, most = order[done : done + len(chosen)], highest[done : done + len(chosen)]
        done += len(chosen)
        whole = len(chosen) == len(values)  # then nothing needs to be copied
        level = levels if whole else levels[index]
        if "firstorder" in found:
            x = (values if whole else values[index]).reshape(len(chosen), -1).double()
            region = None if mask is None else level.reshape(x.shape) > 0
            found["firstorder"].append(_firstorder(x, region, level, top, shift, volume))
        if "glcm" in found:
            matrices = len(chosen) * (box[0] if by_slice else 1)
            room = max(1, memory // (matrices * top * top * 48))  # directions at a time
            parts = [pairs] if merge else [pairs[i : i + room] for i in range(0, len(pairs), room)]
            each = [_glcm(cooccurrence(level, top, part, by_slice, merge), most, mcc) for part in parts]
            found["glcm"].append(_average(torch.cat(each, 1), len(chosen)))
        if "glrlm" in found:
            found["glrlm"].append(_average(_glrlm(runs(level, top, flat, by_slice, merge)), len(chosen)))
    if not chunks:
        return {name: torch.empty((0, len(NAMES[name])), dtype=torch.float64, device=values.device) for name in found}
    back = order.argsort()
    return {name: torch.cat(rows)[back] for name, rows in found.items()}


def neighbours(distances: Sequence[int], flat: bool) -> list[Offset]:
    """One of each pair of opposite offsets (z, y, x) whose longest axis is one of the distances; flat: z is 0."""
    reach = range(-max(distances), max(distances) + 1)
    offsets = itertools.product((0,) if flat else reach, reach, reach)
    return [offset for offset in offsets if offset > (0, 0, 0) and max(map(abs, offset)) in distances]


def cooccurrence(levels: Tensor, n: int, offsets: Sequence[Offset], by_slice: bool, merge: bool) -> Tensor:
    """Pairs of neighbouring levels without their order: (A, R, n + 1, 2 n + 2) whole numbers.

    levels: (B, D, H, W), 0 outside; A offsets, or 1 when they are merged; R regions, or slices of all regions. Of each
    matrix, row i and column j >= i count the pairs of levels i and j; row 0 has those with the outside, and columns
    beyond n are empty: read with another pitch, its diagonals stand below each other.
    """
    pitch = 2 * n + 2
    rows = len(levels) * (levels.shape[1] if by_slice else 1)
    start = _start(levels, (n + 1) * pitch, by_slice)
    counts: list[Tensor] = []
    for offset in offsets:
        here, there = _shifted(offset)
        one, other = levels[here], levels[there]
        index = torch.minimum(one, other).int().mul_(pitch).add_(torch.maximum(one, other)).add_(start)
        counted = _tally(index.view(-1), rows * (n + 1) * pitch)
        counts = [counts[0] + counted] if merge and counts else [*counts, counted]
    return torch.stack(counts).view(-1, rows, n + 1, pitch)


def runs(levels: Tensor, n: int, flat: bool, by_slice: bool, merge: bool) -> Tensor:
    """Runs of one level by level and length: (A, R, n, L) float64; arguments and A, R as for `cooccurrence`.

    A voxel that is the k-th of its run counts at k. A run of length l then counts once at each of 1..l, so the runs
    of length l are the count at l less the count at l + 1: no end of a run needs to be found. flat: in-plane only.
    """
    rows = len(levels) * (levels.shape[1] if by_slice else 1)
    places = [(axis, _place(levels, axis)) for axis in ((1, 2) if flat else (0, 1, 2))]
    longest = max(levels.shape[1:])
    if _processor(levels):  # elsewhere this would make the host wait
        longest = min(longest, -(-(1 + max(int(place.max()) for _, place in places)) // 8) * 8)
    side = longest + 1  # one column stays empty
    cells = rows * (n + 1) * side
    first = levels.int().mul_(side).add_(_start(levels, (n + 1) * side, by_slice))
    counts: list[Tensor] = []
    for axis, place in places:
        ways = place.shape[1]
        along = first.movedim(axis + 1, 0).contiguous()[:, None]  # (S, 1, B, ., .)
        if ways > 1 and not merge:
            along = along + torch.arange(0, ways * cells, cells, dtype=torch.int32, device=place.device).view(
                -1, 1, 1, 1
            )
        counted = _tally((along + place).reshape(-1), cells * (1 if merge else ways)).view(-1, cells)
        counts = [counts[0] + counted] if merge and counts else [*counts, counted]
    matrix = torch.cat(counts).view(-1, rows, n + 1, side)[:, :, 1:]
    return (matrix[..., :-1] - matrix[..., 1:]).double()


def radius(matrices: Tensor) -> Tensor:
    """Largest |eigenvalue| of symmetric matrices (..., n, n) of norm 1 or less: (...).

    By squaring: a^(2m) keeps only what belongs to the largest eigenvalues, and its mean of a^2 falls short of the
    largest eigenvalue of a^2 by at most about n / (2.7 m) of it, here 6e-8 n. Batched products are what
    accelerators are best at, and no matrix makes the host wait; `torch.linalg.eigvalsh` does.
    """
    square = matrices @ matrices
    power = square
    for k in range(SQUARINGS):
        if k % 5 == 0:  # before it runs out of exponents
            power = power / _trace(power).clamp_min(1e-300)[..., None, None]
        power = power @ power
    mean: Tensor = (power * square).sum((-2, -1)) / _trace(power).clamp_min(1e-300)
    return mean.clamp_min(0).sqrt()


def _checked(
    images: Tensor,
    inside: Tensor | None,
    bin_width: float | None,
    bin_count: int | None,
    aggregation: str,
    families: Sequence[str],
) -> tuple[Tensor, Tensor | None]:
    """Images and mask with four axes; InputError where they or the settings make no sense."""
    if images.ndim not in (3, 4) or images.is_complex() or images.dtype == torch.bool:
        raise InputError(
            f"images are numbers of shape (B, H, W) or (B, D, H, W), not {images.dtype} of shape {tuple(images.shape)}"
        )
    if 0 in images.shape[1:]:
        raise InputError(f"images of shape {tuple(images.shape)} hold no voxel")
    if images.device.type == "mps":
        raise InputError("the device mps has no numbers of 64 bits, which features need; move the images to the cpu")
    if bin_width is not None and bin_count is not None:
        raise InputError(f"give a bin width ({bin_width:g}) or a bin count ({bin_count}), not both")
    if bin_width is not None and not (math.isfinite(bin_width) and bin_width > 0):
        raise InputError(f"the bin width is a number above 0 in the images' units, not {bin_width}")
    if bin_count is not None and not 1 <= bin_count <= LEVELS:
        raise InputError(f"the number of bins is 1 to {LEVELS}, not {bin_count}")
    if aggregation not in DIRECTIONAL:
        raise InputError(f"there is no aggregation '{aggregation}'; known are: {', '.join(DIRECTIONAL)}")
    if unknown := [family for family in families if family not in NAMES]:
        raise InputError(f"the torch engine has no family '{unknown[0]}'; it has {', '.join(NAMES)}")
    values = images if images.ndim == 4 else images[:, None]
    if inside is None:
        return values, None
    if inside.shape not in (images.shape, images.shape[1:]):
        raise InputError(
            f"the mask has shape {tuple(inside.shape)} and the images {tuple(images.shape)}; make them equal"
        )
    return values, (inside.to(images.device) != 0).expand(images.shape).reshape(values.shape)


def _levels(
    values: Tensor, mask: Tensor | None, width: float | None, count: int | None, step: int
) -> tuple[Tensor, list[int]]:
    """Grey levels (B, D, H, W) int16, 0 outside, and each image's highest; the one place where the host waits."""
    levels = torch.empty(values.shape, dtype=torch.int16, device=values.device)
    bad = torch.empty(len(values), dtype=torch.bool, device=values.device)
    for i in range(0, len(values), step):
        part = slice(i, i + step)
        x = values[part].flatten(1).double()
        region = None if mask is None else mask[part].flatten(1)
        binned, bad[part] = _binned(x, region, width, count)
        levels[part] = binned.view(levels[part].shape)
    highest = levels.flatten(1).amax(1)
    host: list[int] = torch.where(bad, -1, highest.long()).tolist()
    if -1 in host:
        wrong = "finite" if width or count else "grey levels, whole numbers from 1"
        raise InputError(f"image {host.index(-1)} holds values in its region that are not {wrong}; leave them outside")
    if max(host, default=0) > LEVELS:
        cause = f"a bin width of {width:g}" if width else "its values as they are"
        raise InputError(
            f"{cause} give image {host.index(max(host))} more than {LEVELS} grey levels; choose a wider bin width "
            "(16 to 128 levels are usual) or the compiled engine"
        )
    return levels, host


def _binned(x: Tensor, region: Tensor | None, width: float | None, count: int | None) -> tuple[Tensor, Tensor]:
    """Grey levels of x (B, P) float64 by pyradiomics' edges, to the last bit of each; and where x is not finite (B,).

    Fixed width: numpy.arange from the multiple of the width below the minimum. Fixed number: numpy.histogram's edges,
    the last one open. A division finds the bin but for rounding; the two edges beside it decide.
    """
    low = (x if region is None else torch.where(region, x, torch.inf)).amin(1, keepdim=True)
    high = (x if region is None else torch.where(region, x, -torch.inf)).amax(1, keepdim=True)
    bad = ~((low - high).isfinite() | (low > high))[:, 0]  # inf > -inf: an empty region
    if width is not None:
        start = low - torch.remainder(low, width)
        step = (start + width) - start
    elif count is not None:
        start = torch.where(low == high, low - 0.5, low)
        step = (torch.where(low == high, high + 0.5, high) - start) / count
        step = torch.where(step == 0, torch.inf, step)  # too narrow to be divided: one level
    else:
        strange = (x < 1) | (x != x.floor())
        bad |= (strange if region is None else region & strange).any(1)
        return (x if region is None else torch.where(region, x, 0)).clamp(0, LEVELS + 1).to(torch.int16), bad
    k = (x - start).div_(step).floor_()
    under = x < (k * step).add_(start)
    over = x >= (k + 1).mul_(step).add_(start)
    k = k.clamp_(-1, LEVELS + 1).add_(1).nan_to_num_(0).to(torch.int16)
    k = k.sub_(under.view(torch.int8)).add_(over.view(torch.int8)).clamp_(1, count or LEVELS + 1)
    return (k if region is None else torch.where(region, k, 0)), bad


def _chunks(
    n: list[int], box: Sequence[int], pairs: int, lines: int, by_slice: bool, memory: int
) -> Iterator[tuple[list[int], int]]:
    """Images that are measured together, and the levels their matrices have.

    Images of about as many levels share matrices of one size, so that one wide image costs only itself, and the size
    that an image gets does not depend on the others.
    """
    alike: dict[int, list[int]] = {}
    for image, levels in enumerate(n):
        alike.setdefault(_round(levels), []).append(image)
    rows = box[0] if by_slice else 1
    for top, images in sorted(alike.items()):
        voxels, longest = math.prod(box), max(box)
        cells = rows * (top + 1) * (pairs * (top + 1) * 48 + lines * (longest + 2) * 28)
        room = memory // (cells + voxels * (64 + 8 * lines))
        index = 2**31 // (rows * (top + 1) * max(2 * top + 2, lines * (longest + 1))) - 1  # what 32 bits can count
        step = max(1, min(room, index))
        for i in range(0, len(images), step):
            yield images[i : i + step], top


def _round(levels: int) -> int:
    """The next multiple of 8, of 16 above 64, of 32 above 128, ..."""
    grain = max(8, 1 << max(0, (levels - 1).bit_length() - 3))
    return max(grain, -(-levels // grain) * grain)


def _start(levels: Tensor, cells: int, by_slice: bool) -> Tensor:
    """Where each region's (or slice's) matrix begins: (B, D or 1, 1, 1) int32."""
    depth = levels.shape[1] if by_slice else 1
    start = torch.arange(0, len(levels) * depth * cells, cells, dtype=torch.int32, device=levels.device)
    return start.view(-1, depth, 1, 1)


def _shifted(offset: Offset) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices into (B, D, H, W): the voxels that have a neighbour at minus the offset, and those neighbours."""
    here = [slice(max(o, 0), min(o, 0) or None) for o in offset]
    there = [slice(max(-o, 0), min(-o, 0) or None) for o in offset]
    return (slice(None), *here), (slice(None), *there)


def _place(levels: Tensor, axis: int) -> Tensor:
    """How many voxels of the same run come before each, in all directions that lead along an axis and no earlier one.

    levels: (B, D, H, W); returns (S, A, B, ., .) int16 with the axis, S voxels long, in front and the two others last.
    The voxels are taken slice by slice along the axis: count = same * (1 + count of the voxel before). A frame around
    each slice lets each direction read the slice before with a shift of its own, all of them in one step.
    """
    p, q = int(axis == 0), int(axis < 2)  # whether directions also lead along the last two axes
    moved = torch.nn.functional.pad(levels.movedim(axis + 1, 0), (q, q, p, p), value=-1)  # -1 is no one's level
    s, b, high, wide = moved.shape
    a, c = high - 2 * p, wide - 2 * q
    ways = (2 * p + 1, 2 * q + 1)  # offsets 1, 0, -1 along each
    moved = moved.contiguous()
    before = torch.zeros((s, *ways, b, high, wide), dtype=torch.int16, device=levels.device)
    core = before[..., p : p + a, q : q + c]
    there = moved.as_strided((s - 1, *ways, b, a, c), (b * high * wide, wide, 1, high * wide, wide, 1))
    core[1:] = (moved[1:, None, None, :, p : p + a, q : q + c] == there).to(torch.int16)
    _, one, two, *inner = before.stride()
    for k in range(1, s):
        last = before[k - 1].as_strided((*ways, b, a, c), (one + wide, two + 1, *inner))
        core[k].addcmul_(core[k], last)
    return core.flatten(1, 2)


def _tally(index: Tensor, size: int) -> Tensor:
    """How often each of 0..size-1 occurs in index (K,) int32: (size,) whole numbers.

    Whole numbers add up to the same in any order, so this is deterministic on every device.
    """
    if _processor(index):
        return torch.bincount(index, minlength=size)
    one = torch.ones((), dtype=torch.int32, device=index.device).expand(len(index))
    return torch.zeros(size, dtype=torch.int32, device=index.device).index_add_(0, index, one)


def _average(features: Tensor, regions: int) -> Tensor:
    """(F, A, R) -> (B, F): the mean over the directions, and slices, in which a feature is defined."""
    by_region = features.view(len(features), features.shape[1], regions, -1)
    mean: Tensor = by_region.nanmean((1, 3)).mT.contiguous()
    return mean


def _xlog2x(counts: Tensor) -> Tensor:
    """Counts times their logarithms; 0 for 0."""
    return counts * counts.clamp_min(1).log2()


def _processor(tensor: Tensor) -> bool:
    """Whether the processor does the work: it has the quicker sort, eigenvalues and counts, and waits for nothing."""
    return tensor.device.type == "cpu"


def _ramp(first: int, last: int, like: Tensor) -> Tensor:
    """first, first + 1, ..., last as float64."""
    return torch.arange(first, last + 1, dtype=torch.float64, device=like.device)


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)


def _diagonals(pairs: Tensor, turn: int) -> Tensor:
    """Sums of pairs as `cooccurrence` counts them: over j - i = 0..n-1 with turn 1, over i + j = 2..2n with turn -1."""
    n, pitch = pairs.shape[-2] - 1, pairs.shape[-1]
    size = (*pairs.shape[:-2], n, n if turn == 1 else 2 * n - 1)
    total: Tensor = pairs.as_strided(size, (*pairs.stride()[:-2], pitch + turn, 1), pitch + 1).sum(-2)
    return total.double()


def _glcm(pairs: Tensor, highest: Tensor, mcc: bool) -> Tensor:
    """GLCM features (24, A, R) of pairs as `cooccurrence` counts them; highest: each image's highest level (B,).

    The marginals p_{x+y}, p_{x-y} and p_x hold all but five of them. HXY1 = HXY2 = 2 HX: p_x and p_y are one
    marginal. cov = (tendency - contrast) / 4 and var = (tendency + contrast) / 4. Haralick et al. 1973.
    """
    n = pairs.shape[-2] - 1
    half = pairs[..., 1:, 1 : n + 1].double()
    counts = half + half.mT  # each pair in both orders: (A, R, n, n)
    px = counts.sum(-1)  # (A, R, n)
    total = px.sum(-1)  # (A, R)
    some = torch.where(total > 0, total, torch.nan)
    plus, minus = 2 * _diagonals(pairs, -1), 2 * _diagonals(pairs, 1)
    i, s, k = _ramp(1, n, counts), _ramp(2, 2 * n, counts), _ramp(0, n - 1, counts)
    by_slice = highest.clamp_min(1)[:, None].expand(-1, counts.shape[1] // len(highest))
    top = by_slice.reshape(-1, 1)  # (R, 1)

    mean = (px @ i) / some
    around = s - 2 * mean[..., None]
    square = around * around
    tendency, shade, prominence = ((plus * w).sum(-1) / some for w in (square, square * around, square * square))
    contrast, difference = (minus @ (k * k)) / some, (minus @ k) / some
    levels = (px > 0).sum(-1)
    several = levels > 1
    bits = some.log2()
    joint = bits - _xlog2x(counts).sum((-2, -1)) / some
    single = bits - _xlog2x(px).sum(-1) / some
    information = (2 * single - joint).clamp_min(0)
    weights = torch.stack([1 / (1 + k * k), 1 / (1 + k), torch.where(k > 0, 1 / (k * k).clamp_min(1), 0)], -1)
    moment, inverse, variance = (minus @ weights / some[..., None]).unbind(-1)
    features = (
        ((plus @ (s * s)) / some - contrast) / 4,
        mean,
        prominence,
        shade,
        tendency,
        contrast,
        torch.where(several, (tendency - contrast) / (tendency + contrast), torch.nan),
        difference,
        bits - _xlog2x(minus).sum(-1) / some,
        (minus * (k - difference[..., None]) ** 2).sum(-1) / some,
        (counts * counts).sum((-2, -1)) / some**2,
        joint,
        torch.where(several, (joint - 2 * single) / single, torch.nan),
        (-torch.expm1(-2 * information)).sqrt(),
        moment,
        torch.where(several, _correlation(counts, px, total), torch.nan) if mcc else torch.full_like(mean, torch.nan),
        (minus / (1 + k * k / (top * top))).sum(-1) / some,
        inverse,
        (minus / (1 + k / top)).sum(-1) / some,
        variance,
        counts.amax((-2, -1)) / some,
        2 * mean,
        bits - _xlog2x(plus).sum(-1) / some,
        (tendency + contrast) / 4,
    )
    return torch.stack(features)


def _correlation(counts: Tensor, px: Tensor, total: Tensor) -> Tensor:
    """Maximal correlation coefficient of symmetric counts (..., n, n): (...).

    pyradiomics' Q = D^-1 P D^-1 P has the squared eigenvalues of D^-1/2 P D^-1/2, which is symmetric; its largest
    eigenvalue is 1, with the vector sqrt(p_x), and the second of Q is sought. (Renyi 1959; Haralick et al. 1973)
    """
    root = torch.where(px > 0, px.clamp_min(1).rsqrt(), 0)  # (..., n)
    scaled = counts * root[..., None] * root[..., None, :]
    if _processor(counts):
        ordered = torch.linalg.eigvalsh(scaled)  # (..., n), ascending
        return torch.maximum(-ordered[..., 0], ordered[..., -2])
    vector = (px / total.clamp_min(1)[..., None]).sqrt()
    return radius(scaled - vector[..., None] * vector[..., None, :])


def _glrlm(counts: Tensor) -> Tensor:
    """GLRLM features (16, A, R) of runs (A, R, n, L). Galloway 1975; Chu et al. 1990; Dasarathy and Holder 1991."""
    i, j = _ramp(1, counts.shape[-2], counts), _ramp(1, counts.shape[-1], counts)
    by_length = torch.stack([torch.ones_like(j), 1 / (j * j), j * j, j], -1)  # (L, 4)
    by_level = torch.stack([torch.ones_like(i), 1 / (i * i), i * i, i])  # (4, n)
    half = counts @ by_length  # (A, R, n, 4)
    sums = by_level @ half  # (A, R, 4, 4)
    total = torch.where(sums[..., 0, 0] > 0, sums[..., 0, 0], torch.nan)  # runs
    mean = sums / total[..., None, None]
    level, length = half[..., 0], counts.sum(-2)  # (A, R, n) and (A, R, L)
    uneven_level, uneven_length = ((each * each).sum(-1) / total for each in (level, length))
    features = (
        mean[..., 0, 1],
        mean[..., 0, 2],
        uneven_level,
        uneven_level / total,
        uneven_length,
        uneven_length / total,
        total / sums[..., 0, 3],
        (level * (i - mean[..., 3, 0, None]) ** 2).sum(-1) / total,
        (length * (j - mean[..., 0, 3, None]) ** 2).sum(-1) / total,
        total.log2() - _xlog2x(counts).sum((-2, -1)) / total,
        mean[..., 1, 0],
        mean[..., 2, 0],
        mean[..., 1, 1],
        mean[..., 2, 1],
        mean[..., 1, 2],
        mean[..., 2, 2],
    )
    return torch.stack(features)


def _firstorder(x: Tensor, region: Tensor | None, levels: Tensor, n: int, shift: float, volume: float) -> Tensor:
    """First-order features (B, 19) of x (B, P) float64; levels (B, ...) 0..n for entropy and uniformity."""
    if region is None:
        count, ordered = torch.full_like(x[:, 0], x.shape[1]), _sorted(x)
    else:
        count, ordered = region.sum(1).double(), _sorted(torch.where(region, x, torch.inf))  # the outside comes last
    x = ordered
    keep = None if region is None else torch.arange(x.shape[1], device=x.device) < count[:, None]
    some = torch.where(count > 0, count, torch.nan)

    def mean(terms: Tensor) -> Tensor:
        result: Tensor = (terms if keep is None else torch.where(keep, terms, 0)).sum(1) / some
        return result

    low, p10, p25, p50, p75, p90, high = _percentiles(x, count, (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)).unbind(1)
    flat = low == high
    centre = mean(x)
    around = x - centre[:, None]
    square = around * around
    variance = mean(square)
    shifted = x + shift if shift else x
    power = mean(shifted * shifted)
    middle = (x >= p10[:, None]) & (x <= p90[:, None])  # the outside is +inf: never in the middle
    within = middle.sum(1)
    trimmed = torch.where(middle, x, 0).sum(1) / within
    robust = torch.where(middle, (x - trimmed[:, None]).abs(), 0).sum(1) / within
    start = torch.arange(0, len(x) * (n + 1), n + 1, dtype=torch.int32, device=x.device)
    tally = _tally((levels.reshape(len(x), -1) + start[:, None]).view(-1), len(x) * (n + 1))
    grey = tally.view(len(x), n + 1)[:, 1:].double()
    features = (
        power * count,
        power * count * volume,
        some.log2() - _xlog2x(grey).sum(1) / some,
        low,
        p10,
        p90,
        high,
        centre,
        p50,
        p75 - p25,
        high - low,
        mean(around.abs()),
        robust,
        power.sqrt(),
        torch.where(flat, torch.nan, mean(square * around) / variance**1.5),
        torch.where(flat, torch.nan, mean(square * square) / (variance * variance)),
        variance,
        (grey * grey).sum(1) / (some * some),
        variance.sqrt(),
    )
    return torch.where(count[:, None] > 0, torch.stack(features, 1), torch.nan)


def _sorted(x: Tensor) -> Tensor:
    """Rows in ascending order; numpy's sort is the faster one on a processor."""
    if _processor(x):
        return torch.from_numpy(np.sort(x.numpy(), axis=1))
    return x.sort(1).values


def _percentiles(ordered: Tensor, count: Tensor, shares: Sequence[float]) -> Tensor:
    """Quantiles (B, Q) of the first `count` of each row, interpolated in the very steps of numpy.percentile.

    The robust deviation keeps values up to a percentile: the last bit decides whether a value equal to it is kept.
    """
    last = (count - 1).clamp_min(0)[:, None]
    place = last * torch.tensor(shares, dtype=torch.float64).to(ordered.device, non_blocking=True)
    below = place.floor()
    part = place - below
    a = ordered.gather(1, below.long())
    b = ordered.gather(1, torch.minimum(below + 1, last).long())
    step = b - a
    return torch.where(part < 0.5, a + step * part, b - step * (1 - part))
