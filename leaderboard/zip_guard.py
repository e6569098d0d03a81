"""Reading a stranger's zip: each entry is checked before a byte of it is unpacked, to no more than it says.

Only what our own writer makes is taken: one part, no comments or extra fields, members end to end from the first byte
to the directory. So entries cannot overlap, hide between others, or be read otherwise by another program.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.types import Fault

_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY_MOST = 46 + 300
"""Bytes of a directory entry: its fixed part, and a name as long as we allow it."""
_REPACK = "make it with `fuselip-leaderboard pack`, and send that file as it is"
_PLAIN = 0x800
"""The only flag that is taken: a name in UTF-8."""


@dataclass(frozen=True)
class Limits:
    """How large a bundle may be, in bytes; `ratio` is unpacked to packed bytes of a member."""

    bytes: int = 64 * 2**20
    members: int = 2 * 300 + 1
    ratio: float = 200.0
    unpacked: int = 512 * 2**20
    member: int = 64 * 2**20
    json: int = 4 * 2**20


class Archive:
    """A zip held in memory, whose directory was checked. `read` gives a member's bytes."""

    def __init__(self, data: bytes, infos: Sequence[zipfile.ZipInfo]) -> None:
        self._data = data
        self.members = {info.filename: info for info in infos}

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises ValueError, saying why, where they are damaged or not as many as it says."""
        info = self.members[name]
        start = info.header_offset + _LOCAL.size + len(info.filename.encode())
        packed = self._data[start : start + info.compress_size]
        unpacked = packed
        if info.compress_type == zipfile.ZIP_DEFLATED:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                unpacked = inflate.decompress(packed, info.file_size + 1)
            except zlib.error as error:
                raise ValueError(f"cannot be unpacked ({error})") from None
            if not inflate.eof or inflate.unused_data:
                raise ValueError("does not unpack to the size it says")
        if len(unpacked) != info.file_size:
            raise ValueError("does not unpack to the size it says")
        if zlib.crc32(unpacked) != info.CRC:
            raise ValueError("is damaged: its checksum is another")
        return unpacked


def open_zip(data: bytes, allowed: re.Pattern[str], limits: Limits) -> tuple[Archive | None, list[Fault]]:
    """The archive, or None and all that is wrong with its directory. `allowed` matches whole names of members."""
    why = _unsound(data, limits)
    if why:
        return None, [Fault("the file", why, _REPACK)]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        OverflowError,
        OSError,
        EOFError,
        struct.error,
    ) as error:
        return None, [Fault("the file", f"is not a zip that can be read ({str(error)[:120]})", _REPACK)]
    faults = [Fault(shown(info.filename), why, _REPACK) for info in infos for why in _wrong(info, allowed, limits)]
    faults += [
        Fault(shown(name), f"is there {count} times", _REPACK)
        for name, count in Counter(info.filename for info in infos).items()
        if count > 1
    ]
    if sum(info.file_size for info in infos) > limits.unpacked:
        faults.append(Fault("the file", f"unpacks to more than {limits.unpacked} bytes", _REPACK))
    why = _gaps(data, infos)
    if why and not faults:
        faults.append(Fault("the file", why, _REPACK))
    return (None, faults) if faults else (Archive(data, infos), [])


def shown(name: str) -> str:
    """A stranger's name as it is told: short, and without signs that a terminal obeys."""
    return repr(name[:120])


def _unsound(data: bytes, limits: Limits) -> str:
    """Why the end of the archive is not as we write it; looked at before anything is allocated by its word."""
    if len(data) > limits.bytes:
        return f"has more than {limits.bytes} bytes"
    if len(data) < _END.size or data[-_END.size :][:4] != b"PK\5\6":
        return "is not a zip, is cut short, or has something after its end"
    _, disk, first, here, count, size, offset, comment = _END.unpack_from(data, len(data) - _END.size)
    zip64 = data[-_END.size - 20 :][:4] == b"PK\6\7"
    if disk or first or here != count or comment or zip64:
        return "is of several parts, of zip64, or has a comment"
    if count > limits.members or size > limits.members * _ENTRY_MOST:
        return f"has more than {limits.members} members"
    return "" if offset + size + _END.size == len(data) else "has a directory that is not where it says"


def _wrong(info: zipfile.ZipInfo, allowed: re.Pattern[str], limits: Limits) -> list[str]:
    name, parts = info.orig_filename, info.orig_filename.replace("\\", "/").split("/")
    mode = info.external_attr >> 16
    ratio = info.file_size / max(info.compress_size, 1)
    checks = {
        "has an absolute name": name.startswith(("/", "\\")) or ":" in name[:3],
        "has a name that leads out of the archive": ".." in parts,
        "is no member of a bundle": allowed.fullmatch(name) is None or name != info.filename,
        "is a link or no plain file": stat.S_IFMT(mode) not in (0, stat.S_IFREG),
        "is encrypted": bool(info.flag_bits & 0x41),
        "is packed in a way that is not taken": info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        or (info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size),
        "has flags, a comment or extra fields": bool(info.flag_bits & ~(_PLAIN | 0x41) or info.comment or info.extra),
        f"is over {limits.member} bytes": info.file_size > limits.member,
        f"is packed {ratio:.0f} to 1, more than {limits.ratio:.0f} to 1": ratio > limits.ratio,
    }
    return [why for why, found in checks.items() if found]


def _gaps(data: bytes, infos: Sequence[zipfile.ZipInfo]) -> str:
    """Where members do not lie end to end, or say something else in place than in the directory; "" where they do."""
    at = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = info.orig_filename.encode()
        if info.header_offset != at or at + _LOCAL.size + len(name) > len(data):
            return "has members that overlap or something between them"
        sign, _, flags, kind, _, _, crc, packed, size, name_size, extra = _LOCAL.unpack_from(data, at)
        told = (sign, flags, kind, crc, packed, size, name_size, extra)
        listed = (b"PK\3\4", info.flag_bits, info.compress_type, info.CRC, info.compress_size, info.file_size)
        if told != (*listed, len(name), 0) or data[at + _LOCAL.size :][: len(name)] != name:
            return f"says something else of {shown(info.filename)} in its directory than in place"
        at += _LOCAL.size + len(name) + info.compress_size
    (directory,) = struct.unpack_from("<L", data, len(data) - 6)
    return "" if at == directory else "has something between its members and its directory"
