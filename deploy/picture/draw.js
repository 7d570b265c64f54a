// Asks Prometheus each expression of the dashboard over a run, and draws what it says as Grafana lays it out.
//
//   node draw.js PROMETHEUS FROM TO SCRATCH DOCS      times in seconds since 1970; pictures go to DOCS
//
// Fails if a panel, or one of its expressions, has no data.
const { execFileSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const [prometheus, from, to, scratch, docs] = process.argv.slice(2);
const dashboard = JSON.parse(fs.readFileSync(path.join(__dirname, "../grafana/shoal.json")));
const [FROM, TO] = [Number(from), Number(to)];
const STEP = 2;
/** As Grafana has it where the scrape interval is 5 s. */
const RATE_INTERVAL = "20s";
const WIDTH = 1600;
const [CELL, ROW, GAP] = [WIDTH / 24, 30, 8];
const COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0", "#96d98d", "#fade2a", "#c0d8ff", "#ff780a"];
const NAMED = { green: "#37872d", orange: "#e0752d", red: "#c4162a", blue: "#1f60c4", text: "#ccccdc" };
/** The rows of the dashboard, and in which picture they are. */
const PICTURES = { requests: ["At a glance", "Requests"], caches: ["Caches"], databases: ["Databases"], work: ["Writes and jobs"] };
/** What a run of a few minutes has none of, and may have none of. */
const MAY_BE_EMPTY = { "Writes/B": "transactions take their locks in one order: hardly one has to be run again" };

const escape = (text) => String(text).replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);

async function series({ expr }) {
  const query = expr.replaceAll("$__rate_interval", RATE_INTERVAL).replaceAll("$instance", ".+");
  const body = new URLSearchParams({ query, start: from, end: to, step: STEP });
  const answer = await (await fetch(`${prometheus}/api/v1/query_range`, { method: "POST", body })).json();
  if (answer.status !== "success") throw new Error(`${query}: ${JSON.stringify(answer)}`);
  return answer.data.result.map(({ metric, values }) => ({
    metric,
    points: values.map(([time, value]) => [time, Number(value)]).filter(([, value]) => Number.isFinite(value)),
  }));
}

function legend(target, metric) {
  return (target.legendFormat || "").replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? "");
}

/** A number with its unit, as short as Grafana says it. */
function said(value, unit) {
  const number = (value) => (value === 0 ? "0" : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString());
  const scaled = (value, units, base) => {
    let place = 0;
    while (Math.abs(value) >= base && place < units.length - 1) [value, place] = [value / base, place + 1];
    return `${number(value)}${units[place]}`;
  };
  switch (unit) {
    case "percentunit": return `${number(value * 100)}%`;
    case "reqps": return `${scaled(value, ["", "K", "M"], 1000)} req/s`;
    case "ops": return `${scaled(value, ["", "K", "M"], 1000)} ops/s`;
    case "bytes": return scaled(value, [" B", " KiB", " MiB", " GiB"], 1024);
    case "s": {
      const size = Math.abs(value);
      if (size === 0) return "0 s";
      if (size < 0.001) return `${number(value * 1e6)} µs`;
      return size < 1 ? `${number(value * 1e3)} ms` : `${number(value)} s`;
    }
    default: return scaled(value, ["", " K", " Mil"], 1000);
  }
}

/** Round values from 0 to at least the highest. */
function ticks(highest, most, unit) {
  const rough = highest / 4;
  const power = unit === "bytes" ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const step = (unit === "bytes" ? [1, 2] : [1, 2, 2.5, 5, 10]).map((factor) => factor * power).find((step) => step >= rough * 0.999);
  const all = [];
  for (let place = 0; place * step < highest * 1.0001 + step * 0.9999; place += 1) all.push(place * step);
  return most === undefined ? all : all.filter((tick) => tick <= most * 1.0001);
}

const at = (time, width) => ((time - FROM) / (TO - FROM)) * width;

