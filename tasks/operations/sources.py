"""Check that the files of a config's corpus and encoder can be reached, without fetching them."""

from collections.abc import Iterator

import httpx

from nli_core.download.encoders.hub import hub_token
from nli_core.download.source import Source
from nli_core.errors import UserError, connection_fault
from nli_core.paths import user_path
from nli_core.remote.objects import find_object
from nli_core.run.config import RunConfig
from nli_core.urls import is_bucket, is_remote, without_password

_TIMEOUT_SECONDS = 5


def sources(config: RunConfig) -> Iterator[Source]:
    """Yield what download would fetch or copy."""
    yield from config.corpus.sources()
    yield from config.encoder.sources()
    yield from (challenge.source() for challenge in config.challenges)


def check_source(source: Source) -> None:
    """Request a source, and read no further than the answer's status.

    Raises:
        UserError: there is no such path, or the server does not answer or does not have it.
    """
    if is_bucket(source.address):
        find_object(source.address, source.field)
        return
    if not is_remote(source.address):
        if not user_path(source.address).exists():
            raise UserError(f"there is no {source.address}")
        return
    shown = without_password(source.address)
    token = hub_token(source.address)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.stream(
            "GET", source.address, headers=headers, timeout=_TIMEOUT_SECONDS, follow_redirects=True
        ) as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"{shown}: {connection_fault(error)}") from None
    if status >= 400:
        raise UserError(f"{shown}: the server answers HTTP {status}")
