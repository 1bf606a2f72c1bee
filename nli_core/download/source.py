"""Where download reads from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """An address or a path, its purpose, and the config field that names another."""

    purpose: str
    address: str
    field: str
