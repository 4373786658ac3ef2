// What a desk chooses for itself stays in its browser; alarm.js reads it and hears of a change.
"use strict";

for (const name of ["sound-on", "speech-on", "keys-on"]) {
  const box = document.getElementById(name);
  const kept = localStorage.getItem(name);
  box.checked = kept === null ? box.dataset.default === "on" : kept === "on";
  box.addEventListener("change", () => {
    localStorage.setItem(name, box.checked ? "on" : "off");
    document.dispatchEvent(new CustomEvent("desk-changed", { detail: { name, on: box.checked } }));
  });
}

document.getElementById("sound-test").addEventListener("click", () => {
  document.dispatchEvent(new CustomEvent("test-sound"));
});
