"""Imports go down only, rooms of one floor do not know each other, and the ground floor and the doors load no torch.

Every file is read with ast, so imports inside functions, under TYPE_CHECKING and through import_module count too.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import ganatomy

FLOORS = (
    ("core",),
    ("data",),
    ("nets", "losses", "radiomics", "integrity"),
    ("tasks",),
    ("train", "generate"),
    ("utility", "report"),
    ("jobs",),
    ("sampler",),
    ("doors",),
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
DOORS = ("", "cli", "__main__")  # one room: the ways in
LIGHT = ("core", "doors")  # what must not load torch
HEAVY = ("torch", "torchvision", "safetensors.torch")


def module_name(file: Path, root: Path) -> str:
    """`ganatomy.core.run` of ganatomy/core/run.py; a package is called without `.__init__`."""
    return ".".join(["ganatomy", *file.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")


def room(name: str) -> str:
    """The room a module is in: the first word after `ganatomy`."""
    first = name.split(".")[1] if "." in name else ""
    return "doors" if first in DOORS else first


def imported(node: ast.AST, name: str, is_package: bool) -> Iterator[str]:
    """The modules, or names in modules, that one statement or call imports, relative ones resolved."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = name.split(".")[: len(name.split(".")) - node.level + is_package] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__") and node.args:
            word = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                yield word.value.rstrip(".")


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: no function bodies, nothing under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (inner for other in child.orelse for inner in (other, *at_module_level(other)))
            continue
        yield child
        yield from at_module_level(child)


class Tree:
    """The package at `root`, parsed: modules by name."""

    def __init__(self, root: Path) -> None:
        files = {module_name(file, root): file for file in sorted(root.rglob("*.py"))}
        self.modules = {name: ast.parse(file.read_text()) for name, file in files.items()}
        self.packages = {name for name, file in files.items() if file.name == "__init__.py"}

    def targets(self, name: str, nodes: Iterable[ast.AST]) -> list[str]:
        """What these statements of a module import."""
        return [target for node in nodes for target in imported(node, name, name in self.packages)]

    def known(self, target: str) -> str:
        """The module that holds a name: the longest known beginning."""
        parts = target.split(".")
        beginnings = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
        return next((name for name in beginnings if name in self.modules), target)


def upward(tree: Tree) -> Iterator[str]:
    """Every import that goes up or sideways, as `module imports what: why`."""
    for name, module in tree.modules.items():
        mine = room(name)
        if mine not in FLOOR:
            yield f"{name}: the room '{mine}' has no floor"
            continue
        for target in tree.targets(name, ast.walk(module)):
            theirs = room(tree.known(target))
            if target.split(".")[0] != "ganatomy" or theirs == mine:
                continue
            if theirs not in FLOOR:
                yield f"{name} imports {target}: no such room"
            elif FLOOR[theirs] > FLOOR[mine]:
                yield f"{name} imports {target}: a higher floor"
            elif FLOOR[theirs] == FLOOR[mine]:
                yield f"{name} imports {target}: another room of the same floor"
            elif mine == "report" and theirs != "core":
                yield f"{name} imports {target}: report knows core only"


def heavy(tree: Tree) -> Iterator[str]:
    """Every way in which importing a light module loads torch."""
    for start in (name for name in tree.modules if room(name) in LIGHT):
        todo, seen = [start], {start}
        while todo:
            current = todo.pop()
            above = [current.rsplit(".", k)[0] for k in range(1, current.count(".") + 1)]  # their __init__ runs too
            for target in above + tree.targets(current, at_module_level(tree.modules[current])):
                if any(f"{target}.".startswith(f"{word}.") for word in HEAVY):
                    yield f"{start} loads {target} when imported (in {current})"
                elif (module := tree.known(target)) in tree.modules and module not in seen:
                    seen.add(module)
                    todo.append(module)


def offences(root: Path) -> list[str]:
    """Everything at `root` that breaks a rule."""
    tree = Tree(root)
    return [*upward(tree), *heavy(tree)]


def test_the_package_keeps_its_floors() -> None:
    root = Path(ganatomy.__file__).parent
    assert len(list(root.rglob("*.py"))) > 50, "nothing was read"
    assert offences(root) == []


