"""The emulator's page as people have it, in a real Chromium: nox -s browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from liangxin.emulator import Emulator, Fault
from tests.emulator.service import KEY, order

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is installed by: nox -s browser"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")

HEADERS = {"Authorization": f"Bearer {KEY}"}
HOSTILE = "<img src=x onerror=alert(1)></textarea><script>alert(2)</script>{{7*7}} \u202e\u0000"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as program:
        chromium = program.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A service on a port, whose tasks take 100 seconds each."""
    emulator = Emulator(seed=1, durations=100.0)
    with emulator.serve():
        yield emulator


@pytest.fixture
def opened(browser: Any, emulator: Emulator) -> Iterator[Open]:
    """
    Open the page; at the end, fail if it asked another server for anything, or has complained.

    A dialog is what a hostile prompt would open.  The browser itself complains of every refusal:
    a test that provokes some says `refusals=True`.
    """
    contexts, wrong = [], []

    def open_page(*, refusals: bool = False, **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: complain(told.text, refusals))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", dismiss)
        context.on("request", lambda request: check(request.url))
        page.goto(emulator.base_url)
        expect(page.locator(".live")).to_have_text(re.compile("^live on"))
        return page

    def complain(text: str, refusals: bool) -> None:
        if not (refusals and text.startswith("Failed to load resource")):
            wrong.append(f"console: {text}")

    def dismiss(dialog: Any) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(url: str) -> None:
        if not url.startswith(f"{emulator.base_url}/"):
            wrong.append(f"asked for {url}")

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def expect(what: Any) -> Any:
    """Wait until it is so; the machine may be busy with other things."""
    playwright.expect.set_options(timeout=20_000)
    return playwright.expect(what)


def create(emulator: Emulator, **members: Any) -> str:
    """Create a task as another client would."""
    url = f"{emulator.base_url}/api/v1/jobs/createTask"
    callback = {"callBackUrl": members.pop("callback")} if "callback" in members else {}
    reply = httpx.post(url, json=order(**members) | callback, headers=HEADERS)
    task_id = reply.json()["data"]["taskId"]
    assert isinstance(task_id, str)
    return task_id


def look(emulator: Emulator, task_id: str) -> httpx.Response:
    """Ask recordInfo as another client would."""
    url = f"{emulator.base_url}/api/v1/jobs/recordInfo"
    return httpx.get(url, params={"taskId": task_id}, headers=HEADERS)


def by_hand(page: Any) -> None:
    """Stop the clock; it is moved by its buttons from here on."""
    page.get_by_role("button", name="By hand").click()
    expect(page.get_by_role("button", name="+1 min")).to_be_visible()
    expect(page.get_by_role("button", name="60×")).to_be_hidden()


def total(page: Any, name: str) -> Any:
    return page.locator(f"[data-total={name}]")


# --- tasks -------------------------------------------------------------------------------------


def test_a_task_is_created_through_the_form_and_seen_to_its_end(
    opened: Open, emulator: Emulator
) -> None:
    page = opened()
    by_hand(page)
    page.get_by_label("prompt", exact=True).fill("a paper crane")
    page.get_by_role("button", name="Create", exact=True).click()
    card = page.locator(".card")
    expect(card.locator(".prompt")).to_have_text("a paper crane")
    expect(card.locator(".state")).to_have_text("waiting")
    expect(page.locator(".made")).to_have_text(f"Created {next(iter(emulator.tasks))}")
    for step, state in (("+10 s", "queuing"), ("+10 s", "generating"), ("+10 min", "success")):
        page.get_by_role("button", name=step, exact=True).click()
        expect(card.locator(".state")).to_have_text(state)
    expect(card.get_by_role("img")).to_have_js_property("naturalWidth", 1024)
    expect(total(page, "charged")).to_have_text("1")


