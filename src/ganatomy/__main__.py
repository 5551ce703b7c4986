"""python -m ganatomy, and the console script: a signal is answered before the command line is even loaded."""

import signal
import sys

from ganatomy.core.stop import signals


def main() -> int:
    """The command line of `ganatomy.cli`; the process is to end with its exit code."""
    with signals():
        from ganatomy.cli import main as command_line

        code = command_line()
        for number in (signal.SIGINT, signal.SIGTERM):  # all is done: Python's own end is too late to stop
            signal.signal(number, signal.SIG_IGN)
        return code


if __name__ == "__main__":
    sys.exit(main())
