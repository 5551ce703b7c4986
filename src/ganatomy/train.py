"""The one loop: optimisers, averages, precision, schedule, checkpoints, log. It knows no model.

A training step is a function of (checkpoint, seed, step): every draw is reseeded from (seed, step, phase), so neither
random state nor loader state is saved, and a stopped run goes on to the same bits on the same machine, threads,
precision and versions. A task says what a batch costs and nothing else.
"""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ganatomy.core import __version__, weights
from ganatomy.core.errors import RunError, SettingsError, TrainingError
from ganatomy.core.progress import progress, say
from ganatomy.core.run import write_text
from ganatomy.core.seed import derive
from ganatomy.core.settings import Settings, option
from ganatomy.core.stop import waits
from ganatomy.data.batch import Batch
from ganatomy.tasks.task import Phase, Task

LAYOUT = {4: torch.channels_last, 5: torch.channels_last_3d}  # of tensors by their number of axes; others have none
LOG_EVERY = 50  # steps between log rows; every row is also a check that all terms are finite numbers


@dataclass(frozen=True)
class Loop(Settings):
    """How long and how fast to train."""

    steps: int = option(3000, "training steps")
    batch: int = option(32, "images per step")
    seed: int = option(0, "seed of weights, batches and noise")
    lr: float = option(5e-4, "learning rate at the start")
    lr_end: float = option(0.1, "share of the learning rate that is left at the end (cosine)")
    warmup: float = option(0.0, "share of the steps in which the learning rate rises")
    beta1: float = option(0.0, "Adam's first decay")
    beta2: float = option(0.99, "Adam's second decay")
    weight_decay: float = option(0.0, "decoupled weight decay")
    precision: Literal["auto", "fp32", "bf16"] = option("auto", "bf16 where the processor has it, or as said")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to train", local=True)
    threads: int = option(0, "processor threads, 0 for as many as the machine has idle at the start", local=True)
    save_every: float = option(20.0, "seconds between checkpoints", local=True)

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name} needs 1 or more, not {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise SettingsError(f"--lr needs a number above 0, not {self.lr:g}")


Nets = Mapping[str, nn.Module]
Hook = Callable[[int, Nets], None]


def place(loop: Loop) -> tuple[torch.device, bool]:
    """The device, and whether autocast to bf16 pays there."""
    cuda = torch.cuda.is_available() if loop.device == "auto" else loop.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise RunError("--device cuda: torch sees no GPU on this machine; leave --device out to train on the processor")
    if loop.precision != "auto":
        return torch.device("cuda" if cuda else "cpu"), loop.precision == "bf16"
    # without native bf16 the processor emulates it, many times slower than fp32
    native = torch.cuda.is_bf16_supported() if cuda else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.device("cuda" if cuda else "cpu"), native


def idle_threads(seconds: float = 0.5) -> int:
    """How many of torch's own threads find an idle core, at least 1; watches the machine for so many seconds.

    Threads that wait for a core another program holds make training several times slower than one thread alone.
    """
    most = torch.get_num_threads()
    if most == 1 or (before := _core_times()) is None:
        return most
    time.sleep(seconds)
    idle, every = (now - then for now, then in zip(_core_times() or before, before, strict=True))
    if every <= 0:  # a container may show a clock that stands still
        return most
    return max(1, min(most, round(len(os.sched_getaffinity(0)) * idle / every)))


def _threads(loop: Loop, earlier: Mapping[str, Any], name: str) -> int:
    """The threads asked for; else the checkpoint's, as far as torch still has them; else those that find idle cores."""
    most = torch.get_num_threads()
    if loop.threads or "threads" in earlier:
        return loop.threads or min(earlier["threads"], most)
    idle = idle_threads()
    if name and idle < most:
        say(f"{name}: on {idle} of {most} threads, for the machine is busy; --threads {most} takes them all")
    return idle


def _core_times() -> tuple[int, int] | None:
    """Ticks in which this process's cores were idle, and all ticks, since the machine started; None if not told."""
    try:
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        own = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        # user nice system idle iowait irq softirq steal; the guests after them are counted in user already
        times = [[int(ticks) for ticks in row[1:9]] for row in rows if row[0] in own]
        return sum(row[3] + row[4] for row in times), sum(map(sum, times))
    except (OSError, AttributeError, LookupError, ValueError):
        return None


def environment(loop: Loop, device: torch.device, bf16: bool) -> dict[str, Any]:
    """What bits depend on besides (weights, seed, step); a change of it on resuming is said."""
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    threads = loop.threads or torch.get_num_threads()
    versions = {"ganatomy": __version__, "torch": torch.__version__, "numpy": np.__version__}
    return {**versions, "device": name, "threads": threads, "bf16": bf16}


@contextmanager
def processor(loop: Loop) -> Iterator[None]:
    """The processor as the loop asks for it, then as it was: what runs next must not depend on what ran before."""
    before = torch.get_num_threads()
    torch.set_num_threads(loop.threads or before)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def rate(loop: Loop, step: int) -> float:
    """Learning rate at a step: linear warm-up, then a cosine from `lr` to `lr * lr_end`."""
    warm = loop.warmup * loop.steps
    if step < warm:
        return loop.lr * (step + 1) / warm
    done = (step - warm) / max(loop.steps - warm, 1)
    return loop.lr * (loop.lr_end + (1 - loop.lr_end) * 0.5 * (1 + math.cos(math.pi * done)))


def average_decay(step: int, batch: int) -> float:
    """Decay of the moving average: a half-life of 4 % of the images seen, 20,000 at the most."""
    half_life = min(20_000.0, 0.04 * batch * (step + 1))
    return float(0.5 ** (batch / max(half_life, batch / 8)))


class State:
    """Nets, averages and optimisers of a task, and how they become tensors of one file and back."""

    def __init__(self, task: Task, loop: Loop, device: torch.device) -> None:
        self.task, self.step = task, 0
        most = max((p.ndim for p in task.nets.parameters()), default=0)
        task.nets.to(device=device, memory_format=LAYOUT.get(most, torch.preserve_format))  # type: ignore[call-overload]
        self.average = {name: _copy(task.nets[name]) for name in task.averaged}
        betas = (loop.beta1, loop.beta2)
        self.optimisers = {
            phase.name: torch.optim.AdamW(
                [p for name in phase.trains for p in task.nets[name].parameters()],
                lr=loop.lr,
                betas=betas,
                eps=1e-8,
                weight_decay=loop.weight_decay,
            )
            for phase in task.phases
        }

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by name."""
        out = {f"nets.{key}": value for key, value in self.task.nets.state_dict().items()}
        for name, net in self.average.items():
            out |= {f"average.{name}.{key}": value for key, value in net.state_dict().items()}
        for phase, optimiser in self.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                out |= {f"optimiser.{phase}.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
        return out

    def load(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Take over what `tensors` gave."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

        self.task.nets.load_state_dict(part("nets."))
        for name, net in self.average.items():
            net.load_state_dict(part(f"average.{name}."))
        for phase, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in part(f"optimiser.{phase}.").items():
                index, _, entry = key.partition(".")
                state.setdefault(int(index), {})[entry] = value
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        self.step = step


def _copy(net: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(net).requires_grad_(False).eval()


def train(
    task: Task,
    batch_at: Callable[[int], Batch],
    loop: Loop,
    folder: Path | None = None,
    hooks: Sequence[tuple[int, Hook]] = (),
    name: str = "",
) -> dict[str, nn.Module]:
    """Train a task and return its nets, the averaged ones as averages, in eval mode.

    batch_at: step -> batch; folder: where checkpoint and log go, and from where a stopped run goes on (None: nowhere)
    hooks: (every, hook) calls hook(step, averages) every so many steps; name: of the progress bar, "" for none
    Raises TrainingError that names step, phase and term where a loss is not a finite number.
    """
    device, bf16 = place(loop)
    state = State(task, loop, device)
    log, terms, earlier = _resume(state, folder, loop.steps) if folder else ([], {}, {})
    if folder and device.type == "cpu":  # without a folder no number is recorded, so none is chosen
        loop = loop.replace(threads=_threads(loop, earlier, name))
    now = environment(loop, device, bf16)
    for key, value in earlier.items():
        if now.get(key) != value:
            say(
                f"note: this run was begun with {key} {value} and goes on with {now.get(key)}; the last bits may differ"
            )
    task.nets.train()
    saved = begun = time.monotonic()
    first = state.step
    with processor(loop), progress(name, loop.steps, first) as advance, waits() as asked:
        for step in range(first, loop.steps):
            batch = {
                key: value.to(device, memory_format=LAYOUT.get(value.ndim, torch.preserve_format))
                for key, value in batch_at(step).items()
            }
            for phase in task.phases:
                if (step + 1) % phase.every == 0:
                    terms |= _turn(state, phase, batch, loop, step, bf16)
            _follow(state, step, len(batch["y"]))
            state.step = step + 1
            if state.step % LOG_EVERY == 0 or state.step == loop.steps:
                row = {"step": state.step, "images": state.step * len(batch["y"]), "lr": rate(loop, step)}
                log.append(row | _finite(terms, step))
            for every, hook in hooks:
                if state.step % every == 0 or state.step == loop.steps:
                    hook(state.step, state.average)
            stops = asked()
            if folder and (time.monotonic() - saved > loop.save_every or state.step == loop.steps or stops):
                _save(state, folder, log, {"environment": now, "terms": _finite(terms, step)})
                saved = time.monotonic()
            if stops:
                raise KeyboardInterrupt
            speed = (state.step - first) * len(batch["y"]) / (time.monotonic() - begun)
            if name:
                advance(1, f"{speed:.0f} images/s")
    return {key: state.average.get(key, net).eval() for key, net in task.nets.items()}


def _turn(state: State, phase: Phase, batch: Batch, loop: Loop, step: int, bf16: bool) -> dict[str, Tensor]:
    """One optimiser's turn; returns its terms under '<phase>.<term>'."""
    torch.manual_seed(derive(loop.seed, "step", step, phase.name))
    for key, net in state.task.nets.items():
        net.requires_grad_(key in phase.trains)
    optimiser = state.optimisers[phase.name]
    for group in optimiser.param_groups:
        group["lr"] = rate(loop, step)
    with torch.autocast(batch["y"].device.type, torch.bfloat16, enabled=bf16):
        terms = state.task.losses(phase.name, batch, step)
    optimiser.zero_grad(set_to_none=True)
    torch.stack([term for term in terms.values() if term.requires_grad]).sum().backward()
    optimiser.step()
    return {f"{phase.name}.{key}": value.detach() for key, value in terms.items()}


@torch.no_grad()
def _follow(state: State, step: int, batch: int) -> None:
    """Let the averages follow their nets; buffers (running statistics) are copied."""
    decay = average_decay(step, batch)
    for name, average in state.average.items():
        live = state.task.nets[name]
        torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1 - decay)
        for mine, theirs in zip(average.buffers(), live.buffers(), strict=True):
            mine.copy_(theirs)


