"""Every error a person can cause, each with an exit code. Knows nothing of what raises it.

GanatomyError
|- InputError        the input or the words are wrong            exit 2
|  |- SettingsError  a setting is unknown, or has a wrong value  exit 2
|  `- RunError       a run folder does not fit what is asked     exit 2
|- GateError         a verdict or finding named in --fail-on     exit 3
`- TrainingError     training left the finite numbers            exit 1

A message is one sentence that names the file or the value, and the remedy.
"""

import difflib
from collections.abc import Iterable


class GanatomyError(Exception):
    """Base of all errors whose message is written for the user."""

    exit_code = 1


class InputError(GanatomyError):
    """The input or the words are wrong; nothing was written."""

    exit_code = 2


class SettingsError(InputError):
    """A setting is unknown or has a value it cannot have."""


class RunError(InputError):
    """A run folder is missing something, or was made in another way than is asked now."""


class GateError(GanatomyError):
    """The verdict, or a finding, is one the caller asked to be stopped by (`--fail-on`)."""

    exit_code = 3


class TrainingError(GanatomyError):
    """Training produced a number that is not finite; the last checkpoint stands."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: `, did you mean 'steps'?`, or the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.65)
    return f"did you mean '{close[0]}'?" if close else "known are: " + ", ".join(known)
