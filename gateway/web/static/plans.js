// Floor plans: closer and farther, pins put where they belong, and large pictures made small before they are sent.
"use strict";
(() => {
  const MOST_BYTES = 4 * 2 ** 20;
  const MOST_SIDE = 3000;
  const narrow = matchMedia("(max-width: 48rem)").matches;
  const ways = document.querySelector(".plan-ways");
  if (ways && narrow) ways.open = false;

  const sheet = document.getElementById("plan-sheet");
  const view = document.getElementById("plan-view");
  let zoom = 0;
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const across = (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth;
      const down = (view.scrollTop + view.clientHeight / 2) / view.scrollHeight;
      sheet.classList.remove(`zoom-${zoom}`);
      zoom = Math.min(3, Math.max(0, zoom + Number(button.dataset.zoom)));
      if (zoom) sheet.classList.add(`zoom-${zoom}`);
      view.scrollLeft = across * view.scrollWidth - view.clientWidth / 2;
      view.scrollTop = down * view.scrollHeight - view.clientHeight / 2;
    });
  }

  const form = document.getElementById("pin-form");
  if (form) arrange();

  function arrange() {
    const pins = document.getElementById("plan-pins");
    const { device, x, y, dragged } = form.elements;
    let held = null;
    let moved = false;
    let waiting = 0;
    const within = (share) => Math.min(100, Math.max(0, share)).toFixed(1);
    const choose = (name) => {
      device.value = name;
      const there = device.selectedOptions[0]?.dataset;
      [x.value, y.value] = [there?.x ?? "50", there?.y ?? "50"];
    };
    const move = (pin, left, top) => {
      pin.dataset.x = within(left);
      pin.dataset.y = within(top);
      pin.parentNode.setAttribute("x", `${pin.dataset.x}%`);
      pin.parentNode.setAttribute("y", `${pin.dataset.y}%`);
      Object.assign(device.selectedOptions[0].dataset, { x: pin.dataset.x, y: pin.dataset.y });
      [x.value, y.value] = [pin.dataset.x, pin.dataset.y];
    };
    const keep = (stays) => {
      dragged.value = stays ? "1" : "";
      form.requestSubmit(form.querySelector("button:not([name])"));
      dragged.value = "";
    };
    const share = (event) => {
      const box = pins.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * 100, ((event.clientY - box.top) / box.height) * 100];
    };
    const pinOf = (name) => [...pins.querySelectorAll("[data-device]")].find((pin) => pin.dataset.device === name);

    device.addEventListener("change", () => choose(device.value));
    pins.addEventListener("dragstart", (event) => event.preventDefault());
    pins.addEventListener("pointerdown", (event) => {
      held = event.target.closest("[data-device]");
      moved = false;
      if (!held) return;
      choose(held.dataset.device);
      held.setPointerCapture(event.pointerId);
    });
    pins.addEventListener("pointermove", (event) => {
      if (!held || (!moved && Math.hypot(event.movementX, event.movementY) < 2)) return;
      moved = true;
      move(held, ...share(event));
    });
    pins.addEventListener("pointerup", () => {
      if (held && moved) keep(true);
      held = null;
    });
    pins.addEventListener("pointercancel", () => { held = null; });
    pins.addEventListener("click", (event) => {
      event.preventDefault();
      if (event.target.closest("[data-device]")) return;
      const pin = pinOf(device.value);
      const [left, top] = share(event);
      [x.value, y.value] = [within(left), within(top)];
      if (pin) move(pin, left, top);
      keep(Boolean(pin));
    });
    pins.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const pin = event.target.closest("[data-device]");
      if (!step || !pin) return;
      event.preventDefault();
      const far = event.shiftKey ? 5 : 0.5;
      choose(pin.dataset.device);
      move(pin, Number(pin.dataset.x) + step[0] * far, Number(pin.dataset.y) + step[1] * far);
      clearTimeout(waiting);
      waiting = setTimeout(keep, 600, true);
    });
    choose(device.value);
  }

  document.getElementById("plan-file")?.addEventListener("change", async (event) => {
    const input = event.target;
    const file = input.files[0];
    if (!file || (file.size <= MOST_BYTES && file.type !== "image/jpeg")) return;
    const small = await shrunk(file).catch(() => null); // no picture: the gateway says so
    if (!small) return;
    const files = new DataTransfer();
    files.items.add(new File([small], "plan.jpg", { type: "image/jpeg" }));
    input.files = files.files;
  });

  // As it is seen: turned as the camera was held, and without where it was taken.
  async function shrunk(file) {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, MOST_SIDE / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  }
})();
