"""What a node of a Ray cluster does for a sweep: it looks whether it can run trials, and starts their processes."""

import os
import subprocess
import sys

from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.cluster.node import Version, fault_of_node, named
from tasks.settings import RAY, Settings


def fault_for_trials(version: Version) -> str | None:
    """Return in one line what makes this node unfit for the trials of a sweep with this version of the project."""
    set_library_defaults()
    from tasks.operations.preflight import check_prefect, check_tracking

    if fault := fault_of_node(version):
        return fault
    try:
        check_prefect()
        check_tracking(Settings.from_environment())
    except UserError as error:
        return named(str(error))
    return None


def run_trial(flow_run_id: str, version: Version) -> int | str:
    """Run a flow run in a process of this node; return its status, or why it did not start."""
    if fault := fault_for_trials(version):  # a node that joined later
        return fault
    command = [sys.executable, "-m", "flows.local.trial_worker", flow_run_id]
    environment = {name: value for name, value in os.environ.items() if name != RAY}  # a trial trains on its node
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True) as process:
        return process.wait()
