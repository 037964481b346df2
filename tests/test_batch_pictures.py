"""Pictures beside a batch file: found, hashed into the key, sent; a missing one is a bad line."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import liangxin
from liangxin import Client, RawInput
from liangxin.batch import BatchReport, Request, check, read
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, input_sha256
from liangxin.models import Flux2Pro, NanoBananaPro

Options = dict[str, Any]
FOG = "the same in fog"


def picture(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(buffer, "PNG")
    return buffer.getvalue()


PNG = picture()
IDENTITY = f"sha256:{hashlib.sha256(PNG).hexdigest()}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pictures beside the batch file to come."""
    for name in ("cat.png", "refs/a cat.png", "refs/50%.png", "why?.png", "c#1.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PNG)
    return tmp_path


def lines(folder: Path, *fields: dict[str, Any], model: str = "nano-banana-pro") -> Path:
    path = folder / "posters.jsonl"
    said = [{"model": model, "input": {"prompt": FOG, **each}} for each in fields]
    path.write_text("".join(json.dumps(each) + "\n" for each in said), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("file:cat.png", "cat.png"),
        ("file:./cat.png", "cat.png"),
        ("FILE:cat.png", "cat.png"),
        ("file:refs/a cat.png", "refs/a cat.png"),
        ("file:refs/a%20cat.png", "refs/a cat.png"),
        ("file:refs/50%25.png", "refs/50%.png"),
        ("file:refs/../cat.png", "cat.png"),
        ("file:why?.png", "why?.png"),
        ("file:c#1.png", "c#1.png"),
        ("file://{}/refs/a%20cat.png", "refs/a cat.png"),
        ("file://localhost{}/cat.png", "cat.png"),
        ("file:{}/cat.png", "cat.png"),
    ],
)
def test_an_address_that_begins_with_file_is_a_path(folder: Path, address: str, name: str) -> None:
    path = lines(folder, {"image_input": [address.format(folder.as_posix())]})
    [request] = read(path)
    expected = NanoBananaPro(prompt=FOG, image_input=[folder / name])
    sent = request.input.payload()["image_input"]
    assert [media.source.resolve() for media in sent] == [folder / name]  # type: ignore[attr-defined]
    assert type(request.input) is type(expected)
    assert request.sha256 == input_sha256(
        "nano-banana-pro", {"prompt": FOG, "image_input": [IDENTITY]}
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:dog.png", "there is no file"),
        ("file:refs", "there is no file"),
        ("file:", "there is no file"),
        ("file:a\0b", "there is no file"),
        ("file://server/cat.png", "it takes file:NAME beside the batch file"),
        ("file://[", "it takes file:NAME beside the batch file"),
    ],
)
def test_a_file_that_is_not_there_is_a_bad_line_with_its_number(
    folder: Path, address: str, said: str
) -> None:
    good = {"image_input": ["file:cat.png"]}
    found = check(lines(folder, good, {"reference_images": [address]}, good))
    assert (found.total, found.bad_total) == (2, 1)
    [bad] = found.bad_lines
    assert bad.line == 2
    assert str(bad.error).startswith("posters.jsonl line 2: reference_images")
    assert said in str(bad.error)


def test_an_empty_file_is_a_bad_line(folder: Path) -> None:
    (folder / "cat.png").write_bytes(b"")
    [bad] = check(lines(folder, {"image_input": ["file:cat.png"]})).bad_lines
    assert str(bad.error) == "posters.jsonl line 1: LocalMedia('cat.png') is empty"


def test_tables_name_files_too(folder: Path) -> None:
    path = folder / "posters.csv"
    path.write_text(
        "id,model,prompt,image_input,input_image\n"
        "a,nano-banana-pro,fog,file:cat.png|https://example.com/dog.png,\n"
        "b,flux-2-pro,fog,,file:refs/a cat.png\n",
        encoding="utf-8",
    )
    first, second = read(path)
    dog = "https://example.com/dog.png"
    assert first.input == NanoBananaPro(prompt="fog", image_input=[folder / "cat.png", dog])
    assert second.input == Flux2Pro(prompt="fog", input_image=folder / "refs" / "a cat.png")


