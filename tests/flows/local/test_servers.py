import _thread
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from flows.local.servers import Server, running
from nli_core.errors import UserError


def test_a_port_that_is_taken_meanwhile_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            running("MLflow", ["no_such_module"], port, "/health") as server,
            pytest.raises(UserError, match=f"^MLflow: another program has taken port {port} meanwhile"),
        ):
            server.wait_until_healthy()


def test_ctrl_c_while_a_server_stops_kills_it() -> None:
    """The command has ended by then, and its result stays."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests themselves may ignore it
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout
    with process.stdout:
        process.stdout.readline()  # it ignores SIGTERM from here on
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.start()
        started = time.monotonic()
        Server("Prefect", "http://127.0.0.1:1", "/", process).stop()
    timer.join()
    signal.signal(signal.SIGINT, before)
    assert process.returncode == -9
    assert time.monotonic() - started < 8
