"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const number = (count) => count.toLocaleString("en");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const TASKS = 500; // as many as the server tells of one by one, in _stream.py
  const LINES = 200;

  function element(tag, name, ...inside) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...inside.filter((each) => each !== null && each !== undefined));
    return made;
  }

  const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

  function lasting(seconds) {
    if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }

  const two = (count) => String(count).padStart(2, "0");
  function clockTime(seconds) {
    const tenths = Math.floor(seconds * 10 + 1e-6);
    const whole = Math.floor(tenths / 10);
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}.${tenths % 10}`;
  }

  // --- asking the service to do something ---------------------------------------------------------

  async function ask(method, path, body) {
    const options = { method };
    if (body !== undefined) {
      options.headers = { "Content-Type": "application/json" };
      options.body = JSON.stringify(body);
    }
    let reply;
    try {
      reply = await fetch(path, options);
    } catch {
      throw new Error("The emulator does not answer.");
    }
    if (!reply.ok) throw new Error(reasonIn(await reply.text(), reply.status));
  }

  /** Any of the service's error bodies, in words. */
  function reasonIn(text, status) {
    let told;
    try {
      told = JSON.parse(text);
    } catch {
      return `HTTP ${status}: ${text.replace(/<[^>]*>/g, " ").trim().slice(0, 300) || "no word why"}`;
    }
    const error = told?.error ?? told;
    const reason = typeof error === "string" ? error : error?.message ?? error?.msg;
    return reason ? String(reason) : `HTTP ${status}`;
  }

  function complain(place, error) {
    place.textContent = error ? error.message : "";
    place.hidden = !error;
  }

  const trouble = one(".trouble");
  function order(method, path, body) {
    return ask(method, path, body).then(() => complain(trouble, null), (error) => complain(trouble, error));
  }

  // --- the stream of events -----------------------------------------------------------------------

  let stream = null;
  let again = 0;

  /** Listen while someone can see it: a page in the background costs nothing. */
  function listen() {
    clearTimeout(again);
    stream?.close();
    if (document.visibilityState === "hidden") {
      connected("paused");
      return;
    }
    stream = new EventSource("/_emulator/events");
    stream.addEventListener("message", (event) => take(JSON.parse(event.data)));
    stream.addEventListener("open", () => connected(`live on ${location.host}`));
    stream.addEventListener("error", () => {
      connected("reconnecting");
      if (stream.readyState === EventSource.CLOSED) again = setTimeout(listen, 2000);
    });
  }

  function connected(how) {
    const live = one(".live");
    live.classList.toggle("on", how.startsWith("live"));
    live.textContent = how;
  }

  function take(news) {
    if (news.restart) forgetAllBut(news.tasks ?? []);
    if (news.clock) showClock(news.clock);
    if (news.totals) showTotals(news.totals);
    if (news.models) showMoney(news.models);
    if (news.faults) showFaults(news.faults);
    if (news.tasks) takeTasks(news.tasks);
    if (news.requests) addLines(one("#requests"), news.requests.map(requestLine));
    if (news.callbacks) addLines(one("#callbacks"), news.callbacks.map(callbackLine));
    if (news.clock) showProgress();
  }

  /** Begin anew; what is still told of the same task keeps its card, and its picture. */
  function forgetAllBut(told) {
    const prompts = new Map(told.map((task) => [task.task_id, task.prompt]));
    for (const [id, task] of tasks) {
      if (prompts.get(id) === task.prompt) continue;
      task.card.remove();
      tasks.delete(id);
    }
    for (const body of all("tbody")) body.replaceChildren();
    countShown();
  }

  // --- the clock ----------------------------------------------------------------------------------

  let now = 0;
  let speed = 1;
  let before = 1; // the speed that "By hand" gives back

  function showClock(clock) {
    now = clock.now;
    speed = clock.speed;
    before = speed || before;
    const isManual = speed === 0;
    one(".now").textContent = clockTime(now);
    one(".wall").textContent = `${new Date(clock.unix_ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
    one(".manual").setAttribute("aria-pressed", isManual);
    one(".speeds").hidden = isManual;
    one(".steps").hidden = !isManual;
    for (const button of all("[data-speed]")) {
      button.setAttribute("aria-pressed", Number(button.dataset.speed) === speed);
    }
  }

  const setClock = (change) => order("POST", "/_emulator/clock", change);
  for (const button of all("[data-speed]")) {
    button.addEventListener("click", () => setClock({ speed: Number(button.dataset.speed) }));
  }
  for (const button of all("[data-advance]")) {
    button.addEventListener("click", () => setClock({ advance: Number(button.dataset.advance) }));
  }
  one(".manual").addEventListener("click", () => setClock({ speed: speed ? 0 : before }));

  const reset = one(".reset");
  function sure(isSure) {
    reset.classList.toggle("sure", isSure);
    reset.textContent = isSure ? "Forget everything?" : "Reset";
  }
  reset.addEventListener("click", () => {
    if (reset.classList.contains("sure")) order("POST", "/_emulator/reset");
    sure(!reset.classList.contains("sure"));
  });
  reset.addEventListener("blur", () => sure(false));

  // --- totals and money ---------------------------------------------------------------------------

  function showTotals(totals) {
    for (const place of all("[data-total]")) {
      const total = totals[place.dataset.total];
      place.textContent = number(total);
      place.parentElement.classList.toggle("zero", total === 0);
    }
  }

  function showMoney(models) {
    const rows = Object.entries(models).map(([slug, [count, charged]]) => ({ slug, count, charged }));
    rows.sort((a, b) => b.charged - a.charged);
    one("#money tbody").replaceChildren(...rows.map(({ slug, count, charged }) => {
      const bar = element("span", "share");
      bar.style.setProperty("--part", charged / rows[0].charged);
      return element("tr", "", cell(titleOf(slug)), cell(counted(count, "task")),
        cell(counted(charged, "credit")), cell(bar));
    }));
    offer(one(".models"), "All models", rows.map((row) => row.slug).sort());
  }

  function offer(select, every, slugs) {
    if (select.options.length === slugs.length + 1) return;
    const { value } = select;
    select.replaceChildren(new Option(every, ""), ...slugs.map((slug) => new Option(titleOf(slug), slug)));
    select.value = slugs.includes(value) ? value : "";
  }

  // --- tasks --------------------------------------------------------------------------------------

  const tasks = new Map(); // by id, oldest first: what is told of each, and its card
  const sheet = one(".sheet");
  const find = one(".find");
  const FINAL = new Set(["success", "fail"]);

  function takeTasks(changes) {
    for (const change of changes) {
      const task = tasks.get(change.task_id);
      if (task) renew(task, change);
      else begin(change);
    }
    while (tasks.size > TASKS) {
      const [id, oldest] = tasks.entries().next().value;
      tasks.delete(id);
      oldest.card.remove();
    }
    countShown();
  }

  function begin(task) {
    task.card = one("#card").content.firstElementChild.cloneNode(true);
    const { card } = task;
    one(".prompt", card).textContent = task.prompt || "(no prompt)";
    one(".title", card).textContent = task.title;
    one(".price", card).textContent = counted(task.price, "credit");
    one(".id", card).textContent = one(".id", card).title = task.task_id;
    one(".ids .key", card).textContent = task.key_hash;
    tasks.set(task.task_id, task);
    draw(task);
    sheet.prepend(card);
  }

  function renew(task, change) {
    const isSame = task.state === change.state;
    Object.assign(task, change);
    if (isSame) describe(task);
    else draw(task);
  }

  function draw(task) {
    const { card } = task;
    card.className = `card ${task.state}`;
    one(".state", card).textContent = task.state;
    one(".mat", card).replaceChildren(...mat(task));
    card.hidden = !matches(task);
    describe(task);
  }

  function describe(task) {
    const told = [lasting(task.duration), counted(task.looks, "look"), task.is_lost ? "lost" : ""].filter(Boolean);
    one(".rest", task.card).textContent = told.map((each) => `· ${each}`).join(" ");
  }

  function mat(task) {
    if (task.state === "success") return task.results.map((address) => result(task, address));
    if (task.state === "fail") return [element("p", "why", `${task.failure.message} (${task.failure.code})`)];
    task.track = element("div", "track", element("span"));
    task.track.setAttribute("role", "progressbar");
    task.track.setAttribute("aria-label", "Progress");
    task.left = element("p", "left");
    return [element("div", "under-way", element("p", "word", task.state), task.left, task.track)];
  }

  /** The picture or clip; it is asked for when it comes near the window. */
  function result(task, address) {
    const isClip = task.kind === "video";
    const media = element(isClip ? "video" : "img");
    const link = element("a", "", media);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener";
    media.dataset.src = address;
    if (isClip) {
      media.muted = media.loop = media.playsInline = true;
      media.preload = "metadata";
      link.setAttribute("aria-label", `Clip: ${task.prompt.slice(0, 120)}`);
      link.addEventListener("pointerenter", () => still.matches || media.play().catch(() => {}));
      link.addEventListener("pointerleave", () => media.pause());
    } else {
      media.alt = `Picture: ${task.prompt.slice(0, 120)}`;
      media.decoding = "async";
    }
    media.addEventListener("error", () => link.replaceWith(element("p", "why", "the result is gone")));
    near.observe(media);
    return link;
  }

  // A browser opens six connections to a server.  One is the stream's, and some stay free, so that
  // the switches work while pictures are painted.
  const AT_ONCE = 2;
  const wanted = new Set();
  let loading = 0;

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) wanted.add(target);
      else wanted.delete(target);
    }
    loadNext();
  }, { rootMargin: "200px" });

  function loadNext() {
    while (loading < AT_ONCE && wanted.size) {
      const [media] = wanted;
      wanted.delete(media);
      near.unobserve(media);
      if (!media.isConnected) continue;
      loading += 1;
      Promise.race(["load", "loadeddata", "error"].map((name) => happening(media, name))).then(() => {
        loading -= 1;
        loadNext();
      });
      media.src = media.dataset.src;
    }
  }

  const happening = (target, name) => new Promise((then) => {
    target.addEventListener(name, then, { once: true });
  });

  function showProgress() {
    for (const task of tasks.values()) {
      if (FINAL.has(task.state) || task.card.hidden) continue;
      const done = Math.min(1, Math.max(0, (now - task.created_at) / task.duration));
      task.track.style.setProperty("--done", done);
      task.track.setAttribute("aria-valuenow", Math.round(done * 100));
      task.left.textContent = `${lasting(Math.max(0, task.created_at + task.duration - now))} left`;
    }
  }

  function matches(task) {
    const state = one(".states").value;
    const model = one(".models").value;
    if (model && task.model !== model) return false;
    if (state === "in flight" ? FINAL.has(task.state) : state && task.state !== state) return false;
    const text = [task.prompt, task.title, task.model, task.task_id, task.failure?.message].join("\n").toLowerCase();
    return find.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  function filter() {
    for (const task of tasks.values()) task.card.hidden = !matches(task);
    countShown();
    showProgress();
  }

  function countShown() {
    const shown = [...tasks.values()].filter((task) => !task.card.hidden).length;
    one(".count").textContent = shown === tasks.size ? "" : `${number(shown)} of ${number(tasks.size)}`;
  }

  find.addEventListener("input", filter);
  one(".states").addEventListener("change", filter);
  one(".models").addEventListener("change", filter);

  // --- requests and callbacks ---------------------------------------------------------------------

  function cell(inside, name) {
    return element("td", inside ? name : "none", inside || "–");
  }

  function pill(status, without) {
    const isWell = status !== null && status < 400;
    return element("span", `pill ${isWell ? "success" : status === null || status >= 500 ? "fail" : "queuing"}`,
      status === null ? without : String(status));
  }

  const code = (text) => text && element("code", "", text);

  function requestLine(seen) {
    const what = element("span", "", element("span", "verb", seen.endpoint === "other" ? seen.path : seen.endpoint),
      ` ${seen.method}`);
    return element("tr", "", cell(clockTime(seen.at), "tight"), cell(what), cell(pill(seen.status, "no answer")),
      cell(seen.fault && element("span", "pill fail", seen.fault)), cell(seen.body_bytes ? number(seen.body_bytes) : ""),
      cell(code(seen.key_hash)), cell(code(seen.task_id)));
  }

  function callbackLine(posted) {
    return element("tr", "", cell(clockTime(posted.at), "tight"), cell(pill(posted.status, posted.error)),
      cell(`try ${posted.attempt}`, "tight"), cell(posted.url), cell(code(posted.task_id)));
  }

  function addLines(panel, lines) {
    const body = one("tbody", panel);
    body.prepend(...lines.reverse());
    while (body.rows.length > LINES) body.lastElementChild.remove();
  }

  // --- faults -------------------------------------------------------------------------------------

  const faults = new Map(); // by id: its entry in the list

  function showFaults(told) {
    const ids = new Set(told.map(({ id }) => id));
    for (const [id, entry] of faults) {
      if (ids.has(id)) continue;
      entry.remove();
      faults.delete(id);
    }
    for (const fault of told) {
      if (!faults.has(fault.id)) {
        faults.set(fault.id, faultEntry(fault));
        one(".rules").append(faults.get(fault.id));
      }
      showFault(faults.get(fault.id), fault);
    }
    const on = told.filter((fault) => fault.is_on).length;
    one(".badge").hidden = on === 0;
    one(".badge").textContent = on;
  }

  function faultEntry({ id, rule }) {
    const [name, conditions] = wordsOf(rule);
    const toggle = element("button", "switch");
    toggle.type = "button";
    toggle.setAttribute("role", "switch");
    toggle.setAttribute("aria-label", `${name}, ${conditions}`);
    toggle.addEventListener("click", () => {
      const isOn = toggle.getAttribute("aria-checked") !== "true";
      order("PATCH", `/_emulator/faults/${id}`, { is_on: isOn });
    });
    const remove = element("button", "delete", "✕");
    remove.type = "button";
    remove.setAttribute("aria-label", `Delete ${name}, ${conditions}`);
    remove.addEventListener("click", () => order("DELETE", `/_emulator/faults/${id}`));
    return element("li", "", toggle, element("p", "what", name, element("span", "", conditions)),
      element("span", "hits"), remove);
  }

  function showFault(entry, { is_on: isOn, hits }) {
    entry.classList.toggle("off", !isOn);
    one(".switch", entry).setAttribute("aria-checked", isOn);
    one(".hits", entry).textContent = hits ? `hit ${number(hits)}×` : "not hit yet";
  }

  /** A rule in words: what happens where, and on which conditions. */
  function wordsOf({ endpoint, action = "answer", ...rest }) {
    const name = `${endpoint}: ${action.replaceAll("_", " ")}${rest.status ? ` ${rest.status}` : ""}`;
    const { nth = 1, count = 1 } = rest;
    const times = count === "all" ? "every one" : count === 1 ? "one" : `${count} in a row`;
    const told = [nth > 1 ? `${times} from number ${nth} on` : times];
    for (const [key, value] of Object.entries(rest)) {
      if (["nth", "count", "status"].includes(key)) continue;
      told.push(`${key.replaceAll("_", " ")} ${typeof value === "string" ? `“${value}”` : JSON.stringify(value)}`);
    }
    return [name, told.join(" · ")];
  }

  for (const button of all("[data-rule]")) {
    button.addEventListener("click", () => order("POST", "/_emulator/faults", JSON.parse(button.dataset.rule)));
  }

  const faultForm = one("form.fault");
  faultForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const rule = {};
    for (const field of all("input, select", faultForm)) {
      const text = field.value.trim();
      if (text) rule[field.name] = field.type === "number" ? Number(text) : text;
    }
    if (Number(rule.count)) rule.count = Number(rule.count);
    if (rule.urls) rule.urls = rule.urls.split(/\s+/);
    const wrong = one(".wrong", faultForm);
    ask("POST", "/_emulator/faults", rule).then(() => {
      complain(wrong, null);
      faultForm.reset();
    }, (error) => complain(wrong, error));
  });

  // --- the form that creates a task ---------------------------------------------------------------

  const form = one("form.order");
  const choice = one(".model", form);
  const catalogue = new Map();
  const kept = new Map(); // what was typed, by the member's name: it survives a change of model
  const titleOf = (slug) => catalogue.get(slug)?.title ?? slug;

  async function loadModels() {
    const { models } = await (await fetch("/_emulator/models")).json();
    const groups = { image: element("optgroup"), video: element("optgroup") };
    groups.image.label = "Pictures";
    groups.video.label = "Clips";
    for (const model of models) {
      catalogue.set(model.slug, model);
      groups[model.kind].append(new Option(model.title, model.slug));
      one(".any-model").append(new Option(model.title, model.slug));
    }
    choice.append(groups.image, groups.video);
    choice.value = catalogue.has("z-image") ? "z-image" : models[0].slug;
    kept.set("prompt", "a lighthouse in fog, first light");
    buildFields();
  }

  const KNOWN = {
    documented: "documented",
    inferred: "not documented; its slug is inferred",
    guessed: "not documented; its slug is the emulator’s guess",
  };

  function buildFields() {
    const model = catalogue.get(choice.value);
    const { properties, required = [], examples: [example] = [{}], allOf: conditions = [] } = model.input;
    const told = [`${model.slug} · ${counted(model.price, "credit")} · ${KNOWN[model.source]}.`,
      ...conditions.map((condition) => condition.description)];
    one(".about", form).textContent = told.filter(Boolean).join(" ");
    const isFirst = (name) => name === "prompt" || required.includes(name) || name in example;
    const fields = Object.entries(properties).map(([name, schema]) => {
      const text = kept.get(name) ?? textOf(example[name]);
      return [name, fieldOf(name, schema, required.includes(name), text)];
    });
    one(".fields", form).replaceChildren(...fields.filter(([name]) => isFirst(name)).map(([, field]) => field));
    one(".more", form).replaceChildren(...fields.filter(([name]) => !isFirst(name)).map(([, field]) => field));
    refused(null);
    showSnippets();
  }

  /** A value as it would be typed. */
  function textOf(value) {
    if (value === undefined || typeof value === "string") return value;
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join("\n");
    return JSON.stringify(value);
  }

  function fieldOf(name, schema, isRequired, text) {
    const input = inputFor(schema);
    if (text !== undefined && (!input.options || [...input.options].some(({ value }) => value === text))) input.value = text;
    input.id = `field-${name}`;
    input.dataset.member = name;
    input.setAttribute("aria-describedby", `hint-${name}`);
    if (isRequired) input.setAttribute("aria-required", "true");
    const label = element("label", "", element("code", "", name), isRequired ? "" : " (optional)");
    label.htmlFor = input.id;
    const hint = element("p", "hint", hintOf(schema));
    hint.id = `hint-${name}`;
    hint.hidden = !hint.textContent;
    return element("div", "field", label, input, hint);
  }

  const kindOf = (schema) => (schema.type === "array" && schema.items?.type === "string" ? "strings" : schema.type);

  function inputFor(schema) {
    const values = schema.enum ?? (schema.type === "boolean" ? [true, false] : null);
    if (values) {
      const select = element("select");
      select.append(new Option("not sent", ""), ...values.map((value) => new Option(String(value))));
      return select;
    }
    if (schema.type === "integer" || schema.type === "number") {
      const input = element("input");
      input.type = "number";
      input.step = "any";
      input.placeholder = "not sent";
      return input;
    }
    const isAddress = schema.type === "string" && /^URL/.test(schema.description);
    const input = element(isAddress ? "input" : "textarea");
    input.spellcheck = false;
    input.placeholder = { strings: "one a line", object: "{ }", array: "[ ]" }[kindOf(schema)]
      ?? (isAddress ? "https://…" : "not sent");
    return input;
  }

  function hintOf(schema) {
    const { minimum: low, maximum: high, minLength: shortest, maxLength: longest, maxItems: most } = schema;
    const told = schema.description ? [schema.description.replace(/\.$/, "")] : [];
    if (low !== undefined && high !== undefined) told.push(`${low} to ${high}`);
    else if (low !== undefined) told.push(`${low} or more`);
    else if (high !== undefined) told.push(`at most ${high}`);
    if (longest !== undefined) told.push(`${shortest ? `${shortest} to ` : "up to "}${number(longest)} characters`);
    if (most !== undefined) told.push(`up to ${most}`);
    if (schema.type === "object" || kindOf(schema) === "array") told.push("JSON");
    if (schema.default !== undefined) told.push(`${JSON.stringify(schema.default)} unless sent`);
    if (schema["x-provenance"] === "inferred") told.push("inferred");
    else if (schema["x-inferred"]?.length) told.push("limits inferred");
    return told.join(" · ");
  }

  /** What the fields hold, as createTask's `input`; JSON that is none is sent as the text it is. */
  function givenInput() {
    const { properties } = catalogue.get(choice.value).input;
    const given = {};
    for (const input of all("[data-member]", form)) {
      const name = input.dataset.member;
      if (input.value !== "") given[name] = valueOf(input.value, properties[name]);
    }
    return given;
  }

  function valueOf(text, schema) {
    if (schema.type === "boolean") return text === "true";
    if (schema.type === "integer" || schema.type === "number") return Number(text);
    if (kindOf(schema) === "strings") return text.split("\n").map((line) => line.trim()).filter(Boolean);
    if (schema.type !== "object" && schema.type !== "array") return text;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  function givenOrder() {
    const body = { model: choice.value, input: givenInput() };
    const callback = one(".callback", form).value.trim();
    return callback ? { ...body, callBackUrl: callback } : body;
  }

  function refused(reason) {
    complain(one(".wrong", form), reason && { message: reason });
    for (const input of all("[data-member], .callback, .key", form)) {
      const { member } = input.dataset;
      const name = member ? `input.${member}` : input.className === "callback" ? "callBackUrl" : "API key";
      const isMeant = Boolean(reason) && `${reason} `.search(new RegExp(`\\b${name}\\W`)) >= 0;
      if (isMeant) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (isMeant && input.closest("details")) input.closest("details").open = true;
    }
    one('[aria-invalid="true"]', form)?.focus();
  }

  async function send() {
    const made = one(".made", form);
    made.textContent = "";
    let reply;
    try {
      reply = await fetch("/api/v1/jobs/createTask", {
        method: "POST",
        headers: { Authorization: `Bearer ${one(".key", form).value}`, "Content-Type": "application/json" },
        body: JSON.stringify(givenOrder()),
      });
    } catch {
      refused("No answer came. Whether the task was created, only the list of tasks can tell.");
      return;
    }
    const text = await reply.text().catch(() => "");
    if (!reply.ok) {
      refused(reasonIn(text, reply.status));
      return;
    }
    refused(null);
    let id = null;
    try {
      id = JSON.parse(text).data.taskId;
    } catch { /* an answer that a fault has spoilt */ }
    made.textContent = id ? `Created ${id}` : "Accepted, but the answer names no task.";
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = one("button.primary", form);
    button.disabled = true;
    try {
      await send();
    } finally {
      button.disabled = false;
    }
  });
  form.addEventListener("input", (event) => {
    if (event.target.dataset.member) kept.set(event.target.dataset.member, event.target.value);
    if (event.target !== choice) showSnippets();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  choice.addEventListener("change", buildFields);

  // --- the same in code ---------------------------------------------------------------------------

  const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  function curl(body, key) {
    return ["curl -X POST", `  ${location.origin}/api/v1/jobs/createTask`, `  -H ${shell(`Authorization: Bearer ${key}`)}`,
      "  -H 'Content-Type: application/json'", `  -d ${shell(JSON.stringify(body, null, 2))}`].join(" \\\n");
  }

  function python(value) {
    if (value === null) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
    if (typeof value !== "object") return JSON.stringify(value);
    return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
  }

  /** A call with its arguments, on lines of their own where one is too narrow. */
  function call(name, given, margin) {
    const short = `${name}(${given.join(", ")})`;
    if (given.length < 2 && !given[0]?.includes("\n") || margin.length + short.length < 72) return short;
    const inside = `${margin}    `;
    return `${name}(\n${given.map((each) => `${inside}${each},\n`).join("")}${margin})`;
  }

  function running(body, margin) {
    const model = catalogue.get(body.model);
    const given = Object.entries(body.input).map(([name, value]) => `${name}=${python(value)}`);
    if (model.source !== "documented") given.unshift(`slug=${python(model.slug)}`);
    if (!body.callBackUrl) return call("client.run", [call(`models.${model.name}`, given, margin)], margin);
    const input = call(`models.${model.name}`, given, `${margin}    `);
    return call("client.run", [input, `callback_url=${python(body.callBackUrl)}`], margin);
  }

  const SNIPPETS = {
    curl,
    async: (body, key) => `import anyio
from liangxin import AsyncClient, models


async def main() -> None:
    async with AsyncClient(${python(key)}, base_url=${python(location.origin)}) as client:
        task = await ${running(body, "        ")}
        print(task.urls)


anyio.run(main)
`,
    sync: (body, key) => `from liangxin import Client, models

with Client(${python(key)}, base_url=${python(location.origin)}) as client:
    task = ${running(body, "    ")}
    print(task.urls)
`,
  };

  const TOKENS = /("(?:[^"\\]|\\.)*"|'[^']*')|\b(import|from|async|await|def|with|as|True|False|None|curl)\b|\b(\d+(?:\.\d+)?)\b/g;

  function coloured(text) {
    const pieces = [];
    let from = 0;
    for (const found of text.matchAll(TOKENS)) {
      pieces.push(text.slice(from, found.index));
      pieces.push(element("span", found[1] ? "string" : found[2] ? "word" : "number", found[0]));
      from = found.index + found[0].length;
    }
    return [...pieces, text.slice(from)];
  }

  function showSnippets() {
    const body = givenOrder();
    const key = one(".key", form).value;
    for (const [name, write] of Object.entries(SNIPPETS)) {
      one(`[data-of="${name}"] pre`).replaceChildren(...coloured(write(body, key)));
    }
  }

  for (const button of all("[data-snippet]")) {
    button.addEventListener("click", () => {
      for (const other of all("[data-snippet]")) other.setAttribute("aria-pressed", other === button);
      for (const snippet of all(".snippet")) snippet.hidden = snippet.dataset.of !== button.dataset.snippet;
    });
  }

  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const text = one("pre", button.parentElement);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch { // not over plain http from another machine: then it is marked, for Ctrl-C
        getSelection().selectAllChildren(text);
        button.textContent = "Marked";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // --- tabs ---------------------------------------------------------------------------------------

  const tabs = all('[role="tab"]');
  const narrow = matchMedia("(max-width: 68rem)"); // there the form is a tab of its own

  function select(tab) {
    for (const other of tabs) {
      const isSelected = other === tab;
      other.setAttribute("aria-selected", isSelected);
      other.tabIndex = isSelected ? 0 : -1;
      const isBeside = other.id === "tab-create" && !narrow.matches;
      one(`#${other.getAttribute("aria-controls")}`).hidden = !isSelected && !isBeside;
    }
  }

  for (const tab of tabs) tab.addEventListener("click", () => select(tab));
  one('[role="tablist"]').addEventListener("keydown", (event) => {
    const there = tabs.filter((tab) => tab.offsetParent);
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const place = there.indexOf(event.target) + (by ?? 0);
    const to = { Home: 0, End: there.length - 1 }[event.key] ?? (by && (place + there.length) % there.length);
    if (to === undefined) return;
    event.preventDefault();
    select(there[to]);
    there[to].focus();
  });

  function arrange() {
    one("#create").setAttribute("role", narrow.matches ? "tabpanel" : "region");
    const selected = tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
    select(selected.id === "tab-create" && !narrow.matches ? tabs[0] : selected);
  }
  narrow.addEventListener("change", arrange);

  // --- light and dark -----------------------------------------------------------------------------

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = one(".theme");
  const KEPT = "liangxin-emulator-colours";
  let wish = null;
  try {
    wish = localStorage.getItem(KEPT);
  } catch { /* a browser that keeps nothing: what the system says holds */ }

  const isDark = () => (wish === null ? dark.matches : wish === "dark");
  function colour() {
    root.style.colorScheme = wish ?? "";
    theme.setAttribute("aria-pressed", isDark());
  }
  theme.addEventListener("click", () => {
    wish = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEPT, wish);
    } catch { /* for this page alone, then */ }
    colour();
  });
  dark.addEventListener("change", colour);

  // --- begin --------------------------------------------------------------------------------------

  one(".origin").textContent = location.origin;
  colour();
  arrange();
  loadModels().catch(() => complain(trouble, new Error("The emulator does not tell its models."))).then(listen);
  document.addEventListener("visibilitychange", listen);
})();
