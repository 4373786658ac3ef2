// The last 24 hours of each link as a curve: what waits, what was confirmed, how long it took, and the connection.
"use strict";

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function options(box, width) {
  const colour = colours();
  const axis = { stroke: colour("soft"), grid: { stroke: colour("faint"), width: 1 }, ticks: { stroke: colour("faint") } };
  const line = (label, scale, name, more) => ({ label, scale, stroke: colour(name), width: 2, ...more });
  return {
    width,
    height: 220,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), box.dataset.zone),
    scales: { x: { range: (_, least, most) => [(most ?? Date.now() / 1000) - 86400, most ?? Date.now() / 1000] }, count: { range: (_, least, most) => [0, Math.max(5, most)] }, percent: { range: [0, 100] }, s: { range: (_, least, most) => [0, Math.max(10, most)] } },
    series: [
      { label: box.dataset.time, value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
      { label: box.dataset.away, scale: "percent", fill: `${colour("warn")}99`, stroke: colour("warn"), width: 0, points: { show: false } },
      line(box.dataset.backlog, "count", "warn-text", {}),
      line(box.dataset.confirmed, "count", "link", { dash: [6, 3] }),
      line(box.dataset.longest, "s", "text", { paths: () => null, points: { show: true, size: 6 } }),
    ],
    axes: [
      { ...axis, space: 60, values: [[3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
      { ...axis, scale: "count", size: 44 },
      { ...axis, scale: "s", side: 1, size: 36, grid: { show: false } },
    ],
  };
}

async function draw(box) {
  const answer = await fetch(box.dataset.source);
  if (!answer.ok) return;
  const day = await answer.json();
  const rows = [day.time, day.connected.map((share) => 100 - share), day.backlog, day.confirmed, day.longest_s];
  const fresh = new uPlot(options(box, box.clientWidth), rows, document.createElement("div"));
  box.replaceChildren(fresh.root);
  box.plot?.destroy();
  box.plot = fresh;
}

function drawAll() {
  for (const box of document.querySelectorAll(".chart")) draw(box).catch(() => {});
}

drawAll();
setInterval(drawAll, 60000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("resize", () => {
  for (const box of document.querySelectorAll(".chart")) box.plot?.setSize({ width: box.clientWidth, height: 220 });
});
