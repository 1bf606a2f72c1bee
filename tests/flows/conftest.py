"""What tests of the flows share: a webhook."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest


@pytest.fixture
def told(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a webhook is told."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    monkeypatch.setenv("NLI_WEBHOOK", f"http://{serve(Handler)}/hook")
    return messages
