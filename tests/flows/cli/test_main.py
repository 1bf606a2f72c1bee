import subprocess
from collections.abc import Callable

import pytest

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
        (["run", "sample", "--until", "x"], "is not one of 'download', 'pack', 'finetune', 'evaluate'"),
        (["predict", "--input"], "requires an argument"),
        (["trian"], "No such command 'trian'; see `nli --help`"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(nli_here: Nli, arguments: list[str], named: str) -> None:
    done = nli_here(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("nli: ")] == [done.stderr.splitlines()[-1]]
