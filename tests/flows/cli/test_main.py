import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.exit_status import INTERRUPTED
from flows.cli.main import was_stopped

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "smaple"], "no recipe 'smaple'"),
        (["run", "sample", "--set", "finetune.lr=1"], "finetune.lr: no such field"),
        (["run", "sample", "--set", "finetune.epochs=0"], "finetune.epochs"),
        (["run", "sample", "--rerun", "training"], "no such stage"),
        (["run", "snli-minilm", "--set", "corpus.source=nowhere.zip"], "corpus.source: there is no file nowhere.zip"),
        (["run", "file-example"], "corpus.train: there is no file examples.csv"),
        (["run", "sample", "--set", "encoder.name=nothing"], "encoder.name: 'nothing'"),
        (["run", "sample", "--set", "pack.max_length=600"], "pack.max_length: 600 is above the encoder's 512"),
        (["sweep"], "Missing argument 'RECIPE'; see `nli sweep --help`"),
        (["sweep", "sample", "--seeds", "0"], "Invalid value for '--seeds'"),
        (["run", "sample", "--nope"], "No such option: --nope"),
        (["run", "sample", "--until", "x"], "is not one of 'download', 'pack', 'finetune', 'audit', 'evaluate'"),
        (["predict", "--input"], "requires an argument"),
        (
            ["run", "file-example", "--set", "corpus.train=~nobody-here/t.csv"],
            "~nobody-here/t.csv: there is no such user",
        ),
        (["run", "sample", "--set", "encoder.name=~nobody-here/x"], "~nobody-here/x: there is no such user"),
        (
            ["run", "file-example", "--set", "corpus.train=http://host/t.csv"],
            "corpus.train: http://host/t.csv is neither",
        ),
        (["trian"], "No such command 'trian'; see `nli --help`"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(nli_here: Nli, arguments: list[str], named: str) -> None:
    done = nli_here(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("nli: ")] == [done.stderr.splitlines()[-1]]


def test_ctrl_c_is_heeded_while_modules_are_imported() -> None:
    nli = str(Path(sys.executable).with_name("nli"))
    command = [sys.executable, "-X", "importtime", nli, "recipes"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        assert running.stderr is not None
        while "flows.cli.arguments" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said = [line for line in running.stderr if not line.startswith("import time:")]
    assert (running.returncode, said) == (INTERRUPTED, ["nli: stopped\n"])


def test_a_stop_that_a_library_reports_as_a_fault_is_a_stop() -> None:
    def fail(cause: type[BaseException]) -> None:
        try:
            raise cause
        finally:
            raise ValueError("Task run is not set")

    for cause, stopped in ((KeyboardInterrupt, True), (KeyError, False)):
        with pytest.raises(ValueError, match="Task run") as error:
            fail(cause)
        assert was_stopped(error.value) == stopped
