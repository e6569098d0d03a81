"""Tar archives read in place: where each regular file's bytes are, without unpacking anything."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fuselip.core.errors import UserError

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True)
class Member:
    """A regular file of an archive: `size` bytes from `offset`."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class BadMember:
    """A member that is not for reading (a link, a device, a name that leads out), or where the archive breaks off."""

    name: str
    reason: str


def members(path: Path) -> Iterator[Member | BadMember]:
    """The files of an uncompressed tar, in order; folders are passed over. Memory does not grow with the archive.

    A damaged or cut archive ends with a BadMember. Raises UserError if it cannot be opened or is compressed.
    """
    _refuse_compressed(path)
    last = "its start"
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
                if info.size < 0 or archive.offset <= info.offset:  # it would be read round in a circle
                    raise tarfile.ReadError("a header says a size below zero")
                last = info.name
                if info.isdir():
                    continue
                reason = _refuse(info)
                yield BadMember(info.name, reason) if reason else Member(info.name, info.offset_data, info.size)
            if (lack := _broken_off(path, archive.offset)) is not None:
                raise tarfile.ReadError(lack)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        yield BadMember(path.name, f"the tar is damaged or cut short after {last!r} ({error}); get it again")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def read_member(path: Path, member: Member, limit: int) -> bytes:
    """The bytes of a small member. Raises UserError if it is over `limit` bytes or cut short."""
    if member.size > limit:
        raise UserError(f"{member.name} in {path} has {member.size} bytes, more than the {limit} expected")
    with open(path, "rb") as stream:
        stream.seek(member.offset)
        data = stream.read(member.size)
    if len(data) < member.size:
        raise UserError(f"{path} is cut short in {member.name}; get it again")
    return data


def _broken_off(path: Path, offset: int) -> str | None:
    """Why an archive that ends at `offset` is not whole; tarfile takes a lack of headers and a bad one for the end."""
    with open(path, "rb") as stream:
        stream.seek(offset)
        block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return "it lacks the empty block at its end"
    return "the next header is damaged" if any(block) else None


def _refuse(info: tarfile.TarInfo) -> str:
    """Why a member is not read, or an empty string."""
    if info.issym() or info.islnk():
        return f"a link (to {info.linkname!r}); links in archives are not followed"
    if not info.isreg() or info.issparse():
        return "no plain file (a device, pipe or sparse file)"
    if info.name.startswith(("/", "\\")) or ":" in info.name[:3]:
        return "its name is absolute"
    if ".." in info.name.replace("\\", "/").split("/"):
        return "its name leads out of the archive by '..'"
    return ""


def _refuse_compressed(path: Path) -> None:
    try:
        with open(path, "rb") as stream:
            head = stream.read(2)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the name and its permissions") from error
    if head in _COMPRESSED:
        kind = _COMPRESSED[head]
        raise UserError(f"{path} is compressed ({kind}); images do not shrink further: unpack it to a plain .tar first")
