"""Where `nli` starts: before the imports that take a second, so that Ctrl-C is heeded from the beginning."""

import sys

from flows.cli.exit_status import INTERRUPTED


def main() -> None:
    """Run the command line."""
    try:
        from flows.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("nli: stopped\n")
        sys.exit(INTERRUPTED)
