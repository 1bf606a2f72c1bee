"""Taking named files out of an archive without trusting the archive's paths."""

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nli_core.errors import UserError


def extract(archive: Path, names: Iterable[str], into: Path, *, remedy: str) -> None:
    """Write the members called `names` (the last part of their path) into the folder `into`, flat.

    Raises:
        UserError: not a zip file, a damaged or missing member, or any member whose path leads out of the archive.
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
                with opened.open(members[name]) as source, (into / name).open("wb") as target:
                    shutil.copyfileobj(source, target, length=1 << 20)
    # A member may be encrypted (RuntimeError) or compressed in a way that is not known (NotImplementedError).
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{archive}: is not an intact zip archive ({error}); {remedy}") from None
