import socket

import pytest

from flows.local.servers import running
from nli_core.errors import UserError


def test_a_port_that_is_taken_meanwhile_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            running("MLflow", ["no_such_module"], port, "/health") as server,
            pytest.raises(UserError, match=f"^MLflow: another program has taken port {port} meanwhile"),
        ):
            server.wait_until_healthy()
