"""How the report speaks: numbers, bars, names of features, the question behind each gate, the glossary.

Knows wording only. Computes nothing and reads no file.
"""

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup, escape

from ganatomy.core.verdict import DO_NOT_USE, NO_GAIN, UNDECIDED, USE

MINUS = "\u2212"

FOLLOWS = {
    DO_NOT_USE: "Do not train on these images and do not pass them on. The reason above must be removed first.",
    USE: "With the limits below, the images may be added to a training set as the trial did it. "
    "They are no substitute for real test data.",
    NO_GAIN: "Harm beyond the margin was excluded, but nothing speaks for adding the images.",
    UNDECIDED: "Until it is decided, treat the images as of unknown worth.",
}  # what a verdict means for the reader, in one or two sentences

# the question each gate answers, in the order of the page; a pass is a yes. Other gates come last, by name
QUESTIONS = {
    "copying": "Are they free of copies of real patients’ images?",
    "privacy": "Do they hide whose images were learned from?",
    "fidelity": "Do they look like real images, as far as it can be measured?",
    "coverage": "Do they show the variety of the real images?",
    "marginals": "Does each measured feature take the values it takes in real images?",
    "dependence": "Do the features go together as they do in real images?",
    "labels": "Do the classes differ as the real classes do?",
    "utility": "Does a classifier become better on patients it has never seen?",
    "fairness": "Do all groups of patients fare alike?",
    "hygiene": "Are the sets kept apart, and stored alike?",
    "scope": "Were images of every class made?",
}

GLOSSARY = {
    "Arm": "One way to train the classifier in the trial, for example on the real images alone, or with synthetic "
    "ones added.",
    "AUC": "Area under the ROC curve: the chance that the classifier ranks a random case of a class above a random "
    "case without it. 0.5 is a coin toss, 1 is perfect.",
    "Augmentation": "Changes made to images in training, such as turning or mirroring them, so that the network sees "
    "more variety.",
    "Balanced accuracy": "The share of images that a classifier reads rightly, taken class by class and averaged, so "
    "that a rare class counts as much as a common one.",
    "Bar": "The limit a value had to keep, fixed before it was measured.",
    "CNN": "A small network that reads the images themselves. The other classifier of the trial, “logistic”, reads "
    "measured features.",
    "Control": "The arm the others are compared with: the best use of the real images alone, as agreed on beforehand.",
    "Correlation, rank correlation": "How surely two features rise together: +1 always, 0 not at all, −1 one falls as "
    "the other rises. By rank means that only the order of the values counts.",
    "Coverage": "The share of real images that have a synthetic image close to them. Low coverage means that kinds of "
    "lesions or patients are missing from the synthetic set.",
    "Crowding, density": "How many synthetic images lie around each real one. Far too many means that the same kinds "
    "are repeated.",
    "Discriminator": "The network that tells real from synthetic images while the generator learns to mislead it.",
    "Distance of two distributions": "Of Kolmogorov and Smirnov: the largest gap between the curves of two sets in "
    "one feature. 0: the same values; 1: no value in common. That of Wasserstein (shift) is how far values must "
    "be moved for the sets to agree.",
    "Equivalence, margin": "A difference smaller than the margin does not matter in practice. To pass, it must be "
    "shown that the difference is smaller; that none was seen is not enough.",
    "False alarm": "A fail although the synthetic images are as good as images of other real patients. The gates "
    "share 5 in 100 among them: that is the level of each.",
    "Feature": "A number measured on an image, such as its mean intensity or a description of its texture (radiomics).",
    "Fréchet distance": "How far apart two clouds of feature values lie, in position and spread together. 0 means "
    "alike; what counts as small depends on the number of images, hence the yardstick.",
    "Holdout": "Real images of patients the generator has never seen, kept aside as the yardstick. Nothing was chosen "
    "on them.",
    "Inconclusive": "The interval reaches over the bar: the data are too few to say pass or fail.",
    "Information on the class": "How much one feature tells about which class an image belongs to.",
    "Interval": "A range built so that it holds the true value in about 95 of 100 repetitions of the whole study. It "
    "is found by drawing patients, not images, again and again.",
    "Kernel distance (MMD)": "A distance of two sets that sees any difference, in position, spread or shape. 0 means "
    "alike.",
    "Membership (GAN-Leaks, DOMIAS)": "Attacks that guess whether a patient was learned from, by how near synthetic "
    "images come to the patient’s own.",
    "MS-SSIM": "How alike two images look, at several magnifications: 1 is the same image.",
    "Near duplicate": "An image that shows the same picture as another, with small changes.",
    "p": "How often a difference as large would arise by chance if nothing differed. 0.01 is once in a hundred.",
    "Pixels, radiomics, classifier": "What two images are compared by: small copies of the images; measured features; "
    "what a network sees that was trained to tell the real classes apart.",
    "Precision, recall": "Precision: the share of synthetic images that lie among real ones. Recall: the share of "
    "real images that lie among synthetic ones.",
    "Suspected copy": "A synthetic image that lies much nearer to one training patient than to all others, as images "
    "of new patients do not. Look at it before the images are used.",
    "Test": "Real images of further patients, opened once, in the trial alone.",
    "Told apart": "A classifier is trained to tell synthetic from real images. An AUC near 0.5: it cannot; near 1: "
    "there is something that gives them away.",
    "Vendi score": "How many different images a set holds in effect: a set of copies of one image has 1.",
    "Yardstick": "The same measurement between real and real images, with as many images. A synthetic set can hardly "
    "come closer to the real one than the real one comes to itself.",
}

