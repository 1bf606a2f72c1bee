"""The process of one run of a trial: `python -m flows.local.trial_worker FLOW_RUN_ID`.

It runs the flow run that the sweep created, and kills itself when its input ends: then the sweep was killed.
"""

import os
import signal
import sys
import threading
from uuid import UUID

from tasks.runtime.garbage import collect_rarely


def main() -> None:
    """Run the flow run that the argument names."""
    collect_rarely()
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    from flows.local.launch import local_session
    from flows.pipeline import pipeline

    threading.Thread(target=_die_with_the_sweep, daemon=True).start()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the sweep's output is for its result
    with local_session():
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(UUID(sys.argv[1]))
        run_flow(pipeline, flow_run, return_type="state")


def _die_with_the_sweep() -> None:
    while os.read(sys.stdin.fileno(), 1):  # past sys.stdin's lock, which the interpreter's end waits for
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
