"""The project's one logger. A command or a worker decides where its lines go."""

import logging

from nli_core.printable import printable


class _OneLine(logging.Filter):
    """Keeps line ends and escape sequences of users' texts out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), ()
        return True


LOGGER = logging.getLogger("nli")
LOGGER.addFilter(_OneLine())
