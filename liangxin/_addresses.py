"""
Which hosts of results may be asked, and at which addresses.

A name is resolved here, every address that it has is checked, and one of those is what is then
connected to: between the check and the connection nothing can change its mind.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import httpx
from attrs import frozen

from liangxin._errors import Blocked, DownloadError
from liangxin._origin import Origin, is_loopback
from liangxin._policy import DownloadPolicy
from liangxin._text import in_words, printable

Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name and port."""


class MayPass(Exception):
    """An attempt failed in a way that the next may not; `error` is for when there is no next."""

    def __init__(self, error: DownloadError) -> None:
        super().__init__(error)
        self.error = error


_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(reason: str, *blocks: str) -> list[tuple[_Network, str]]:
    return [(ipaddress.ip_network(block), reason) for block in blocks]


# Written out rather than asked of `ipaddress`, whose `is_global` and `is_private` differ between
# patch releases of Python.  Source: IANA's special-purpose address registries (RFC 6890).
_INTERNAL = (
    *_networks("a loopback address", "127.0.0.0/8", "::1/128"),
    *_networks("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    *_networks("a carrier's shared address", "100.64.0.0/10"),
)
_NEVER = (
    # Metadata services, by address: the common one, Amazon's, Google's, Alibaba's, Azure's.
    *_networks(
        "a cloud's metadata service",
        *("169.254.169.254/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32"),
    ),
    *_networks("a link-local address", "169.254.0.0/16", "fe80::/10"),
    *_networks("no address of a host", "0.0.0.0/8", "::/128"),
    *_networks("a multicast address", "224.0.0.0/4", "ff00::/8"),
    *_networks(
        "a reserved address",
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20"),
    ),
    # A way to write any IPv4 address, and little else since RFC 7526.  Teredo is in 2001::/23.
    *_networks("a 6to4 address", "2002::/16"),
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def refusal(
    address: str, *, allow_private: bool = False, allow_loopback: bool = False
) -> str | None:
    """
    Why a download must not connect to this address, in words; None if it may.

    Public unicast addresses pass.  An IPv4 address inside an IPv6 one (v4-mapped, or behind the
    NAT64 by which IPv6-only networks reach public IPv4 hosts) is judged as itself.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "no IP address"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            return "an address of one network interface"
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    for network, reason in _NEVER:
        if parsed in network:
            return reason
    for network, reason in _INTERNAL:
        if parsed in network:
            is_allowed = allow_private or (allow_loopback and parsed.is_loopback)
            return None if is_allowed else reason
    if parsed.version == 6 and parsed not in _GLOBAL_V6:
        return "no public address"
    return None


async def addresses_of(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@frozen
class Place:
    """A URL that may be asked, and the addresses, all checked, at which to ask it."""

    url: httpx.URL
    host: str
    port: int
    addresses: tuple[str, ...]
    is_own: bool
    """Whether it is the service's own origin, on this machine."""


_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@frozen
class Guard:
    """Decides which URLs may be asked, and at which addresses."""

    api: Origin
    policy: DownloadPolicy
    resolve: Resolver

    async def admit(self, url: str, *, redirected_by: Place | None = None) -> Place:
        """
        Check a URL and every address of its host; raise `Blocked` if any must not be touched.

        The service's own origin may be plain http, and on this machine, if that is where the
        service is; no other host may redirect there.
        """
        parsed, host, port = _taken_apart(url, redirected_by)
        shown = without_query(str(parsed))
        is_own = (
            self.api.is_loopback
            and (parsed.scheme, host, port) == (self.api.scheme, self.api.host, self.api.port)
            and (redirected_by is None or redirected_by.is_own)
        )
        if parsed.scheme != "https" and not is_own:
            raise Blocked(f"{shown} is not https; nothing was asked of it")
        if not is_own and not self._is_listed(host):
            raise Blocked(f"{shown} is on a host that is not among the allowed ones")
        addresses = await self._addresses(host, port, shown)
        for address in addresses:
            reason = refusal(
                address, allow_private=self.policy.allow_private, allow_loopback=is_own
            )
            if reason is not None:
                raise Blocked(f"{shown} leads to {printable(address, 60)}, {reason}")
        return Place(parsed, host, port, addresses, is_own)

    def _is_listed(self, host: str) -> bool:
        if self.policy.allow_hosts is None:
            return True
        listed = {entry.lower() for entry in self.policy.allow_hosts}
        above = host.split(".")
        return host in listed or any(
            "." + ".".join(above[start:]) in listed for start in range(len(above))
        )

    async def _addresses(self, host: str, port: int, shown: str) -> tuple[str, ...]:
        if _is_address(host):
            return (host,)
        if is_loopback(host):  # RFC 6761: these names are not for a resolver to decide
            return ("127.0.0.1", "::1")
        try:
            found = await self.resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise MayPass(
                DownloadError(f"{shown}: the host is not found: {in_words(exc)}")
            ) from exc
        if not found:
            raise MayPass(DownloadError(f"{shown}: the host has no address"))
        return tuple(found)


def _taken_apart(url: str, base: Place | None) -> tuple[httpx.URL, str, int]:
    """One reading of a URL, by the parser whose result is also what is asked."""
    shown = without_query(url)
    try:
        parsed = httpx.URL(url) if base is None else base.url.join(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".")
        default = 443 if parsed.scheme == "https" else 80
        port = default if parsed.port is None else parsed.port
    except (httpx.InvalidURL, ValueError, TypeError) as exc:
        raise Blocked(f"{shown} cannot be read as a URL: {in_words(exc)}") from exc
    if parsed.userinfo:
        raise Blocked(f"{shown} contains a user name or password")
    if not _is_address(host) and (
        not _HOST_NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2])
    ):
        # A name whose last label is a number would be read as an address in one of its many
        # spellings (decimal, octal, hexadecimal, short): https://url.spec.whatwg.org/#host-parsing
        raise Blocked(f"{shown} has no proper host name")
    if not 0 < port < 65536:
        raise Blocked(f"{shown} has no proper port")
    return parsed, host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def without_query(url: str) -> str:
    """A URL fit for a message: it may be signed, so without its query, and without a login."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return printable(re.sub(r"//[^/]*@", "//", bare), 120)


def host_of(url: str) -> str:
    """Whose a URL is: its host, without port, login, path or query."""
    try:
        return printable(httpx.URL(url).host, 260)
    except httpx.InvalidURL:
        return ""
