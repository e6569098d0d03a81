"""Small archives for tests, good ones and such as no data set is."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile


def zipped(members: dict[str, bytes], **kinds: int) -> bytes:
    """A zip; `kinds` gives names (with _ for /) a Unix mode."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = kinds.get(name, stat.S_IFREG | 0o644) << 16
            file.writestr(info, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            file.addfile(info)
    return out.getvalue()