CLEAN = {
    "__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ganatomy.jobs.augment import run\n",
    "__main__.py": "from ganatomy.cli import main\n",
    "cli.py": "import importlib\nfrom ganatomy.core.run import f\n"
    "job = lambda v: importlib.import_module(f'ganatomy.jobs.{v}')\n",
    "core/__init__.py": "",
    "core/run.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor\n"
    "def f():\n    import torch\n",
    "data/__init__.py": "",
    "data/read.py": "import torch\nfrom ..core import run\n",
    "nets/__init__.py": "",
    "nets/shape.py": "import torch\n",
    "nets/generator.py": "from ganatomy.nets.shape import CONV\nfrom .shape import CROP\n",
    "tasks/__init__.py": "",
    "tasks/synthesis.py": "from ganatomy.nets.generator import Generator\n",
    "train.py": "import torch\nfrom ganatomy.core import weights\nfrom ganatomy.tasks.synthesis import Synthesis\n",
    "utility/__init__.py": "",
    "utility/trial.py": "from ganatomy.train import train\n",
    "report/__init__.py": "",
    "report/html.py": "from ganatomy.core.run import f\nfrom .charts import g\n",
    "report/charts.py": "",
    "jobs/__init__.py": "",
    "jobs/augment.py": "from ganatomy.jobs import train\nfrom ganatomy.report.html import h\n",
    "jobs/train.py": "from ganatomy import train\n",
}

PLANTED = {
    "upwards": ("data/read.py", "from ganatomy.train import train\n", "a higher floor"),
    "upwards, in a function": ("core/run.py", "def f():\n    import ganatomy.data.read\n", "a higher floor"),
    "upwards, in a class": ("core/run.py", "class A:\n    from ganatomy.data import read\n", "a higher floor"),
    "upwards, relative": ("nets/shape.py", "from ..tasks import synthesis\n", "a higher floor"),
    "upwards, relative, from a package": ("nets/__init__.py", "from ..tasks import synthesis\n", "a higher floor"),
    "upwards, in the loop": ("tasks/synthesis.py", "from .. import train\n", "a higher floor"),
    "upwards, by name of the module": ("tasks/synthesis.py", "from ganatomy import train\n", "a higher floor"),
    "upwards, by the front door": ("data/read.py", "from ganatomy import augment\n", "a higher floor"),
    "upwards, for a type": (
        "data/read.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ganatomy.nets.shape import CONV\n",
        "a higher floor",
    ),
    "upwards, by import_module": (
        "data/read.py",
        "import importlib\ndef f(x):\n    return importlib.import_module(f'ganatomy.jobs.{x}')\n",
        "a higher floor",
    ),
    "a sibling room": ("losses/penalty.py", "from ganatomy.nets.shape import CONV\n", "another room of the same floor"),
    "a sibling file": ("generate.py", "def f():\n    from ganatomy.train import train\n", "another room of the same"),
    "a sibling, utility": ("utility/trial.py", "import ganatomy.report.html\n", "another room of the same floor"),
    "report, downwards": ("report/html.py", "from ganatomy.data.read import read\n", "report knows core only"),
    "a room nobody planned": ("helpers/misc.py", "", "has no floor"),
    "torch in core": ("core/weights.py", "import torch.nn\n", "core.weights loads torch.nn"),
    "torch in core, in a try": (
        "core/weights.py",
        "try:\n    from torch import Tensor\nexcept ImportError: ...\n",
        "loads",
    ),
    "torch in a class body": ("core/weights.py", "class A:\n    import torch\n", "loads torch"),
    "torch by safetensors": ("core/weights.py", "from safetensors.torch import save\n", "loads safetensors.torch"),
    "torch in cli": ("cli.py", "import torch\n", "ganatomy.cli loads torch"),
    "torch by what cli imports": ("cli.py", "from ganatomy.jobs import augment\n", "ganatomy.cli loads torch"),
    "torch by what __init__ imports": ("__init__.py", "from .data.read import read\n", "ganatomy loads torch"),
    "torch by a package on the way": ("core/__init__.py", "import torch\n", "ganatomy.core.run loads torch"),
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_clean_tree_passes(tmp_path: Path) -> None:
    assert offences(plant(tmp_path / "ganatomy", CLEAN)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_offender_is_caught(name: str, tmp_path: Path) -> None:
    file, text, told = PLANTED[name]
    found = offences(plant(tmp_path / "ganatomy", {**CLEAN, file: text}))
    assert any(told in line for line in found), found
