"""One battery that every task passes, for every kind of image. A new task is one line in TASKS."""

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import ganatomy.train
from ganatomy.core import weights
from ganatomy.data.augment import Symmetry
from ganatomy.data.batch import Batch
from ganatomy.tasks.classify import Augmentation, Classify
from ganatomy.tasks.synthesis import Model, Synthesis
from ganatomy.tasks.task import Task
from ganatomy.train import Loop, State, train

Space = tuple[int, ...]


def synthesis(space: Space, channels: int) -> Task:
    made = Synthesis(Model(latent=4, width=2, most=4), Symmetry(), ("a", "b"), channels, space)
    made.nets["chance"].p.fill_(0.5)  # type: ignore[operator, union-attr]
    return made


def classify(space: Space, channels: int) -> Task:
    return Classify(2, channels, space, 4, Augmentation(0.5, Symmetry()))


TASKS: dict[str, Callable[[Space, int], Task]] = {"synthesis": synthesis, "classify": classify}
SHAPES = {"16": ((16, 16), 1), "RGB": ((16, 16), 3), "28": ((28, 28), 1), "20x24": ((20, 24), 1)} | {
    "8x8x8": ((8, 8, 8), 1),
    "12x8x10": ((12, 8, 10), 1),
}
STEPS = 3  # before a training is stopped, and as many after


@dataclass(frozen=True)
class Case:
    """A task on a kind of image."""

    make: Callable[[Space, int], Task]
    space: Space
    channels: int

    def task(self, seed: int = 0) -> Task:
        torch.manual_seed(seed)
        return self.make(self.space, self.channels)

    def batch(self, step: int, space: Space = (), channels: int = 0) -> Batch:
        chance = torch.Generator().manual_seed(step)
        x = torch.rand(6, channels or self.channels, *(space or self.space), generator=chance) * 2 - 1
        return {"x": x, "y": torch.tensor([0, 1, 0, 1, 0, 1]), "weight": torch.rand(6, generator=chance) + 0.5}


CASES = [pytest.param(Case(make, *SHAPES[s]), id=f"{t}-{s}") for t, make in TASKS.items() for s in SHAPES]
ONE_EACH = [pytest.param(Case(make, *SHAPES["16"]), id=t) for t, make in TASKS.items()]


def loop(seed: int = 0, steps: int = 2 * STEPS) -> Loop:
    return Loop(steps=steps, batch=6, seed=seed, precision="fp32", save_every=-1.0)


@pytest.fixture(autouse=True)
def log_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ganatomy.train, "LOG_EVERY", 2)


@pytest.mark.parametrize("case", CASES)
def test_terms_are_finite_scalars_and_each_phase_has_a_gradient(case: Case) -> None:
    task = case.task()
    names = set(task.nets)
    assert set(task.averaged) <= names
    for phase in task.phases:
        assert phase.trains
        assert set(phase.trains) <= names
        for step in range(2):
            terms = task.losses(phase.name, case.batch(step), step)
            assert all(term.ndim == 0 and bool(term.isfinite()) for term in terms.values())
            assert any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("case", CASES)
def test_a_phase_moves_the_nets_it_names_and_no_other(case: Case) -> None:
    task = case.task()
    state = State(task, loop(), torch.device("cpu"))
    for phase in task.phases:
        for step in range(2):  # with and without what is taken lazily
            before = {key: value.detach().clone() for key, value in task.nets.named_parameters()}
            ganatomy.train._turn(state, phase, case.batch(step), loop(), step, bf16=False)
            moved = {key for key, value in task.nets.named_parameters() if not torch.equal(value, before[key])}
            named = {key for key in before if key.split(".")[0] in phase.trains}
            assert moved <= named
            assert {key.split(".")[0] for key in moved} == set(phase.trains)


def stopped_and_resumed(case: Case, folder: Path, meddle: Callable[[Path], None] = lambda path: None) -> Path:
    """k steps, a stop, and k steps by a task that was made anew with other weights; returns the checkpoint."""

    def interrupted(step: int) -> Batch:
        if step == STEPS:
            raise KeyboardInterrupt
        return case.batch(step)

    with pytest.raises(KeyboardInterrupt):
        train(case.task(), interrupted, loop(), folder)
    meddle(folder / "checkpoint.safetensors")
    train(case.task(seed=9), case.batch, loop(), folder)
    return folder / "checkpoint.safetensors"


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_training_goes_on_to_the_same_bits(case: Case, tmp_path: Path) -> None:
    """The checkpoint holds nets, averages, optimisers and the latest terms: its bytes are all of them."""
    train(case.task(), case.batch, loop(), tmp_path / "whole")
    resumed = stopped_and_resumed(case, tmp_path / "parts").parent
    for name in ("checkpoint.safetensors", "log.jsonl"):
        assert (resumed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert len((resumed / "log.jsonl").read_text().splitlines()) == STEPS


def without(beginning: str, value: float | None) -> Callable[[Path], None]:
    """Take what begins so out of a checkpoint, or fill it with a value."""

    def meddle(path: Path) -> None:
        tensors, header = weights.load(path)
        assert any(key.startswith(beginning) for key in tensors)
        kept = {key: v for key, v in tensors.items() if not key.startswith(beginning)}
        filled = {key: v * 0 + value for key, v in tensors.items() if key not in kept} if value is not None else {}
        weights.save(path, kept | filled, header)

    return meddle


@pytest.mark.parametrize(
    ("task", "beginning", "value"),
    [
        ("synthesis", "optimiser.D.", None),
        ("synthesis", "optimiser.G.", None),
        ("synthesis", "average.generator.first", 0.0),
        ("synthesis", "nets.chance.p", 0.0),
        ("classify", "optimiser.S.", None),
        ("classify", "nets.classifier.body.1.running", 1.0),
    ],
)
def test_what_the_checkpoint_holds_is_needed(task: str, beginning: str, value: float | None, tmp_path: Path) -> None:
    """The control of the test above: a resumed training that has lost something ends elsewhere."""
    case = Case(TASKS[task], *SHAPES["16"])
    train(case.task(), case.batch, loop(), tmp_path / "whole")
    resumed = stopped_and_resumed(case, tmp_path / "parts", without(beginning, value))
    assert resumed.read_bytes() != (tmp_path / "whole" / "checkpoint.safetensors").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_a_seed_decides_the_nets(case: Case) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        nets = train(case.task(), case.batch, loop(seed, steps=2))
        return {f"{name}.{key}": value for name, net in nets.items() for key, value in net.state_dict().items()}

    one, same, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_another_kind_is_refused(case: Case) -> None:
    task = case.task()
    other_axes = (8, 8, 8) if len(case.space) == 2 else (16, 16)
    for batch in (case.batch(0, channels=case.channels + 1), case.batch(0, space=other_axes)):
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            task.losses(task.phases[0].name, batch, 0)


@pytest.mark.parametrize("case", ONE_EACH)
def test_what_comes_back_is_every_net_ready_for_use(case: Case) -> None:
    task = case.task()
    nets = train(task, case.batch, loop(steps=2))
    assert set(nets) == set(task.nets)
    assert not any(net.training for net in nets.values())
    assert all((nets[name] is task.nets[name]) == (name not in task.averaged) for name in nets)


def test_the_contract_has_four_members_and_the_loop_uses_no_other() -> None:
    members = set(Task.__annotations__) | {name for name in vars(Task) if not name.startswith("_")}
    assert members == {"nets", "phases", "averaged", "losses"}
    tree = ast.parse(inspect.getsource(ganatomy.train))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("task", "state.task", "self.task")
    }
    assert used == members
