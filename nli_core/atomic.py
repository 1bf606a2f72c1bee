"""Write files that survive a crash: whole under their final names, or absent.

A file is flushed to the disk before it is renamed, and its folder after. This is the order of Pillai et al., "All File
Systems Are Not Created Equal", OSDI 2014.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush `folder` and every file and folder below it to the disk."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(root, name))
        sync(Path(root))


def write_text(path: Path, text: str) -> None:
    """Replace `path` by a file with this text, in one step."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to. A block that ends well moves it over `path`; one that raises removes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def link_tree(source: Path, target: Path) -> None:
    """Have a folder's files in `target` too, without another copy where the disk can do that."""
    shutil.copytree(source, target, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def discard_partial_files(folder: Path) -> None:
    """Delete what `replacing` leaves below `folder` when its process is killed."""
    for path in folder.rglob(".*.partial"):
        path.unlink()
