"""The surface of a region as triangles (marching cubes), and what is extreme in it. Counts in half voxels; exact.

Knows which triangles each of the 256 cubes of eight voxels holds. Knows no features.
Source: Lorensen and Cline 1987, ACM SIGGRAPH Computer Graphics 21(4).
"""

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ganatomy.radiomics.compiled import compiled
from ganatomy.radiomics.region import Float

Int = NDArray[np.int64]
Small = NDArray[np.int32]
Byte = NDArray[np.uint8]

# A cube's number has bit 4 z + 2 y + x set where its corner (z, y, x) lies inside. These are the cubes 1..127:
# three letters a triangle, a..l the midpoints of the cube's twelve edges in raster order; cube 255 - c has the
# triangles of c, turned inside out. Midpoints on a face can be joined, and a loop of them cut into triangles, in
# several ways. The way taken is the one whose area (at four voxel sizes), volume and normal are those that
# pyradiomics 3.0.1 gives for the cube alone: all ways were tried. Its surface has gaps, where two cubes join the
# midpoints of one face differently.
_TRIANGLES = """
aeb acf bcecfe bgd aeddeg acfbgd cfddfgegf cdh aebcdh adfdhf bdedheehf bgccgh aeccehegh abfbgffgh egffgh
eij aibbij acfeij bcjcficij bgdeij aiddiggij acfbgdeij cfddfgfiggij cdheij aibbijcdh adfdhfeij
bdhbhibijfih bgccgheij ahcaijajhghj abfbgfeijfgh fghfiggij fki aebfki acicki bckbiebki bgdfki aeddegfki
acibgdcki cgdcigckiegi cdhfki aebcdhfki adidhihki bdedheehihki bgccghfki aecceheghfki abgagkakighk
eghehihki efjfkj afbbfkbkj acecjeckj bcjckj bgdefjfkj afddfgfjgfkj acebgdcjeckj cgdcjgckj cdhefjfkj
afbbfkbkjcdh adedheehkekj bdhbhkbkj bgccghefjfkj afkaghahcajgakj abgaghahkajeakj ghjhkj gjl aejagbajlalg
acfgjl bclblgcflejlelf bjddjl aejajlald abfbjfcfddflfjl cejcfecjlcld cdgcgjcjhhjl aecbdgcehejhhjl
adjajfdgjfjhhjl bdgehfejhhjl bjccjhhjl aeccehejhhjl abfbjlblfflh ehfejhhjl eiggil agbailalg
acecficgecilclg bcfbfgfilflg beddeidil aiddil abecfddfidil cfddfidil cdgceicgecilclh ahcailalhbdg
adedgefihhil bdgfihhil becceheilelh ahcailalh abefihhil fihhil fgifkggjigkl afbbfgejifkggkl
acgagickggjigkl bckbkgejigkl bfdbjfdflfjifkl afkaklaldeji abibjickddkl ckddkleji cdfdgffgigjihkl
afcbdgejihkl adidgigjihkl bdgejihkl bjccifcjihkl afcejihkl abibjihkl ejihkl efgfkggkl afbbfgfkggkl
acecklcleelg bckbkggkl beddekdklefk afkaklald abeckddkl ckddkl cdfdgfefghkl afcbdghkl adedgehkl bdghkl
beccefhkl afchkl abehkl hkl
"""
# The standard asks for a closed mesh. These cubes then have other triangles, and m is the cube's middle: wherever two
# voxels inside and two outside alternate around a face, those inside are joined, on both sides of the face. The ways
# taken are those of Lewiner et al. 2003, Journal of Graphics Tools 8(2), as scikit-image 0.26 draws each cube alone.
_CLOSED = """
6abgagfcfgcgd 9aehahcbdhbhe 18acjajecfjfij 20beddeidijdjg 22abcacfafebdcbegbgdefieijejg 25aicbdjcihdhjhij
26adedhjdjefihhij 28becceicihghjhij 30abefghfiggij 33afbbfkbiebki 37afddfkdkgegigki 38abibgickddkggki
40cdicifdhihki 41abdadcaebafecdhchfefifhkfki 44bfcbgibifghkgki 45afceghehkeki 52befbfddfkdkggkj 54abecgdcjgckj
56cdecefdhjdjehkj 57afcbdhbhkbkj 60beccefghjhkj 61afjagcajgcgmcmffmjghmhkmjmk 62abhahkakebembmhekmghmgmjjmk
67bcgcflclgejffjl 70abjajfcflcldfjl 73abdadcaebbegcdhdghejggjlglh 74adgagjajffjlflh 82acgagecflclgfil
88cdeceicihdgehil 91bdfbfibigdgmdmffmhgimhmlilm 94abhahmamebelblhemlfimfmhilm 97aebafebegefiejgfkigjlikjjkl
98acgagjajicklclg 100bfdbifbjidfkdkl 103cedcieckmcmidejdjmdmlimjklm 104cdhchfdghfhkfkigjlglhikjjkl
110abhahkakmamibjmblhbmlimjklm 118abmakeamkbelblmckmcmddmlekl 122admahkakeamhdgmeklelmemghml
124belbhmblhbmccmfefmeklemkhkm 130aclalfchlflk 131bchbhlbleekfelk 132bgkbkddkhglk 133aekahdakheglelk
134abcacfbdcbgdchfdghfhkglhhlk 135chdegffglflk 137aekakcbdlbleelk 144ehleikekhelj 145ahbaikakhbhlblj
146acfafechfefieijfhkhlkiklilj 147bcjchjfikhlj 148begbgddgheijejgglhhlkiklilj 149aiddihgljhik 150abechdfikglj
151chdfikglj 152cdeceicikdjedlj 153aicbdjcikdlj 154adlaleeljfik 155bdfbfibimbmjdkfdlmdmkikmjml 156bekbkceikglj
157agcaimajgamjcglclmcmkikmjml 158abefikglj 159fikglj 161afhahbbhlbleeli 164bfdbgibifdfhgli 165afhahdegleli
166abgaglalichd 167cedchiciedemdmhegmglmhmiiml 169afcbdediedli 173afmagcamgcglclfegmemiflmiml 180behbhdefhglj
181afjagmajgamddmhfhmfljfmlglm 182abechdglj 183chdglj 185afjajmamcbdmbmjclfcmldlmflj
188bembmccglclfcmgefmfjmfljgmj 190abeglj 193aekahbakhbhgejk 194acgagjajfchgfjk 199cedchmcmedejdjhemffmkhjmjkm
203bdfbfmbmgdgkdkfejmemfgmkjkm 211bcmbfibigbmfchmfmkgikgkmgmh 217aimamcbdmbigbmicmkdgkdkmgik
218admamedfmdgkdkfemgfimgikgmi 227bcmbmgcemchicieejmgmhhjihmj 229afmamddejdjhdmeemifhmhimhji
230abmamibjmchicimcmddjhdmjhji
"""
_POINTS = [p for p in product(range(3), repeat=3) if p.count(1) == 1]  # the edges' middles, in half voxels
_POINTS.append((1, 1, 1))


