"""The project's one logger. A command or a worker decides where its lines go."""

import logging

LOGGER = logging.getLogger("nli")
