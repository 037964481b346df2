
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const source = one("#entries");
  const entries = JSON.parse(source.textContent);
  source.remove();

  const sheet = one(".sheet");
  const dialog = one("dialog");
  const find = one(".find input");
  const states = one(".states");
  const models = one(".models");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const number = (count) => count.toLocaleString("en");

  let shown = entries;
  let current = -1;

  // --- the grid: only rows near the window are there ---------------------------------------------

  const cards = new Map();
  const SPARE = 2;
  const LONGEST = 400; // characters of a prompt on a card, which shows two lines of it

  function measure() {
    const style = getComputedStyle(sheet);
    const columns = style.gridTemplateColumns.split(" ").length;
    const gap = parseFloat(style.rowGap);
    return { columns, gap, pitch: parseFloat(style.gridAutoRows) + gap };
  }

  function draw() {
    const { columns, gap, pitch } = measure();
    const rows = Math.ceil(shown.length / columns);
    const above = scrollY - (sheet.getBoundingClientRect().top + scrollY);
    const last = Math.min(rows, Math.ceil((above + innerHeight) / pitch) + SPARE);
    const first = Math.max(0, Math.min(Math.floor(above / pitch) - SPARE, last));
    const from = first * columns;
    const to = Math.min(shown.length, last * columns);
    for (const [place, card] of cards) {
      if (place >= from && place < to) continue;
      card.remove();
      cards.delete(place);
    }
    let next = sheet.firstChild;
    for (let place = from; place < to; place += 1) {
      let card = cards.get(place);
      if (card) {
        next = card.nextSibling;
        continue;
      }
      card = cardOf(shown[place], place);
      cards.set(place, card);
      sheet.insertBefore(card, next);
    }
    sheet.style.height = `${Math.max(0, rows * pitch - gap)}px`;
    sheet.style.paddingTop = `${first * pitch}px`;
  }

  function cardOf(entry, place) {
    const card = one("template").content.firstElementChild.cloneNode(true);
    card.classList.add(entry.standing);
    card.dataset.place = place;
    card.setAttribute("aria-setsize", shown.length);
    card.setAttribute("aria-posinset", place + 1);
    one(".mat", card).append(...mediaOf(entry, false));
    const link = one(".prompt", card);
    link.href = entry.file ?? `#${place + 1}`;
    link.textContent = nameOf(entry).slice(0, LONGEST);
    link.setAttribute("aria-haspopup", "dialog");
    one(".model", card).textContent = entry.title;
    one(".state", card).textContent = entry.state;
    one(".rest", card).textContent = [entry.time, ...(entry.facts ?? []).map(inShort)]
      .filter(Boolean).map((each) => `· ${each}`).join(" ");
    const clip = one("video", card);
    if (clip) {
      card.addEventListener("pointerenter", () => {
        if (still.matches) return;
        clip.play().then(() => card.classList.add("playing"), () => {});
      });
      card.addEventListener("pointerleave", () => {
        clip.pause();
        card.classList.remove("playing");
      });
    }
    return card;
  }

  const inShort = ([name, value]) => (/^\d+$/.test(value) ? `${value} ${name}` : value);
  const nameOf = (entry) => entry.prompt || entry.key || entry.task || entry.title;

  function mediaOf(entry, large) {
    if (!entry.file) return [element("p", "why", entry.why)];
    const media = element(entry.clip ? "video" : "img");
    media.addEventListener("error", () => {
      media.replaceWith(element("p", "why", "this browser cannot show the file, or it is gone"));
    });
    if (!entry.clip) {
      media.alt = nameOf(entry).slice(0, 120);
      media.decoding = "async";
      media.src = entry.file;
      return [media];
    }
    media.preload = "none";
    media.muted = media.loop = media.playsInline = true;
    media.setAttribute("aria-label", `Clip: ${nameOf(entry).slice(0, 120)}`);
    if (entry.poster) media.poster = entry.poster;
    media.src = entry.file;
    if (!large) return [media, element("span", "play")];
    media.controls = true;
    media.autoplay = !still.matches;
    return [media];
  }

  function element(tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text) {
      made.dir = "auto";
      made.textContent = text;
    }
    return made;
  }

  let pending = 0;
  function drawSoon() {
    pending ||= requestAnimationFrame(() => {
      pending = 0;
      draw();
    });
  }
  addEventListener("scroll", drawSoon, { passive: true });
  addEventListener("resize", drawSoon);

  function reveal(place) {
    const { columns, gap, pitch } = measure();
    const top = sheet.getBoundingClientRect().top + Math.floor(place / columns) * pitch;
    const bar = one(".tools").offsetHeight + gap;
    if (top < bar) scrollBy(0, top - bar);
    else if (top + pitch > innerHeight) scrollBy(0, top + pitch - innerHeight);
    draw();
    one(".prompt", cards.get(place)).focus({ preventScroll: true });
  }

  // --- which are shown ----------------------------------------------------------------------------

  const texts = [];
  function textOf(entry, place) {
    texts[place] ??= [entry.prompt, entry.title, entry.model, entry.key, entry.task, entry.why]
      .concat((entry.facts ?? []).flat()).join("\n").toLowerCase();
    return texts[place];
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = entries.filter((entry, place) =>
      (!states.value || entry.state === states.value)
      && (!models.value || entry.model === models.value)
      && words.every((word) => textOf(entry, place).includes(word)));
    current = -1;
    cards.clear();
    sheet.replaceChildren();
    one(".count").textContent = shown.length === entries.length
      ? "" : `${number(shown.length)} of ${number(entries.length)}`;
    one(".nothing").hidden = shown.length > 0;
    one(".nothing p").textContent = entries.length ? "Nothing matches." : "Nothing here yet.";
    one(".nothing button").hidden = !entries.length;
    const start = sheet.getBoundingClientRect().top + scrollY - one(".tools").offsetHeight - 16;
    if (scrollY > start) scrollTo(0, Math.max(0, start));
    draw();
  }

  function offer(select, every, property) {
    const counts = new Map();
    for (const entry of entries) counts.set(entry[property], (counts.get(entry[property]) ?? 0) + 1);
    select.append(new Option(every, ""));
    for (const [name, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (name) select.append(new Option(`${name} (${number(count)})`, name));
    }
    select.addEventListener("change", filter);
  }

  find.addEventListener("input", filter);
  one(".nothing button").addEventListener("click", () => {
    find.value = states.value = models.value = "";
    filter();
    find.focus();
  });

  // --- one of them, large -------------------------------------------------------------------------

  let enlarged = -1; // not `current`: a dialog that closes gives the focus back to where it was

  function show(place) {
    enlarged = place;
    const entry = shown[place];
    one(".stage").replaceChildren(...mediaOf(entry, true));
    one(".place").textContent = `${number(place + 1)} of ${number(shown.length)}`;
    one(".about .prompt").textContent = nameOf(entry);
    one(".about .why").textContent = entry.file ? entry.why ?? "" : "";
    const facts = [["model", entry.title], ["name", entry.model], ["state", entry.state], ["time", entry.time],
      ...(entry.facts ?? []), ["key", entry.key], ["task", entry.task]];
    one(".about dl").replaceChildren(...facts.filter(([, value]) => value)
      .flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
    const open = one(".open");
    open.hidden = !entry.file;
    if (entry.file) open.href = entry.file;
    one(".about").scrollTop = 0;
    if (!dialog.open) {
      dialog.showModal();
      one(".about").focus();
    }
  }

  const step = (by) => show((enlarged + by + shown.length) % shown.length);

  sheet.addEventListener("focusin", (event) => {
    current = Number(event.target.closest(".card").dataset.place);
  });
  sheet.addEventListener("click", (event) => {
    const link = event.target.closest("a.prompt");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(Number(link.closest(".card").dataset.place));
  });
  one(".previous").addEventListener("click", () => step(-1));
  one(".next").addEventListener("click", () => step(1));
  one(".close").addEventListener("click", () => dialog.close());
  one(".stage").addEventListener("click", (event) => {
    if (event.target === event.currentTarget) dialog.close();
  });
  dialog.addEventListener("close", () => {
    one(".stage").replaceChildren();
    reveal(enlarged);
  });

  // --- keys ---------------------------------------------------------------------------------------

  function target(key, columns) {
    const last = shown.length - 1;
    if (key === "Home") return 0;
    if (key === "End") return last;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    if (by === undefined) return undefined;
    if (current < 0) return Math.max(0, [...cards.keys()].find((place) => isInView(cards.get(place))) ?? 0);
    const to = current + by;
    return to < 0 || to > last ? current : to;
  }

  const isInView = (card) => card.getBoundingClientRect().top >= one(".tools").offsetHeight;

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (dialog.open) {
      if (event.target.tagName === "VIDEO") return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
      return;
    }
    if (event.target.closest("input, select")) {
      if (event.key === "Escape") event.target.blur();
      if (event.key !== "ArrowDown" || event.target !== find || !shown.length) return;
    }
    if (event.key === "/") {
      event.preventDefault();
      find.select();
    } else if (event.key === "Enter" && current >= 0 && event.target === document.body) {
      show(current);
    } else if (shown.length) {
      const place = target(event.key, measure().columns);
      if (place === undefined) return;
      event.preventDefault();
      reveal(place);
    }
  });

  // --- light and dark -----------------------------------------------------------------------------

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = one(".theme");
  const KEPT = "liangxin-sheet-colours";
  let wish = null;
  try {
    wish = localStorage.getItem(KEPT);
  } catch { /* a browser that keeps nothing for files: what the system says holds */ }

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

  function summary() {
    const results = entries.filter((entry) => entry.file);
    const clips = results.filter((entry) => entry.clip).length;
    const count = (many, noun) => (many ? `${number(many)} ${noun}${many === 1 ? "" : "s"}` : "");
    const without = entries.length - results.length;
    return [count(results.length - clips, "picture"), count(clips, "clip"),
      without ? `${number(without)} without a result` : "", one(".summary").dataset.note]
      .filter(Boolean).join(" · ");
  }

  one(".summary").textContent = summary();
  one(".tools").hidden = one("main").hidden = false;
  offer(states, "All states", "state");
  offer(models, "All models", "model");
  colour();
  filter();
})();