def triangles(letters: str) -> Int:
    """Corners of a cube's triangles in half voxels: (triangles, 3, 3), the last axis z, y, x."""
    points = [_POINTS[ord(letter) - ord("a")] for letter in letters]
    return np.array(points, np.int64).reshape(-1, 3, 3)


def closed() -> dict[int, str]:
    """Letters of the triangles of each of the cubes 1..254 in a closed mesh."""
    half = dict(enumerate(_TRIANGLES.split(), 1))
    found = half | {255 - cube: letters[::-1] for cube, letters in half.items()}
    return found | {int(word.rstrip("abcdefghijklm")): word.lstrip("0123456789") for word in _CLOSED.split()}


def _cells() -> tuple[Int, Float]:
    """Of each cube: (256, 4) six volumes from its corner, and normal z, y, x; (256, 5, 3) normals of its triangles."""
    cells, normals = np.zeros((256, 4), np.int64), np.zeros((256, 5, 3))
    for cube, letters in enumerate(_TRIANGLES.split(), 1):
        a, b, c = np.moveaxis(triangles(letters), 1, 0)
        cells[cube, 0] = (a * np.cross(b, c)).sum()
        normal = np.cross(a, b) + np.cross(b, c) + np.cross(c, a)
        cells[cube, 1:] = normal.sum(0)
        normals[cube, : len(normal)] = normal
    cells[128:255] = -cells[127:0:-1]
    normals[128:255] = normals[127:0:-1]
    return cells, normals


