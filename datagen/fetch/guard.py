"""Which addresses may be fetched from, enforced where the connection is made: a URL opener for untrusted lists.

A list of URLs is written by strangers, and may point (or redirect, or resolve) into the local network. So names are
resolved here, every address is checked, and that same address is connected to: nothing can change in between. Bodies
are cut off by size and by time.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import time
import urllib.request
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fuselip.core.errors import UserError

NOT_PUBLIC = "not a public address"
TOO_LARGE = "larger than"
TOO_SLOW = "slower than"
SCHEMES = ("http", "https")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """`allow_private`: also addresses of this machine and its network, and the environment's proxies.

    `seconds`: for one answer's body, beside the time limit on each read that the caller sets.
    """

    allow_private: bool = False
    max_bytes: int = 32 << 20
    seconds: float = 30.0


def refusal(url: str, limits: Limits) -> str:
    """Why a URL is refused before anything is sent, or an empty string. Names are not resolved here."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"not a URL ({error})"
    if parts.scheme.lower() not in SCHEMES:
        return f"{parts.scheme or 'no scheme'}: is not fetched, only http and https"
    if not host:
        return "it names no host"
    if "@" in parts.netloc:
        return "it holds a user's name or password"
    if any(ord(each) <= 32 or ord(each) == 127 for each in url):
        return "it holds blanks or control characters"
    if not limits.allow_private and not _public_name(host):
        return f"{host} is {NOT_PUBLIC}"
    return ""


def is_public(address: str) -> bool:
    """Whether an IP address (text, perhaps with a scope) is one of the open internet, also where it embeds another."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def opener(limits: Limits) -> urllib.request.OpenerDirector:
    """Opens http and https, and follows redirects between them; file:, ftp: and data: are unknown to it.

    Connections are direct unless `allow_private`: behind a proxy it is the proxy that resolves names.
    """
    found = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.UnknownHandler(),
        _Http(limits),
        _Https(limits),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]
    if limits.allow_private:
        handlers.append(urllib.request.ProxyHandler())
    for handler in handlers:
        found.add_handler(handler)
    return found


def connect_public(address: tuple[str, int], timeout: Any = None, source: Any = None, **_: Any) -> socket.socket:
    """As socket.create_connection, to public addresses only. OSError where the host has any other."""
    host, port = address
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    for *_rest, where in found:
        if not is_public(str(where[0])):
            raise OSError(f"{host} is {where[0]}, {NOT_PUBLIC}")
    error: OSError | None = None
    for family, kind, protocol, _name, where in found:
        made = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, int | float):
                made.settimeout(timeout)
            made.connect(where)
            return made
        except OSError as failed:
            made.close()
            error = failed
    raise error or OSError(f"{host} has no address")


class _Capped(http.client.HTTPResponse):
    """An answer whose `read()` ends with OSError when it gets too large or takes too long."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits, self._until = limits, time.monotonic() + limits.seconds

    def read(self, amt: int | None = None) -> bytes:
        if amt is not None:
            return super().read(amt)
        blocks, size = [], 0
        while True:
            if max(size, self.length or 0) > self._limits.max_bytes:
                raise OSError(f"{TOO_LARGE} {self._limits.max_bytes} bytes")
            if time.monotonic() > self._until:
                raise OSError(f"{TOO_SLOW} {self._limits.seconds:g} s")
            block = self.read1(_BLOCK)
            if not block:
                break
            blocks.append(block)
            size += len(block)
        if self.length:
            raise http.client.IncompleteRead(b"", self.length)
        return b"".join(blocks)


def _prepare(connection: http.client.HTTPConnection, limits: Limits) -> None:
    connection.response_class = partial(_Capped, limits=limits)  # type: ignore[assignment]
    if not limits.allow_private:
        if not hasattr(connection, "_create_connection"):
            raise UserError("this Python's http.client cannot be guarded; use another version, or --allow-private")
        connection._create_connection = connect_public


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _prepare(self, limits)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _prepare(self, limits)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request, limits=self._limits)  # type: ignore[arg-type]


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request, limits=self._limits)  # type: ignore[arg-type]


def _public_name(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
        return False
    try:
        return is_public(host)
    except ValueError:
        return True
