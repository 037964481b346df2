"""
The pictures of the page in the docs: `python tests/emulator/screenshots.py [FOLDER]`.

Needs Playwright, a Chromium on the PATH and the port 8787.  The service stands at a fixed moment,
so that the same page gives the same pictures.
"""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

from liangxin.emulator import Emulator, Fault

# By name, since it is not there where types are checked.
playwright: Any = import_module("playwright.sync_api")

DOCS = Path("docs/pictures")
SHOTS: dict[str, dict[str, Any]] = {
    "emulator-light": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "light"},
    "emulator-dark": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"},
    "emulator-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
ORDERS = (
    ("z-image", "a lighthouse in fog, first light"),
    ("nano-banana-pro-flash", "a clean app icon: a paper crane on indigo"),
    ("kling-v3-pro", "waves break on black sand, slow dolly"),
    ("seedream-v4-5", "a heron over the marsh at dusk, long lens"),
    ("imagen4-ultra", "八月的稻田，晨雾，水彩"),
    ("flux-2-pro", "an owl made of folded maps !fail:content refused by the upstream"),
    ("veo-3-1-fast-text-to-video", "a tram climbs through Lisbon in the rain"),
    ("z-image", "red fox in snow"),
    ("seedream-v5-lite", "poster for a jazz night, 1962, two colours"),
    ("nano-banana-pro", "isometric tea house, cutaway, soft light"),
    ("wan-2-7-text-to-video", "clouds run over a mountain ridge, time lapse"),
    ("z-image", "still life with lemons"),
)


def service() -> tuple[Emulator, list[float]]:
    """An emulator on a clock that is the returned list's one number."""
    clock = [0.0]
    return Emulator(seed=7, clock=lambda: clock[0], wall=lambda: 1_777_600_000.0), clock


def fill(url: str, clock: list[float]) -> None:
    """Some tasks at all stages, and looks at them."""
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer sk-studio"}) as client:
        for model, prompt in (*ORDERS, *ORDERS[:1], *ORDERS[7:10]):
            body = {"model": model, "input": {"prompt": prompt}}
            reply = client.post("/api/v1/jobs/createTask", json=body).json()
            clock[0] += 4.3
            task_id = reply["data"]["taskId"]
            for _ in range(1 + len(prompt) % 4):
                client.get("/api/v1/jobs/recordInfo", params={"taskId": task_id})
    clock[0] += 1.5


def shoot(browser: Any, url: str, to: Path, options: dict[str, Any]) -> None:
    """One picture, once all that it shows is there."""
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(url)
    playwright.expect(page.locator(".card")).to_have_count(len(ORDERS) + 4)
    bottom = options["viewport"]["height"]
    for card in page.locator(".card.success").all():
        if card.evaluate("card => card.getBoundingClientRect().top") < bottom:
            picture = card.get_by_role("img")
            playwright.expect(picture).not_to_have_js_property("naturalWidth", 0, timeout=60_000)
    page.screenshot(path=to)
    context.close()


def main(folder: Path) -> None:
    """Write all pictures."""
    emulator, clock = service()
    emulator.add_fault(Fault("look", status=500, count=None, probability=0.1))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with emulator.serve(port=8787) as url, playwright.sync_playwright() as program:
        fill(url, clock)
        browser = program.chromium.launch(executable_path=chromium)
        for name, options in SHOTS.items():
            shoot(browser, url, folder / f"{name}.png", options)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
