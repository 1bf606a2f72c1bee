"""All kinds of encoders. To add one, write a file beside this one and add its class to `ENCODERS`."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from nli_core.download.encoders.base import Encoder
from nli_core.download.encoders.d2l import D2lEncoder
from nli_core.download.encoders.pretrained import PretrainedEncoder
from nli_core.download.encoders.scratch import TransformerEncoder

# The first kind that claims a name has it; the last one claims every name.
ENCODERS: tuple[type[Encoder], ...] = (TransformerEncoder, D2lEncoder, PretrainedEncoder)


def _kind(values: Any) -> str:
    name = values.get("name", "") if isinstance(values, dict) else getattr(values, "name", "")
    return next(kind.__name__ for kind in ENCODERS if kind.claims(str(name)))


if TYPE_CHECKING:
    EncoderConfig = Encoder
else:
    _TAGGED = tuple(Annotated[kind, Tag(kind.__name__)] for kind in ENCODERS)
    EncoderConfig = Annotated[Union[_TAGGED], Discriminator(_kind)]  # noqa: UP007  # of a tuple
