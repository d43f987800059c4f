// What the pages have besides: the reader's own clock, charts, a refresh, the tail. Without it every page works.
"use strict";

(() => {
  const each = (what, where, act) => where.querySelectorAll(what).forEach(act);
  const EVERY_MS = 5000;
  const MOST_LINES = 500;

  const clock = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });  // 2026-11-29 09:52:49
  const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" });
  const localTimes = (where) => each("main time[datetime]", where, (time) => {
    time.textContent = clock.format(new Date(time.dateTime));
  });
  // The header's time goes on from what the server said, whatever the reader's own clock shows.
  const told = document.querySelector(".clock time");
  const ahead = Date.now() - new Date(told.dateTime);
  const tick = () => {
    const now = new Date(Date.now() - ahead);
    const { value } = zone.formatToParts(now).find((part) => part.type === "timeZoneName");
    told.textContent = `${clock.format(now)} ${value}`;
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plots = (where) => each(".plot[data-plot]", where, (box) => {
    const told = JSON.parse(box.dataset.plot);
    if (!box.clientWidth || box.firstChild) return;
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line") } };
    const at = (seconds) => clock.format(new Date(1000 * seconds)).slice(5, 16);  // 11-29 09:52
    const times = { ...axis, space: 100, values: (_, ticks) => ticks.map(at) };
    const strokes = ["--chart", "--chart2", "--chart3"].map(colour);
    new uPlot({
      width: box.clientWidth, height: 200, padding: [null, 45, null, null], axes: [times, axis],
      series: [{ value: (_, seconds) => seconds === null ? "–" : at(seconds) }, ...told.names.map((label, place) => ({ label, stroke: strokes[place], width: 1.5 }))],
    }, told.points, box);
  });

  const fresh = (where) => { localTimes(where); plots(where); };

  // The part of the page that changes is read again, unless somebody is in the middle of something there.
  const refreshed = () => {
    const part = document.getElementById("live");
    const wanted = document.getElementById("refresh");
    if (!part.dataset.live || !wanted.checked || document.hidden) return;
    if (part.contains(document.activeElement) || part.querySelector("details[open] form")) return;
    htmx.ajax("GET", part.dataset.live, { target: "#live", select: "#live", swap: "outerHTML" });
  };

  const tail = (rows) => {
    const stop = document.getElementById("stop");
    let source = null;
    const line = (told) => {
      const row = rows.insertRow(0);
      const cell = (text) => { row.insertCell().textContent = text === null || text === undefined ? "–" : text; };
      cell(clock.format(new Date(told.at)));
      cell(told.kind);
      cell(told.account);
      if (told.job) {
        const link = document.createElement("a");
        link.href = rows.dataset.job + encodeURIComponent(told.job);
        link.textContent = told.job;
        row.insertCell().append(link);
      } else cell(null);
      for (const text of [told.messages, told.state, told.code, told.detail]) cell(text);
      while (rows.rows.length > MOST_LINES) rows.deleteRow(-1);
    };
    const go = () => {
      source = new EventSource(rows.dataset.tail);
      source.onmessage = (event) => line(JSON.parse(event.data));
    };
    stop.addEventListener("click", () => {
      if (source) { source.close(); source = null; } else go();
      stop.textContent = source ? stop.dataset.stop : stop.dataset.go;
    });
    go();
  };

  each(".script-only", document, (part) => { part.hidden = false; });
  fresh(document);
  tick();
  setInterval(tick, 1000);
  each("#tail", document, tail);
  document.addEventListener("toggle", (event) => { if (event.target.open) plots(event.target); }, true);
  if (document.getElementById("refresh")) {
    setInterval(refreshed, EVERY_MS);
    new MutationObserver(() => fresh(document)).observe(document.getElementById("content"), { childList: true });
  }
})();
