// What a person does on the page: the answer is told, and where a password is needed once more it is asked for.
// htmx sends what stands in attributes; other scripts use `act.send(path, options)`, which is fetch with the same manners.
"use strict";
window.act = (() => {
  const STAYS_MS = 6000;
  const WARN_MS = 30 * 60 * 1000;  // before a sign-in ends
  const body = document.body;
  const zh = document.documentElement.lang.startsWith("zh");
  const sayings = document.getElementById("sayings").dataset;
  const said = document.getElementById("said");
  const dialog = document.getElementById("step-up");
  let repeat = null;  // what is done after the password
  let again = null;  // the element that asks once more: it is not confirmed twice

  function tell(sentence, wrong) {
    for (const old of said.querySelectorAll(wrong ? ".wrong" : "p")) old.remove();
    const line = document.createElement("p");
    line.textContent = sentence;
    if (wrong) {
      line.className = "wrong";
      line.setAttribute("role", "alert");
      line.append(" ", closing(line));
    } else {
      setTimeout(() => line.remove(), STAYS_MS);
    }
    said.append(line);
    return line;
  }

  function closing(line) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sayings.close;
    button.addEventListener("click", () => line.remove());
    return button;
  }

  function explain(text) {
    try {
      const { what, do: next } = JSON.parse(text).error;
      const pick = (pair) => (pair ? (zh ? pair.zh : pair.en) : "");
      return [pick(what), pick(next)].filter(Boolean).join(zh ? "。" : ". ");
    } catch {
      return sayings.wrong;
    }
  }

  // Returns whether it was done.
  function told(status, headers, text) {
    if (status >= 400 || status === 0) {
      const line = tell(status ? explain(text) : sayings.unreachable, true);
      if (status === 401) line.prepend(door(), " ");
      return false;
    }
    const sentence = decodeURIComponent(headers.get("X-Said") || "");
    if (sentence && headers.get("HX-Redirect")) sessionStorage.setItem("said", sentence);
    else if (sentence) tell(sentence);
    body.dispatchEvent(new CustomEvent("changed"));
    return true;
  }

  function door() {
    const link = document.createElement("a");
    link.href = "/login?next=" + encodeURIComponent(location.pathname + location.search);
    link.textContent = sayings.login;
    link.className = "button";
    return link;
  }

  const stale = (status, headers) => status === 403 && headers.get("X-Step-Up") === "1" && dialog;

  function ask(next) {
    repeat = next;
    dialog.querySelector("form").reset();
    dialog.querySelector(".problem").hidden = true;
    dialog.showModal();
    dialog.querySelector("[type=password]").focus();
  }

  async function send(path, options = {}) {
    const headers = { "X-CSRF-Token": body.dataset.csrf || "", ...options.headers };
    let response;
    try {
      response = await fetch(path, { method: "POST", ...options, headers });
    } catch {
      told(0);
      return null;
    }
    if (stale(response.status, response.headers)) {
      return new Promise((done) => ask(() => done(send(path, options))));
    }
    const text = response.ok ? "" : await response.text();
    return told(response.status, response.headers, text) ? response : null;
  }

  // htmx: an error is told and never becomes part of the page.
  body.addEventListener("htmx:after:request", (event) => {
    const ctx = event.detail.ctx;
    if (ctx.request.method === "GET") return;
    const { status, headers } = ctx.response;
    again = null;
    if (status >= 400) event.preventDefault();
    if (stale(status, headers)) ask(() => resend(ctx));
    else told(status, headers, ctx.text);
  });
  body.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx && !event.detail.ctx.response && event.detail.ctx.request.method !== "GET") told(0);
  });
  body.addEventListener("htmx:confirm", (event) => {
    if (!again || again !== event.detail.ctx.sourceElement) return;
    event.preventDefault();
    event.detail.issueRequest();
  });

  function resend(ctx) {
    again = ctx.sourceElement;
    const { type, submitter } = ctx.sourceEvent;
    if (again instanceof HTMLFormElement) again.requestSubmit(submitter && submitter.form === again ? submitter : null);
    else again.dispatchEvent(new Event(type, { bubbles: true, cancelable: true }));
  }

  if (dialog) {
    dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const password = dialog.querySelector("[type=password]");
      const answer = await fetch("/step-up", {
        method: "POST",
        headers: { "X-CSRF-Token": body.dataset.csrf },
        body: new URLSearchParams({ password: password.value }),
      }).catch(() => null);
      if (answer && answer.ok) {
        dialog.close();
        repeat();
        return;
      }
      const problem = dialog.querySelector(".problem");
      problem.textContent = answer ? explain(await answer.text()) : sayings.unreachable;
      problem.hidden = false;
      password.select();
    });
  }

  // The sign-in ends whatever happens seven days after it began: it is said in time.
  const ending = document.getElementById("ending");
  if (ending) {
    const behind_ms = Date.parse(body.dataset.now) - Date.now();
    const look = () => {
      ending.hidden = Date.parse(ending.dataset.ends) - Date.now() - behind_ms > WARN_MS;
    };
    look();
    setInterval(look, 30000);
  }

  for (const box of document.querySelectorAll("[data-reveals]")) {
    box.addEventListener("change", () => {
      for (const field of box.form.querySelectorAll("[autocomplete$=password]")) {
        field.type = box.checked ? "text" : "password";
      }
    });
  }

  // Whoever follows a link from elsewhere comes without their cookie (SameSite=Strict), and may be signed in all the same.
  const next = document.querySelector("[data-next]");
  if (next) {
    fetch("/login", { headers: { Accept: "application/json" } })
      .then((answer) => answer.json())
      .then(({ known }) => known && location.replace(next.dataset.next))
      .catch(() => {});
  }

  const kept = sessionStorage.getItem("said");
  if (kept) {
    sessionStorage.removeItem("said");
    tell(kept);
  }
  return { send, tell };
})();
