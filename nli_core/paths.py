"""Paths as users write them."""

from pathlib import Path

from nli_core.errors import UserError


def user_path(text: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by the home folder.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text}: there is no such user; write the whole path") from None