FAMILIES = {
    "firstorder": "intensity",
    "glcm": "texture, co-occurrence (GLCM)",
    "glrlm": "texture, run lengths (GLRLM)",
    "glszm": "texture, zones (GLSZM)",
    "gldm": "texture, dependence (GLDM)",
    "ngtdm": "texture, neighbours (NGTDM)",
    "shape": "shape",
    "shape2D": "shape",
}  # pyradiomics' feature classes

SPELT = {
    "10Percentile": "10th percentile",
    "90Percentile": "90th percentile",
    "Id": "Inverse difference",
    "Idm": "Inverse difference moment",
    "Idn": "Inverse difference, normalised",
    "Idmn": "Inverse difference moment, normalised",
    "Imc1": "Information measure of correlation 1",
    "Imc2": "Information measure of correlation 2",
    "MCC": "Maximal correlation coefficient",
}  # features whose names are abbreviations

IN_UNITS = (
    "10Percentile",
    "90Percentile",
    "InterquartileRange",
    "Maximum",
    "Mean",
    "MeanAbsoluteDeviation",
    "Median",
    "Minimum",
    "Range",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "StandardDeviation",
)  # first-order features that have the images' unit

TERMS = {"auc": "AUC", "cnn": "CNN", "r1": "R1", "r2": "R2", "non_saturating": "non-saturating"}


def _place(values: Iterable[float]) -> int:
    """The decimal place of the largest value once it is rounded to 3 digits: 0 for 9.99, 1 for 10."""
    largest = max((abs(value) for value in values), default=0.0)
    return math.floor(math.log10(float(f"{largest:.2e}"))) if largest else 0


def _write(value: float, place: int, sign: bool) -> str:
    if place < -4 or place > 5:
        scaled, power = value / 10.0**place, str(place).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{scaled:+.2f} × 10{power}"
    elif place > 2:
        text = f"{round(value, 2 - place):+,.0f}"
    else:
        text = f"{value:+.{2 - place}f}"
    if not float(text.split(" ")[0].replace(",", "")):
        return "0"
    return (text if sign or text[0] == "-" else text[1:]).replace("-", MINUS)


def number(value: float | None, sign: bool = False) -> str:
    """Three significant digits, a true minus sign, an en dash where there is no number."""
    return "–" if value is None else _write(value, _place([value]), sign)


def interval(value: float | None, low: float | None, high: float | None, sign: bool = False) -> str:
    """`0.842 (0.791 to 0.884)`: three significant digits for the largest, as many decimals for the others.

    A number that would so become 0 keeps its own digits. A line breaks before the brackets, not within.
    """
    if value is None or low is None or high is None or low == value == high:  # a count has no interval
        return number(value, sign)
    place = _place([value, low, high])
    a, b, c = (
        number(x, sign) if x and _write(x, place, sign) == "0" else _write(x, place, sign) for x in (value, low, high)
    )
    return f"{a} ({b}\u00a0to\u00a0{c})".replace(" × ", "\u00a0×\u00a0")


