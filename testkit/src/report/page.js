"use strict";
// Draws the page from its data. Times are milliseconds after `data.from`; a job is {f, c, p, a, o} as report/timeline.rs
// writes it: file, number of its client, phases [number, begin], attempts [begin, end, who, what, why, ending], outcome
// ("open" at the end, "completed", "error", "deleted").
// An ending is "failed", "lost", "operator" (taken again at an operator's wish), or empty.

const OVER = 5, CLEANUP = 4, ANALYSING = 3, FETCHING = 2, LABEL = 150, BOX = 540, PIECE = 2, LINES_MAX = 20000;
const element = (id) => document.getElementById(id);
const css = (name) => {
  // A custom property keeps `light-dark(…)` unresolved: a real property of an element resolves it.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
};

const many = (number) => number.toLocaleString("en");
const jobsOf = (number) => `${many(number)} ${number === 1 ? "job" : "jobs"}`;

function duration(ms) {
  if (!ms) return "0 s";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 59.5) return `${s.toFixed(s < 9.95 && s % 1 ? 1 : 0)} s`;
  // Rounded before it is taken apart, so that no "60 s" comes out.
  const parts = (whole, unit, small, rest) => `${Math.floor(whole / small)} ${unit}${whole % small ? ` ${whole % small} ${rest}` : ""}`;
  if (s < 3600) return parts(Math.round(s), "min", 60, "s");
  if (s < 86400) return parts(Math.round(s / 60), "h", 60, "min");
  return parts(Math.round(s / 3600), "d", 24, "h");
}

function moment(ms) {
  return new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
}

function clock(ms, span) {
  const text = moment(ms);
  if (span > 2 * 86400e3) return text.slice(5, 16);
  if (span > 300e3) return text.slice(11, 16);
  return span > 8e3 ? text.slice(11, 19) : `${text.slice(11, 19)}.${String(ms % 1000).padStart(3, "0")}`;
}

function percentile(sorted, part) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : null;
}

/** What the figures, orders and filters ask of a job, once. */
function measure(job, span) {
  job.begin = job.p.length ? job.p[0][1] : 0;
  const ended = job.p.find(([phase]) => phase >= CLEANUP);
  job.end = ended ? ended[1] : span;
  const claimed = job.p.find(([phase]) => phase === FETCHING || phase === ANALYSING);
  job.wait = (claimed ? claimed[1] : job.end) - job.begin;
  job.claimed = Boolean(claimed);
  const endedAs = (ending) => job.a.filter((a) => a[5] === ending).length;
  job.lost = endedAs("lost");
  job.failed = endedAs("failed");
  job.requeued = endedAs("operator");
  job.givenUp = job.a.some((a) => a[3] === "give-up") ? 1 : 0;
  job.over = (job.p.find(([phase]) => phase === OVER) || [0, span])[1];
  // The last moment something is known to happen to it: nothing is known to come after its cleaning.
  const last = job.p.at(-1);
  job.last = last && last[0] < CLEANUP ? span : Math.max(job.begin, ...job.p.map((p) => p[1]), ...job.a.map((a) => a[1]));
}

/** The stretch of time in which the jobs are, with a little around it; the whole history where there are none. */
function fitted(jobs, span) {
  if (!jobs.length) return [0, span];
  const from = jobs.reduce((least, job) => Math.min(least, job.begin), span);
  const to = jobs.reduce((most, job) => Math.max(most, job.last), 0);
  const margin = Math.max(1, (to - from) * 0.03);
  return [Math.max(0, from - margin), Math.min(span, to + margin)];
}

/** Jobs in each phase at each moment where one changes: begins, and a row of counts for each. */
function queue(data) {
  const changes = [];
  for (const job of data.jobs) {
    job.p.forEach(([phase, at], n) => {
      changes.push([at, phase, 1]);
      if (n) changes.push([at, job.p[n - 1][0], -1]);
    });
  }
  changes.sort((a, b) => a[0] - b[0]);
  const counts = new Array(data.phases.length).fill(0);
  const times = [], rows = [];
  for (const [at, phase, by] of changes) {
    counts[phase] += by;
    if (times.at(-1) === at) rows[rows.length - 1] = counts.slice();
    else { times.push(at); rows.push(counts.slice()); }
  }
  return { times, rows };
}