def _finite(terms: Mapping[str, Tensor], step: int) -> dict[str, float]:
    """The latest value of every term, also of those that are not taken at each step, such as a lazy penalty."""
    values = {key: float(value) for key, value in sorted(terms.items())}
    for key, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"training left the finite numbers at step {step + 1}: {key} is {value}; the last checkpoint stands. "
                "Lower --lr, or raise --gamma, in a new run folder"
            )
    return values


def _save(state: State, folder: Path, log: Sequence[Mapping[str, Any]], header: Mapping[str, Any]) -> None:
    tensors = state.tensors()
    for key, value in tensors.items():  # a step may end in broken weights although its losses were numbers
        if not bool(value.isfinite().all()):
            raise TrainingError(
                f"training left the finite numbers at step {state.step}: {key} is broken; the last checkpoint stands. "
                "Lower --lr, or raise --gamma, in a new run folder"
            )
    write_text(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in log))
    weights.save(folder / "checkpoint.safetensors", tensors, {"step": state.step, **header})


def _resume(state: State, folder: Path, steps: int) -> tuple[list[dict[str, Any]], dict[str, Tensor], dict[str, Any]]:
    """Take over the checkpoint in the folder, if there is one: the log cut back to it, the latest terms, and the
    environment it was begun in.
    """
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return [], {}, {}
    try:
        tensors, header = weights.load(path)
        state.load(tensors, header["step"])
        terms = {key: torch.tensor(value, dtype=torch.float64) for key, value in header["terms"].items()}
        rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        log = [row for row in rows if row["step"] <= state.step]
        earlier = dict(header["environment"])
        if len(log) != state.step // LOG_EVERY + (state.step == steps and steps % LOG_EVERY > 0):
            raise ValueError("rows are missing in log.jsonl")
    except (RunError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"the training in {folder} cannot go on from its checkpoint ({error}); "
            f"remove {path}, and the same command trains anew"
        ) from None
    say(f"going on at step {state.step}")
    return log, terms, earlier
