"""`nli`: the flows from a terminal, without a worker.

Commands import Prefect, MLflow and torch only where they need them, so that help and listings are quick.
"""

import errno
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Annotated, TextIO

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from flows.cli.attention import attention
from flows.cli.compare import compare
from flows.cli.config import config
from flows.cli.deploy import deploy
from flows.cli.doctor import doctor
from flows.cli.exit_status import INTERRUPTED, USER_ERROR
from flows.cli.export import export
from flows.cli.init import init
from flows.cli.output import error
from flows.cli.predict import predict
from flows.cli.promote import promote, rollback
from flows.cli.report import report
from flows.cli.run import recipes, run
from flows.cli.status import status
from flows.cli.store import store_app
from flows.cli.sweep import sweep
from flows.cli.ui import ui
from nli_core.errors import DISK_REFUSALS, UserError, explained_refusals
from tasks.runtime.garbage import collect_rarely
from tasks.settings import DEBUG, debugging

_LOST_OUTPUT = (*DISK_REFUSALS, errno.EIO)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line: a user's error is one line on stderr and exit status 2.

    `--debug` may come anywhere, and holds for the processes of a sweep too.
    """
    collect_rarely()
    _open_closed_streams()
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    try:
        _check_present_folder()
        with explained_refusals():
            status = app(standalone_mode=False, prog_name="nli")
        if status == INTERRUPTED:
            error("stopped")
        sys.exit(status)
    except TyperException as misuse:
        if message := misuse.format_message():  # without a message, typer has printed the help already
            context = getattr(misuse, "ctx", None)
            command = context.command_path if context else "nli"
            reason = " ".join(message.split()).replace("Value error, ", "").rstrip(".")
            error(f"{reason}; see `{command} --help`")
        sys.exit(misuse.exit_code)
    except UserError as fault:
        if debugging():
            traceback.print_exc()
        error(str(fault))
        sys.exit(USER_ERROR)
    except ValidationError as fault:
        if not fault.title.endswith("Settings"):  # of Prefect, which reads them when it is imported
            raise
        first = fault.errors()[0]
        section = re.findall("[A-Z][a-z]+", fault.title.removesuffix("Settings"))
        field = "_".join(map(str, (*section, *first["loc"]))).lower()
        error(f"Prefect's setting {field}: {first['msg']}; fix the variable PREFECT_... that sets it, or the profile")
        sys.exit(USER_ERROR)
    except Exception as fault:
        if not isinstance(fault, OSError):
            if was_stopped(fault):  # while Prefect was setting up a task, which it takes for a fault
                error("stopped")
                sys.exit(INTERRUPTED)
            raise
        if debugging() or (fault.filename is None and fault.errno not in _LOST_OUTPUT):
            raise
        if fault.filename is not None:
            path = os.fsdecode(fault.filename)
            error(f"{path}: {fault.strerror}; fix it, then rerun (nli --debug shows where it is used)")
        else:
            sys.stdout = _nowhere()  # so that Python does not write the rest at its end
            error(f"the output cannot be written ({fault.strerror})")
        sys.exit(USER_ERROR)


def was_stopped(fault: BaseException | None) -> bool:
    """Return whether Ctrl-C or SIGTERM, which Prefect turns into its TerminationSignal, is behind an error."""
    while fault is not None:
        if isinstance(fault, KeyboardInterrupt) or type(fault).__name__ == "TerminationSignal":
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _check_present_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the present folder was deleted; change to another") from None


def _open_closed_streams() -> None:
    """Let a command without standard output or error, as `>&-` starts it, do its work in silence."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Anywhere: show where an error comes from, and Prefect's own log.")
    ] = False,
) -> None:
    """Fine-tune BERT on pairs of sentences or on single texts: download, pack, finetune, evaluate."""


_COMMANDS = (
    *(init, recipes, config, run, sweep, status, compare, report, promote, rollback),
    *(predict, export, attention, deploy, doctor, ui),
)
for command in _COMMANDS:
    app.command()(command)
app.add_typer(store_app, name="store")
