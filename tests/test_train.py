"""The loop on a task of two numbers: schedule, averages, turns, hooks, and what it says and leaves when it stops."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ganatomy.train
from ganatomy.core import weights
from ganatomy.core.errors import RunError, SettingsError, TrainingError
from ganatomy.data.batch import Batch
from ganatomy.tasks.task import Phase
from ganatomy.train import Loop, Nets, State, average_decay, environment, place, rate, train


class Toy:
    """Two nets of one weight each; every turn of `A` is taken, of `B` each `every`-th."""

    averaged: tuple[str, ...] = ("a",)

    def __init__(self, every: int = 1, broken: Callable[[int], float] = lambda step: 0.0) -> None:
        self.phases: tuple[Phase, ...] = (Phase("A", ("a",)), Phase("B", ("b",), every))
        self.nets = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
        nn.init.ones_(self.nets["a"].weight)  # type: ignore[arg-type]
        nn.init.ones_(self.nets["b"].weight)  # type: ignore[arg-type]
        self.turns: list[tuple[str, int]] = []
        self.draws: list[float] = []
        self.broken = broken

    def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
        self.turns.append((phase, step))
        self.draws.append(float(torch.rand(())))
        value = self.nets[phase.lower()](batch["x"]).square().mean()
        return {"square": value + self.broken(step), "watched": value.detach()}


def batch_at(step: int) -> Batch:
    return {"x": torch.full((4, 1), 1.0 + step), "y": torch.zeros(4, dtype=torch.long)}


def loop(**changes: object) -> Loop:
    return Loop(steps=10, batch=4, precision="fp32").replace(**changes)


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# ---- the schedule ----


def test_the_rate_rises_linearly_then_falls_as_a_cosine() -> None:
    settings = Loop(steps=100, lr=2.0, lr_end=0.1, warmup=0.2)
    assert [rate(settings, step) for step in (0, 9, 19)] == pytest.approx([0.1, 1.0, 2.0])
    assert rate(settings, 20) == pytest.approx(2.0)
    assert rate(settings, 60) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert rate(settings, 40) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))))
    assert rate(settings, 100) == pytest.approx(0.2)
    falling = [rate(settings, step) for step in range(20, 101)]
    assert falling == sorted(falling, reverse=True)


def test_a_constant_rate_and_no_warm_up() -> None:
    assert {rate(Loop(steps=50, lr=0.3, lr_end=1.0), step) for step in range(50)} == {0.3}


def test_the_rate_is_what_the_optimiser_uses() -> None:
    """Adam's first step has the length of the learning rate, whatever the gradient."""
    for lr in (1e-3, 1e-2):
        task = Toy()
        train(task, batch_at, loop(steps=1, lr=lr, warmup=0.0))
        assert task.nets["b"].weight.item() == pytest.approx(1 - lr, rel=1e-6)


# ---- averages ----


def test_the_average_against_a_sum_by_hand() -> None:
    task, live = Toy(), []
    nets = train(
        task, batch_at, loop(steps=6, lr=0.1), hooks=[(1, lambda step, _: live.append(task.nets["a"].weight.item()))]
    )
    expected = 1.0
    for step, value in enumerate(live):
        half_life = max(0.04 * 4 * (step + 1), 4 / 8)
        expected += (value - expected) * (1 - 0.5 ** (4 / half_life))
    assert nets["a"].weight.item() == pytest.approx(expected, rel=1e-6)
    assert nets["a"] is not task.nets["a"]
    assert nets["b"] is task.nets["b"]


def test_the_average_halves_over_four_per_cent_of_the_images() -> None:
    step = 9_999  # 10,000 steps of 32: 12,800 images, 400 steps
    assert average_decay(step, 32) ** 400 == pytest.approx(0.5, rel=1e-6)
    assert average_decay(10**9, 32) ** (20_000 / 32) == pytest.approx(0.5, rel=1e-6)
    assert average_decay(0, 32) < 0.01, "the first weights are soon forgotten"


def test_running_statistics_are_copied_into_the_average() -> None:
    class Normed(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.nets["a"] = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))

        def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
            return {"mean": self.nets[phase.lower()](batch["x"] + torch.rand_like(batch["x"])).mean().square()}

    task = Normed()
    nets = train(task, batch_at, loop(steps=3))
    assert int(nets["a"][1].num_batches_tracked) == 3  # type: ignore[index]
    assert torch.equal(nets["a"][1].running_mean, task.nets["a"][1].running_mean)  # type: ignore[index]


# ---- turns, draws, hooks ----