def test_a_task_of_another_client_appears_by_itself(opened: Open, emulator: Emulator) -> None:
    page = opened()
    task_id = create(emulator, prompt="from elsewhere")
    expect(page.locator(".card .id")).to_have_text(task_id)
    look(emulator, task_id)
    expect(page.locator(".card .rest")).to_contain_text("1 look")


def test_a_clip_is_shown_as_one(opened: Open, emulator: Emulator) -> None:
    page = opened()
    by_hand(page)
    create(emulator, model="kling-v3-pro", prompt="waves")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="+10 min").click()
    expect(page.locator(".card video")).to_have_js_property("error", None)
    expect(page.locator(".card video")).not_to_have_js_property("readyState", 0)


def test_why_a_task_failed_is_said_in_words(opened: Open, emulator: Emulator) -> None:
    page = opened()
    by_hand(page)
    create(emulator, prompt="!fail:too many lighthouses")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="+10 min").click()
    expect(page.locator(".card .why")).to_have_text("too many lighthouses (500)")


def test_tasks_can_be_found_by_state_model_and_words(opened: Open, emulator: Emulator) -> None:
    page = opened()
    create(emulator, prompt="a cat")
    create(emulator, prompt="a dog")
    create(emulator, model="kling-v3-pro", prompt="a cat runs")
    shown = page.locator(".card:visible .prompt")
    expect(shown).to_have_text(["a cat runs", "a dog", "a cat"])
    page.get_by_label("Find in").fill("cat")
    expect(shown).to_have_text(["a cat runs", "a cat"])
    page.locator("#tasks").get_by_label("Model", exact=True).select_option("Z-Image")
    expect(shown).to_have_text(["a cat"])
    page.get_by_label("State", exact=True).select_option("success")
    expect(shown).to_have_count(0)
    expect(page.locator(".count")).to_have_text("0 of 3")


def test_prompts_stay_text_wherever_they_are_shown(opened: Open, emulator: Emulator) -> None:
    page = opened()
    by_hand(page)
    create(emulator, prompt=HOSTILE, callback=f"http://127.0.0.1:1/{HOSTILE[:9]}")
    create(emulator, prompt=f"!fail:{HOSTILE}")
    emulator.add_fault(Fault("look", message=HOSTILE, prompt=HOSTILE))
    page.locator("#field-prompt").fill(HOSTILE.replace("\u0000", ""))
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="+10 min").click()
    expect(page.locator(".card .prompt").last).to_have_text(HOSTILE)
    expect(page.locator(".card .why").first).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("tab", name="Faults").click()
    expect(page.locator(".rules .what")).to_contain_text("<script>alert(2)</script>")
    page.get_by_role("tab", name="Callbacks").click()
    expect(page.locator("#callbacks tbody")).to_contain_text("<img src=")
    expect(page.locator("[data-of=curl] pre")).to_contain_text("<script>alert(2)</script>")
    expect(page.locator("img[src=x], script:not([src])")).to_have_count(0)


# --- the form and its snippets -----------------------------------------------------------------


def test_what_the_service_refuses_is_said_at_the_form(opened: Open, emulator: Emulator) -> None:
    page = opened(refusals=True)
    page.get_by_text("More fields").click()
    page.locator("#field-num_inference_steps").fill("51")
    page.get_by_role("button", name="Create", exact=True).click()
    alert = page.locator(".order .wrong")
    expect(alert).to_have_text("input.num_inference_steps must be from 1 to 50")
    expect(page.locator("#field-num_inference_steps")).to_be_focused()
    expect(page.locator("[aria-invalid=true]")).to_have_count(1)
    page.locator("#field-num_inference_steps").fill("50")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".made")).to_contain_text("Created task_z-image")
    expect(alert).to_be_hidden()


def test_every_model_s_form_makes_a_task_as_it_opens(opened: Open, emulator: Emulator) -> None:
    page = opened()
    choice = page.locator(".order .model")
    models = choice.locator("option").all()
    for number, model in enumerate(models, 1):
        slug = model.get_attribute("value")
        choice.select_option(slug)
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.locator(".made")).to_contain_text(f"Created task_{slug}_")
        expect(total(page, "created")).to_have_text(str(number))
    assert len(models) == 35


