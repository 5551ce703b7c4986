"""report RUN: one HTML file and one JSON file from what the stages left; starts no work."""

from dataclasses import dataclass
from pathlib import Path

from ganatomy.core.progress import say
from ganatomy.core.run import STAGES, finished, stage, write_json, write_text
from ganatomy.core.settings import Settings, option
from ganatomy.report.html import render


@dataclass(frozen=True)
class Report(Settings):
    """Write the report of a run."""

    run: Path = option(Path("run"), "run folder", local=True)


def run(settings: Report) -> Path:
    """RUN/report.html and RUN/report.json."""
    finished(settings.run, "data")  # or there is nothing to report, and no folder of ours to write to
    page = settings.run / "report.html"

    def work() -> list[Path]:
        html, summary = render(settings.run)
        return [write_text(page, html), write_json(settings.run / "report.json", summary)]

    inputs: dict[str, Path | str] = {
        name: settings.run / name / "done.json" for name in STAGES if (settings.run / name / "done.json").exists()
    }
    outcome = stage(settings.run, "report", {}, inputs, work, clear=("report.html", "report.json"))
    say(f"report: {'written' if outcome.made else 'nothing to do, it is done'}")
    say(f"open: {page}")
    return page