def _closed_cells() -> tuple[Float, Float]:
    """Of each cube in a closed mesh: (256,) volume inside beyond an eighth of a voxel for each corner inside, in
    voxels; (256, 9, 3) normals of its triangles."""
    cubes = closed()
    sizes = [len(letters) // 3 for letters in cubes.values()]
    owner = np.repeat(list(cubes), sizes)
    a, b, c = np.moveaxis(triangles("".join(cubes.values())), 1, 0)
    normals = np.zeros((256, 9, 3))
    normals[owner, np.concatenate([range(size) for size in sizes])] = np.cross(b - a, c - a)
    solid = np.bincount(owner, (a * np.cross(b, c)).sum(1), 256) / 48
    corners = (np.arange(256)[:, None] >> np.arange(8) & 1).reshape(256, 2, 2, 2)
    faces = np.zeros(256)  # parts inside of the three faces away from the first corner; those at it have no height
    for face in (corners[:, 1], corners[:, :, 1], corners[:, :, :, 1]):
        apart = (face[:, 0, 0] == face[:, 1, 1]) & (face[:, 0, 1] == face[:, 1, 0]) & (face[:, 0, 0] != face[:, 0, 1])
        faces += np.where(apart, 3 / 4, np.array([0, 1 / 8, 1 / 2, 7 / 8, 1])[face.sum((1, 2))])
    excess: Float = solid + faces / 3 - corners.sum((1, 2, 3)) / 8
    return excess, normals


CELLS, _NORMALS = _cells()
EXCESS, _CLOSED_NORMALS = _closed_cells()


def areas(spacing: tuple[float, float, float], *, close: bool = False) -> Float:
    """Area of the triangles of each of the 256 cubes, in mm2, at voxels of z, y, x mm; close: of the closed mesh."""
    z, y, x = spacing
    scaled = (_CLOSED_NORMALS if close else _NORMALS) * np.array([y * x, z * x, z * y])
    found: Float = np.sqrt((scaled**2).sum(2)).sum(1) / 8
    return found


@compiled
def extent(mask: Byte, found: Int) -> None:
    """Bounding box and moments of a mask (D, H, W) into `found` (16,): first and last z, y, x; voxels; sums.

    The sums, of z, y, x, zz, yy, xx, zy, zx, yx, are of twice the distance from the middle of the box: whole and small.
    """
    depth, height, width = mask.shape
    found[:] = 0
    found[0], found[2], found[4] = depth, height, width
    found[1] = found[3] = found[5] = -1
    for z in range(depth):
        for y in range(height):
            row = mask[z, y]
            x = 0
            while x < width:
                if row[x] == 0:
                    x += 1
                    continue
                start = x
                while x < width and row[x]:
                    x += 1
                # a run start..x-1, centred on the middle of the array
                length = x - start
                cz, cy, cx = 2 * z - depth, 2 * y - height, start + x - 1 - width
                found[0] = min(found[0], z)
                found[1] = z
                found[2] = min(found[2], y)
                found[3] = max(found[3], y)
                found[4] = min(found[4], start)
                found[5] = max(found[5], x - 1)
                found[6] += length
                found[7] += cz * length
                found[8] += cy * length
                found[9] += cx * length
                found[10] += cz * cz * length
                found[11] += cy * cy * length
                found[12] += cx * cx * length + (length * length - 1) * length // 3
                found[13] += cz * cy * length
                found[14] += cz * cx * length
                found[15] += cy * cx * length
    if found[6] == 0:
        return
    n = found[6]
    z, y, x = found[0] + found[1] - depth, found[2] + found[3] - height, found[4] + found[5] - width
    sum_z, sum_y, sum_x = found[7], found[8], found[9]
    found[7] -= n * z
    found[8] -= n * y
    found[9] -= n * x
    found[10] += z * (n * z - 2 * sum_z)
    found[11] += y * (n * y - 2 * sum_y)
    found[12] += x * (n * x - 2 * sum_x)
    found[13] += n * z * y - z * sum_y - y * sum_z
    found[14] += n * z * x - z * sum_x - x * sum_z
    found[15] += n * y * x - y * sum_x - x * sum_y


@compiled
def surface(
    mask: Byte,
    box: Int,
    cells: Int,
    counts: Int,
    along_x: Small,
    along_y: Small,
) -> int:
    """Six volumes of the mesh in half voxels; how many of each cube into `counts` (256,).

    Also which vertices are the first and the last on their lattice lines, in half voxels from one voxel before the box:
    along_x (2, rows z, rows y) holds the least and the greatest x, along_y (2, rows z, rows x) those of y; -1: none.
    """
    z0, y0, x0 = box[0], box[2], box[4]
    depth, height, width = box[1] - z0 + 1, box[3] - y0 + 1, box[5] - x0 + 1
    counts[:] = 0
    along_x[:, : 2 * depth + 2, : 2 * height + 2] = -1
    along_y[:, : 2 * depth + 2, : 2 * width + 2] = -1
    outside = np.zeros(width, np.uint8)
    codes = np.zeros(width + 2, np.uint8)
    total = 0
    for z in range(depth + 1):
        for y in range(height + 1):
            # each position's four voxels in z and y as bits 0, 2, 4, 6; its neighbour in x has bits 1, 3, 5, 7
            near = z > 0 and y > 0
            a = mask[z0 + z - 1, y0 + y - 1, x0 : x0 + width] if near else outside
            b = mask[z0 + z - 1, y0 + y, x0 : x0 + width] if z > 0 and y < height else outside
            c = mask[z0 + z, y0 + y - 1, x0 : x0 + width] if z < depth and y > 0 else outside
            d = mask[z0 + z, y0 + y, x0 : x0 + width] if z < depth and y < height else outside
            for x in range(width):
                codes[x + 1] = a[x] | b[x] << 2 | c[x] << 4 | d[x] << 6
            volume, normal_z, normal_y, normal_x = 0, 0, 0, 0
            for x in range(width + 1):
                cube = np.int64(codes[x]) | np.int64(codes[x + 1]) << 1
                if cube in (0, 255):
                    continue
                counts[cube] += 1
                volume += cells[cube, 0]
                normal_z += cells[cube, 1]
                normal_y += cells[cube, 2]
                normal_x += cells[cube, 3] * x
                if cube & 1:
                    cube = 255 - cube
                # the vertices next to this cube's first corner: on the edges to its neighbours in x, y, z
                for axis in range(3):
                    if cube >> (1 << axis) & 1:
                        vz, vy, vx = 2 * z + axis // 2, 2 * y + axis % 2, 2 * x + (axis == 0)
                        if along_x[0, vz, vy] < 0:
                            along_x[0, vz, vy] = vx
                        along_x[1, vz, vy] = vx  # places on one line come in rising order
                        if along_y[0, vz, vx] < 0:
                            along_y[0, vz, vx] = vy
                        along_y[1, vz, vx] = vy
            total += volume + 2 * (normal_z * z + normal_y * y + normal_x)
    return total


@compiled
def diameters(
    along_x: Small, along_y: Small, sides: Int, spacing: Float, kept_x: Byte, kept_y: Byte, corners: Int, found: Float
) -> int:
    """Greatest distances between vertices, in mm, into `found` (4,): within planes of one z, one y, one x, and of all.

    sides: (3,) voxels of the box; kept_x, kept_y: scratch shaped as the lines
    corners: (any, 3) receives, in raster order, the vertices that are corners of the hull of their plane in all three
        ways: among them are all corners of the hull in space. Their number is returned.
    """
    rows_z, rows_y, rows_x = 2 * sides[0] + 2, 2 * sides[1] + 2, 2 * sides[2] + 2
    stack = np.empty(max(rows_z, rows_y, rows_x), np.int64)
    points = np.empty((2 * len(stack), 2))
    kept_x[:] = 0
    kept_y[:] = 0
    for axis in range(3):
        planes = (rows_z, rows_y, rows_x)[axis]
        best = 0.0
        for k in range(1, planes):
            if axis == 0:
                line, kept = along_x[:, k, :rows_y], kept_x[:, k, :rows_y]
            elif axis == 1:
                line, kept = along_x[:, :rows_z, k], kept_x[:, :rows_z, k]
            else:
                line, kept = along_y[:, :rows_z, k], kept_y[:, :rows_z, k]
            step, along = spacing[1 if axis == 0 else 0], spacing[1 if axis == 2 else 2]
            best = plane_diameter(line, kept, 1 << axis, step, along, best, stack, points)
        found[axis] = best
    number = 0
    for z in range(1, rows_z):
        for y in range(1, rows_y):
            for side in range(2):
                x = along_x[side, z, y]
                single = x == along_x[1 - side, z, y]
                marks = kept_x[side, z, y] | (kept_x[1 - side, z, y] if single else 0)
                if marks != 3 or (single and side == 1):
                    continue
                if (along_y[0, z, x] == y and kept_y[0, z, x]) or (along_y[1, z, x] == y and kept_y[1, z, x]):
                    corners[number, 0], corners[number, 1], corners[number, 2] = z, y, x
                    number += 1
    found[3] = _farthest(corners[:number], spacing, max(found[0], found[1], found[2]))
    for k in range(4):
        found[k] = math.sqrt(found[k]) / 2
    return number


@compiled
def plane_diameter(
    line: Small, kept: Byte, mark: int, step: float, along: float, best: float, stack: Int, points: Float
) -> float:
    """Squared diameter of one plane's points, or `best` if that is more; marks the corners of their convex hull.

    line: (2, rows) the least and greatest place on each row; step, along: size of a row and of a place
    """
    rows = line.shape[1]
    first, last, low, high = rows, -1, 1 << 30, -1
    for row in range(rows):
        if line[0, row] >= 0:
            first, last = min(first, row), row
            low, high = min(low, line[0, row]), max(high, line[1, row])
    if last < 0:
        return best
    number = 0
    for side in range(2):
        sign = 1 - 2 * side
        top = 0
        for row in range(first, last + 1):
            place = np.int64(line[side, row])
            if place < 0:
                continue
            while top > 1:
                r0, r1 = stack[top - 2], stack[top - 1]
                p0, p1 = np.int64(line[side, r0]), np.int64(line[side, r1])
                if sign * ((p1 - p0) * (row - r0) - (place - p0) * (r1 - r0)) < 0:
                    break
                top -= 1
            stack[top] = row
            top += 1
        for k in range(top):
            kept[side, stack[k]] |= mark
            points[number, 0] = stack[k] * step
            points[number, 1] = line[side, stack[k]] * along
            number += 1
    if ((last - first) * step) ** 2 + ((high - low) * along) ** 2 <= best:
        return best
    for i in range(number):
        for j in range(i):
            best = max(best, (points[i, 0] - points[j, 0]) ** 2 + (points[i, 1] - points[j, 1]) ** 2)
    return best


@compiled
def _farthest(corners: Int, spacing: Float, best: float) -> float:
    """Squared diameter of points, at least `best`. Points too near the middle to matter are left out."""
    number = len(corners)
    middle = np.zeros(3)
    for k in range(3):
        low, high = 1 << 30, -1
        for i in range(number):
            low, high = min(low, corners[i, k]), max(high, corners[i, k])
        middle[k] = (low + high) / 2
    points = np.empty((number, 3))
    radius = np.empty(number)
    reach = 0.0
    for i in range(number):
        for k in range(3):
            points[i, k] = (corners[i, k] - middle[k]) * spacing[k]
        radius[i] = math.sqrt(points[i, 0] ** 2 + points[i, 1] ** 2 + points[i, 2] ** 2)
        reach = max(reach, radius[i])
    kept = 0
    for i in range(number):  # two points are at most the sum of their radii apart; the slack is for rounding
        if (radius[i] + reach) * (1 + 1e-12) >= math.sqrt(best):
            for k in range(3):
                points[kept, k] = points[i, k]
            kept += 1
    for i in range(kept):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        for j in range(i):
            best = max(best, (points[j, 0] - z) ** 2 + (points[j, 1] - y) ** 2 + (points[j, 2] - x) ** 2)
    return best


@compiled
def hull(corners: Int, spacing: Float, found: Float) -> None:
    """Volume (mm3) and area (mm2) of the convex hull of points (any, 3) in half voxels, into `found` (2,).

    NaN where they lie in one plane. Whole numbers, hence exact, to about 2^17 voxels a side; quick in raster order.
    """
    found[:] = np.nan
    number = len(corners)
    start = np.empty(4, np.int64)
    _tetrahedron(corners, start)
    if start[3] < 0:
        return
    room = 2 * number + 8
    planes = np.empty((room, 4))  # outward normal of a face, and its product with a point of the face
    vertex = np.empty((room, 3), np.int64)
    beside = np.empty((room, 3), np.int64)  # the face across the edge from vertex k to vertex k + 1
    alive = np.zeros(room, np.bool_)
    free = room - 1 - np.arange(room)  # a stack of places for faces
    recent = np.empty(room, np.int64)  # the faces of the last point: in raster order the next one sees one of them
    rim = np.empty((room, 3), np.int64)
    rim_from = np.empty(number, np.int64)
    for face, (a, b, c) in enumerate(((0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0))):
        _put(corners, vertex, planes, face, start[a], start[b], start[c])
        alive[face] = True
        recent[face] = face
    for face, (a, b, c) in enumerate(((1, 2, 3), (3, 2, 0), (1, 3, 0), (2, 1, 0))):
        beside[face, 0], beside[face, 1], beside[face, 2] = a, b, c
    spare, fresh = room - 4, 4
    for p in range(number):
        seen = _seen(corners, planes, alive, recent[:fresh], p)
        if seen >= 0:
            spare, edges = _take_away(corners, planes, vertex, beside, alive, free, spare, recent, rim, seen, p)
            for e in range(edges):
                recent[e] = free[spare - 1 - e]
            spare -= edges
            fresh = edges
            _join(corners, planes, vertex, beside, alive, recent[:edges], rim, rim_from, p)
    z, y, x = spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]
    volume, area = 0.0, 0.0
    for face in range(room):
        if alive[face]:
            volume += planes[face, 3]
            area += math.sqrt((planes[face, 0] * z) ** 2 + (planes[face, 1] * y) ** 2 + (planes[face, 2] * x) ** 2)
    found[0] = volume * spacing[0] * spacing[1] * spacing[2] / 48
    found[1] = area / 8


