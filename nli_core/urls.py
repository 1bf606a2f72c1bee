"""Addresses of files and servers."""

from urllib.parse import urlsplit, urlunsplit


def is_remote(address: str) -> bool:
    """Whether `address` is one to fetch rather than a path."""
    return urlsplit(address).scheme in ("http", "https")


def without_password(address: str) -> str:
    """The address without user name and password, fit for logs, manifests and error lines."""
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]))