function canvasOf(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Round distances between the marks of the axis of time. */
function ticks(from, to, count) {
  const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
  const step = Math.round(1000 * (steps.find((s) => s * 1000 * count >= to - from) || 2592000));
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) marks.push(at);
  return marks;
}

function show(data) {
  const colors = data.phases.map((_, n) => css(`--phase${n}`));
  const ink = { text: css("--text"), quiet: css("--quiet"), line: css("--line"), failed: css("--failed"), lost: css("--lost"),
    operator: css("--operator"), givenUp: css("--given-up") };
  const span = Math.max(data.span, 1);
  data.jobs.forEach((job) => measure(job, span));
  const counts = queue(data);
  // Many short jobs on a long day would be dots by the clock.
  if (data.jobs.length > 200) { element("axis").value = "age"; element("order").value = "length"; }
  const fit = fitted(data.jobs, span);
  let view = fit, ages = 1, rows = data.jobs, chosen = null, drag = null;

  element("title").textContent = data.title;
  element("span").textContent = data.jobs.length
    ? `${moment(data.from)} to ${moment(data.from + data.span)} UTC, ${duration(data.span)}${
      fit[1] - fit[0] < span * 0.9 ? `; the jobs are within ${duration(fit[1] - fit[0])} of it` : ""}` : "no jobs";
  figures();
  difference();
  legend();

  function figures() {
    const of = (outcome) => data.jobs.filter((job) => job.o === outcome).length;
    const sum = (name) => data.jobs.reduce((all, job) => all + job[name], 0);
    const waits = data.jobs.filter((job) => job.claimed).map((job) => job.wait).sort((a, b) => a - b);
    const whole = data.jobs.filter((job) => job.o === "completed").map((job) => job.end - job.begin).sort((a, b) => a - b);
    const both = (sorted) => sorted.length ? `${duration(percentile(sorted, 0.5))} / ${duration(percentile(sorted, 0.95))}` : "–";
    const list = [
      [data.jobs.length, data.jobs.length === 1 ? "job" : "jobs"], [of("completed"), "completed"], [of("error"), "errors"], [of("open"), "open at the end"],
      [sum("failed"), "failed attempts"], [sum("lost"), "lost attempts"], [sum("givenUp"), "given up"],
      [both(waits), "wait for a fetcher, p50 / p95"], [both(whole), "to the result, p50 / p95"],
    ];
    if (of("deleted")) list.splice(4, 0, [of("deleted"), "deleted before their end"]);
    if (sum("requeued")) list.splice(list.length - 2, 0, [sum("requeued"), "requeued by an operator"]);
    for (const [value, name] of list) {
      const box = document.createElement("div");
      box.className = "figure";
      const number = document.createElement("b");
      number.textContent = typeof value === "number" ? many(value) : value;
      const label = document.createElement("span");
      label.textContent = name;
      box.append(number, label);
      element("figures").append(box);
    }
  }

  function difference() {
    if (!data.difference) return;
    element("difference").hidden = false;
    const { summary, lines } = data.difference;
    for (const sentence of summary.length ? summary : ["Nothing: both policies decide the same."]) {
      const item = document.createElement("li");
      item.textContent = sentence;
      element("summary").append(item);
    }
    element("lines-box").hidden = !lines.length;
    const more = lines.length - LINES_MAX;
    element("lines-count").textContent = more > 0
      ? `${many(lines.length)} lines, of which the first ${many(LINES_MAX)} are shown` : `${many(lines.length)} lines`;
    // Written when it is opened: it may be long.
    element("lines-box").addEventListener("toggle", () => {
      if (element("lines").childElementCount) return;
      for (const line of lines.slice(0, LINES_MAX)) {
        const row = document.createElement("div");
        row.className = line.startsWith("-") ? "gone" : line.startsWith("+") ? "new" : "";
        row.textContent = line;
        element("lines").append(row);
      }
      if (more > 0) {
        const row = document.createElement("div");
        row.className = "more";
        row.textContent = `… and ${many(more)} more lines, which are not shown: the same command prints them all`;
        element("lines").append(row);
      }
    });
  }

  function legend() {
    const entries = data.phases.slice(0, OVER).map((name, n) => [name, colors[n]]);
    entries.push(["failed attempt", ink.failed], ["lost attempt", ink.lost], ["given up", ink.givenUp]);
    if (data.jobs.some((job) => job.requeued)) entries.push(["requeued by an operator", ink.operator]);
    for (const [name, color] of entries) {
      const entry = document.createElement("span");
      const box = document.createElement("i");
      box.style.background = color;
      entry.append(box, name);
      element("legend").append(entry);
    }
  }

  const x = (at, width, [from, to] = view) => LABEL + ((at - from) / (to - from)) * (width - LABEL - 12);
  const when = (px, width) => view[0] + ((px - LABEL) / (width - LABEL - 12)) * (view[1] - view[0]);

  function drawQueue() {
    const { context, width, height } = canvasOf(element("queue"));
    const bottom = height - 20, columns = Math.max(1, Math.floor(width - LABEL - 12));
    // The fullest moment within each column of pixels, so that a short peak is not lost.
    const stacks = [];
    let index = 0, last = new Array(data.phases.length).fill(0);
    while (index < counts.times.length && counts.times[index] < view[0]) last = counts.rows[index++];
    for (let column = 0; column < columns; column++) {
      const end = view[0] + ((column + 1) / columns) * (view[1] - view[0]);
      let best = last, most = total(last);
      while (index < counts.times.length && counts.times[index] <= end) {
        last = counts.rows[index++];
        if (total(last) > most) { best = last; most = total(last); }
      }
      stacks.push(best);
    }
    const top = Math.max(1, ...stacks.map(total));
    axis(context, width, bottom, view, (at) => clock(at, view[1] - view[0]), data.from);
    context.fillStyle = ink.quiet;
    context.textAlign = "right";
    context.font = "12px system-ui, sans-serif";
    context.fillText(top.toLocaleString("en"), LABEL - 8, 14);
    context.fillText("0", LABEL - 8, bottom);
    for (let phase = OVER - 1; phase >= 0; phase--) {
      context.fillStyle = colors[phase];
      context.beginPath();
      context.moveTo(LABEL, bottom);
      stacks.forEach((row, column) => {
        let below = 0;
        for (let n = 0; n <= phase; n++) below += row[n];
        const y = bottom - (below / top) * (bottom - 8);
        context.lineTo(LABEL + column, y);
        context.lineTo(LABEL + column + 1, y);
      });
      context.lineTo(LABEL + columns, bottom);
      context.fill();
    }
    if (drag) {
      context.fillStyle = ink.quiet;
      context.globalAlpha = 0.25;
      context.fillRect(Math.min(...drag), 0, Math.abs(drag[1] - drag[0]), bottom);
      context.globalAlpha = 1;
    }
    function total(row) { let sum = 0; for (let n = 0; n < OVER; n++) sum += row[n]; return sum; }
  }

  function axis(context, width, bottom, range, name, zero) {
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const at of ticks(zero + range[0], zero + range[1], Math.max(2, Math.floor((width - LABEL) / 110)))) {
      const px = x(at - zero, width, range);
      context.fillStyle = ink.line;
      context.fillRect(px, 0, 1, bottom);
      context.fillStyle = ink.quiet;
      context.fillText(name(at), Math.min(px, width - 30), bottom + 15);
    }
  }

  const rowHeight = () => Math.max(3, Math.min(20, Math.floor((BOX - 20) / Math.max(1, rows.length))));

  function drawJobs() {
    const box = element("jobs-box"), each = rowHeight();
    element("jobs-height").style.height = `${rows.length * each + 20}px`;
    box.style.height = `${Math.min(BOX, Math.max(2, rows.length) * each + 24)}px`;
    const aged = element("axis").value === "age", range = aged ? [0, ages] : view;
    const { context, width, height } = canvasOf(element("jobs"));
    const bottom = height - 20;
    if (aged) axis(context, width, bottom, range, duration, 0);
    else axis(context, width, bottom, range, (at) => clock(at, view[1] - view[0]), data.from);
    const first = Math.floor(box.scrollTop / each), gap = each > 6 ? 2 : each > 3 ? 1 : 0;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, bottom);
    context.clip();
    for (let n = first; n < rows.length && (n - first) * each < bottom; n++) {
      const job = rows[n], y = n * each - box.scrollTop, zero = aged ? job.begin : 0;
      let drawn = 0;
      job.p.forEach(([phase, at], step) => {
        const end = step + 1 < job.p.length ? job.p[step + 1][1] : phase === OVER ? at : span;
        if (end - zero < range[0] || at - zero > range[1] || phase === OVER || end === at) return;
        // Short pieces push those after them aside, so that each of them is seen.
        const left = Math.max(LABEL, drawn, x(at - zero, width, range));
        drawn = Math.max(left + PIECE, Math.min(width - 12, x(end - zero, width, range)));
        context.fillStyle = colors[phase];
        context.fillRect(left, y, drawn - left, each - gap);
      });
      for (const [, at, , what, , ending] of job.a) {
        if (at - zero < range[0] || at - zero > range[1] || !(ending || what === "give-up")) continue;
        const left = Math.max(LABEL, x(at - zero, width, range) - 1);
        if (ending) {
          context.fillStyle = ink[ending];
          context.fillRect(left, y, 3, each - gap);
        }
        if (what === "give-up") {
          context.fillStyle = ink.givenUp;
          context.fillRect(left + (ending ? 3 : 0), y, 3, each - gap);
        }
      }
      if (each >= 12) {
        context.fillStyle = job === chosen ? ink.failed : ink.quiet;
        context.textAlign = "left";
        context.font = "11px ui-monospace, monospace";
        context.fillText(`…${job.f.slice(-17)}`, 6, y + each - gap - 4);
      }
    }
    context.restore();
    element("count").textContent = rows.length === data.jobs.length
      ? jobsOf(rows.length) : `${many(rows.length)} of ${jobsOf(data.jobs.length)}${isCloser() ? " in this time" : ""}`;
  }

  function draw() { drawQueue(); drawJobs(); }

  /** Whether the view leaves out some of the time in which the jobs are. */
  function isCloser() { return view[0] > fit[0] || view[1] < fit[1]; }

  function look(at) {
    view = at;
    drawQueue();
    choose();
  }

  /** The view with so many times its length, around its middle. */
  function zoomed(times) {
    const middle = (view[0] + view[1]) / 2, half = Math.max(5, (view[1] - view[0]) / 2 * times);
    return [Math.max(0, middle - half), Math.min(span, middle + half)];
  }

  /** The view moved by this part of its length. */
  function moved(part) {
    const by = Math.max(-view[0], Math.min(span - view[1], (view[1] - view[0]) * part));
    return [view[0] + by, view[1] + by];
  }

  function choose() {
    // Names are shown shortened, with an ellipsis in place of the rest.
    const find = element("find").value.replaceAll("…", "").trim().toLowerCase(), outcome = element("outcome").value;
    const found = data.clients.map((client) => client.toLowerCase().includes(find));
    const kinds = {
      "": () => true,
      troubled: (job) => job.failed || job.lost,
      "given-up": (job) => job.givenUp,
      requeued: (job) => job.requeued,
    };
    const kind = kinds[outcome] || ((job) => job.o === outcome);
    const closer = isCloser();
    rows = data.jobs.filter((job) =>
      (found[job.c] || job.f.toLowerCase().includes(find)) && kind(job) &&
      (!closer || (job.begin <= view[1] && job.over >= view[0])));
    const order = {
      begin: (a, b) => a.begin - b.begin,
      length: (a, b) => (b.end - b.begin) - (a.end - a.begin),
      wait: (a, b) => b.wait - a.wait,
      attempts: (a, b) => b.a.length - a.a.length,
    }[element("order").value];
    // All but the longest hundredth of many jobs fit onto the axis of ages.
    const long = percentile(rows.map((job) => job.end - job.begin).sort((a, b) => a - b), rows.length > 200 ? 0.99 : 1);
    ages = Math.max(1, long || 1) * 1.05;
    rows.sort(order);
    element("jobs-box").scrollTop = 0;
    drawJobs();
  }

  const under = (event) => {
    const box = element("jobs-box");
    const y = event.clientY - box.getBoundingClientRect().top + box.scrollTop;
    return rows[Math.floor(y / rowHeight())];
  };

  function tell(job) {
    const lines = job.p.map(([phase, at], n) => {
      const end = n + 1 < job.p.length ? job.p[n + 1][1] : null;
      return phase === OVER ? "over" : `${data.phases[phase]} ${end === null ? "to the end of the history" : `for ${duration(end - at)}`}`;
    });
    return `${job.f}\n${data.clients[job.c].slice(0, 17)}…, ${job.o}${job.givenUp ? ", given up" : ""}\n${lines.join("\n")}`;
  }

  function story(job) {
    chosen = job;
    const box = element("job");
    box.hidden = false;
    box.replaceChildren();
    const head = document.createElement("h3");
    head.textContent = `${job.f}, ${job.o}${job.givenUp ? ", given up" : ""}`;
    const client = document.createElement("p");
    client.className = "hint";
    client.textContent = data.clients[job.c];
    const table = document.createElement("table");
    const named = (phase) => phase === OVER && job.o === "deleted" ? "the record was deleted" : data.phases[phase];
    const events = job.p.map(([phase, at]) => [at, named(phase), ""]);
    for (const [since, at, who, what, why, ending] of job.a) {
      if (since !== null) events.push([since, `claimed by ${who}`, ""]);
      events.push([at, `${what}${who ? ` (${who})` : ""}${why ? `: ${why}` : ""}`, what === "give-up" ? `${ending} gave-up` : ending]);
    }
    events.sort((a, b) => a[0] - b[0]);
    for (const [at, text, kind] of events) {
      const row = table.insertRow();
      row.insertCell().textContent = `${moment(data.from + at)}  +${duration(at - job.begin)}`;
      const cell = row.insertCell();
      cell.textContent = text;
      cell.className = kind;
    }
    box.append(head, client, table);
    drawJobs();
  }

  element("jobs-box").addEventListener("scroll", () => requestAnimationFrame(drawJobs));
  element("jobs-box").addEventListener("mousemove", (event) => {
    const job = under(event), tip = element("tip");
    tip.hidden = !job;
    if (!job) return;
    tip.textContent = tell(job);
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 440)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  element("jobs-box").addEventListener("mouseleave", () => { element("tip").hidden = true; });
  element("jobs-box").addEventListener("click", (event) => { const job = under(event); if (job) story(job); });
  element("jobs-box").addEventListener("keydown", (event) => {
    const stretch = { "+": zoomed(0.5), "=": zoomed(0.5), "-": zoomed(2), ArrowLeft: moved(-0.25), ArrowRight: moved(0.25) }[event.key];
    if (stretch && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      look(stretch);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !rows.length) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, rows.indexOf(chosen) + step));
    const box = element("jobs-box"), y = next * rowHeight();
    if (y < box.scrollTop || y > box.scrollTop + box.clientHeight - 40) box.scrollTop = y - box.clientHeight / 2;
    story(rows[next]);
  });
  for (const id of ["outcome", "order", "axis"]) element(id).addEventListener("change", choose);
  element("find").addEventListener("input", choose);
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  element("fit").addEventListener("click", () => look(fit));
  element("whole").addEventListener("click", () => look([0, span]));
  element("whole").hidden = fit[0] <= 0 && fit[1] >= span;
  element("queue").addEventListener("pointerdown", (event) => {
    element("queue").setPointerCapture(event.pointerId);
    drag = [event.offsetX, event.offsetX];
  });
  element("queue").addEventListener("pointermove", (event) => { if (drag) { drag[1] = event.offsetX; drawQueue(); } });
  element("queue").addEventListener("pointercancel", () => { drag = null; drawQueue(); });
  element("queue").addEventListener("pointerup", () => {
    if (!drag) return;
    const width = element("queue").clientWidth;
    const [left, right] = drag.map((px) => Math.max(0, Math.min(span, when(px, width)))).sort((a, b) => a - b);
    drag = null;
    if (right - left > 10) look([left, right]);
    else drawQueue();
  });
  choose();
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
  draw();
}