def test_what_was_typed_survives_a_change_of_model(opened: Open) -> None:
    page = opened()
    page.locator("#field-prompt").fill("kept")
    page.locator(".order .model").select_option("Kling 3 Pro")
    expect(page.locator("#field-negative_prompt")).to_have_count(1)
    expect(page.locator("#field-prompt")).to_have_value("kept")


SNIPPETS = {
    "z-image": {
        "prompt": 'it\'s "quoted" \\ $HOME `id` 八月\nnext line',
        "seed": "7",
        "enable_safety_checker": "false",
    },
    "kling-v3-pro": {
        "prompt": "waves",
        "elements": '[{"frontal_image_url": "https://x.test/a.png", "x": null, "y": [true]}]',
        "cfg_scale": "0.25",
        "duration": "5",
    },
    "wan-2-7-reference-to-video": {
        "prompt": "a walk",
        "image_urls": "https://x.test/a.png\nhttps://x.test/b.png",
        "additional_settings": '{"a": {"b": 1}}',
    },
}


@pytest.mark.parametrize("model", SNIPPETS)
@pytest.mark.parametrize("language", ["curl", "async", "sync"])
def test_a_snippet_creates_the_very_task_that_the_form_does(
    opened: Open, emulator: Emulator, model: str, language: str
) -> None:
    if language == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl on the PATH")
    page = opened()
    page.locator(".order .model").select_option(model)
    page.get_by_text("More fields").click()
    for name, text in SNIPPETS[model].items():
        field = page.locator(f"#field-{name}")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    snippet = page.locator(f"[data-of={language}] pre").text_content()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".made")).to_contain_text("Created")
    # Its answer is withheld, so that nobody waits for the end of the task.
    emulator.withhold_answer_to_next_create()
    command = ["sh", "-c"] if language == "curl" else [sys.executable, "-c"]
    subprocess.run([*command, snippet], capture_output=True, timeout=60, check=False)
    by_form, by_snippet = emulator.tasks.values()
    assert by_snippet.model == by_form.model
    assert by_snippet.input == by_form.input
    assert by_snippet.key_hash == by_form.key_hash


def test_the_python_snippets_run_to_the_result(opened: Open, emulator: Emulator) -> None:
    page = opened()
    page.get_by_role("button", name="600×").click()
    expect(page.get_by_role("button", name="600×")).to_have_attribute("aria-pressed", "true")
    snippets = [page.locator(f"[data-of={name}] pre").text_content() for name in ("async", "sync")]
    programs = [
        subprocess.Popen([sys.executable, "-c", snippet], stdout=subprocess.PIPE, text=True)
        for snippet in snippets
    ]
    told = [program.communicate(timeout=60)[0] for program in programs]
    assert all(f"{emulator.base_url}/results/task_z-image_" in each for each in told)


def test_a_snippet_can_be_copied(opened: Open) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Python sync").click()
    page.get_by_role("button", name="Copy the sync Python").click()
    expect(page.locator("[data-of=sync] .copy")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("[data-of=sync] pre").text_content()


# --- faults, clock, books ----------------------------------------------------------------------


def test_a_fault_is_switched_on_seen_to_hit_switched_off_and_deleted(
    opened: Open, emulator: Emulator
) -> None:
    task_id = create(emulator)
    page = opened()
    page.get_by_role("tab", name="Faults").click()
    page.get_by_role("button", name="500 on looks").click()
    switch = page.get_by_role("switch", name="look: answer 500")
    expect(switch).to_have_attribute("aria-checked", "true")
    assert look(emulator, task_id).status_code == 500
    expect(page.locator(".rules .hits")).to_have_text("hit 1×")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert look(emulator, task_id).status_code == 200
    page.get_by_role("button", name="Delete look").click()
    expect(page.locator(".rules li")).to_have_count(0)


def test_a_rule_of_ones_own_is_added_by_its_form(opened: Open, emulator: Emulator) -> None:
    page = opened(refusals=True)
    page.get_by_role("tab", name="Faults").click()
    page.get_by_text("A rule of your own").click()
    form = page.locator("form.fault")
    form.get_by_label("status").fill("99")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert")).to_contain_text("status")
    form.get_by_label("status").fill("418")
    form.get_by_label("prompt contains").fill("teapot")
    form.get_by_label("model").select_option("Z-Image")
    form.get_by_label("how many").fill("all")
    form.get_by_role("button").click()
    expect(page.locator(".rules .what")).to_contain_text("create: answer 418")
    expect(form.get_by_role("alert")).to_be_hidden()
    page.locator("#field-prompt").fill("a teapot")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".order .wrong")).to_have_text("emulated fault")
    page.locator("#field-prompt").fill("a kettle")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".made")).to_contain_text("Created")


