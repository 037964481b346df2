"""The page about pictures: every block of it runs, one after the other, and sends what it says."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from liangxin.emulator import Emulator

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")

PAGE = Path(__file__).parents[1] / "docs" / "media.md"


def test_the_blocks_of_the_page_run_in_their_order(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("public").mkdir()
    image = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(image, "PNG")
    Path("cat.png").write_bytes(image.getvalue())
    monkeypatch.setenv("LIANGXIN_API_KEY", "sk-test")
    monkeypatch.setenv("LIANGXIN_BASE_URL", server.base_url)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    s3 = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    try:
        host, port = s3.get_host_and_port()
        httpx.put(f"http://{host}:{port}/pictures", trust_env=False).raise_for_status()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        known: dict[str, Any] = {}
        for block in blocks:
            # Created, and not waited for: how long a picture takes is not what the page is about.
            exec(block.replace("client.run(", "client.create_task("), known)
    finally:
        s3.stop()
    sent: list[dict[str, Any]] = [dict(task.input) for task in server.tasks.values()]
    assert len(sent) == 6
    assert [len(each.get("image_input", ())) for each in sent] == [2, 2, 0, 0, 1, 0]
    [name] = [path.name for path in Path("public").iterdir()]
    assert sent[2]["input_image"] == f"https://pictures.example.com/{name}"
    assert f"/pictures/liangxin/{name}?" in sent[3]["input_image"]
    address = f"https://pictures.example.com/liangxin/{name}"
    assert sent[5]["elements"] == [{"frontal_image_url": address}]
