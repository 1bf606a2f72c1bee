"""Take files out of archives without trusting their paths or sizes."""

import gzip
import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nli_core.errors import UserError

_LARGE_BYTES = 1 << 26
_MOST_SWELLING = 100  # text comes to a third or a tenth


def extract(archive: Path, names: Iterable[str], into: Path, *, remedy: str) -> None:
    """Write the members called `names` (the last part of their path) into the folder `into`, flat.

    Raises:
        UserError: not a zip file, a damaged or missing member, one that is a link or swells beyond all measure, or any
            whose path leads out of the archive.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members: dict[str, zipfile.ZipInfo] = {}
            for member in opened.infolist():
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts:
                    raise UserError(f"{archive}: the member {member.filename!r} leads out of the archive; {remedy}")
                if not member.is_dir():
                    members[path.name] = member
            for name in names:
                if name not in members:
                    raise UserError(f"{archive}: has no {name}; {remedy}")
                _check(members[name], archive, remedy)
                with opened.open(members[name]) as source, (into / name).open("wb") as target:
                    shutil.copyfileobj(source, target, length=1 << 20)
    # A member may be encrypted (RuntimeError) or compressed in a way that is not known (NotImplementedError).
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{archive}: is not an intact zip archive ({error}); {remedy}") from None


def gunzip(packed: Path, target: Path, *, name: str, remedy: str) -> None:
    """Write what a gzip file holds to `target`; errors call it `name`.

    Raises:
        UserError: it is damaged or cut off, or swells beyond all measure.
    """
    most = max(_LARGE_BYTES, _MOST_SWELLING * packed.stat().st_size)
    try:
        with gzip.open(packed) as source, target.open("wb") as plain:
            while chunk := source.read(1 << 20):
                plain.write(chunk)
                if plain.tell() > most:
                    raise UserError(f"{name}: swells to more than {most:,} bytes, as no text does; {remedy}")
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{name}: is not an intact gzip file ({error}); {remedy}") from None


def _check(member: zipfile.ZipInfo, archive: Path, remedy: str) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{archive}: the member {member.filename!r} is a link and not a file; {remedy}")
    if member.file_size > _LARGE_BYTES and member.file_size > _MOST_SWELLING * member.compress_size:
        raise UserError(
            f"{archive}: the member {member.filename!r} would swell from {member.compress_size:,} to "
            f"{member.file_size:,} bytes, as no text does; {remedy}"
        )