/** Breaks where nothing was scraped. */
function line(points, x, y) {
  let last = -Infinity;
  return points
    .map(([time, value]) => {
      const start = time - last > 2.5 * STEP ? "M" : "L";
      last = time;
      return `${start}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    })
    .join("");
}

function drawTimes(panel, lines, width, height) {
  const { unit, max } = panel.fieldConfig.defaults;
  const keys = legendLines(lines, width);
  const [left, top, bottom] = [74, 34, 24 + 18 * keys.length];
  const [inner, tall] = [width - left - 14, height - top - bottom];
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)), 0) || 1;
  const marks = ticks(max ?? highest, max, unit);
  const end = marks[marks.length - 1];
  const y = (value) => top + tall - (Math.min(value, end) / end) * tall;
  const x = (time) => left + at(time, inner);
  const parts = marks.map((mark) => `<line x1="${left}" x2="${left + inner}" y1="${y(mark)}" y2="${y(mark)}" class="grid"/><text x="${left - 8}" y="${y(mark) + 4}" class="mark" text-anchor="end">${escape(said(mark, unit))}</text>`);
  for (let time = Math.ceil(FROM / 60) * 60; time < TO; time += 60) {
    const label = new Date(time * 1000).toISOString().slice(11, 16);
    parts.push(`<line x1="${x(time)}" x2="${x(time)}" y1="${top}" y2="${top + tall}" class="grid"/><text x="${x(time)}" y="${top + tall + 16}" class="mark" text-anchor="middle">${label}</text>`);
  }
  lines.forEach(({ points }, place) => {
    const colour = COLOURS[place % COLOURS.length];
    if (points.length === 0) return;
    const path = line(points, x, y);
    if (lines.length <= 8 && !path.slice(1).includes("M")) {
      const area = `${path}L${x(points[points.length - 1][0]).toFixed(1)} ${y(0)}L${x(points[0][0]).toFixed(1)} ${y(0)}Z`;
      parts.push(`<path d="${area}" fill="${colour}" opacity="0.08"/>`);
    }
    parts.push(`<path d="${path}" stroke="${colour}" class="line"/>`);
  });
  keys.forEach((row, number) => row.forEach(({ place, offset, name }) => {
    const middle = height - 18 * (keys.length - number) + 4;
    parts.push(`<rect x="${14 + offset}" y="${middle - 1}" width="14" height="3" fill="${COLOURS[place % COLOURS.length]}"/><text x="${33 + offset}" y="${middle + 5}" class="key">${escape(name)}</text>`);
  }));
  return parts.join("");
}

/** The legend, in as many lines as it takes, three at most. */
function legendLines(lines, width) {
  const rows = [[]];
  let offset = 0;
  for (const [place, { name }] of lines.entries()) {
    const wide = 30 + name.length * 6.4;
    if (offset + wide > width - 24 && rows[rows.length - 1].length > 0) {
      if (rows.length === 3) break;
      rows.push([]);
      offset = 0;
    }
    rows[rows.length - 1].push({ place, offset, name });
    offset += wide;
  }
  return rows;
}

function drawStat(panel, lines, width, height) {
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const points = lines[0].points;
  const value = points[points.length - 1][1];
  const step = thresholds.steps.filter((step) => step.value === null || value >= step.value).pop();
  const highest = Math.max(...points.map(([, value]) => value)) || 1;
  const y = (value) => height - (value / highest) * height * 0.4;
  const path = line(points, (time) => at(time, width), y).replace(/(?!^)M/g, "L");
  return `<rect width="${width}" height="${height}" rx="2" fill="${NAMED[step.color] ?? step.color}"/><path d="${path}L${width} ${height}L${at(points[0][0], width)} ${height}Z" fill="#fff" opacity="0.18"/><text x="${width / 2}" y="${height / 2 + 22}" class="big" text-anchor="middle">${escape(said(value, unit))}</text>`;
}

async function main() {
  const empty = [];
  const drawn = new Map();
  let row = "";
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    const [width, height] = [w * CELL - GAP, h * (ROW + GAP) - GAP];
    let inside;
    if (panel.type === "row") {
      row = panel.title;
      inside = `<text x="4" y="20" class="row">⌄ ${escape(row)}</text>`;
    } else {
      const lines = [];
      for (const target of panel.targets) {
        const found = (await series(target)).filter(({ points }) => points.length > 0);
        if (found.length === 0) empty.push(`${panel.title}/${target.refId}`);
        lines.push(...found.map(({ metric, points }) => ({ name: legend(target, metric), points })));
      }
      // A name twice is Grafana's business; here the first is as good.
      lines.sort((one, other) => one.name.localeCompare(other.name, "en"));
      const draw = panel.type === "stat" ? drawStat : drawTimes;
      const shapes = lines.length === 0 ? '<text x="50%" y="55%" class="mark" text-anchor="middle">No data</text>' : draw(panel, lines, width, height);
      inside = `<rect width="${width}" height="${height}" rx="2" class="panel"/>${shapes}<text x="10" y="21" class="title">${escape(panel.title)}</text>`;
    }
    const name = Object.keys(PICTURES).find((name) => PICTURES[name].includes(row));
    drawn.set(name, [...(drawn.get(name) ?? []), { x: x * CELL + GAP / 2, y: y * (ROW + GAP), height, inside }]);
  }
  const unexpected = empty.filter((place) => !MAY_BE_EMPTY[place]);
  for (const place of empty) console.error(`no data: ${place}${MAY_BE_EMPTY[place] ? ` (${MAY_BE_EMPTY[place]})` : ""}`);
  for (const [name, panels] of drawn) picture(name, panels);
  if (unexpected.length > 0) throw new Error(`${unexpected.length} expressions have no data`);
}

function picture(name, panels) {
  const top = Math.min(...panels.map(({ y }) => y)) - GAP;
  const height = Math.ceil(Math.max(...panels.map(({ y, height }) => y + height)) - top + GAP);
  const shapes = panels.map(({ x, y, inside }) => `<g transform="translate(${x} ${y - top})">${inside}</g>`).join("\n");
  const page = `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; background: #111217 } text { font-family: "DejaVu Sans", sans-serif; fill: #ccccdc }
    .panel { fill: #181b1f; stroke: #2c3235 } .title { font-size: 14px; font-weight: 500 } .row { font-size: 16px }
    .mark { font-size: 11px; fill: #9a9ba5 } .key { font-size: 11px } .big { font-size: 42px; fill: #fff }
    .grid { stroke: #25282e } .line { fill: none; stroke-width: 1.3; stroke-linejoin: round } .stat { fill: #fff }
    </style><svg width="${WIDTH}" height="${height}" xmlns="http://www.w3.org/2000/svg">${shapes}</svg>`;
  const file = path.join(scratch, `${name}.html`);
  fs.writeFileSync(file, page);
  const target = path.join(docs, `dashboard-${name}.png`);
  const chromium = process.env.CHROMIUM || "chromium";
  execFileSync(chromium, ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", `--user-data-dir=${scratch}/chromium`, `--window-size=${WIDTH},${height}`, `--screenshot=${target}`, `file://${file}`], { stdio: "ignore" });
  console.error(`${target}: ${fs.statSync(target).size} bytes`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
