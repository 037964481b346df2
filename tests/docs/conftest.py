"""What the reader of an example has: an empty folder, a key, a service, and buckets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from liangxin.emulator import Emulator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The service that the environment names; its callbacks leave nobody's machine."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    emulator = Emulator(seed=1, speed=1000, callback_transport=transport)
    with emulator.serve() as address:
        monkeypatch.setenv("LIANGXIN_API_KEY", "sk-test")
        monkeypatch.setenv("LIANGXIN_BASE_URL", address)
        monkeypatch.setenv("PUBLIC_URL", "https://example.com/liangxin")
        monkeypatch.setenv("WEBHOOK_KEY", "a secret of theirs")
        yield emulator


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an object store with two buckets."""
    moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for bucket in ("pictures", "results"):
            httpx.put(f"http://{host}:{port}/{bucket}", trust_env=False).raise_for_status()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def buckets(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names the object store in the environment, where obstore looks for it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