@pytest.mark.parametrize("number", range(6))
def test_every_preset_is_a_rule_that_the_service_takes(
    opened: Open, emulator: Emulator, number: int
) -> None:
    page = opened()
    page.get_by_role("tab", name="Faults").click()
    page.locator("[data-rule]").nth(number).click()
    expect(page.get_by_role("switch")).to_have_count(1)


def test_an_answer_that_never_came_is_said_to_be_in_doubt(opened: Open, emulator: Emulator) -> None:
    page = opened(refusals=True)
    # A browser may try once more by itself.
    emulator.withhold_answer_to_next_create(count=5)
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".order .wrong")).to_contain_text("No answer came")
    expect(page.locator(".card").first).to_be_visible()


def test_requests_callbacks_and_money_are_in_their_lists(opened: Open, emulator: Emulator) -> None:
    page = opened()
    by_hand(page)
    task_id = create(emulator, model="kling-v3-pro", callback="http://127.0.0.1:1/hook")
    look(emulator, "task_unknown_1")
    expect(total(page, "requests")).to_have_text("2")
    page.get_by_role("tab", name="Requests").click()
    rows = page.locator("#requests tbody tr")
    expect(rows.nth(0)).to_contain_text(re.compile("look GET.*404.*task_unknown_1"))
    expect(rows.nth(1)).to_contain_text(re.compile(f"create POST.*200.*{task_id}"))
    page.get_by_role("tab", name="Money").click()
    expect(page.locator("#money tbody")).to_have_text(re.compile("Kling 3 Pro.*1 task.*120 cred"))
    page.get_by_role("button", name="+10 min").click()
    page.get_by_role("tab", name="Callbacks").click()
    expect(page.locator("#callbacks tbody tr").last).to_contain_text("ConnectError")
    expect(page.locator("#callbacks tbody tr").last).to_contain_text("http://127.0.0.1:1/hook")


