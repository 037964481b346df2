"""The checks of what is on this machine: packages, what the environment says, the ledger."""

from __future__ import annotations

import os
import platform
import re
import shutil
import ssl
from importlib import metadata
from pathlib import Path

from liangxin import InputError, LedgerError, LedgerLocked
from liangxin._origin import (
    API_KEY,
    BASE_URL,
    Origin,
    Secret,
    named_key,
    parse_base_url,
)
from liangxin._text import printable
from liangxin._version import __version__
from liangxin.cli._doctor._findings import Finding
from liangxin.ledger import Ledger, LedgerState

_LITTLE_DISK = 100 * 1024 * 1024


def versions() -> Finding:
    """What runs here."""
    python = f"Python {platform.python_version()} on {platform.system()}"
    packages = [f"{name} {metadata.version(name)}" for name in ("httpx", "anyio")]
    told = (f"liangxin {__version__}", python, *packages, ssl.OPENSSL_VERSION)
    return Finding("versions", "ok", ", ".join(told))


def extras() -> Finding:
    """Which extras are installed, by what the package itself says that they need."""
    needed: dict[str, list[str]] = {}
    for each in metadata.requires("liangxin") or ():
        found = re.match(r"([\w.-]+).*;.*extra == ['\"]([\w-]+)", each)
        if found is not None and found[1] != "liangxin":
            needed.setdefault(found[2], []).append(found[1])
    there = [extra for extra, names in needed.items() if all(map(_is_installed, names))]
    absent = [extra for extra in needed if extra not in there]
    mend = f'not here: {", ".join(absent)}; pip install "liangxin[{",".join(absent)}]"'
    return Finding("extras", "ok", ", ".join(there) or "none", mend if absent else "")


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def address(given: str | None, *, emulated: bool) -> tuple[Origin | None, Finding]:
    """Where the service is, as far as that can be read."""
    url = (given or os.environ.get(BASE_URL, "")).strip()
    where = "the emulator's" if emulated else "--base-url" if given else BASE_URL
    if not url:
        mend = f"say --base-url URL or set {BASE_URL}; the service's documents name no host"
        return None, Finding("base URL", "fails", "not set", mend)
    try:
        origin = parse_base_url(url)
    except InputError as error:
        return None, Finding("base URL", "fails", str(error), f"mend {where}")
    return origin, Finding("base URL", "ok", f"{printable(origin.url)} ({where})")


def key(given: str | None) -> tuple[Secret | None, Finding]:
    """The key, and whether it can be one; what the service thinks of it comes later."""
    try:
        secret = named_key(given)
    except InputError as error:
        is_set = bool(os.environ.get(API_KEY, "").strip())
        found = "what is set cannot be a key" if is_set else "not set"
        return None, Finding("key", "fails", found, f"set {API_KEY} to {error.allowed}")
    where = API_KEY if given is None else "the emulator's"
    return secret, Finding("key", "skipped", f"{len(secret.reveal())} characters ({where})")


def ledger(named: Path | str | None) -> Finding:
    """Whether the ledger can be used, what is in doubt there, and whether the disk has room."""
    path = named or Path("ledger.db")
    if isinstance(path, Path) and not path.exists():
        if named is None:
            return Finding("ledger", "ok", "none in this folder; --ledger FILE names another")
        return Finding("ledger", "fails", f"there is no {path}", "check the path")
    try:
        with Ledger(path) as opened:
            counts = opened.counts()
            name = opened.path if isinstance(path, str) else path
    except LedgerLocked as error:
        return Finding("ledger", "fails", str(error))
    except (LedgerError, InputError) as error:
        if isinstance(path, str):
            return Finding("ledger", "fails", str(error))
        copy = f"liangxin ledger recover {path} --to NEW"
        return Finding("ledger", "fails", str(error), f"if it is damaged: {copy}")
    found = f"{name} opens, with {sum(counts.values()):,} rows"
    if counts.get(LedgerState.AMBIGUOUS):
        found += f", {counts[LedgerState.AMBIGUOUS]:,} of them in doubt"
        look = f"liangxin ledger export {name} --state ambiguous"
        return Finding("ledger", "warning", found, f"{look}; then attach, resend or abandon each")
    if isinstance(path, str):
        return Finding("ledger", "ok", found)
    free = shutil.disk_usage(path.parent).free
    if free < _LITTLE_DISK:
        mend = "make room: nothing is created that cannot be put on record"
        return Finding("ledger", "warning", f"{found}; {free >> 20:,} MiB of disk are free", mend)
    return Finding("ledger", "ok", f"{found}; {free >> 30:,} GiB of disk are free")
