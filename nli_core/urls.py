"""Addresses of files and servers, and texts that may hold them."""

import re
from urllib.parse import urlsplit, urlunsplit

BUCKET_KINDS = ("s3", "gs", "az")
# Everything between :// and @. A slash in the password makes the address invalid; :5000/ is a port.
_CREDENTIALS = re.compile(r"(?<=://)(?:[^/\s]*@|[^\s/@:]*:(?!\d+/)\S*@)")


def is_remote(address: str) -> bool:
    """Return whether `address` is an http(s) address and not a path."""
    return address.lower().startswith(("http://", "https://"))


def is_bucket(address: str) -> bool:
    """Return whether `address` names an object store's bucket, or something in one."""
    return address.lower().startswith(tuple(f"{kind}://" for kind in BUCKET_KINDS))


def without_password(address: str) -> str:
    """Remove user name and password from an address, for logs, manifests and error lines."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return without_credentials(address)
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]))


def without_credentials(text: str) -> str:
    """Remove user names and passwords from all addresses in a text, valid or not."""
    return _CREDENTIALS.sub("", text)
