"""`nli ui` against the real servers."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from flows.local.servers import free_port


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_both_uis_answer_on_loopback_and_stop_together(workplace: Path, stop: signal.Signals) -> None:
    command = [str(Path(sys.executable).with_name("nli")), "ui"]
    command += ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    environment = {**os.environ, "PREFECT_HOME": str(workplace / "prefect"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as ui:
        assert ui.stdout is not None
        lines = [ui.stdout.readline() for _ in range(3)]
        addresses = re.findall(r"http://127\.0\.0\.1:\d+", "".join(lines))
        assert [line.split(":")[0] for line in lines[:2]] == ["Prefect", "MLflow"]
        assert [requests.get(address, timeout=30).status_code for address in addresses] == [200, 200]
        asked = requests.get(f"{addresses[0]}/ui-settings", timeout=30).json()["api_url"]
        assert asked == f"{addresses[0]}/api"
        ui.send_signal(stop)
        assert ui.wait(timeout=30) == 0
    for address in addresses:
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=5)


@pytest.mark.parametrize("option", ["--prefect-port", "--mlflow-port"])
def test_a_port_in_use_is_named_at_once(workplace: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(Path(sys.executable).with_name("nli")), "ui", option, port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == f"nli: {option} {port}: the port is in use; choose another\n"