def test_only_media_of_known_models_are_files(folder: Path) -> None:
    path = folder / "posters.jsonl"
    said: list[dict[str, Any]] = [
        {"model": "nano-banana-pro", "input": {"prompt": "file:cat.png"}},
        {"model": "flux-2-pro", "raw": True, "input": {"input_image": "file:cat.png"}},
    ]
    path.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    first, second = read(path)
    assert first.input.payload() == {"prompt": "file:cat.png"}
    assert second.input == RawInput("flux-2-pro", {"input_image": "file:cat.png"})


def test_a_stream_names_files_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "refs")
    text = lines(folder, {"image_input": ["file:a cat.png"]}).read_bytes()
    [request] = read(io.BytesIO(text))
    assert request.input == NanoBananaPro(prompt=FOG, image_input=[Path("a cat.png")])


def test_the_key_of_a_request_without_id_is_that_of_its_picture(folder: Path) -> None:
    def keys() -> list[str]:
        both = [{"image_input": [f"file:{name}"]} for name in ("cat.png", "why?.png")]
        return [request.key for request in read(lines(folder, *both))]

    first, second = keys()
    assert second == f"{first}-2"
    (folder / "why?.png").write_bytes(picture("blue"))
    assert keys()[0] == first
    assert keys()[1] not in (first, second)


def ran(options: Options, *args: Any, **asked: Any) -> BatchReport:
    report = BatchReport()
    with Client(**options) as client, client.batch(*args, report=report, **asked) as outcomes:
        for _ in outcomes:
            pass
    return report


def test_a_batch_sends_its_pictures_once_and_notices_when_they_change(
    folder: Path, server: Emulator, options_of: Options
) -> None:
    path = lines(folder, {"image_input": ["file:cat.png"]}, {"image_input": ["file:c#1.png"]})
    path.write_text(
        "".join(
            json.dumps({"id": f"cat-{n}x", **json.loads(line)}) + "\n"
            for n, line in enumerate(path.read_text(encoding="utf-8").splitlines())
        ),
        encoding="utf-8",
    )
    out = folder / "out"
    assert ran(options_of, path, out=out).ok
    inline = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert [task.input["image_input"] for task in server.tasks.values()] == [[inline], [inline]]
    with Ledger(out / "ledger.db") as ledger:
        row = ledger.find(["cat-0x"])["cat-0x"]
    assert row.input == {"prompt": FOG, "image_input": [IDENTITY]}
    requests = len(server.requests)
    assert ran(options_of, path, out=out).resumed == 2
    (folder / "cat.png").write_bytes(picture("blue"))
    report = ran(options_of, path, out=out)
    assert (report.conflicts, report.succeeded) == (1, 1)
    assert len(server.requests) == requests


def test_a_picture_that_needs_an_uploader_is_one_refused_request(
    folder: Path, server: Emulator, options_of: Options
) -> None:
    requests = [*read(lines(folder, {"input_image": "file:cat.png"}, model="flux-2-pro"))]
    requests.append(Request(key="plain", input=Flux2Pro(prompt=FOG)))
    report = ran(options_of, requests, out=folder / "out")
    assert (report.refused, report.succeeded, len(server.charges)) == (1, 1, 1)
    [line] = (folder / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert (told["error"], told["money"]) == ("InputError", "nothing")
    assert "give the client an uploader" in told["message"]


def test_the_error_of_a_missing_file_is_an_input_error(folder: Path) -> None:
    with pytest.raises(liangxin.InputError) as refused:
        list(read(lines(folder, {"image_input": ["file:gone.png"]})))
    assert (refused.value.field, refused.value.value) == ("image_input", "file:gone.png")
    assert refused.value.allowed.startswith("file:NAME beside the batch file")
