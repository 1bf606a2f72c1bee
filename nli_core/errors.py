"""The errors that a user can fix, and the reasons that libraries give for theirs."""

import errno
import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from nli_core.printable import printable
from nli_core.urls import without_credentials

DISK_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, `ulimit -f`


class UserError(Exception):
    """A fault in the input, the configuration or the environment that the user can fix.

    The message is one line of printable characters. It names the file, line, field or address, without user name and
    password, and says what to do. The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_credentials(printable(" ".join(message.split()))))


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, or else its class, without user names and passwords."""
    return without_credentials(next(iter(str(error).splitlines()), type(error).__name__))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` with the known word that is spelled most like `word`, or an empty text."""
    return "".join(f"; did you mean {match}?" for match in get_close_matches(word, list(known), n=1))


def connection_fault(error: BaseException) -> str:
    """Return why a server could not be reached: its certificate, its protocol, or the network."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate is not trusted ({cause.verify_message}), name its authority's file in SSL_CERT_FILE"
            )
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection ({cause.reason}), does the server speak https?"
        cause = cause.__cause__ or cause.__context__
    return f"no connection ({type(error).__name__}), is there a network?"


@contextmanager
def explained_refusals(
    remedy: str = "ask its owner for access, or name another", below: Path | None = None
) -> Iterator[None]:
    """Turn the system's refusal to open a file into a UserError that ends in `remedy`.

    With `below`, only for files below that folder.
    """
    try:
        yield
    except OSError as error:
        refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename is not None
        path = Path(os.fsdecode(error.filename)) if refused else Path()
        if not refused or (below and below not in path.parents):
            raise
        raise UserError(f"{path}: cannot be used ({error.strerror}); {remedy}") from error


def disk_refusal(error: BaseException | None) -> str | None:
    """Return why the disk takes no more, if that caused an error: it is full, or a quota or limit is reached.

    Libraries in Rust and C++ say so in their message alone.
    """
    while error is not None:
        for refusal in map(os.strerror, DISK_REFUSALS):
            if refusal in str(error):
                return refusal
        error = error.__cause__ or error.__context__
    return None