def test_a_phase_takes_its_turn_every_nth_step() -> None:
    task = Toy(every=3)
    train(task, batch_at, loop(steps=7))
    assert [step for phase, step in task.turns if phase == "A"] == list(range(7))
    assert [step for phase, step in task.turns if phase == "B"] == [2, 5]


def test_draws_depend_on_seed_step_and_phase_alone() -> None:
    one, two, other = Toy(), Toy(), Toy()
    train(one, batch_at, loop(steps=3))
    torch.rand(17)
    train(two, batch_at, loop(steps=3))
    train(other, batch_at, loop(steps=3, seed=1))
    assert one.draws == two.draws
    assert len(set(one.draws + other.draws)) == 12


def test_hooks_are_called_with_averages_and_at_the_end() -> None:
    seen: list[tuple[int, list[str]]] = []

    def hook(step: int, nets: Nets) -> None:
        seen.append((step, list(nets)))

    train(Toy(), batch_at, loop(steps=10), hooks=[(4, hook)])
    assert seen == [(4, ["a"]), (8, ["a"]), (10, ["a"])]


def test_terms_without_a_gradient_are_logged_and_not_added(tmp_path: Path) -> None:
    train(Toy(), batch_at, loop(steps=1), tmp_path)
    (row,) = rows(tmp_path)
    assert row == {"step": 1, "images": 4, "lr": 5e-4} | dict.fromkeys(
        ("A.square", "A.watched", "B.square", "B.watched"), 1.0
    )


def test_the_log_shows_terms_that_are_not_taken_at_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalty of every fourth step would else never meet a log of every fiftieth."""
    monkeypatch.setattr(ganatomy.train, "LOG_EVERY", 2)
    train(Toy(every=3), batch_at, loop(steps=6), tmp_path)
    assert [("B.square" in row, row["step"]) for row in rows(tmp_path)] == [(False, 2), (True, 4), (True, 6)]


def test_what_ran_before_is_as_it_was() -> None:
    """Threads and the treatment of tiny numbers are the processor's, and the next stage's."""
    assert torch.get_num_threads() == 1
    inside = []
    train(Toy(), lambda step: (inside.append(torch.get_num_threads()), batch_at(step))[1], loop(steps=1, threads=2))
    assert inside == [2]
    assert torch.get_num_threads() == 1
    assert float(torch.tensor([1e-40]) * 0.5) > 0
    with pytest.raises(TrainingError):
        train(Toy(broken=lambda step: math.nan), batch_at, loop(steps=1, threads=2))
    assert torch.get_num_threads() == 1


# ---- what goes wrong ----


def test_a_loss_that_is_no_number_is_named_and_the_last_checkpoint_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ganatomy.train, "LOG_EVERY", 1)
    task = Toy(broken=lambda step: math.inf if step == 6 else 0.0)
    with pytest.raises(TrainingError, match=r"step 7: A\.square is inf; the last checkpoint stands"):
        train(task, batch_at, loop(save_every=-1.0), tmp_path)
    tensors, header = weights.load(tmp_path / "checkpoint.safetensors")
    assert header["step"] == 6
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_broken_weights_never_reach_a_checkpoint(tmp_path: Path) -> None:
    """The last step's losses can be numbers and its gradient none."""

    class Sudden(Toy):
        def losses(self, phase: str, batch: Batch, step: int) -> dict[str, Tensor]:
            value = self.nets[phase.lower()].weight.sum()  # type: ignore[union-attr, operator]
            return {"root": (value - value.detach()).sqrt() if step == 3 else value}  # 0, with a slope that is infinite

    with pytest.raises(TrainingError, match=r"step 4: nets\.a\.weight is broken"):
        train(Sudden(), batch_at, loop(save_every=-1.0), tmp_path)
    assert weights.load(tmp_path / "checkpoint.safetensors")[1]["step"] == 3


def test_an_interruption_leaves_a_checkpoint_to_go_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(step: int) -> Batch:
        if step == 4:
            raise KeyboardInterrupt
        return batch_at(step)

    with pytest.raises(KeyboardInterrupt):
        train(Toy(), interrupted, loop(save_every=-1.0), tmp_path)
    task, steps = Toy(), []
    train(task, lambda step: (steps.append(step), batch_at(step))[1], loop(save_every=-1.0), tmp_path)
    assert steps == list(range(4, 10))
    assert "going on at step 4" in capsys.readouterr().err


