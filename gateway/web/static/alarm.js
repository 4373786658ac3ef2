// The stream of alarms: banner, sounds, title, live views, and the page's own word when the stream falls silent.
// Each visible tab, and each on duty, has a stream of its own: no tab that the browser may freeze speaks for another
// one. A hidden tab off duty lets its stream go while another tab tells it everything (browsers allow six connections
// to one server), and takes it up again when that falls silent.
"use strict";
(() => {
  const top = document.getElementById("top");
  if (!top) return;
  const LOST_MS = 10000, TAKE_OVER_MS = 7000, AGAIN_MS = 2000, TURN_MS = 1000, MOST_ROWS = 20;
  const texts = JSON.parse(top.dataset.texts);
  const find = (id) => document.getElementById(id);
  const write = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const option = (name, normally) => { try { return (localStorage.getItem(name) ?? normally) === "on"; } catch { return normally === "on"; } };
  let state = JSON.parse(top.dataset.state), source = null, ended = false, lost = false;
  let heardAt = Date.now(), toldAt = Date.now(), ahead = Date.parse(document.body.dataset.now) - Date.now();

  // --- the top line ---

  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: top.dataset.zone, timeStyle: "medium" });
  function showTop() {
    const word = lost ? "unknown" : state.word;
    top.className = `verdict ${word}`;
    document.body.classList.toggle("lost", lost);
    write(top.querySelector("#word .shape"), lost ? "?" : state.shape);
    write(top.querySelector("#word .say"), lost ? texts.lost : state.say);
    write(top.querySelector(".platform"), state.platform);
    write(top.querySelector(".backlog"), state.backlog);
    document.title = lost ? `? ${texts.lost}` : state.title;
    const icon = find("icon"), now = lost ? top.dataset.lostIcon : state.icon;
    if (icon.getAttribute("href") !== now) icon.setAttribute("href", now);
  }
  function said(text) { write(find("state-said"), text); }
  function duration(seconds) {
    const parts = [];
    for (const [unit, length] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      const count = Math.floor(seconds / length);
      seconds -= count * length;
      if (count) parts.push(`${count} ${texts[unit]}`);
    }
    return parts.slice(0, 2).join(" ") || `0 ${texts.s}`;
  }
  function second() {
    const was = lost;
    lost = Date.now() - heardAt > LOST_MS;
    if (was !== lost) { showTop(); said(lost ? texts.lost : state.say); }
    const now = (lost ? heardAt : Date.now()) + ahead;
    write(find("clock"), clock.format(now));
    for (const each of document.querySelectorAll("time[data-since]"))
      write(each, duration(Math.max(0, Math.floor((now - Date.parse(each.dataset.since)) / 1000))));
    keepStream();
  }

  // --- sounds: one buffer for each, played round and round; no timer that a browser may slow down ---

  const muted = new Set();
  let audio = null, playing = null, playingKind = "none", wakeLock = null, faults = state.tiles.fault;
  const SOUNDS = {
    fire: { length: 1.0, at: (t) => (t < 0.5 ? 960 : 720) },
    alarm: { length: 2.0, at: (t) => (t < 0.35 ? 560 : 0) },
    test: { length: 0.6, at: (t) => (t < 0.3 ? 720 : 960) },
    fault: { length: 0.3, at: () => 380 },
  };
  function bufferOf({ length, at }, loudness) {
    const rate = audio.sampleRate, buffer = audio.createBuffer(1, Math.round(length * rate), rate);
    const samples = buffer.getChannelData(0);
    let phase = 0;
    for (let n = 0, level = 0; n < samples.length; n += 1) {
      const pitch = at(n / rate);
      level += ((pitch ? loudness : 0) - level) / 200; // no click where it begins and ends
      phase += (2 * Math.PI * pitch) / rate;
      samples[n] = Math.sin(phase) * level;
    }
    return buffer;
  }
  function play(kind, loop, loudness = 0.5) {
    const voice = audio.createBufferSource();
    voice.buffer = bufferOf(SOUNDS[kind], loudness);
    voice.loop = loop;
    voice.connect(audio.destination);
    voice.start();
    return voice;
  }
  const onDuty = () => audio?.state === "running";
  function wanted() {
    const called = find("banner")?.dataset.sounding ?? "";
    if (called === "fire" || called === "alarm") return called;
    return Object.keys(state.sounds).some((name) => !muted.has(name)) ? "alarm" : "none";
  }
  function sound() {
    const kind = wanted();
    document.body.dataset.sounding = kind;
    document.body.dataset.duty = onDuty() ? "on" : "off";
    const duty = find("duty");
    if (duty) {
      duty.setAttribute("aria-pressed", String(onDuty()));
      write(duty.querySelector("span"), onDuty() ? texts.on : texts.off);
      find("duty-hint").hidden = onDuty();
    }
    const due = onDuty() && option("sound", "on") ? kind : "none";
    if (due !== playingKind) {
      playing?.stop();
      playing = due === "none" ? null : play(due, true);
      playingKind = due;
    }
    document.body.dataset.playing = playingKind;
  }
  async function beginDuty(tone) {
    audio ??= new AudioContext();
    audio.onstatechange = sound;
    await Promise.race([audio.resume(), new Promise((done) => setTimeout(done, 500))]);
    if (onDuty()) {
      sessionStorage.setItem("duty", "on");
      if (tone) play("test", false, 0.3);
      wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
    }
    sound();
  }
  find("duty")?.addEventListener("click", () => beginDuty(true));
  document.addEventListener("test-sound", () => beginDuty(true));
  document.addEventListener("desk-changed", sound); // by settings.js, in this tab
  addEventListener("storage", sound); // and in another one
  if (find("duty") && sessionStorage.getItem("duty") === "on") {
    beginDuty(false); // where the browser remembers the tap on the page before
    for (const touch of ["pointerdown", "keydown"]) // else any tap will do
      document.addEventListener(touch, () => { if (!onDuty()) beginDuty(false); }, { once: true });
  }

  // --- banner: swapped only when it is another, and the focus stays where it was ---

  let announced = find("banner")?.dataset.announceId ?? "";
  function swap(old, now) {
    const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(now);
    globalThis.htmx?.process(now);
    if (focus) find(focus)?.focus({ preventScroll: true });
  }
  function showBanner(html) {
    const old = find("banner"), now = parse(html).body.firstElementChild;
    if (!old || !now) return;
    const same = (element) => element.outerHTML.replace(/ data-htmx-powered="[^"]*"/g, "").replace(/(<time data-since[^>]*>)[^<]*/g, "$1");
    if (same(old) !== same(now)) swap(old, now);
    const { announce, announceId } = find("banner").dataset;
    if (announceId && announceId !== announced) {
      announced = announceId;
      find("alert").textContent = announce;
      if (onDuty() && option("speech", "off") && globalThis.speechSynthesis) {
        const speech = new SpeechSynthesisUtterance(announce);
        speech.lang = document.documentElement.lang;
        speechSynthesis.speak(speech);
      }
    }
    sound();
  }
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");

  // --- live views: fetched again at most once a second, and seldom from a slow box; not while somebody writes ---

  const stale = new Set();
  let fetching = false, notBefore = 0, timer = 0;
  function changed(names) {
    names.forEach((name) => stale.add(name));
    if (!timer && !document.hidden) timer = setTimeout(refetch, Math.max(0, notBefore - Date.now()));
  }
  const follows = (element, names) => !element.dataset.live || names.has("again") || element.dataset.live.split(" ").some((name) => names.has(name));
  const edited = (element) => [...element.querySelectorAll("input, textarea, select")].some((field) =>
    field === document.activeElement || (field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
      : field.tagName === "SELECT" ? [...field.options].some((one) => one.selected !== one.defaultSelected) && field.selectedIndex > 0
        : field.type !== "hidden" && field.value !== field.defaultValue)) || element.querySelector("dialog[open]");
  async function refetch() {
    timer = 0;
    const names = new Set(stale);
    const views = [...document.querySelectorAll("[data-live]")].filter((view) => view.id && follows(view, names) && !edited(view));
    if (fetching || !views.length) { if (!fetching) stale.clear(); return; }
    fetching = true;
    stale.clear();
    const began = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) {
        const fresh = parse(await answer.text());
        for (const view of views) {
          const now = fresh.getElementById(view.id);
          if (now && view.isConnected && !edited(view) && !(view.id === "rows" && paused)) morph(view, now);
        }
        document.dispatchEvent(new CustomEvent("refetched"));
      }
    } catch { names.forEach((name) => stale.add(name)); } // told by the word, once it has lasted
    fetching = false;
    notBefore = Date.now() + Math.max(TURN_MS, 10 * (Date.now() - began));
    if (stale.size) changed([]);
  }
  function morph(old, now) {
    if (old.outerHTML === now.outerHTML) return;
    const open = new Set([...old.querySelectorAll("details[open][id]")].map((each) => each.id));
    for (const each of now.querySelectorAll("details[id]")) each.open ||= open.has(each.id);
    if (globalThis.htmx?.swap) htmx.swap({ target: old, text: now.outerHTML, swap: "outerMorph", sourceElement: old, transition: false });
    else swap(old, now);
  }
  document.body.addEventListener("changed", () => changed(["again"]));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale.size) changed([]); keepStream(); });

  // --- the live list, which stands still when asked to ---

  const list = find("rows"), pause = find("pause");
  let paused = false, waiting = [];
  function addRows(html) {
    if (!list) return;
    if (paused) {
      waiting = [html, ...waiting].slice(0, MOST_ROWS);
      return write(pause.querySelector("span"), `${texts.paused} (+${waiting.length >= MOST_ROWS ? `${MOST_ROWS}+` : waiting.length})`);
    }
    const fresh = [...parse(`<ol>${html}</ol>`).querySelectorAll("li")].filter((row) => !row.id || !find(row.id));
    list.prepend(...fresh);
    while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
    document.querySelector(".when-empty")?.remove();
  }
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      write(pause.querySelector("span"), paused ? texts.paused : texts.pause);
      const told = waiting.reverse();
      waiting = [];
      told.forEach(addRows);
    });
  }

  // --- the stream, and what other tabs tell ---

  const tabs = globalThis.BroadcastChannel ? new BroadcastChannel("gateway") : null;
  const me = Math.random();
  let others = { at: 0, first: Infinity, awake: false };
  const awake = () => !document.hidden || onDuty();
  const HEARD = {
    state(data) {
      const before = state;
      state = JSON.parse(data);
      if (state.word !== before.word) said(state.say);
      if (state.tiles.fault > faults && onDuty() && playingKind === "none" && option("sound", "on")) play("fault", false, 0.2);
      faults = state.tiles.fault;
      showTop();
      sound();
    },
    banner: showBanner,
    row: addRows,
    newest(id) { if (list && !find(`e-${id}`)) changed(["events"]); }, // it came after the page was drawn, before its stream
    changed: (data) => changed(JSON.parse(data)),
    tick(data) { ahead = Date.parse(data) - Date.now(); },
    ended() {
      ended = true;
      source?.close();
      find("signed-out").hidden = false;
    },
  };
  function heard(kind, data) {
    const late = lost || Date.now() - heardAt > LOST_MS;
    heardAt = Date.now();
    HEARD[kind](data);
    if (late) { second(); changed(["again"]); }
  }
  function open() {
    if (source || ended) return;
    source = new EventSource("/stream");
    let before = false;
    source.onopen = () => { if (before || toldAt < Date.now() - LOST_MS) changed(["again"]); before = true; };
    for (const kind of Object.keys(HEARD))
      source.addEventListener(kind, ({ data }) => {
        toldAt = Date.now();
        heard(kind, data);
        tabs?.postMessage({ kind, data, me, awake: awake() });
      });
    source.onerror = () => { if (source?.readyState === EventSource.CLOSED) refused(); };
  }
  async function refused() { // not a cut, which the browser mends itself: is it the session?
    close();
    try {
      const answer = await fetch("/api/v1/status", { method: "GET", cache: "no-store" });
      if ([401, 403].includes(answer.status)) return HEARD.ended();
    } catch { /* no answer at all: told by the word */ }
    setTimeout(open, AGAIN_MS);
  }
  function close() { source?.close(); source = null; }
  if (tabs) tabs.onmessage = ({ data: { kind, data, me: from, awake: isAwake } }) => {
    others = { at: Date.now(), first: from, awake: isAwake };
    if (!source && !ended) heard(kind, data);
  };
  function keepStream() {
    const served = Date.now() - others.at < TAKE_OVER_MS && (others.awake || others.first < me);
    if (awake() || !served) open();
    else if (document.hidden) close();
  }
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => { if (persisted) { open(); changed(["again"]); } });

  // --- keys: none ends an alarm ---

  function press({ key, ctrlKey, altKey, metaKey, target, repeat }) {
    if (ctrlKey || altKey || metaKey || repeat || !option("keys", "on") || target.closest("input, textarea, select, dialog, [contenteditable]")) return false;
    const near = (name) => target.closest("[data-alarm]")?.querySelector(`[data-key="${name}"]`) ?? document.querySelector(`#banner [data-key="${name}"]`);
    const name = key.toLowerCase();
    if (name === "s") { Object.keys(state.sounds).forEach((each) => muted.add(each)); sound(); near("s")?.click(); return true; }
    if (name === "a") { near("a")?.click(); return true; }
    if (key >= "1" && key <= "5") { document.querySelectorAll(".ways li > a")[key - 1]?.click(); return true; }
    if (key === "/") { const field = document.querySelector("input[type=search]"); if (field) field.focus(); else location.href = "/events"; return true; }
    if (key === "?") { location.href = "/help"; return true; }
    return false;
  }
  document.addEventListener("keydown", (event) => { if (press(event)) event.preventDefault(); });

  showTop();
  sound();
  second();
  setInterval(second, 1000);
})();
