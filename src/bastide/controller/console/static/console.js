// What every page needs: live updates without a jump, keys, the palette, copying, charts' cursors, dark or light.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const typing = (target) => target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  // Times ---------------------------------------------------------------------------------------------------------
  const lasting = (seconds) => seconds < 60 ? `${Math.floor(seconds)} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
    : seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : seconds < 63072000 ? `${Math.floor(seconds / 86400)} days` : `${Math.floor(seconds / 31557600)} years`;
  // The server's clock is the one that the times were taken with; a browser's may be minutes off.
  let drift = 0;
  const tell = (time) => {
    const seconds = (Date.now() + drift - Date.parse(time.dateTime)) / 1000;
    const words = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${lasting(seconds)} ago` : `in ${lasting(-seconds)}`;
    if (time.textContent !== words) time.textContent = words;
  };
  setInterval(() => { if (!document.hidden) $$("time[data-ago]").forEach(tell); }, 1000);

  // Dark or light -------------------------------------------------------------------------------------------------
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const switchTheme = () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `bastide-theme=${theme}; path=/; max-age=31536000; samesite=strict${location.protocol === "https:" ? "; secure" : ""}`;
  };

  // Copying -------------------------------------------------------------------------------------------------------
  const copy = async (button) => {
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch { say("The browser did not allow copying."); return; }
    button.dataset.copied = "";
    const label = button.getAttribute("aria-label");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => { delete button.dataset.copied; button.setAttribute("aria-label", label); }, 1500);
    say("Copied.");
  };

  const say = (text, href) => {
    const box = $(".toasts");
    if (!box) return;
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.append(Object.assign(document.createElement("span"), { textContent: text }));
    if (href) toast.append(Object.assign(document.createElement("a"), { href, textContent: "Open" }));
    box.append(toast);
    while (box.children.length > 3) box.firstChild.remove();
    setTimeout(() => toast.remove(), href ? 12000 : 2500);
  };

  // Live ----------------------------------------------------------------------------------------------------------
  // A region reads its own page again when something about its subject was committed: at once, then at most once a second.
  const waiting = new WeakMap();
  const busy = (region) => region.contains(document.activeElement) && typing(document.activeElement);
  const refresh = (region) => {
    if (!region.isConnected || document.hidden || busy(region)) { waiting.set(region, "stale"); return; }
    waiting.set(region, "asked");
    htmx.ajax("GET", region.dataset.from, { source: region, target: region, select: region.dataset.part, swap: "morph:outerHTML" })
      .catch(() => {})
      .finally(() => {
        const again = waiting.get(region) === "again";
        setTimeout(() => { const more = again || waiting.get(region) === "again"; waiting.delete(region); if (more) refresh(region); },
          region.hasAttribute("data-live-slow") ? 5000 : 1000);
      });
  };
  const touch = (region) => { const state = waiting.get(region); if (state === "asked" || state === "again") waiting.set(region, "again"); else refresh(region); };
  const about = ({ subject, kind }) => $$("[data-live]").filter((each) => (each.dataset.live === "*" || each.dataset.live === subject) && (!each.dataset.kind || kind === each.dataset.kind));

  const rows = new Set();
  let rowTimer;
  const columns = () => ($("table.fleet")?.dataset.columns || "").split(" ").filter(Boolean).map((column) => ["column", column]);
  const refreshRows = async () => {
    rowTimer = undefined;
    const ids = [...rows].slice(0, 100);
    ids.forEach((id) => rows.delete(id));
    const answer = await fetch("/devices/rows?" + [...ids.map((id) => ["id", id]), ...columns()].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&"), { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(`<table><tbody>${await answer.text()}</tbody></table>`, "text/html");
    for (const row of $$("tr[data-device]", page)) {
      const old = document.getElementById(row.id);
      if (!old || old.outerHTML === row.outerHTML) continue;
      const before = $(".standing", old)?.textContent;
      for (const name of ["hx-get", "hx-trigger", "hx-swap", "tabindex"]) if (old.hasAttribute(name)) row.setAttribute(name, old.getAttribute(name));
      old.innerHTML = row.innerHTML;
      if (before !== $(".standing", old)?.textContent) mark(old);
    }
    if (rows.size) rowTimer = setTimeout(refreshRows, 1000);
  };

  const mark = (element) => { element.classList.remove("changed"); void element.offsetWidth; element.classList.add("changed"); };

  let fresh = 0;
  const newLines = (event) => {
    const list = $("[data-new-lines]");
    if (!list || $("#find")?.value) return;
    const kind = $("input[name=kind]:checked")?.value || "";
    if (kind && !event.kind.startsWith(kind)) return;
    fresh += 1;
    let bar = $(".new-ones");
    if (!bar) {
      bar = document.createElement("div");
      bar.className = "new-ones";
      bar.innerHTML = "<button type=button data-show-new></button>";
      list.before(bar);
    }
    bar.firstChild.textContent = fresh === 1 ? "1 new record" : `${fresh} new records`;
  };

  const link = (up, words) => {
    document.body.dataset.link = up ? "up" : "down";
    const place = $("[data-link-words]");
    if (place && place.textContent !== words) place.textContent = words;
  };

  const listen = () => {
    const source = new EventSource("/live");
    let was = false;
    source.addEventListener("open", () => { link(true, "Live"); if (was) $$("[data-live]").forEach(touch); was = true; });
    source.addEventListener("error", () => link(false, "Not live: reconnecting"));
    source.addEventListener("behind", () => $$("[data-live]").forEach(touch));
    source.addEventListener("ended", () => { source.close(); location.assign("/sign-in"); });
    source.addEventListener("record", (message) => {
      const event = JSON.parse(message.data);
      about(event).forEach(touch);
      if (event.subject.startsWith("device:")) {
        const id = event.subject.slice(7);
        if (document.getElementById("row-" + id)) { rows.add(id); rowTimer ??= setTimeout(refreshRows, 150); }
      }
      newLines(event);
      if (event.text && !$("#watch") && !$(`[data-live="${CSS.escape(event.subject)}"]`)) say(event.text, event.href);
    });
    addEventListener("pagehide", () => source.close());
    // Signing out ends the session, and the stream would say so while the form's own way out is under way.
    addEventListener("submit", (event) => { if (event.target.matches("form[action='/sign-out']")) source.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) $$("[data-live]").forEach((each) => { if (waiting.get(each) === "stale") refresh(each); }); });
  document.addEventListener("focusout", () => setTimeout(() => $$("[data-live]").forEach((each) => { if (waiting.get(each) === "stale") refresh(each); }), 200));

  // A morph keeps what the reader did: opened details stay open, a focused or running thing is left alone.
  const keepReading = () => {
    if (!window.Idiomorph) return;
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS") && !(name === "class" && node.classList?.contains("changed"));
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, now) => {
      if (old.classList?.contains("chart-tip")) return false;
      if (old.id && /^(headline|need-|r-)/.test(old.id) && old.textContent.trim() !== now.textContent.trim() && old.id === "headline") queueMicrotask(() => mark(old));
      return true;
    };
    Idiomorph.defaults.callbacks.afterNodeAdded = (node) => { if (node.id && /^(need-|r-)/.test(node.id) && document.body.dataset.ready) mark(node); };
  };

  // Charts --------------------------------------------------------------------------------------------------------
  const pointer = (box, clientX) => {
    const svg = $("svg", box), spot = $(".spot", box), cursor = $(".cursor", box), tip = $(".chart-tip", box);
    const points = box.points ??= JSON.parse(box.dataset.points);
    const frame = svg.getScreenCTM();
    if (!points.length || !frame) return;
    const x = (clientX - frame.e) / frame.a;
    let low = 0, high = points.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (points[middle][0] < x) low = middle + 1; else high = middle; }
    if (low > 0 && x - points[low - 1][0] < points[low][0] - x) low -= 1;
    const [px, py, words] = points[low];
    cursor.setAttribute("x1", px); cursor.setAttribute("x2", px); cursor.setAttribute("visibility", "visible");
    spot.setAttribute("cx", px); spot.setAttribute("cy", py); spot.setAttribute("visibility", "visible");
    cursor.style.visibility = spot.style.visibility = "visible";
    tip.hidden = false;
    tip.textContent = words;
    const left = frame.a * px + frame.e - box.getBoundingClientRect().left;
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.min(Math.max(left, half), box.clientWidth - half)}px`;
    tip.style.top = `${frame.d * py + frame.f - box.getBoundingClientRect().top - 12}px`;
  };
  const leave = (box) => { $(".chart-tip", box).hidden = true; for (const each of $$(".cursor, .spot", box)) each.style.visibility = "hidden"; };
  document.addEventListener("pointermove", (event) => {
    const box = event.target.closest?.("[data-points]");
    $$("[data-points]").forEach((each) => { if (each !== box && !$(".chart-tip", each)?.hidden) leave(each); });
    if (box) pointer(box, event.clientX);
  });

  // The map: what a row has to do with is lit, the rest steps back; the slider says its hour while it moves.
  const light = (node) => $$("svg.map").forEach((map) => {
    const key = node && map.contains(node) ? node.dataset.node : "";
    map.classList.toggle("lighting", !!key);
    $$(".ribbons path", map).forEach((path) => path.classList.toggle("lit", !!key && (path.dataset.start === key || path.dataset.end === key)));
  });
  document.addEventListener("pointerover", (event) => light(event.target.closest?.("[data-node]")));
  document.addEventListener("focusin", (event) => light(event.target.closest?.("[data-node]")));
  document.addEventListener("input", (event) => {
    const hour = event.target;
    if (!hour.hasAttribute?.("data-hour")) return;
    const [since, until] = $$("input[data-hour]", hour.form);
    if (Number(since.value) >= Number(until.value)) hour.value = hour === since ? Number(until.value) - 1 : Number(since.value) + 1;
    const words = new Date(hour.value * 3600000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
    hour.setAttribute("aria-valuetext", words);
    const places = $$(".hours figcaption b");
    if (places.length) places[hour === since ? 0 : 1].textContent = words;
  });

  // The palette ---------------------------------------------------------------------------------------------------
  const palette = $("#palette");
  const field = palette && $("input", palette), list = palette && $("ul", palette);
  const options = () => $$("li[role=option]:not([hidden])", list);
  const choose = (option) => {
    $$("li", list).forEach((each) => each.setAttribute("aria-selected", each === option));
    if (option) { field.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); } else field.removeAttribute("aria-activedescendant");
  };
  const open = () => { if (!palette || palette.open) return; palette.showModal(); field.value = ""; filter(); };
  let asked = 0;
  const filter = async () => {
    const words = field.value.trim().toLowerCase();
    $$("li[data-found]", list).forEach((each) => each.remove());
    for (const each of $$("li", list)) each.hidden = !!words && !`${each.dataset.words} ${each.textContent}`.toLowerCase().includes(words);
    choose(options()[0]);
    if (words.length < 2) return;
    const turn = ++asked;
    const answer = await fetch(`/devices?text=${encodeURIComponent(words)}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok || turn !== asked || !palette.open) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const row of $$("tr[data-device]", page).slice(0, 8)) {
      const item = document.createElement("li");
      item.id = "found-" + row.dataset.device;
      item.setAttribute("role", "option");
      item.dataset.found = "";
      item.dataset.href = row.dataset.href;
      item.append($(".standing", row).cloneNode(true), Object.assign(document.createElement("span"), { textContent: $(".name a", row).textContent }),
        Object.assign(document.createElement("span"), { className: "k mono", textContent: row.dataset.device }));
      list.append(item);
    }
    if (!$("li[aria-selected=true]:not([hidden])", list)) choose(options()[0]);
  };
  const go = (option) => { if (option) location.assign(option.dataset.href); };
  if (palette) {
    field.addEventListener("input", filter);
    field.addEventListener("keydown", (event) => {
      const all = options(), at = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
      if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
      else if (event.key === "ArrowUp") choose(all[(at - 1 + all.length) % all.length]);
      else if (event.key === "Enter") go(all[at]);
      else return;
      event.preventDefault();
    });
    list.addEventListener("click", (event) => go(event.target.closest("li")));
    palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
  }

  // Nobody there ------------------------------------------------------------------------------------------------------
  // An open page keeps its session alive by reading what changed, so the page itself ends it when nobody has touched any
  // of them for as long as a session may be idle.
  const idle = 1000 * Number(document.body.dataset.idle);
  const present = () => { try { localStorage.setItem("bastide-touched", Date.now()); } catch { /* then each page counts for itself */ } touchedHere = Date.now(); };
  let touchedHere = Date.now();
  const touchedAt = () => { try { return Math.max(touchedHere, Number(localStorage.getItem("bastide-touched")) || 0); } catch { return touchedHere; } };
  if (idle) {
    for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(kind, present, { passive: true, capture: true });
    const watching = setInterval(() => {
      if (Date.now() - touchedAt() <= idle) return;
      clearInterval(watching);
      $("form[action='/sign-out']")?.requestSubmit();
    }, 15000);
  }

  // Keys and clicks -----------------------------------------------------------------------------------------------
  const move = (by) => {
    const all = $$("table.fleet tbody tr[data-href]");
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    all.forEach((each) => { each.tabIndex = each === next ? 0 : -1; });
    next.focus();
  };
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); open(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]") || typing(event.target)) {
      if (event.key === "Escape" && event.target.id === "find") event.target.blur();
      if (event.key === "ArrowDown" && event.target.id === "find") { event.preventDefault(); move(1); }
      return;
    }
    const row = event.target.closest?.("tr[data-href]");
    if (event.key === "/") open();
    else if (event.key === "f" && $("#find")) { $("#find").focus(); $("#find").select(); }
    else if (event.key === "j" || (event.key === "ArrowDown" && row)) move(1);
    else if (event.key === "k" || (event.key === "ArrowUp" && row)) move(-1);
    else if (event.key === "Enter" && row === event.target && row) location.assign(row.dataset.href);
    else return;
    event.preventDefault();
  });
  // Leaving the search field is no new search: what was typed has been asked for, and a menu that is opened next stays open.
  document.addEventListener("change", (event) => { if (event.target.id === "find") event.stopPropagation(); }, true);
  document.addEventListener("change", (event) => { if (event.target.hasAttribute("data-submit")) event.target.form.requestSubmit(); });
  document.addEventListener("click", (event) => {
    const target = event.target;
    const button = target.closest("button");
    if (button?.dataset.copy !== undefined) copy(button);
    else if (button?.hasAttribute("data-theme-switch")) switchTheme();
    else if (button?.hasAttribute("data-palette")) open();
    else if (button?.hasAttribute("data-close")) button.closest("dialog")?.close();
    else if (button?.hasAttribute("data-show-new")) location.reload();
    else if (target.closest("tr[data-href]") && !target.closest("a, button") && !String(getSelection())) location.assign(target.closest("tr[data-href]").dataset.href);
    else if (target.id === "act") target.close();
  });

  // Acts: the preview is read first, then the dialog opens.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.detail.target?.closest?.("dialog");
    if (dialog && !dialog.open) dialog.showModal();
    dialog && $("[autofocus]", dialog)?.focus();
    if (event.detail.target?.id === "rows" || event.detail.elt?.closest?.("#rows")) $$("#rows tr").forEach((row, place) => { row.tabIndex = place ? -1 : 0; });
  });
  // A refused act says why in the same dialog.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 && event.detail.target?.id === "act-in") { event.detail.shouldSwap = true; event.detail.isError = false; }
  });
  // An act that was carried out: the page below says what holds now.
  document.addEventListener("acted", () => { $("#act").close(); say("Done, and recorded."); $$("[data-live]").forEach(touch); });
  document.addEventListener("htmx:sendError", () => say("Bastide did not answer. Trying again by itself."));

  document.addEventListener("DOMContentLoaded", () => {
    const time = $("meta[name=server-time]");
    if (time) drift = Date.parse(time.content) - Date.now();
    keepReading();
    $$("time[data-ago]").forEach(tell);
    if (document.body.hasAttribute("data-signed-in") && $(".shell")) listen();
    document.body.dataset.ready = "true";
  });
})();
