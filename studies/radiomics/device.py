"""Images per second of the torch radiomics engine on one device, and how far that is from what the device can do.

    python studies/radiomics/device.py --device cuda

Needs torch, numpy and this package on the path, nothing else. Two limits are measured on the spot: memory bandwidth by
a large copy, and scattered increments by counting random cells of a table of the size that the engine uses. The part
of a limit is the time that the least work would take at that rate over the time taken. Least work: each image is read
once and each feature written once (bandwidth); each pixel is counted once per direction in GLCM and in GLRLM
(increments). The smaller the part, the more of the time goes into intermediate tensors, eigenvalues and launches.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ganatomy.radiomics import device as engine


def made(count: int, size: int, depth: int) -> Tensor:
    """Smooth noise (count, size, size) or (count, depth, size, size), float32: textures with runs, as images have."""
    shape = (count, depth, size, size) if depth else (count, size, size)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))
    for axis in range(1, x.ndim):
        x = x + x.roll(1, axis) + x.roll(-1, axis)
    return x


def seconds(work: Callable[[], object], where: torch.device, repeats: int) -> float:
    """The best of some runs after one to warm up; a processor's own time (all threads), else elapsed time."""
    best, clock = float("inf"), time.process_time if where.type == "cpu" else time.perf_counter
    for run in range(repeats + 1):
        wait(where)
        start = clock()
        work()
        wait(where)
        if run:
            best = min(best, clock() - start)
    return best


def wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "xpu":
        torch.xpu.synchronize(where)


def bandwidth(where: torch.device) -> float:
    """Bytes per second, read and written, of a copy far larger than any cache."""
    source = torch.zeros(2**25 if where.type == "cpu" else 2**29, dtype=torch.float32, device=where)
    target = torch.empty_like(source)
    return 8 * source.numel() / seconds(lambda: target.copy_(source), where, 5)


def increments(where: torch.device, index: Tensor, size: int) -> dict[str, float]:
    """Increments per second by each way torch has; the engine uses bincount on a processor and index_add_ elsewhere."""
    table, one = torch.zeros(size, dtype=torch.int32, device=where), torch.ones((), dtype=torch.int32, device=where)
    ones, wide = one.expand(len(index)), index.long()
    ways: dict[str, Callable[[], object]] = {
        "index_add_": lambda: table.index_add_(0, index, ones),
        "scatter_add_": lambda: table.scatter_add_(0, wide, ones),
        "bincount": lambda: torch.bincount(index, minlength=size),
    }
    return {way: len(index) / seconds(work, where, 5) for way, work in ways.items()}


def limits(images: Tensor, bins: int, taken: dict[str, float]) -> None:
    """Prints the device's two limits and the part of each that the times taken are."""
    where, count, pixels, top = images.device, len(images), images[0].numel(), bins + 1
    directions = len(engine.neighbours((1,), images.ndim == 3))
    sample = max(1, min(count, 2**24 // pixels if where.type != "cpu" else 2**19 // pixels))
    levels = torch.randint(1, top, (sample * pixels,), dtype=torch.int32, device=where)
    base = torch.arange(sample, dtype=torch.int32, device=where).repeat_interleave(pixels) * top * top
    rates = increments(where, base + levels * top + levels.roll(1), sample * top * top)
    speed = bandwidth(where)
    least_bytes = count * (pixels * images.element_size() + 8 * sum(map(len, engine.NAMES.values())))
    least_counts = count * pixels * directions * 2
    rate = max(rates.values())
    print(f"memory bandwidth {speed / 1e9:,.0f} GB/s; increments in 1e9/s: ", end="")
    print(", ".join(f"{way} {value / 1e9:.2f}" for way, value in rates.items()))
    for title, mcc in (("with MCC", True), ("without MCC", False)):
        time_taken = taken["first-order, GLCM, GLRLM" + ("" if mcc else ", no MCC")]
        print(
            f"{title}: {least_bytes / speed / time_taken:.2%} of the limit by bandwidth, "
            f"{least_counts / rate / time_taken:.1%} of the limit by increments"
        )


def eigenvalues(where: torch.device, n: int) -> None:
    """Prints how many matrices a second each way to the maximal correlation coefficient takes."""
    count = min(20_000 if where.type != "cpu" else 2_000, 2**26 // (n * n))
    draw = torch.rand(count, n, n, dtype=torch.float64, device=where)
    matrices = (draw + draw.mT) / (2 * n)
    for title, work in (("squaring", engine.radius), ("eigvalsh", torch.linalg.eigvalsh)):
        try:
            needed = seconds(lambda w=work: w(matrices), where, 2)  # type: ignore[misc]
        except RuntimeError as error:
            print(f"{title}: {str(error).splitlines()[0]}")
        else:
            print(f"matrices of {n} x {n} per second by {title}: {len(matrices) / needed:,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=0, help="0: 50,000 on an accelerator, 500 on a processor")
    parser.add_argument("--size", type=int, default=64, help="pixels along each side")
    parser.add_argument("--depth", type=int, default=0, help="slices; 0: images of two dimensions")
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--memory", type=int, default=0, help="MiB of intermediates; 0: the engine's choice")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    where = torch.device(given.device)
    count = given.images or (500 if where.type == "cpu" else 50_000)
    images = made(min(count, 2000), given.size, given.depth)
    images = images.repeat(-(-count // len(images)), *(1,) * (images.ndim - 1))[:count].to(where)
    memory = given.memory * 2**20 or None
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else given.device
    print(f"{name}, torch {torch.__version__}, {count} images of {tuple(images.shape[1:])}, {given.bins} bins")

    def run(families: tuple[str, ...], mcc: bool = True, part: Tensor = images) -> dict[str, Tensor]:
        return engine.measure(part, bin_count=given.bins, families=families, mcc=mcc, memory=memory)

    if where.type != "cpu":  # the same values as on the processor, on a few images
        here, there = run(tuple(engine.NAMES), part=images[:64].cpu()), run(tuple(engine.NAMES), part=images[:64])
        for family, values in here.items():
            gap = (there[family].cpu() - values).abs() / values.abs().clamp_min(1e-3)
            worst = int(gap.amax(0).argmax())
            print(f"largest difference to the processor, {family:10s} {gap.max():.1e} in {engine.NAMES[family][worst]}")

    whole = tuple(engine.NAMES)
    taken: dict[str, float] = {}
    print(f"{'':34s}{'images/s':>12s}{'us/image':>10s}")
    for title, families, mcc in (
        ("first-order, GLCM, GLRLM", whole, True),
        ("first-order, GLCM, GLRLM, no MCC", whole, False),
        ("GLCM, GLRLM", ("glcm", "glrlm"), True),
        ("GLCM, no MCC", ("glcm",), False),
        ("GLRLM", ("glrlm",), True),
        ("first-order", ("firstorder",), True),
        ("grey levels alone", (), True),
    ):
        taken[title] = seconds(lambda f=families, m=mcc: run(f, m), where, given.repeats)  # type: ignore[misc]
        print(f"{title:34s}{count / taken[title]:12,.0f}{taken[title] / count * 1e6:10.2f}")

    limits(images, given.bins, taken)
    eigenvalues(where, given.bins)
    if where.type == "cuda":
        print(f"most memory taken: {torch.cuda.max_memory_allocated(where) / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
