"""The errors that a user can fix, and the reasons that libraries give for theirs."""

import errno
import os

from nli_core.urls import without_credentials


class UserError(Exception):
    """A fault in the input, the configuration or the environment that the user can fix.

    The message is one line. It names the file, line, field or address, without user name and password, and says what
    to do. The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_credentials(" ".join(message.split())))


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, or else its class, without user names and passwords."""
    return without_credentials(next(iter(str(error).splitlines()), type(error).__name__))


def disk_is_full(error: BaseException | None) -> bool:
    """Return whether a full disk or quota caused an error. Libraries in Rust and C++ only say so in their message."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
