"""What is known of a downloaded thing."""

from dataclasses import dataclass, field

from nli_core.data.corpus.layout import Split


@dataclass(frozen=True)
class Origin:
    """Where a corpus or an encoder really came from, and whether a digest vouched for it.

    `files` has the user's own names for the files of splits, for error messages; `left_out` the names of tensors that
    the encoder has no use for.
    """

    source: str
    sha256: str | None
    verified: bool
    files: dict[Split, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