def test_the_speed_is_set_and_shown(opened: Open, emulator: Emulator) -> None:
    page = opened()
    page.get_by_role("button", name="60×", exact=True).click()
    expect(page.get_by_role("button", name="60×", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert httpx.get(f"{emulator.base_url}/_emulator/clock").json()["speed"] == 60


def test_a_clock_let_go_again_runs_as_fast_as_before(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="60×", exact=True).click()
    expect(page.get_by_role("button", name="60×", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    by_hand(page)
    page.get_by_role("button", name="By hand").click()
    expect(page.get_by_role("button", name="60×", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )


def test_a_reset_asks_first_and_then_forgets_everything(opened: Open, emulator: Emulator) -> None:
    create(emulator)
    page = opened()
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Forget everything?").click()
    expect(page.locator(".card")).to_have_count(0)
    expect(total(page, "created")).to_have_text("0")
    expect(page.locator("#tasks .nothing")).to_be_visible()


# --- for everyone ------------------------------------------------------------------------------


def test_on_a_phone_nothing_is_wider_than_the_window(opened: Open, emulator: Emulator) -> None:
    page = opened(viewport={"width": 360, "height": 740})
    by_hand(page)
    long = "unbroken" * 60
    create(emulator, prompt=long, callback=f"http://127.0.0.1:1/{long}")
    create(emulator, prompt=f"!fail:{long}")
    emulator.add_fault(Fault("look", message=long, prompt=long, headers={"X-Long": long}))
    page.locator("#field-prompt").evaluate("(field, text) => field.value = text", long)
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="+10 min").click()
    expect(page.locator(".card .state").first).to_have_text("fail")
    expect(page.locator("#callbacks tbody tr")).to_have_count(1)
    for tab in ("Create", "Faults", "Requests", "Callbacks", "Money", "Tasks"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, tab


def test_a_task_is_created_on_a_phone(opened: Open) -> None:
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True)
    page.get_by_role("tab", name="Create").tap()
    page.get_by_role("button", name="Create", exact=True).tap()
    expect(page.locator(".made")).to_contain_text("Created")
    page.get_by_role("tab", name="Tasks").tap()
    expect(page.locator(".card")).to_be_visible()


def test_tabs_are_walked_with_the_arrow_keys(opened: Open) -> None:
    page = opened()
    page.get_by_role("tab", name="Tasks").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Faults")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Faults")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("tabpanel", name="Money")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Tasks")).to_be_visible()


def test_the_colours_follow_the_system_and_its_switch(opened: Open) -> None:
    page = opened(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(19, 20, 23)")
    page.get_by_role("button", name="Dark colours").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(245, 244, 240)")
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", "rgb(245, 244, 240)")


def test_nothing_moves_for_those_who_asked_for_it(opened: Open, emulator: Emulator) -> None:
    page = opened(reduced_motion="reduce")
    by_hand(page)
    create(emulator)
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="+1 min").click()
    expect(page.locator(".card")).to_have_class(re.compile("generating"))
    animations = page.evaluate("document.getAnimations().length")
    assert animations == 0


def test_every_control_has_a_name(opened: Open, emulator: Emulator) -> None:
    emulator.add_fault(Fault("look"))
    page = opened()
    page.get_by_role("tab", name="Faults").click()
    expect(page.get_by_role("switch")).to_have_count(1)
    unnamed = page.evaluate("""
        [...document.querySelectorAll("button, input, select, textarea")]
          .filter((it) => !it.labels?.length && !it.ariaLabel && !it.textContent.trim())
          .map((it) => it.outerHTML)
    """)
    assert unnamed == []


def test_a_page_in_the_background_does_not_listen(opened: Open, emulator: Emulator) -> None:
    page = opened()
    first = create(emulator)
    expect(page.locator(".card .id")).to_have_text(first)
    be = """state => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(be, "hidden")
    expect(page.locator(".live")).to_have_text("paused")
    second = create(emulator)
    page.evaluate(be, "visible")
    expect(page.locator(".card .id")).to_have_text([second, first])


def test_pictures_being_painted_leave_connections_free(opened: Open, emulator: Emulator) -> None:
    page = opened(viewport={"width": 1280, "height": 4000})
    # They never come, as if each took forever to paint.
    page.route("**/_emulator/results/**", lambda route: None)
    by_hand(page)
    for _ in range(12):
        create(emulator)
    expect(page.locator(".card")).to_have_count(12)
    page.get_by_role("button", name="+10 min").click()
    expect(page.locator(".card.success")).to_have_count(12)
    expect(page.locator(".card img[src]")).to_have_count(2)
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".made")).to_contain_text("Created")
    expect(page.locator(".card img[src]")).to_have_count(2)


def test_the_page_comes_back_when_the_service_does(browser: Any) -> None:
    emulator = Emulator()
    with emulator.serve() as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator(".live")).to_have_text(re.compile("^live on"))
    expect(page.locator(".live")).to_have_text("reconnecting")
    with emulator.serve(port=int(url.rpartition(":")[2])):
        expect(page.locator(".live")).to_have_text(re.compile("^live on"))
    page.close()
