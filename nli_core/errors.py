"""The one kind of error that a user can mend, and the reasons that libraries give for theirs."""

import re

# What stands between :// and @, also where a slash in the password makes it no valid address; :5000/ is a port.
_CREDENTIALS = re.compile(r"(?<=://)(?:[^/\s]*@|[^\s/@:]*:(?!\d+/)\S*@)")


class UserError(Exception):
    """Something in the input, the config or the surroundings that the user can put right.

    The message is one line that names the file, line, field or address (without user name and password) and says what
    to do. The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_CREDENTIALS.sub("", " ".join(message.split())))


def reason_of(error: BaseException) -> str:
    """The first line of an error's message, or else its kind; user names and passwords in addresses are left out."""
    return _CREDENTIALS.sub("", next(iter(str(error).splitlines()), type(error).__name__))
