"""The zip archive around an exported program: looked over before a byte of it is unpacked.

Nothing here imports torch or unpickles: members are plain bytes. What a file claims about itself
(sizes, names, places) is checked against what it is.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from core.data.members import ANY_SIZE, DAMAGE, opened
from core.errors import BadModel, shortened

LARGEST_TEXT = 256 * 2**20  # bytes of a member that is parsed
_BLOCK = 2**20
_NAME = re.compile(r"[A-Za-z0-9_.@ +()\[\]-]+(/[A-Za-z0-9_.@ +()\[\]-]+)*", re.ASCII)
AGAIN = "Save it again with torch.export.save(program, 'model.pt2')."


class Archive:
    """An open archive: members by their name below its one root folder."""

    def __init__(self, path: Path) -> None:
        """Open and look over.

        Raises ``BadModel`` for what ``core.data.members.opened`` refuses, and anything but a plain
        zip of one folder of files with plain names, none of them compressed.
        """
        self.name = shortened(path.name, 80)
        self.size = path.stat().st_size
        self._zip, found = opened(
            path,
            path.name,
            error=BadModel,
            bounds=ANY_SIZE,
            never_packed_by="torch.export.save",
            again=AGAIN,
        )
        try:
            self.members = self._looked_over(found)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _looked_over(self, files: Mapping[str, zipfile.ZipInfo]) -> Mapping[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        roots = set()
        for each in self._zip.infolist():
            shown = shortened(repr(each.filename), 80)
            root, _, name = each.filename.partition("/")  # the root is called like the file was
            roots.add(root)
            if not _NAME.fullmatch(name) or not root.isprintable() or each.filename not in files:
                raise self.refused(f"its part {shown} is no file that belongs to a program")
            found[name] = each
        if len(roots) != 1:
            raise self.refused("it has not one folder at its top")
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
        except DAMAGE as error:
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
