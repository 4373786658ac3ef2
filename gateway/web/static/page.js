// Keeps the page true: a fresh copy every 5 s; when none came for 10 s the page says so itself and turns grey.
"use strict";

const REFRESH_MS = 5000;
const LOST_MS = 10000;
let freshAt = Date.now();

function showAge() {
  const ageMs = Date.now() - freshAt;
  const age = document.querySelector(".age");
  age.textContent = `${Math.floor(ageMs / 1000)} ${age.dataset.unit}`;
  if (ageMs > LOST_MS) {
    const verdict = document.querySelector(".verdict");
    document.querySelector("main").className = "lost";
    verdict.className = "verdict lost";
    verdict.querySelector(".shape").textContent = "?";
    verdict.querySelector(".word").textContent = document.body.dataset.lost;
    document.title = `? ${document.body.dataset.lost}`;
  }
}

async function refresh() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(REFRESH_MS) });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(fresh.querySelector("main"));
      document.title = fresh.title;
      freshAt = Date.now();
    }
  } catch {
    // told by showAge, once it has lasted
  }
  showAge();
}

showAge();
setInterval(showAge, 1000);
setInterval(refresh, REFRESH_MS);
