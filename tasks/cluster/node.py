"""What a node looks at before work: the version of the project there, and its store.

Ray imports these functions there by their names, so the node has the project installed.
"""

import socket

from nli_core.errors import UserError
from nli_core.fingerprint.code import code_of
from nli_core.hashing import canonical_digest
from nli_core.model.families.registry import family_entries
from nli_core.run.plan import ENTRIES
from tasks.runtime.provenance import made_with
from tasks.settings import Settings

Version = dict[str, str]


def project_version() -> Version:
    """Return the checkout's commit, if it is one, and a digest of the code that can change a result."""
    commit = str(made_with()["commit"])
    entries = [*ENTRIES.values(), *((entry,) for entry in family_entries())]
    return {"commit": commit, "code": canonical_digest([code_of(*each).digest for each in entries])}


def fault_of_node(version: Version) -> str | None:
    """Return in one line what makes this node unfit for work with this version of the project."""
    here = project_version()
    if here != version:
        name = "commit" if here["commit"] != version["commit"] else "code"
        return named(f"has the {name} {here[name][:12]}, not {version[name][:12]}; install the same everywhere")
    try:
        Settings.from_environment().store.check_writable()
    except UserError as error:
        return named(str(error))
    return None


def named(fault: str) -> str:
    """Put the name of this node before its fault."""
    return f"node {socket.gethostname()}: {fault}"
