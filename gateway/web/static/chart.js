// Draws what was measured: each [data-points] is a list of [ms since 1970, value]. Its numbers stand beside it as text.
"use strict";
(() => {
  const charts = document.getElementById("charts");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const two = (number) => String(number).padStart(2, "0");
  const clock = (seconds, days) => {
    const at = new Date(seconds * 1000);
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", {
      timeZone: charts.dataset.zone, month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", hourCycle: "h23",
    }).formatToParts(at).map((part) => [part.type, part.value]));
    return days ? `${two(parts.month)}-${two(parts.day)}` : `${two(parts.hour)}:${two(parts.minute)}`;
  };
  const draw = (plot) => {
    const points = JSON.parse(plot.dataset.points);
    const data = [points.map((point) => point[0] / 1000), points.map((point) => point[1])];
    const { from, hours } = plot.closest(".charts").dataset;
    const days = Number(hours) > 48;
    const span = [from / 1000, from / 1000 + hours * 3600];
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--faint"), width: 1 }, ticks: { show: false } };
    plot.dataset.drawn = "1";
    new uPlot({
      width: Math.max(220, plot.clientWidth), height: 150, legend: { show: false }, cursor: { show: false },
      scales: { x: { range: () => span }, y: { range: (_, low, high) => (low === high ? [low - 1, high + 1] : uPlot.rangeNum(low, high, 0.1, true)) } },
      series: [{}, { stroke: colour("--link"), width: 2, points: { show: points.length < 2 } }],
      axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => clock(tick, days)) }, { ...axis, size: 56 }],
    }, data, plot);
  };
  const all = () => document.querySelectorAll("#charts .plot:not([data-drawn])").forEach(draw);
  if (charts && window.uPlot) {
    new MutationObserver(all).observe(charts, { childList: true, subtree: true });
    all();
    addEventListener("resize", () => charts.querySelectorAll(".plot[data-drawn]").forEach((plot) => {
      plot.replaceChildren();
      draw(plot);
    }));
  }
})();
