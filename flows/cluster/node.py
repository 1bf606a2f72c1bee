"""What runs on a node of a Ray cluster: a look at the node before work, and the processes of trials.

Ray imports these functions there by their names, so the node has the project installed.
"""

import socket
import subprocess
import sys

from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from nli_core.hashing import canonical_digest
from nli_core.run.plan import ENTRIES
from tasks.runtime.provenance import made_with


def project_version() -> dict[str, str]:
    """Return the checkout's commit, if it is one, and a digest of the code that can change a result."""
    from nli_core.fingerprint.code import code_of

    commit = str(made_with()["commit"])
    return {"commit": commit, "code": canonical_digest([code_of(*entries).digest for entries in ENTRIES.values()])}


def fault_of_node(version: dict[str, str]) -> str | None:
    """Return in one line what makes this node unfit for the trials of a sweep with this version of the project."""
    set_library_defaults()
    from tasks.operations.preflight import check_prefect, check_tracking
    from tasks.settings import Settings

    here = project_version()
    if here != version:
        name = "commit" if here["commit"] != version["commit"] else "code"
        return (
            f"node {socket.gethostname()}: has the {name} {here[name][:12]}, and the sweep {version[name][:12]}; "
            "install the same everywhere"
        )
    try:
        settings = Settings.from_environment()
        settings.store.check_writable()
        check_prefect()
        check_tracking(settings)
    except UserError as error:
        return f"node {socket.gethostname()}: {error}"
    return None


def run_trial(flow_run_id: str, version: dict[str, str]) -> int | str:
    """Run a flow run in a process of this node; return its status, or why it did not start."""
    if fault := fault_of_node(version):  # a node that joined later
        return fault
    command = [sys.executable, "-m", "flows.local.trial_worker", flow_run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        return process.wait()
