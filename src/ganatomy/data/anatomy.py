"""The lung around a nodule, as a slab in HU: parenchyma, vessels and airways, chest wall, and the nodule itself.

`slab` draws the object that a `Scene` describes, averaged over the slice's thickness, before any scanner. Knows
tissue and shapes; not how a cohort is drawn, nor what a scanner makes of it. Sources of the numbers: docs/phantom.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from ganatomy.core.seed import rng
from ganatomy.data.ct import axes, shaped, slice_texture, tube_cover

BENIGN, MALIGNANT = "benign", "malignant"
MARGINS = ("smooth", "lobulated", "spiculated")
TEXTURES = ("homogeneous", "calcified", "necrotic", "subsolid")

# Hounsfield units of unenhanced tissue
LUNG, EMPHYSEMA, AIR = -850.0, -965.0, -990.0
BLOOD, MUSCLE, FAT, MARROW, CORTEX = 40.0, 50.0, -95.0, 220.0, 750.0

HETEROGENEITY = {BENIGN: 11.0, MALIGNANT: 26.0}  # HU, median sd inside a nodule


@dataclass(frozen=True)
class Scene:
    """What one image shows and how it is scanned: all that its pixels follow from, but for the seed and the noise."""

    label: str  # the class that the nodule is drawn as
    patient: int
    nodule: int  # of this patient
    level: float  # of the slice through the nodule, -1 to 1 of its radius
    diameter: float  # mm
    margin: str
    texture: str
    kernel: str
    dose: float
    thickness: float  # mm
    lung: float  # HU
    emphysema: float  # 0 to 1


def slab(seed: int, scene: Scene) -> np.ndarray:
    """The mean of the object over the slice's thickness, (GRID, GRID) in HU, before the scanner.

    Nodule and surroundings are drawn from (patient, nodule), so two slices of one nodule share them.
    """
    where = (scene.patient, scene.nodule)
    level = scene.level * scene.diameter / 2
    fine = rng(seed, "phantom", "texture", *where, f"{scene.level:.6f}")
    coarse, grain = (shaped(slice_texture(scene.thickness, scale), fine) for scale in (18.0, 7.0))

    # parenchyma: lobules and interstitium, gravity, and low-attenuation areas where a smooth field is high
    _, y = axes()
    slope = rng(seed, "phantom", "gravity", *where).uniform(-0.6, 0.9)
    hu = scene.lung + 16.0 * coarse + 12.0 * grain + slope * y
    if scene.emphysema > 0:
        hu -= 14.0 * scene.emphysema
        hollow = np.clip((coarse + 0.4 * grain - 1.7 + 1.5 * scene.emphysema) / 0.5, 0.0, 1.0)
        hu += (EMPHYSEMA - hu) * hollow

    chest = wall(rng(seed, "phantom", "wall", *where), scene.diameter / 2, scene.thickness)
    hilum = rng(seed, "phantom", "wall", *where).uniform(0, 2 * np.pi) + np.pi  # opposite the wall
    tree, airway = vessels(rng(seed, "phantom", "vessels", *where), hilum)
    cover = tube_cover(tree, level, scene.thickness)
    shape = rng(seed, "phantom", "shape", *where, scene.label)
    if len(airway):
        hu += (MUSCLE - hu) * 0.8 * tube_cover(airway, level, scene.thickness)
        airway[:, [3, 7]] *= 0.72
        hu += (AIR - hu) * tube_cover(airway, level, scene.thickness)
    if scene.texture == "subsolid":  # vessels are seen through ground glass
        _nodule(hu, scene, level, grain, shape)
        hu += (np.maximum(BLOOD, hu) - hu) * cover
    else:
        hu += (np.maximum(BLOOD, hu) - hu) * cover
        _nodule(hu, scene, level, grain, shape)
    if chest is not None:
        hu += (chest[0] - hu) * chest[1]
    return hu


# ------------------------------------------------------------ what surrounds the nodule


def vessels(generator: np.random.Generator, hilum: float) -> tuple[np.ndarray, np.ndarray]:
    """Branching vessels from the hilum's side, with twigs; and the airways beside two of them: tubes (n, 8).

    Radii follow Murray's law at a fork, r^3 = r1^3 + r2^3, and taper between forks. A bronchus runs along its
    artery and is about as wide. Written in plain floats: numpy is slow at three numbers.
    """
    normal = iter(generator.standard_normal((400, 4)).tolist())
    even = iter(generator.random((400, 4)).tolist())
    cos, sin = -math.cos(hilum), -math.sin(hilum)
    tubes: list[tuple[float, ...]] = []
    airway: list[tuple[float, ...]] = []
    for tree in range(int(generator.integers(5, 10))):
        (aside, high, _, _), (tilt, wide, _, _) = next(even), next(normal)
        aside, high, tilt = 44 * (aside - 0.5), 10 * (high - 0.5), 0.35 * tilt
        start = (-27 * cos - sin * aside, -27 * sin + cos * aside, high)
        tips = [
            (
                start,
                (cos - sin * tilt, sin + cos * tilt, 0.0),
                min(max(0.85 * math.exp(0.4 * wide), 0.45), 2.4),
            )
        ]
        while tips and len(tubes) < 160:
            (x, y, z), way, radius = tips.pop()
            size = math.hypot(*way)
            u, v, w = (part / size for part in way)
            step, fork, share, _ = next(even)
            a, b, c, _ = next(normal)
            reach, thin, share = 2.5 + 3.5 * step, radius * 0.95, 0.5 + 0.45 * share
            end = (x + u * reach, y + v * reach, z + w * reach)
            tubes.append((x, y, z, radius, *end, thin))
            if tree < 2 and radius > 0.8:
                dx, dy, r0, r1 = -2.1 * v * radius, 2.1 * u * radius, 1.05 * radius, 1.05 * thin
                airway.append((x + dx, y + dy, z, r0, end[0] + dx, end[1] + dy, end[2], r1))
            if thin < 0.26 or max(abs(end[0]), abs(end[1])) > 29 or abs(end[2]) > 9:
                continue
            if fork < 0.5:
                along = u * a + v * b + w * c
                a, b, c = a - u * along, b - v * along, c - w * along
                size = math.hypot(a, b, c)
                a, b, c = a / size, b / size, 0.7 * c / size
                large = thin / (1 + share**3) ** (1 / 3)
                tips.append((end, (u + 0.35 * share * a, v + 0.35 * share * b, w + 0.35 * share * c), large))
                tips.append((end, (u - 0.9 * a, v - 0.9 * b, w - 0.9 * c), large * share))
            else:
                tips.append((end, (u + 0.2 * a, v + 0.2 * b, 0.9 * w + 0.12 * c), thin))
    count = int(generator.integers(24, 44))
    place = generator.uniform(-20, 20, (count, 3)) * np.array([1.0, 1.0, 0.25])
    thick = generator.uniform(0.2, 0.5, (count, 1))
    twigs = np.concatenate([place, thick, place + generator.normal(0, 1.6, (count, 3)), thick * 0.7], axis=1)
    return np.concatenate([np.array(tubes), twigs]), np.array(airway).reshape(-1, 8)


def wall(generator: np.random.Generator, radius: float, thickness: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Chest wall with ribs, in three patches of ten: its HU and its share of each cell, (GRID, GRID) both.

    It lies towards the angle that the generator gives first.
    """
    angle = generator.uniform(0, 2 * np.pi)
    present, gap, bow, bare = generator.random(4).tolist()
    # of a rib, in mm: where along the wall, how deep, its half thickness and half length
    along, depth, thick, long = generator.uniform((-14, 4.5, 2.6, 6), (14, 7.5, 4.0, 13)).tolist()
    bow = 55.0 + 75.0 * bow  # mm, radius of the chest's curve
    if present > 0.3:
        return None
    x, y = axes()
    distance = max(6.5 + 10.5 * gap, 0.8 * radius + 2.0 * gap)
    u = x * np.cos(angle) + y * np.sin(angle) - distance + bow
    v = -x * np.sin(angle) + y * np.cos(angle)
    outward = np.hypot(u, v) - bow  # mm beyond the pleura, negative in the lung
    tissue = np.full_like(outward, MUSCLE)
    tissue += (FAT - MUSCLE) * np.clip(outward - depth - thick - 1.5, 0, 1) * (outward < depth + thick + 5.5)
    tissue += (FAT - MUSCLE) * 0.7 * np.exp(-(((outward - 1.6) / 0.7) ** 2))
    if bare > 0.25:
        inside = thick - np.hypot(outward - depth, np.maximum(np.abs(v - along) - long, 0.0))
        tissue += (CORTEX - tissue) * np.clip(inside / 0.5, 0, 1)
        tissue += (MARROW - tissue) * np.clip((inside - 1.3) / 0.5, 0, 1)
    oblique = 0.5 + 0.35 * thickness  # mm: the wall is not at a right angle to the slice
    return tissue, np.clip(0.5 + outward / oblique, 0.0, 1.0)


