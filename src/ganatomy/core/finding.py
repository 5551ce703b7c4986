"""A finding: one measured number beside its yardstick, or the reason why there is none.

Knows how a finding is checked, written and read. Does not know how any number is computed.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ganatomy.core.errors import InputError
from ganatomy.core.run import ANEW, write_text

PASS, FAIL, INCONCLUSIVE, NOT_COMPUTED = "pass", "fail", "inconclusive", "not computed"
STATES = (PASS, FAIL, INCONCLUSIVE, NOT_COMPUTED)


@dataclass(frozen=True)
class Finding:
    """One row of evidence.

    gate: "hygiene", "fidelity", "coverage", "marginals", "dependence", "labels", "copying", "privacy", "fairness",
        "paired", "utility", "invariance" (of changes that training used), "augmentation" (of changes that were only
        tried), "scope" (what was left out)
    name: what was measured, in the field's words
    subject: the class, subgroup, feature or arm it is about; "" for the whole set
    value, low, high: the number and its 95 % interval
    yardstick: the same number measured real against real at the same sample size
    bar: the limit the verdict compares with, and which side is good: ("<=", 2.0)
    n_images, n_patients: how many real images and patients the number rests on
    state: pass | fail | inconclusive | not computed; the last two need a note
    note: why, and what would settle it
    """

    gate: str
    name: str
    subject: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    yardstick: float | None = None
    bar: tuple[str, float] | None = None
    n_images: int = 0
    n_patients: int = 0
    state: str = NOT_COMPUTED
    note: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"a finding's state is one of {', '.join(STATES)}, not '{self.state}'")
        if self.state in (INCONCLUSIVE, NOT_COMPUTED) and not self.note:
            raise ValueError(f"finding '{self.name}' is {self.state} and gives no reason")
        if self.state != NOT_COMPUTED and self.value is None:
            raise ValueError(f"finding '{self.name}' is {self.state} without a value")
        if self.bar is not None and self.bar[0] not in ("<=", ">="):
            raise ValueError(f"finding '{self.name}': a bar is '<=' or '>=', not '{self.bar[0]}'")
        for key in ("value", "low", "high", "yardstick"):
            number = getattr(self, key)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"finding '{self.name}': {key} is {number}; what is not a number is not computed")


def judge(value: float, low: float, high: float, bar: tuple[str, float]) -> str:
    """The state an interval earns against its bar: wholly on the good side, wholly on the bad side, or neither."""
    side, limit = bar
    if side == ">=":
        value, low, high, limit = -value, -high, -low, -limit
    if high <= limit:
        return PASS
    return FAIL if low > limit else INCONCLUSIVE


def write_findings(path: Path, findings: Iterable[Finding]) -> Path:
    """Write findings as JSON, one a line within the list, so that a difference reads well."""
    rows = ",\n".join(" " + json.dumps(asdict(finding)) for finding in findings)
    return write_text(path, f"[\n{rows}\n]\n")


def read_findings(path: Path) -> Sequence[Finding]:
    """Read what `write_findings` wrote; InputError where the file is something else."""
    known = {field.name for field in fields(Finding)}
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for row in rows:
            row["bar"] = tuple(row["bar"]) if row.get("bar") else None
        return [Finding(**{key: value for key, value in row.items() if key in known}) for row in rows]
    except FileNotFoundError:
        raise InputError(f"there is no {path}; the stage that writes it has not finished") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a list of findings ({error}); {ANEW} and run the stage again") from None