@compiled
def _seen(corners: Int, planes: Float, alive: NDArray[np.bool_], recent: Int, p: int) -> int:
    """A face that point p is beyond, sought among the recent ones first; -1 where it is in the hull."""
    for k in range(len(recent) + len(planes)):
        face = recent[k] if k < len(recent) else k - len(recent)
        if alive[face] and _height(corners, planes, face, p) > 0:
            return int(face)
    return -1


@compiled
def _take_away(
    corners: Int,
    planes: Float,
    vertex: Int,
    beside: Int,
    alive: NDArray[np.bool_],
    free: Int,
    spare: int,
    stack: Int,
    rim: Int,
    seen: int,
    p: int,
) -> tuple[int, int]:
    """Removes the faces whose plane point p is on or beyond; (free places, edges of the rim they leave).

    Taking the faces in whose plane it lies as well amounts to moving it outwards by nothing: no new face is degenerate.
    rim: (any, 3) receives each edge, from vertex to vertex as the lost face had it, and the face that stays beyond it
    """
    stack[0], top, edges = seen, 1, 0
    alive[seen] = False
    while top > 0:
        top -= 1
        face = stack[top]
        for k in range(3):
            other = beside[face, k]
            # dead and still a neighbour: taken away just now
            if alive[other]:
                if _height(corners, planes, other, p) >= 0:
                    alive[other] = False
                    stack[top] = other
                    top += 1
                else:
                    rim[edges, 0], rim[edges, 1], rim[edges, 2] = vertex[face, k], vertex[face, (k + 1) % 3], other
                    edges += 1
        free[spare] = face
        spare += 1
    return spare, edges