# ------------------------------------------------------------ the nodule


def _lobes(margin: str, radius: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """A nodule's body as balls (n, 4): x, y, z, radius in mm; and how softly they merge, in mm."""
    core, low, high, reach, ball, merge, drawn = {
        "smooth": (0.80, 2, 5, 0.34, (0.55, 0.80), 0.45, 1.03),
        "lobulated": (0.72, 5, 9, 0.62, (0.32, 0.50), 0.12, 1.24),
        "spiculated": (0.68, 6, 11, 0.66, (0.22, 0.48), 0.14, 1.28),
    }[margin]  # the last makes the section through the middle as large as a disc of this radius, on average
    radius = radius * drawn
    number = int(generator.integers(low, high))
    ways = generator.normal(0, 1, (number, 3))
    ways /= np.sqrt((ways * ways).sum(axis=1, keepdims=True))
    places = ways * reach * generator.uniform(0.7, 1.2, (number, 1))
    balls = np.concatenate([places, generator.uniform(*ball, (number, 1))], axis=1)
    return np.concatenate([[[0.0, 0.0, 0.0, core]], balls]) * radius, merge * radius


def _distance(place: tuple[np.ndarray, ...], balls: np.ndarray, merge: float) -> np.ndarray:
    """Signed distance to a smooth union of balls, negative inside (polynomial smooth minimum)."""
    x, y, z = place
    out: np.ndarray | None = None
    for bx, by, bz, br in balls.tolist():
        d = np.sqrt((x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2) - br
        if out is None:
            out = d
        else:
            blend = np.maximum(merge - np.abs(out - d), 0.0)
            out = np.minimum(out, d) - blend * blend * (0.25 / merge)
    assert out is not None
    return out


def _inside(distance: np.ndarray, soft: float) -> np.ndarray:
    """Share of tissue across an edge that is `soft` mm wide."""
    return np.clip(0.5 - distance / soft, 0.0, 1.0)


def _spicules(radius: float, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Radial strands that thin outwards, most below 2 mm (fine, Zwirewich 1991): tubes (n, 8)."""
    number = int(6 + 16 * strength)
    ways = generator.normal(0, 1, (number, 3)) * np.array([1.0, 1.0, 0.7])
    ways /= np.sqrt((ways * ways).sum(axis=1, keepdims=True))
    base = ways * radius * 0.85
    length = generator.gamma(2.5, 0.4, (number, 1)) * (1.8 + 0.40 * radius) * (0.4 + strength) + 0.15 * radius
    knee = base + (ways + generator.normal(0, 0.12, (number, 3))) * length * 0.5
    tip = knee + (ways + generator.normal(0, 0.35, (number, 3))) * length * 0.6
    thick = generator.uniform(0.4, 0.9, (number, 1)) * (0.6 + 0.5 * strength)
    near = np.concatenate([base, thick, knee, 0.65 * thick], axis=1)
    far = np.concatenate([knee, 0.65 * thick, tip, 0.3 * thick], axis=1)
    return np.concatenate([near, far])


def _nodule(hu: np.ndarray, scene: Scene, level: float, grain: np.ndarray, generator: np.random.Generator) -> None:
    """Paint the nodule over a slab: its body in sub-slices, what it holds, and its strands.

    grain: (GRID, GRID) correlated texture of sd about 1 that roughens the edge and the inside.
    """
    radius = scene.diameter / 2
    ill = scene.label == MALIGNANT
    balls, merge = _lobes(scene.margin, radius, generator)
    centre = generator.normal(0, 0.8, 2)
    turn, flat = generator.uniform(0, np.pi), generator.uniform(0.78, 1.0)
    strength = float(np.clip(generator.normal(0.68 if ill else 0.32, 0.22), 0.05, 1.0))
    strands = _spicules(radius, strength, generator)
    edge = generator.lognormal(-0.6, 0.35) * (3.0 if scene.texture == "subsolid" else 1.0)
    rough = {"smooth": 0.06, "lobulated": 0.14, "spiculated": 0.20 + 0.35 * strength}[scene.margin]
    base = generator.normal(38.0, 9.0)
    spread = HETEROGENEITY[scene.label] * generator.lognormal(0.0, 0.4)

    # the box that holds the body, in nodule coordinates (turned, and flattened across one axis)
    x, y = axes()
    reach = radius * 1.9 + 1.5
    columns = (x[0] > centre[0] - reach) & (x[0] < centre[0] + reach)
    lines = (y[:, 0] > centre[1] - reach) & (y[:, 0] < centre[1] + reach)
    box = (slice(*_ends(lines)), slice(*_ends(columns)))
    px, py = x[:, box[1]] - centre[0], y[box[0]] - centre[1]
    qx, qy = px * np.cos(turn) + py * np.sin(turn), py * np.cos(turn) - px * np.sin(turn)
    qx, qy = qx[None] * math.sqrt(flat), qy[None] / math.sqrt(flat)
    count = int(np.ceil(scene.thickness / 0.6))
    z = (level + ((np.arange(count) + 0.5) / count - 0.5) * scene.thickness)[:, None, None]
    place = (qx, qy, z)  # broadcasts to (count, h, w)

    local = grain[box][None]
    distance = _distance(place, balls, merge) + rough * local
    filled = _inside(distance, edge)
    inner = _inner(scene, place, distance, base + spread * local, generator)
    share = filled.mean(axis=0)
    hu[box] = hu[box] * (1.0 - share) + (filled * inner).mean(axis=0)
    if scene.margin == "spiculated":
        strands[:, [0, 4]] += centre[0]
        strands[:, [1, 5]] += centre[1]
        cover = tube_cover(strands, level, scene.thickness)
        faint = 0.45 if scene.texture == "subsolid" else 1.0
        np.maximum(hu, hu + (base - 30.0 - hu) * cover * faint, out=hu)


def _ends(mask: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(mask)
    return int(where[0]), int(where[-1]) + 1


def _inner(
    scene: Scene,
    place: tuple[np.ndarray, ...],
    distance: np.ndarray,
    solid: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """HU within the body, (count, h, w): solid tissue, or calcified, necrotic, or ground glass."""
    radius = scene.diameter / 2
    kind, size, strong = generator.random(3).tolist()
    off = generator.normal(0, 1, (7, 4))
    off[:, :3] /= np.sqrt((off[:, :3] ** 2).sum(axis=1, keepdims=True))

    def ball(share: float, shift: float = 0.0, row: int = 0, soft: float = 0.8) -> np.ndarray:
        """A sphere of a share of the radius, shifted by a share of the radius."""
        centre = np.array([[*(off[row, :3] * shift * radius), share * radius]])
        return _inside(_distance(place, centre, 1.0), soft)

    full = np.broadcast_to(solid, distance.shape)
    if scene.texture == "calcified":
        calcium = 280.0 + 520.0 * strong
        if scene.label == MALIGNANT:  # eccentric, stippled
            amount = np.maximum(ball(0.14 + 0.08 * size, 0.5), ball(0.10, 0.55, 1))
        elif kind < 0.40:  # central
            amount = ball(0.35 + 0.25 * size, 0.08)
        elif kind < 0.60:  # popcorn
            amount = np.max([ball(0.16 + 0.05 * abs(off[i, 3]), 0.45, i, 0.6) for i in range(7)], axis=0)
        elif kind < 0.80:  # laminated: a centre and a shell
            ring = np.abs(distance + 0.28 * radius) - 0.10 * radius
            amount = np.maximum(ball(0.22), _inside(ring, 0.6))
        else:  # diffuse
            amount, calcium = _inside(distance + 0.08 * radius, 1.0), 190.0 + 260.0 * strong
        return np.asarray(full + (calcium - full) * amount)
    if scene.texture == "necrotic":
        core = ball(0.48 + 0.20 * size, 0.12, soft=1.2)
        rim, dead = full + 14.0, 6.0 - 10.0 * strong + 0.5 * (full - solid.mean())
        out = rim + (dead - rim) * core
        if kind < 0.4 and scene.diameter > 9.0:  # the core has drained into a bronchus: a cavity with air
            out = out + (AIR + 40.0 - out) * ball(0.25 + 0.25 * size, 0.22, 1)
        return np.asarray(out)
    if scene.texture == "subsolid":
        glass = -640.0 + 200.0 * strong + (full - solid.mean()) * 2.0
        if kind < 0.55:  # part-solid
            glass = glass + (full - glass) * ball(0.22 + 0.30 * size, 0.25, soft=1.5)
        return np.asarray(glass)
    return np.asarray(full)
