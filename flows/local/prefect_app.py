"""Prefect's server for the users of one machine: `python -m flows.local.prefect_app --host 127.0.0.1 --port 4200`.

It answers only requests to names of loopback, so that no web page can reach it by a name of its own (DNS rebinding).
`prefect server start` answers any host. The rest comes from the environment, as for Prefect's own command.
"""

import argparse

from tasks.runtime.garbage import collect_rarely

LOOPBACK = ("127.0.0.1", "localhost")


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-services", action="store_true")
    options = parser.parse_args()
    collect_rarely()
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = create_app(final=True, webserver_only=options.no_services)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    uvicorn.run(app, host=options.host, port=options.port, log_level="critical")


if __name__ == "__main__":
    main()