@compiled
def _join(
    corners: Int,
    planes: Float,
    vertex: Int,
    beside: Int,
    alive: NDArray[np.bool_],
    places: Int,
    rim: Int,
    rim_from: Int,
    p: int,
) -> None:
    """Joins point p to each edge of the rim, with faces at the places given. rim_from: scratch, (points,)."""
    for e in range(len(places)):
        face, a, b, other = places[e], rim[e, 0], rim[e, 1], rim[e, 2]
        _put(corners, vertex, planes, face, a, b, p)
        alive[face] = True
        rim_from[a] = face
        beside[face, 0] = other
        for k in range(3):
            if vertex[other, k] == b and vertex[other, (k + 1) % 3] == a:
                beside[other, k] = face
    for e in range(len(places)):
        following = rim_from[rim[e, 1]]
        beside[places[e], 1] = following
        beside[following, 2] = places[e]


@compiled
def _put(corners: Int, vertex: Int, planes: Float, face: int, a: int, b: int, c: int) -> None:
    """A face of three points, and its plane."""
    vertex[face, 0], vertex[face, 1], vertex[face, 2] = a, b, c
    z, y, x = corners[a, 0], corners[a, 1], corners[a, 2]
    u0, u1, u2 = corners[b, 0] - z, corners[b, 1] - y, corners[b, 2] - x
    v0, v1, v2 = corners[c, 0] - z, corners[c, 1] - y, corners[c, 2] - x
    n0, n1, n2 = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    planes[face, 0], planes[face, 1], planes[face, 2], planes[face, 3] = n0, n1, n2, n0 * z + n1 * y + n2 * x


