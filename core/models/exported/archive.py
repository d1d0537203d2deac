"""The zip archive around an exported program: looked over before a byte of it is unpacked.

Nothing here imports torch or unpickles: members are plain bytes. What a file claims about itself
(sizes, names, places) is checked against what it is.
"""

from __future__ import annotations

import json
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from core.errors import BadModel, shortened

MOST_MEMBERS = 200_000
LARGEST_TEXT = 256 * 2**20  # bytes of a member that is parsed
_BLOCK = 2**20
_NAME = re.compile(r"[A-Za-z0-9_.@ +()\[\]-]+(/[A-Za-z0-9_.@ +()\[\]-]+)*", re.ASCII)
AGAIN = "Save it again with torch.export.save(program, 'model.pt2')."


class Archive:
    """An open archive: members by their name below its one root folder."""

    def __init__(self, path: Path) -> None:
        """Open and look over.

        Raises ``BadModel`` for anything but a plain zip of one folder: no compressed, encrypted or
        doubled members, no links, no path that leads outside, no size that does not fit the file.
        """
        self.name = shortened(path.name, 80)
        self.size = path.stat().st_size
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
            raise BadModel(
                f"'{self.name}' is no exported program, or it is cut off.",
                f"Expected a .pt2 file. {AGAIN}",
            ) from None
        try:
            self.members = self._looked_over()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _looked_over(self) -> Mapping[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        if not infos or len(infos) > MOST_MEMBERS:
            raise self.refused(f"it has {len(infos):,} parts, at most {MOST_MEMBERS:,} are read")
        roots = {each.filename.partition("/")[0] for each in infos}
        found: dict[str, zipfile.ZipInfo] = {}
        for each in infos:
            shown = shortened(repr(each.filename), 80)
            root, _, name = each.filename.partition("/")  # the root is called like the file was
            fine = _NAME.fullmatch(name) and root.isprintable() and "\\" not in root
            if not fine or any(part in ("", ".", "..") for part in each.filename.split("/")):
                raise self.refused(f"it has a part at {shown}, which may lead outside")
            if each.is_dir() or stat.S_ISLNK(each.external_attr >> 16):
                raise self.refused(f"its part {shown} is a folder or a link, not a file")
            if each.flag_bits & 0x1:
                raise self.refused(f"its part {shown} is encrypted")
            if each.compress_type != zipfile.ZIP_STORED or each.compress_size != each.file_size:
                raise self.refused(
                    f"its part {shown} is compressed, which torch.export.save never does"
                )
            if name in found:
                raise self.refused(f"it has two parts called {shown}")
            found[name] = each
        if len(roots) != 1 or "" in found:
            raise self.refused("it has more than one folder at its top")
        if sum(each.file_size for each in infos) > self.size:
            raise self.refused("its parts claim more bytes than the file has, or overlap")
        return found

    def refused(self, reason: str, next_step: str = AGAIN) -> BadModel:
        """The error that says why this file is not opened."""
        return BadModel(f"'{self.name}' is not opened: {reason}.", next_step)

    def blocks(self, name: str) -> Iterator[bytes]:
        """A member in blocks of at most a mebibyte. Raises ``BadModel`` when it is damaged."""
        info = self.members[name]
        seen = 0
        try:
            with self._zip.open(info) as file:
                while block := file.read(_BLOCK):
                    seen += len(block)
                    yield block
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            raise self.refused(f"its part '{shortened(name, 60)}' is damaged ({error})") from None
        if seen != info.file_size:
            raise self.refused(f"its part '{shortened(name, 60)}' is cut off")

    def copy(self, name: str, into: IO[bytes]) -> None:
        """Write a member to another file."""
        for block in self.blocks(name):
            into.write(block)

    def text(self, name: str, largest: int = LARGEST_TEXT) -> str:
        """A member as UTF-8. Raises ``BadModel`` when it is too large or no text."""
        if self.members[name].file_size > largest:
            raise self.refused(f"its part '{name}' is larger than {largest / 2**20:g} MiB")
        try:
            return b"".join(self.blocks(name)).decode()
        except UnicodeDecodeError:
            raise self.refused(f"its part '{name}' is no text") from None

    def json(self, name: str) -> Any:
        """A member as JSON. Raises ``BadModel`` when it is none."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError):
            raise self.refused(f"its part '{name}' is no JSON") from None
