"""Tars read in place: whatever the bytes, there are members or a reason, and an end."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuselip.core.archive import BadMember, Member, members, read_member
from fuselip.core.errors import UserError


def tar(*entries: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_header_with_a_negative_size_is_no_endless_loop(tmp_path: Path) -> None:
    def header(name: str, size: bytes) -> bytes:
        block = bytearray(tarfile.TarInfo(name).tobuf())
        block[124:136] = size
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)

    minus = (256**12 - 512).to_bytes(12, "big")
    path = tmp_path / "a.tar"
    path.write_bytes(header("a.jpg", b"00000000000\0") + header("b.jpg", minus) + bytes(1024))
    found = list(members(path))
    assert [type(each) for each in found] == [Member, BadMember]
    assert "size below zero" in found[1].reason


@given(data=st.binary(max_size=2000), start=st.integers(0, 3000))
def test_any_bytes_give_members_or_a_reason(tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.tar"
    whole = tar(("1.jpg", b"x" * 600), ("2.jpg", b"y" * 10))[:4096]
    path.write_bytes(whole[:start] + data + whole[start + len(data) :])
    for each in members(path) if path.read_bytes()[:2] not in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5") else ():
        assert each.reason if isinstance(each, BadMember) else each.size >= 0


def test_read_member(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(("a.txt", b"hello")))
    (member,) = members(path)
    assert isinstance(member, Member)
    assert read_member(path, member, 5) == b"hello"
    with pytest.raises(UserError, match="5 bytes, more than the 4"):
        read_member(path, member, 4)
    with pytest.raises(UserError, match="cut short"):
        read_member(path, Member("a.txt", member.offset, 1 << 20), 1 << 21)


def test_members_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    """Long names take headers of their own."""
    entries = {"a.txt": b"hello", "x" * 300 + ".txt": b"world" * 300, "empty.txt": b"", "ü.txt": b"!"}
    path = tmp_path / "a.tar"
    path.write_bytes(tar(*entries.items()))
    found = {each.name: read_member(path, each, 5000) for each in members(path) if isinstance(each, Member)}
    assert found == entries
    assert list(found) == list(entries)


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(members(tmp_path / "a.tar"))
