"""
Where the service is, and how it is reached: its address, the key, the proxy, the certificates.

Checked before anything is sent: the key never travels unencrypted, and shows itself to nobody.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import urllib.request
from urllib.parse import quote, urlsplit

import certifi
from attrs import field, frozen

from liangxin._errors import InputError
from liangxin._text import printable

API_KEY, BASE_URL = "LIANGXIN_API_KEY", "LIANGXIN_BASE_URL"
"""Where the environment has what a client is not given."""


class Secret:
    """A string that shows itself to nobody who merely prints, logs or pickles it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an API key is not pickled; give it to the new process another way")


@frozen
class Origin:
    """Where the service is: the base URL, checked and taken apart."""

    url: str = field(repr=lambda url: repr(printable(url)))
    scheme: str
    host: str
    port: int
    path: str = ""
    """What stands before every path, percent-encoded, without a slash at its end."""

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    @property
    def netloc(self) -> str:
        """What the header `Host` says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"https": 443, "http": 80}


def named_base_url(given: str | None) -> str:
    """The base URL that is given, or that the environment names."""
    base_url = given or os.environ.get(BASE_URL, "")
    if not base_url.strip():
        raise InputError(
            "no base_url: the service's documents name no host, so pass base_url=… or set "
            "LIANGXIN_BASE_URL; to try without the service, run `liangxin emulator` and use the "
            "address that it prints",
            field="base_url",
            value=given,
            allowed="the address of the service, https://…",
        )
    return base_url


def named_key(given: str | None) -> Secret:
    """The API key that is given, or that the environment names."""
    api_key = (given or os.environ.get(API_KEY, "")).strip()
    allowed = "the key from the LiangXin console: printable ASCII without spaces"
    if not api_key:
        raise InputError(
            "no api_key: pass api_key=… or set LIANGXIN_API_KEY", field="api_key", allowed=allowed
        )
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise InputError(f"api_key must be {allowed}", field="api_key", allowed=allowed)
    return Secret(api_key)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's by its spelling."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_base_url(base_url: str) -> Origin:
    """Check a base URL: with or without a path prefix or a trailing slash, https or loopback."""
    allowed = "https://host[:port][/prefix], or http:// on this machine"
    try:
        parts = urlsplit(base_url.strip())
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except (ValueError, AttributeError) as exc:
        raise InputError(
            f"base_url cannot be read: {printable(exc)}",
            field="base_url",
            value=base_url,
            allowed=allowed,
        ) from exc
    wrong = ""
    if not base_url.strip().isprintable():
        wrong = "has characters that cannot be seen"
    elif parts.scheme not in ("https", "http") or not host:
        wrong = "is not an http(s) address"
    elif parts.query or parts.fragment or parts.username or parts.password:
        wrong = "must have no query, fragment or credentials"
    elif parts.scheme == "http" and not is_loopback(host):
        wrong = "is plain http: the API key would travel unencrypted"
    if wrong:
        # Credentials in a URL are a secret too, so only the host is repeated.
        shown = printable(host or base_url.split("@")[-1], 80)
        raise InputError(
            f"base_url {shown!r} {wrong}; allowed is {allowed}",
            field="base_url",
            value=shown,
            allowed=allowed,
        )
    prefix = parts.path.rstrip("/")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    return Origin(
        f"{parts.scheme}://{netloc}{prefix}",
        parts.scheme,
        host,
        port or _PORTS[parts.scheme],
        quote(prefix, safe="/%:@!$&'()*+,;=~"),
    )


def proxy_for(origin: Origin) -> str | None:
    """The proxy that the environment (or the system's settings) names for this origin."""
    if origin.is_loopback or urllib.request.proxy_bypass(origin.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy


def tls_context(verify: ssl.SSLContext | str | os.PathLike[str]) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=os.fspath(verify))
    except (OSError, ssl.SSLError) as exc:
        raise InputError(
            f"verify: no certificates can be read from {os.fspath(verify)!r}: {exc}",
            field="verify",
            value=verify,
            allowed="an ssl.SSLContext, or the path of a PEM file of certificates",
        ) from exc


def default_tls(*, needed: bool) -> ssl.SSLContext:
    """Certificates of the environment's (`SSL_CERT_FILE`, `SSL_CERT_DIR`), or certifi's."""
    if not needed:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates it trusts nobody
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        return ssl.create_default_context(cafile=certifi.where())
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except (OSError, ssl.SSLError) as exc:
        named = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        raise InputError(
            f"{named}: no certificates can be read from {file or folder!r}: {exc}",
            field="verify",
            value=file or folder,
            allowed="the path of a PEM file, or of a folder, of certificates",
        ) from exc
