"""How training went: a panel per logged number, and in words what a reader must know of it."""

import math
from typing import Any

from ganatomy.report import charts, words
from ganatomy.report.read import Run

USUAL = 96_000  # images shown in a training of default length: 3,000 steps of 32
LAST = 5  # lines of the log, 250 steps, that say how a training ended

View = dict[str, Any]


def training(run: Run) -> list[str]:
    """How long the generator was trained, in a sentence; then one for each thing that a reader must know of it."""
    log, train = run.log.value, run.stages["train"]
    if log is None or not train.done or "images" not in log:
        return []
    settings = words.flat(train.settings)
    steps, images = int(log["step"].iloc[-1]), int(log["images"].iloc[-1])
    out = [f"The generator was trained for {words.count(steps, 'step')}, which showed it {images:,} images in all."]
    if images < USUAL:
        out.append(
            f"Training was short: {images:,} images were shown, {USUAL:,} are usual. A longer one may make better "
            "images."
        )
    last = log.tail(LAST).mean()
    highest, sure = (float(settings.get(name) or given) for name, given in (("most_chance", 0.8), ("overfit", 0.6)))
    for label in sorted(_kind(name)[1] for name in log.columns if "." in name and _kind(name)[0] == "augment"):
        chance, sign = (last.get(f"D.{kind}.{label}", math.nan) for kind in ("augment", "sign"))
        if chance >= 0.99 * highest and sign > sure:
            out.append(
                f"Training went on for too long for the class {label}, or its images are too few: the network that "
                "tells real from synthetic images came to know the training images by heart. Copies of them become "
                "likelier; fewer steps or more real images help."
            )
    return out


def curves(run: Run) -> list[View]:
    """A panel per logged number: losses first, then what the augmentation did per class."""
    log = run.log.value
    if log is None:
        return []
    groups: list[tuple[str, str, tuple[float, float] | None, list[str]]] = [
        (
            "Losses",
            "Two networks work against each other, so losses need not fall. "
            "Look for jumps and for drifts that do not end.",
            None,
            [],
        ),
        (
            "Augmentation",
            "The chance that an image is augmented before the discriminator sees it, set per class.",
            (0.0, 1.0),
            [],
        ),
        (
            "Discriminator's sign",
            "How surely the discriminator takes training images for real. "
            "Values that stay near 1 mean that it knows them by heart.",
            (-1.0, 1.0),
            [],
        ),
    ]
    for name in sorted(column for column in log.columns if "." in column):
        kind = _kind(name)[0]
        groups[{"augment": 1, "sign": 2}.get(kind, 0)][3].append(name)
    return [
        {
            "name": title,
            "about": about,
            "panels": [
                (_curve_name(name), charts.curve(log["step"].tolist(), log[name].tolist(), bounds, name))
                for name in names
            ],
        }
        for title, about, bounds, names in groups
        if names
    ]


def _kind(name: str) -> tuple[str, str]:
    """What a logged name is about, and of what: D.augment.<class>, D.sign.<class>, else a net's loss."""
    parts = name.split(".")
    at = next((i for i in (0, 1) if parts[i] in ("augment", "sign") and len(parts) > i + 1), None)
    return ("", name) if at is None else (parts[at], ".".join(parts[at + 1 :]))


def _curve_name(name: str) -> str:
    """The class where a curve belongs to one; `Discriminator: logistic` otherwise."""
    kind, label = _kind(name)
    if kind:
        return label
    net, _, rest = name.partition(".")
    return f"{ {'D': 'Discriminator', 'G': 'Generator'}.get(net, net) }: {words.term(rest)}"
