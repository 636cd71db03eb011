"use strict";

const $ = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=kiosk-token]").content;
// What was chosen here before, else the browser's own language.
let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let state = null;
let shown = -1;
let audio = null;

const words = () => WORDS[language];
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

function say(reason, other) {
  const text = words().reason[reason];
  return text ? fill(text, { other: words().blocked[other] ?? other }) : [reason, other].filter(Boolean).join(" · ");
}

// The host is the same on every label.
const plain = (code) => code.replace(/^https?:\/\/[^/]+/i, "");

function play(verdict) {
  if (!audio || audio.state !== "running") return;
  let at = audio.currentTime;
  for (const [hertz, milliseconds] of TONES[verdict] ?? []) {
    if (hertz) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.type = hertz < 400 ? "sawtooth" : "sine";
      tone.frequency.value = hertz;
      volume.gain.setValueAtTime(0.25, at);
      volume.gain.setTargetAtTime(0, at + milliseconds / 1000 - 0.02, 0.008);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + milliseconds / 1000 + 0.03);
    }
    at += milliseconds / 1000;
  }
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawLine(line) {
  const t = words();
  const left = line.ordered - line.scanned;
  const count = line.unit === "case" ? Math.ceil(Math.abs(left) / line.per_case) : Math.abs(left);
  const unit = t[line.unit][count === 1 ? 0 : 1];
  const row = element("div", left < 0 ? "line over" : left === 0 ? "line full" : "line");
  row.append(element("span", "name", line.name[language]));
  const bar = element("span", "bar");
  const meter = document.createElement("progress");
  meter.max = line.ordered;
  meter.value = Math.min(line.scanned, line.ordered);
  bar.append(meter, element("span", "of", `${line.scanned} / ${line.ordered} ${t.item[1]}`));
  row.append(bar);
  const due = element("span", "left");
  const [before, after] = left < 0 ? t.over : left === 0 ? t.full : t.left;
  due.append(before, element("b", "", left === 0 ? "✓" : String(count)), fill(after, { unit }));
  row.append(due);
  return row;
}

function show(verdict, why, code) {
  $("verdict").dataset.verdict = verdict;
  $("shape").innerHTML = SHAPES[verdict] ?? SHAPES[""];
  $("word").textContent = words().verdict[verdict] ?? verdict;
  $("why").textContent = why;
  $("code").textContent = code;
}

function draw() {
  const t = words();
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  $("language").textContent = t.language;
  $("sound").textContent = t.sound;
  $("sound").hidden = audio?.state === "running";
  $("typed").placeholder = t.key;
  $("typed").setAttribute("aria-label", t.key);
  document.querySelector("#key button").textContent = t.enter;
  $("undo").textContent = t.undo;
  if (!state) return;
  const { last } = state;
  const stopped = state.stopped;
  const verdict = stopped && last.verdict !== "REFUSED" ? stopped.verdict : last.verdict;
  const order = `${t.activity[state.activity]} ${state.order || t.no_order}`;
  const why = stopped ? say(stopped.reason, stopped.other) : say(last.reason, last.other);
  $("verdict").classList.toggle("stopped", Boolean(stopped));
  show(verdict, why || (verdict === "ORDER" ? order : ""), stopped ? `${t.stopped} · ${stopped.unit}` : plain(last.code));
  $("order").textContent = order;
  $("dealer").textContent = state.dealer ? state.dealer[language] : state.to;
  $("operator").textContent = [state.operator, state.shift].filter(Boolean).join(" / ");
  const expired = state.manifest && state.now >= state.manifest.expires;
  const links = [[state.online, state.online ? t.online : t.offline]];
  if (state.hub !== null) links.push([state.hub, state.hub ? t.hub_up : t.hub_away]);
  links.push([state.manifest && !expired, state.manifest ? `${t.manifest} ${state.manifest.version}` : t.none]);
  if (!state.enforces) links.push([true, t.advisory]);
  $("links").replaceChildren(...links.map(([well, text]) => element("span", well ? "link" : "link bad", text)));
  $("lines").replaceChildren(...state.lines.map(drawLine));
  const pack = state.package;
  $("package").hidden = !pack;
  if (pack) $("package").textContent = `${t.package[pack.kind]} ${pack.count} / ${pack.size || "?"}  ${pack.label.split("/").pop()}`;
  const signs = last.verdict === "DIFFERENCE" && !stopped;
  $("end").textContent = stopped ? t.release : signs ? t.sign : t.end;
  $("end").className = stopped || signs ? "main" : "";
  $("end").hidden = !stopped && !["ship", "receive"].includes(state.activity);
  $("undo").hidden = Boolean(stopped) || !state.order;
  const unread = state.reads ? `${((100 * state.unread) / state.reads).toFixed(1)} %` : "–";
  const waiting = last.waiting ? ` · ${fill(t.waiting, last)}` : "";
  $("figures").textContent = fill(t.reads, { reads: state.reads, rate: state.per_minute, unread }) + waiting;
}

async function act(asked) {
  const answer = await fetch("act", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Kiosk-Token": token },
    body: JSON.stringify(asked),
  });
  return answer.json();
}

const problem = (error) => words().problem[error] ?? error;

async function actAndShow(asked) {
  const { error } = await act(asked);
  if (!error) return;
  const typed = asked.do === "key" && !(error in words().problem);
  const [verdict, why] = typed ? ["UNKNOWN", words().no_code] : ["REFUSED", problem(error)];
  if (state?.stopped) $("why").textContent = why;
  else show(verdict, why, asked.code ?? "");
  play(verdict);
}

function openSigning() {
  const t = words();
  const title = state.stopped ? t.release : t.sign;
  $("sign-title").textContent = title;
  $("sign-who").textContent = t.who;
  $("sign-pin").textContent = t.pin;
  $("sign-why").textContent = t.why;
  $("sign-no").textContent = t.cancel;
  $("sign-yes").textContent = title;
  $("sign-problem").textContent = "";
  $("signing").reset();
  $("sign").showModal();
}

$("signing").addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = Object.fromEntries(new FormData($("signing")));
  const { error } = await act({ do: state.stopped ? "release" : "sign", ...asked });
  $("sign-problem").textContent = error ? problem(error) : "";
  if (!error) $("sign").close();
});
$("sign-no").addEventListener("click", () => $("sign").close());
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  const code = $("typed").value;
  $("typed").value = "";
  if (code) actAndShow({ do: "key", code });
});
$("undo").addEventListener("click", () => actAndShow({ do: "undo" }));
$("end").addEventListener("click", () => {
  if (state?.stopped || state?.last.verdict === "DIFFERENCE") openSigning();
  else actAndShow({ do: "end" });
});
$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  draw();
});
$("sound").addEventListener("click", async () => {
  audio ??= new AudioContext();
  await audio.resume();
  draw();
});

const stream = new EventSource("events");
stream.onmessage = (event) => {
  const fresh = JSON.parse(event.data);
  if (fresh.number === undefined) return;
  state = fresh;
  draw();
  if (shown >= 0 && fresh.last.n !== shown) play(fresh.last.verdict);
  shown = fresh.last.n;
  document.body.dataset.told = String(shown);
};
stream.onerror = () => document.body.classList.add("lost");
stream.onopen = () => document.body.classList.remove("lost");
draw();
