"""The command line: the table of jobs as sub-commands. The only place that reads sys.argv.

Knows words and exit codes; does not know what a job does. torch is imported by the job that needs it.
"""

import argparse
import importlib
import os
import shlex
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ganatomy.core import __version__, stop
from ganatomy.core.errors import GanatomyError, SettingsError, nearest
from ganatomy.core.progress import say
from ganatomy.core.settings import add_flags, flat, from_flat, placeholder, read_file


@dataclass(frozen=True)
class Job:
    """A sub-command: the module in jobs/ with its settings class, its positional words, and its line in --help."""

    verb: str
    settings: str
    positional: tuple[str, ...]
    line: str
    then: str = ""  # the next command


JOBS = (
    Job("inspect", "Inspect", ("data",), "what is in a cohort, and how it will be split", "augment {data} -o {out}"),
    Job("augment", "Augment", ("data",), "the whole job: train, generate, check, prove, report"),
    Job("train", "Train", ("task", "data"), "split by patient and train a generator", "generate {run}"),
    Job("generate", "Generate", ("run",), "make synthetic images, by default to balance the classes", "check {run}"),
    Job("check", "Check", ("run",), "compare the synthetic images with real ones", "prove {run}"),
    Job("prove", "Prove", ("run",), "try them on a classifier against untouched real patients", "report {run}"),
    Job("report", "Report", ("run",), "write the report of a run"),
    Job("radiomics", "RadiomicsJob", ("images",), "measure features of every region of any images"),
)

EXIT_CODES = (
    "exit codes: 0 done, 2 the input or the words are wrong, 3 a verdict or finding named in --fail-on, "
    "130 interrupted, 1 a bug"
)


class Parser(argparse.ArgumentParser):
    """argparse with one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        usage = self.format_usage().strip() if self.usage else f"see {self.prog} --help"
        raise SettingsError(f"{message}; {usage}")


def parser(verb: str | None) -> Parser:
    """The parser of all verbs; only the one that is asked for is filled in, so that --help stays quick."""
    top = Parser(
        prog="ganatomy",
        description="Balance a scarce medical imaging cohort with a GAN, and learn what it is worth.",
        epilog=EXIT_CODES,
    )
    top.add_argument("--version", action="version", version=f"ganatomy {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for job in JOBS:
        sub = verbs.add_parser(
            job.verb,
            help=job.line,
            description=f"{job.line[0].upper()}{job.line[1:]}.",
            epilog=EXIT_CODES,
            allow_abbrev=False,
        )
        if job.verb == verb:
            cls = settings_class(job)
            add_flags(sub, cls, job.positional)
            hints = {name: hint for name, hint, _ in flat(cls)}
            shown = " ".join(placeholder(name, hints[name]) for name in job.positional)
            sub.usage = f"ganatomy {job.verb} {shown} [--flag VALUE ...]"
            sub.add_argument(
                "--settings",
                type=Path,
                metavar="FILE",
                help=f"read settings from a {of(job, 'FILES', '.json or .toml file')}; flags win over it",
            )
    return top


def of(job: Job, name: str, *default: Any) -> Any:
    """A name of a job's module, which is imported."""
    return getattr(importlib.import_module(f"ganatomy.jobs.{job.verb}"), name, *default)


def settings_class(job: Job) -> Any:
    """The settings class of a job."""
    return of(job, job.settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with stop.signals():
        try:
            code = _run(words)
            sys.stdout.flush()
            return code
        except GanatomyError as error:
            print(f"ganatomy: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            print(stop.LINE, file=sys.stderr)
            return stop.CODE
        except OSError as error:  # a disk, a folder or a pipe that does not do what it should
            what = error.filename or "the output"
            print(f"ganatomy: cannot use {what}: {error.strerror or error}; see that it can be used", file=sys.stderr)
            if error.filename is None:  # what is left in the buffer must not fail once more when Python ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 2


def _name_the_task(job: Job, words: Sequence[str]) -> None:
    """SettingsError where the first word, which says what to train, is missing or misspelt."""
    tasks = typing.get_args({name: hint for name, hint, _ in flat(settings_class(job))}["task"])
    if words and words[0] not in tasks and not words[0].startswith("-"):
        hint = nearest(words[0], tasks)
        if not hint.startswith("did you mean"):
            hint = f"write: ganatomy {job.verb} {tasks[0]} {shlex.join(words)}"
        raise SettingsError(f"{job.verb} needs a TASK first, and '{words[0]}' is none; {hint}")


def _run(words: Sequence[str]) -> int:
    verbs = [job.verb for job in JOBS]
    if words and words[0] not in (*verbs, "-h", "--help", "--version"):
        raise SettingsError(f"there is no command '{words[0]}'; {nearest(words[0], verbs)}")
    job = next((job for job in JOBS if words and job.verb == words[0]), None)
    top = parser(job.verb if job else None)
    if job and job.positional[0] == "task":
        _name_the_task(job, words[1:])
    args, unknown = top.parse_known_args(words)
    assert job is not None  # argparse has left by itself for --help, --version and no word at all
    cls = settings_class(job)
    names = [name for name, _, _ in flat(cls)]
    if unknown:
        word = unknown[0].split("=")[0]
        flags = [name.replace("_", "-") for name in (*names, "settings") if name not in job.positional]
        hint = nearest(word.lstrip("-"), flags).replace("mean '", "mean '--")  # compared without what all begin with
        if not word.startswith("-"):
            hint = "a path with spaces stands in quotes"
        elif not hint.startswith("did you mean"):
            hint = f"see ganatomy {job.verb} --help"
        raise SettingsError(f"{job.verb} does not know '{word}'; {hint}")
    module = importlib.import_module(f"ganatomy.jobs.{job.verb}")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    # a job may know more kinds of settings files
    read = of(job, "read_settings", read_file)
    given = {**(read(args.settings) if args.settings else {}), **given}
    preset = module.changes_of(given["preset"]) if "preset" in given and "preset" in names else {}
    settings = from_flat(cls(), {**preset, **given})
    module.run(settings)
    out = getattr(settings, "out", None)
    then = getattr(settings, "then", job.then)
    if then and not (job.verb == "generate" and out):  # images elsewhere are not what check looks at
        # how the data are read must be said again, or every image might count as a patient of its own
        data = [words[i] for i in range(1, len(words)) if not {*words[i - 1 : i + 1]} & {"-o", "--out", "--overwrite"}]
        values = {"run": getattr(settings, "run", None) or out, "data": shlex.join(data), "out": out or "RUN"}
        say(f"next: ganatomy {then.format(**values)}")
    return 0
