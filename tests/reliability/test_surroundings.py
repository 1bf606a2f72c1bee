"""Machines as they are: odd paths, closed streams, servers that are something else, folders without rights."""

import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local.servers import prefect_server as local_server
from nli_core.errors import UserError
from nli_core.locks import FileLock
from nli_core.store.store import Store, output_key
from tasks.operations.preflight import check_prefect, check_tracking
from tasks.runtime.liveness import register_run, register_use
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.database import sqlite_path

pytestmark = pytest.mark.faults("inputs tried")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]
WithoutRights = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b"])
def test_a_path_that_no_address_can_hold_is_refused(
    nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("NLI_STORE", str(workplace / name / "store"))
    done = nli_here("run", "sample")
    assert done.returncode == 2
    assert done.stderr.startswith("nli: NLI_STORE: the database mlflow.db beside")
    assert not (workplace / name).exists()


@pytest.mark.slow
def test_a_path_with_spaces_and_accents_works(
    run_pipeline: Callable[..., Any], nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("NLI_STORE", str(workplace / "ein Ort für 世界" / "store"))
    summary = run_pipeline(finetune={"epochs": 1})
    words = ["--premise", "A girl sleeps.", "--hypothesis", "A child sleeps."]
    done = nli_here("predict", "--model", str(summary.mlflow_run_id), *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("place", "reason"),
    [("file/store", "Not a directory"), ("/proc/nowhere", "No such file or directory")],
)
def test_a_store_that_cannot_be_is_one_line(
    nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    (workplace / "file").touch()
    monkeypatch.setenv("NLI_STORE", str(workplace / place))
    done = nli_here("run", "sample")
    assert done.returncode == 2
    assert done.stderr == f"nli: {workplace / place}: cannot be the stage store ({reason}); set NLI_STORE\n"


@pytest.mark.parametrize("command", [("run", "sample"), ("store", "ls"), ("store", "verify"), ("status",)])
def test_a_store_that_is_no_folder_is_one_line(
    nli_here: Nli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("NLI_STORE", "/dev/null")
    done = nli_here(*command)
    assert done.returncode == 2
    assert done.stderr == "nli: NLI_STORE: /dev/null is no folder; name another path\n"


def test_loops_compile_where_no_folder_can_be_written(
    project: Path, tmp_path: Path, without_rights: WithoutRights
) -> None:
    core = tmp_path / "nli_core"
    shutil.copytree(project / "nli_core", core, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (*core.rglob("*/"), core, tmp_path):
        folder.chmod(0o555)
    script = "from nli_core.data.tokenize.kernels import gather_ids as g; print(g.targetoptions, g.stats.cache_path)"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    environment.pop("XDG_CACHE_HOME", None)
    done = without_rights([sys.executable, "-c", script], env=environment, cwd="/")
    tmp_path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "'nogil': True" in done.stdout
    assert done.stdout.strip().endswith("None")


AS_NOBODY = """
case "$2" in  # an interpreter that nobody else can reach is shown to them, in a mount name space of its own
    /root/*) mkdir -p "$1$2"; mount --bind "$2" "$1$2"; mount --rbind "$1/root" /root ;;
esac
shift 2; exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
"""


@pytest.mark.slow
def test_nobody_trains_from_a_checkout_that_is_roots(
    prefect_server: str, workplace: Path, project: Path, tiny_encoder: Path, tiny_settings: list[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes rights that this user has not")
    for place in [workplace, *workplace.parents][:-2]:
        place.chmod(place.stat().st_mode | 0o011)
    for place in (workplace, workplace / "mlflow.db"):
        shutil.chown(place, "nobody")
    for file in tiny_encoder.iterdir():
        file.chmod(0o644)
    kept = {name: os.environ[name] for name in ("NLI_STORE", "MLFLOW_TRACKING_URI")}
    environment = {**kept, "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PREFECT_API_URL": prefect_server}
    nli = str(Path(sys.executable).with_name("nli"))
    command = [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        AS_NOBODY,
        "sh",
        str(workplace),
        sys.base_prefix,
        nli,
        "run",
        "sample",
    ]
    done = subprocess.run(
        [*command, *tiny_settings], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "evaluate  Completed" in done.stdout


@pytest.mark.parametrize("part", ["store", "store/pack"])
def test_a_store_of_somebody_else_is_one_line(
    workplace: Path, project: Path, without_rights: WithoutRights, part: str
) -> None:
    (workplace / part).mkdir(parents=True)
    (workplace / part).chmod(0o555)
    done = without_rights([str(Path(sys.executable).with_name("nli")), "run", "sample"], cwd=project)
    assert done.returncode == 2
    assert done.stderr.startswith(f"nli: {workplace / part}: cannot be")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("part", ["locks/pack-KEY.lock", "pack/KEY.partial/"])
def test_a_part_of_the_store_of_somebody_else_is_named(
    tmp_path: Path, without_rights: WithoutRights, part: str
) -> None:
    path = tmp_path / part.replace("KEY", output_key("pack", {}))
    path.parent.mkdir(parents=True)
    path.mkdir() if part.endswith("/") else path.touch()
    path.chmod(0o555)
    script = "import sys, pathlib; from nli_core.store.store import Store\n"
    script += "with Store(pathlib.Path(sys.argv[1])).claim('pack', {}) as claim: (claim.partial / 'file').touch()"
    done = without_rights([sys.executable, "-c", script, str(tmp_path)])
    told = done.stderr.splitlines()[-1]
    assert f"UserError: {path}" in told
    assert "cannot be used (Permission denied); share a store through a group" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "field", "name"),
    [
        ("file-example", "corpus.train", "rows.csv"),
        ("snli-minilm", "corpus.source", "snli.zip"),
        ("sample", "encoder.name", "vocab.txt"),
    ],
)
def test_a_file_of_somebody_else_is_one_line(
    workplace: Path,
    project: Path,
    tiny_encoder: Path,
    without_rights: WithoutRights,
    recipe: str,
    field: str,
    name: str,
) -> None:
    file = Path(shutil.copytree(tiny_encoder, workplace / "closed")) / name
    file.touch()
    file.chmod(0)
    named = file.parent if field == "encoder.name" else file
    settings = {"encoder.name": tiny_encoder, field: named}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = without_rights([str(Path(sys.executable).with_name("nli")), "run", recipe, *words], cwd=project)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"nli: {file}: cannot be used (Permission denied)")
    assert "Traceback" not in done.stderr


def test_locks_and_folders_are_shared_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with FileLock(tmp_path / "lock"), Store(tmp_path / "store").claim("pack", {"a": 1}) as claim:
            folders = [claim.partial, *claim.partial.parents[:2]]
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o664
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o775}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("recipes > /dev/full", 2),
        pytest.param("recipes --json > /dev/full", 2, marks=pytest.mark.slow),
        ("recipes >&-", 0),
        pytest.param("recipes 2>&-", 0, marks=pytest.mark.slow),
        ("run smaple 2>&-", 2),
        ("recipes | head -1", 0),
    ],
)
def test_output_that_cannot_be_written_is_one_line(project: Path, command: str, status: int) -> None:
    nli = Path(sys.executable).with_name("nli")
    script = f"set -o pipefail; {nli} {command}"
    done = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == (1 if "/dev/full" in command else 0)


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_a_terminal_of_few_letters_gets_escapes(project: Path, encoding: str) -> None:
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", "--set", "finetune.epochs=世"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("got '\\u4e16'\n")


@pytest.fixture
def web_page(serve: Callable[..., str]) -> str:
    """The address of a server that answers every request with a page, as a hotel's login does."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>log in</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

    return f"http://{serve(Page)}"


def test_a_web_page_is_neither_prefect_nor_mlflow(
    web_page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        temporary_settings({PREFECT_API_URL: f"{web_page}/api"}),
        pytest.raises(UserError, match=rf"^{web_page}/api is no Prefect server .*; set PREFECT_API_URL"),
    ):
        check_prefect()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web_page)
    with pytest.raises(UserError, match=rf"^{web_page} answers with a web page, as no MLflow; set MLFLOW_TRACKING_URI"):
        check_tracking(Settings.from_environment())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite:///{place}", r"{place}: MLflow cannot use it \(file is not a database\)"),
        (
            "postgresql://me:secret@127.0.0.1:9/mlflow",
            r"MLflow's database at postgresql://127\.0\.0\.1:9/mlflow does not answer",
        ),
        ("sqlite:///{place}/../mistyped/mlflow.db", r"MLFLOW_TRACKING_URI: there is no folder .*/mistyped; make it"),
        ("htp://me:secret@host:5000", r"MLFLOW_TRACKING_URI: MLflow knows no address htp://\.\.\.; name a server"),
    ],
)
def test_a_tracking_database_that_is_none_is_one_line(
    nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    place = workplace / "other.csv"
    place.write_text("text,label\n" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(place=place))
    for words in (["status"], ["run", "sample"]):
        done = nli_here(*words)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, bool(re.match("nli: " + message.format(place=place), line))) == (2, True), line
    assert not (workplace / "mistyped").exists()


@pytest.mark.parametrize("place", ["~nosuchuser/store", "loop/store"])
def test_a_store_that_leads_nowhere_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (workplace / "loop").symlink_to("loop")
    monkeypatch.setenv("NLI_STORE", place if place.startswith("~") else str(workplace / place))
    with pytest.raises(UserError, match=r"^NLI_STORE: .* leads nowhere \(.*\); choose another path$"):
        Settings.from_environment()


def test_a_file_in_place_of_a_folder_of_the_store_is_named(
    nli_here: Nli, tiny_settings: list[str], workplace: Path
) -> None:
    (workplace / "store").mkdir()
    (workplace / "store" / "corpus").touch()
    done = nli_here("run", "sample", *tiny_settings, "--until", "download")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("nli: ")]
    assert (done.returncode, line.startswith(f"nli: {workplace}/store/corpus")) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_registry_that_is_none_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "htp://host")
    with pytest.raises(UserError, match=r"^MLFLOW_REGISTRY_URI: MLflow knows no address htp:"):
        Settings.from_environment()


def test_mlflow_says_in_a_line_why_its_database_refuses(workplace: Path) -> None:
    settings = Settings.from_environment()
    with mlflow_client(settings) as client:
        client.create_experiment("first")
    path = sqlite_path(settings)
    assert path is not None
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE runs")
    with (
        pytest.raises(UserError, match=r"failed \(no such table: runs\); fix it") as refusal,
        mlflow_client(settings) as client,
    ):
        client.search_runs([client.get_experiment_by_name("first").experiment_id])
    assert "sqlalche" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PREFECT_LOGGING_LEVEL", "bogus", "nli: Prefect's setting logging_level: Input should be"),
        ("PREFECT_HOME", "file", "nli: file: cannot be Prefect's folder (File exists); set PREFECT_HOME"),
    ],
)
def test_settings_of_prefect_that_are_wrong_are_one_line(
    workplace: Path, variable: str, value: str, message: str
) -> None:
    (workplace / "file").touch()
    nli = str(Path(sys.executable).with_name("nli"))
    environment = {name: text for name, text in os.environ.items() if name != "PREFECT_API_URL"} | {variable: value}
    done = subprocess.run(
        [nli, "run", "sample", "--until", "download"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("nli: ")]
    assert (done.returncode, len(told), "Traceback" in done.stderr) == (2, 1, False), done.stderr
    assert told[0].startswith(message)


def test_a_present_folder_that_was_deleted_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    nli = Path(sys.executable).with_name("nli")
    done = subprocess.run(
        ["sh", "-c", f"rmdir {gone}; {nli} recipes"], cwd=gone, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "nli: the present folder was deleted; change to another\n")


@pytest.mark.slow
def test_mlflow_that_refuses_the_hosts_name_is_recognized(
    mlflow_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = mlflow_server.address.replace("127.0.0.1", "mlflow.team.example")
    with mlflow_server.running():
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setattr("socket.getaddrinfo", _resolving("mlflow.team.example"))
        with pytest.raises(UserError, match=rf"start it with --allowed-hosts {address.removeprefix('http://')}"):
            check_tracking(Settings.from_environment())


def _resolving(name: str) -> Callable[..., Any]:
    """A resolver that knows a name of this machine, as a line in /etc/hosts would teach it."""
    resolve = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host in (name, name.encode()) else host, *arguments, **options)

    return answer


@pytest.mark.slow
def test_our_prefect_server_answers_loopback_alone(prefect_home: Path) -> None:
    with local_server(temporary=True) as server:
        server.wait_until_healthy()
        address, port = f"{server.address}/api/health", server.address.rpartition(":")[2]
        assert requests.get(address, timeout=10).status_code == 200
        assert requests.get(address, headers={"Host": f"localhost:{port}"}, timeout=10).status_code == 200
        assert requests.get(address, headers={"Host": f"evil.example:{port}"}, timeout=10).status_code == 400
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        preflight = requests.options(f"{server.address}/api/deployments/filter", headers=asked, timeout=10)
        assert "Access-Control-Allow-Origin" not in preflight.headers


def test_pruning_keeps_what_a_live_run_reads(
    nli_here: Nli, tiny_settings: list[str], prefect_server: str, workplace: Path
) -> None:
    nli_here("run", "sample", *tiny_settings, "--until", "pack")
    settings = Settings.from_environment()
    (corpus,) = settings.store.outputs("corpus")
    with register_run(settings, "0a3b1c5e-0000-4000-8000-000000000000", lambda *_: None):
        register_use(settings, "0a3b1c5e-0000-4000-8000-000000000000", [corpus.key])
        told = nli_here("store", "prune", "--all", "--delete").stdout
        assert corpus.key not in told
        assert (settings.store.outputs("corpus"), settings.store.outputs("pack")) == ([corpus], [])
    assert corpus.key in nli_here("store", "prune", "--all", "--delete").stdout
    assert settings.store.outputs() == []