def test_a_finished_training_does_nothing(tmp_path: Path) -> None:
    first = train(Toy(), batch_at, loop(), tmp_path)
    task = Toy()
    again = train(task, batch_at, loop(), tmp_path)
    assert task.turns == []
    assert torch.equal(again["a"].weight, first["a"].weight)  # type: ignore[arg-type]
    assert len(rows(tmp_path)) == 1


def test_a_change_of_the_machine_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(Toy(), batch_at, loop(), tmp_path)
    capsys.readouterr()
    train(Toy(), batch_at, loop(), tmp_path)
    assert "note" not in capsys.readouterr().err
    train(Toy(), batch_at, loop(threads=2, precision="bf16"), tmp_path)
    told = capsys.readouterr().err
    assert "begun with threads 1 and goes on with 2" in told
    assert "begun with bf16 False and goes on with True" in told


TICKS = "cpu  9 9 9 9\ncpu0 {0} 0 0 {1} 0 0 0 0 5 5\ncpu1 {2} 0 0 {3} 0 0 0 0 5 5\ncpu2 0 0 0 900 0 0 0 0 0 0\nintr 7\n"


@pytest.mark.parametrize(
    ("busy", "expected"), [((0, 0), 2), ((20, 0), 2), ((50, 0), 1), ((30, 30), 1), ((50, 50), 1), ((100, 100), 1)]
)
def test_threads_are_as_many_as_find_an_idle_core(
    busy: tuple[int, int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """busy: ticks of 50 or 100 in which each of our two cores works; a third one is not ours."""
    whole = max(50, *busy)
    told = [
        TICKS.format(7, 70, 7, 70),
        TICKS.format(7 + busy[0], 70 + whole - busy[0], 7 + busy[1], 70 + whole - busy[1]),
    ]
    monkeypatch.setattr(Path, "read_text", lambda path: told.pop(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert ganatomy.train.idle_threads(0.0) == expected


def test_where_the_machine_does_not_tell_torch_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.setattr(Path, "read_text", missing)
    assert ganatomy.train.idle_threads(0.0) == 6
    monkeypatch.setattr(Path, "read_text", lambda path: TICKS.format(0, 0, 0, 0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert ganatomy.train.idle_threads(0.0) == 6, "a clock that stands still tells nothing"


def test_a_number_of_threads_that_was_chosen_is_kept_on_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    used: list[int] = []
    monkeypatch.setattr(ganatomy.train, "idle_threads", lambda: 2)
    torch.set_num_threads(3)
    try:

        def stops(step: int) -> Batch:
            used.append(torch.get_num_threads())
            if step == 4:
                raise KeyboardInterrupt
            return batch_at(step)

        with pytest.raises(KeyboardInterrupt):
            train(Toy(), stops, loop(save_every=-1.0), tmp_path, name="train")
        assert (
            "train: on 2 of 3 threads, for the machine is busy; --threads 3 takes them all" in capsys.readouterr().err
        )
        monkeypatch.setattr(ganatomy.train, "idle_threads", lambda: 3)
        goes_on = lambda step: (used.append(torch.get_num_threads()), batch_at(step))[1]  # noqa: E731
        train(Toy(), goes_on, loop(save_every=-1.0), tmp_path, name="train")
        assert "note" not in capsys.readouterr().err
        assert used == [2] * 11
        train(Toy(), goes_on, loop(threads=1), tmp_path / "asked")
        train(Toy(), goes_on, loop())
        assert used[11:] == [1] * 10 + [3] * 10, "as asked; torch's own where nothing is recorded"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    train(Toy(), batch_at, loop(), tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="cannot be read as weights"):
        train(Toy(), batch_at, loop(), tmp_path)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("batch", -1), ("lr", 0), ("lr", "inf"), ("lr", "nan")])
def test_impossible_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"--{name} needs"):
        loop(**{name: value})


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="leave --device out"):
        place(loop(device="cuda"))
    device, bf16 = place(loop(precision="bf16"))
    assert (device.type, bf16) == ("cpu", True)
    assert environment(loop(threads=3), device, bf16)["threads"] == 3


@pytest.mark.parametrize(
    ("layer", "layout"), [(nn.Conv2d(3, 4, 3), torch.channels_last), (nn.Conv3d(3, 4, 3), torch.channels_last_3d)]
)
def test_images_and_volumes_have_their_own_memory_layout(layer: nn.Module, layout: torch.memory_format) -> None:
    task = Toy()
    task.nets["a"] = layer
    State(task, loop(), torch.device("cpu"))
    assert layer.weight.is_contiguous(memory_format=layout)  # type: ignore[union-attr, operator]
