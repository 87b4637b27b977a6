// The curves of the health page: uPlot draws what the page's own JSON says.

const HEIGHT = 190;
const WIDTH_MIN = 200;
const DAY_S = 86_400;
// The least of an axis: a curve of small figures does not look like a storm.
const TOP_MIN = { ms: 25, calls: 4, "%": 100 };

const data = JSON.parse(document.getElementById("curves-data").textContent);
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const clock = form({ hour: "2-digit", minute: "2-digit" });
const day = form({ weekday: "short", day: "numeric" });
const moment = form({ weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

function form(fields) {
  const written = new Intl.DateTimeFormat(language, { ...fields, timeZone: "UTC" });
  return (seconds) => written.format(new Date(seconds * 1e3));
}

function colour(name, spare) {
  const style = getComputedStyle(document.documentElement);
  return style.getPropertyValue(name).trim() || spare;
}

function axis(more) {
  const grid = { stroke: colour("--pico-muted-border-color", "gray"), width: 1 };
  const stroke = colour("--pico-muted-color", "gray");
  return { stroke, grid, ticks: grid, font: "12px system-ui, sans-serif", ...more };
}

/** Return what is drawn in one place, as uPlot wants it. */
function wanted(place) {
  const { unit, span } = place.dataset;
  const keys = place.dataset.keys.split(" ");
  const labels = place.dataset.labels.split("|");
  const shown = (value) => (value === null ? "–" : `${number.format(value)}${unit === "calls" ? "" : ` ${unit}`}`);
  const strokes = [colour("--pico-primary", "blue"), colour("--pico-muted-color", "gray")];
  const series = keys.map((key, at) => ({
    label: labels[at],
    stroke: strokes[at],
    width: at ? 1 : 2,
    value: (plot, value) => shown(value),
  }));
  const columns = keys.map((key) => data[span][key]);
  if (place.dataset.limit) {
    const limit = Number(place.dataset.limit);
    series.push({
      label: place.dataset.limitLabel,
      stroke: colour("--kb-fault", "red"),
      width: 1,
      dash: [6, 4],
      points: { show: false },
      value: () => shown(limit),
    });
    columns.push(data[span].at.map(() => limit));
  }
  const options = {
    width: Math.max(place.clientWidth, WIDTH_MIN),
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
    series: [{ value: (plot, at) => (at === null ? "–" : moment(at)) }, ...series],
    scales: { y: { range: (plot, low, high) => [0, Math.max(TOP_MIN[unit], (high ?? 0) * 1.1)] } },
    axes: [
      axis({ space: 70, values: (plot, places, at, space, step) => places.map(step >= DAY_S ? day : clock) }),
      axis({ size: 60, incrs: unit === "calls" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3] : undefined, values: (plot, places) => places.map(shown) }),
    ],
    cursor: { drag: { x: false, y: false } },
  };
  return [options, [data[span].at, ...columns]];
}

function draw(place) {
  place.replaceChildren();
  const plot = new uPlot(...wanted(place), place);
  plot.root.querySelector(".u-legend .u-series th .u-label").textContent = place.dataset.time;
  return plot;
}

const plots = new Map();
for (const place of document.querySelectorAll("[data-keys]")) plots.set(place, draw(place));

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.max(Math.floor(contentRect.width), WIDTH_MIN);
    const plot = plots.get(target);
    if (plot.width !== width) plot.setSize({ width, height: HEIGHT });
  }
});
for (const place of plots.keys()) resized.observe(place);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [place, plot] of plots) {
    plot.destroy();
    plots.set(place, draw(place));
  }
});