def tick(value: float) -> str:
    """A round number beside an axis, all its digits."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return short(value)
    return f"{value:,.10g}".replace("-", MINUS)


def short(value: float) -> str:
    """Up to three significant digits without trailing zeros: for bars and settings."""
    text = number(value)
    return re.sub(r"\.?0+(?= |$)", "", text, count=1) if "." in text else text


def bar(limit: tuple[str, float] | None) -> str:
    """`at most 2`, or nothing."""
    return "" if limit is None else f"{'at most' if limit[0] == '<=' else 'at least'} {short(limit[1])}"


def percent(share: float | None) -> str:
    """A share as `20%`, an en dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f}%"


def signed_percent(share: float) -> str:
    """A difference of shares as `+20%`, with a true minus sign."""
    return f"{100 * share:+.0f}%".replace("-", MINUS)


def count(n: int, noun: str) -> str:
    """`1 image`, `1,200 images`, `3 classes`."""
    return f"{n:,} {noun if n == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def size(images: int, patients: int) -> str:
    """How much data a finding rests on: `42 (26)`, images and patients; en dashes where it was not said."""
    return (f"{images:,}" if images else "–") + (f" ({patients:,})" if patients else "")


def breakable(text: str) -> Markup:
    """A long_name that may break after its underscores."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def title(word: str) -> str:
    """A gate, metric or class as a heading: first letter large, underscores gone; acronyms in capitals."""
    return TERMS.get(word.lower(), (word[:1].upper() + word[1:]).replace("_", " "))


def term(word: str) -> str:
    """A metric or classifier in running text."""
    return TERMS.get(word.lower(), word.replace("_", " "))


def feature(name: str) -> tuple[str, str]:
    """A pyradiomics name in words and its family: ("joint entropy", "texture, co-occurrence (GLCM)")."""
    parts = name.split("_")
    if len(parts) < 3:
        return name, ""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", " ".join(parts[2:]))
    words = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words.split())
    words = SPELT.get("_".join(parts[2:]), words)
    family = FAMILIES.get(parts[1], parts[1])
    return words[:1].upper() + words[1:], family if parts[0] == "original" else f"{family}, {parts[0]}"


def brief(name: str) -> str:
    """A pyradiomics name in a sentence: `joint entropy (GLCM)`, with its filter where it has one."""
    parts = name.split("_")
    if len(parts) < 3:
        return name
    family = FAMILIES.get(parts[1], parts[1])
    kind = "" if parts[1] == "firstorder" else family if family == parts[1] or "(" not in family else parts[1].upper()
    where = ", ".join(filter(None, [kind, "" if parts[0] == "original" else parts[0]]))
    text = feature(name)[0]
    return f"{text} ({where})" if where else text


def readable(text: str) -> str:
    """A sentence with pyradiomics names written as words."""
    return re.sub(rf"[\w-]+?_(?:{'|'.join(FAMILIES)})_\w+", lambda found: brief(found[0]), text)


def has_unit(name: str) -> bool:
    """Whether a feature is measured in the images' unit, such as HU."""
    return name.startswith("original_firstorder_") and name.rpartition("_")[2] in IN_UNITS


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by their flat names, which are the names of the flags."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        out |= flat(value) if isinstance(value, Mapping) else {key: value}
    return out


def setting(value: Any) -> str:
    """A value as a user writes it after a flag."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ",".join(setting(item) for item in value)
    return str(value)


def command(words: Iterable[str], settings: Mapping[str, Any]) -> str:
    """A command with every setting written out, folded into lines a page can hold.

    Written `--name=value`: a value such as -1000,400 would be taken for a flag.
    """
    named = sorted(flat(settings).items())
    flags = [f"--{name.replace('_', '-')}={shlex.quote(setting(value))}" for name, value in named]
    lines, line = [], " ".join(words)
    for flag in flags:
        if len(line) + len(flag) > 84:
            lines.append(line + " \\")
            line = "   "
        line += f" {flag}"
    return "\n".join([*lines, line])
