"""A file is valid UTF-8, or its first fault is named with its line, wherever the pieces that are read end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.data.corpus import locate
from nli_core.data.corpus.locate import Source, check_utf8
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")


def _found(content: bytes, folder: Path) -> str | None:
    path = folder / "t.csv"
    path.write_bytes(content)
    try:
        check_utf8(Source(path, "t.csv"))
    except UserError as error:
        return str(error)
    return None


def _expected(content: bytes) -> str | None:
    """By Python's decoder over the whole file."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        begins = content[: error.start].count(b"\n") + 1
        if error.reason == "unexpected end of data":
            return f"t.csv, line {begins}: the file ends within a UTF-8 character; save it as UTF-8"
        return f"t.csv, line {begins}: byte 0x{content[error.start]:02x} is not UTF-8; save it as UTF-8"
    return None


@given(
    pieces=st.lists(st.sampled_from([b"a", b"\n", "é".encode(), "日".encode(), "😀".encode(), b"\xff", b"\xe6\x97"])),
    length=st.integers(1, 9),
)
def test_the_first_fault_of_a_file_is_named(
    pieces: list[bytes], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = b"ab" + b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locate, "_CHUNK_BYTES", length)
        assert _found(content, tmp_path_factory.getbasetemp()) == _expected(content)


def test_a_file_of_many_pieces_is_read_whole(tmp_path: Path) -> None:
    good = ("plain words\n" * 5 + "ä\n").encode() * 20_000
    assert _found(good, tmp_path) is None
    assert _found(good + b"\xe4\n", tmp_path) == _expected(good + b"\xe4\n")
    assert _found(good + b"\xc3", tmp_path) == _expected(good + b"\xc3")
