// What a desk chooses for itself stays in its browser, under the name by which alarm.js reads it in every open tab.
"use strict";

for (const box of document.querySelectorAll("[data-desk]")) {
  const kept = localStorage.getItem(box.dataset.desk) ?? box.dataset.normally;
  box.checked = kept === "on";
  box.addEventListener("change", () => {
    localStorage.setItem(box.dataset.desk, box.checked ? "on" : "off");
    document.dispatchEvent(new CustomEvent("desk-changed"));
  });
}

document.getElementById("sound-test").addEventListener("click", () => {
  document.dispatchEvent(new CustomEvent("test-sound"));
});