@compiled
def _height(corners: Int, planes: Float, face: int, p: int) -> float:
    """Above 0 where point p is outside the plane of a face, 0 where it is in it."""
    z, y, x = corners[p, 0], corners[p, 1], corners[p, 2]
    height: float = planes[face, 0] * z + planes[face, 1] * y + planes[face, 2] * x - planes[face, 3]
    return height


@compiled
def _tetrahedron(corners: Int, found: Int) -> None:
    """Four points not in one plane, in an order that turns the faces of `hull` outwards; -1 last: there are none."""
    found[:] = 0
    found[3] = -1
    v0, v1, v2, n0, n1, n2 = 0, 0, 0, 0, 0, 0
    picked = 1
    for i in range(1, len(corners)):
        u0, u1, u2 = corners[i, 0] - corners[0, 0], corners[i, 1] - corners[0, 1], corners[i, 2] - corners[0, 2]
        if picked == 1:
            v0, v1, v2 = u0, u1, u2
            useful = u0 != 0 or u1 != 0 or u2 != 0
        elif picked == 2:
            n0, n1, n2 = v1 * u2 - v2 * u1, v2 * u0 - v0 * u2, v0 * u1 - v1 * u0
            useful = n0 != 0 or n1 != 0 or n2 != 0
        else:
            height = n0 * u0 + n1 * u1 + n2 * u2
            useful = height != 0
            if height > 0:  # the first face must look away from the fourth point
                found[1], found[2] = found[2], found[1]
        if useful:
            found[picked] = i
            picked += 1
            if picked == 4:
                return
