// A call's page: reads the timeline, plays the sound, and shows each word where it is.

import { Wave } from "./call_wave.js";

const box = document.getElementById("sound");
const at = (id) => document.getElementById(id);
const audio = at("audio");

function clock(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(1).padStart(4, "0")}`;
}

/** Put each word of a turn into an element of its own; what was cut follows. */
function showWords(part, words, hasAudio) {
  const said = part.textContent.split(/\s+/).filter(Boolean);
  const isCut = "cut" in part.dataset;
  const heard = isCut ? said.length : words.length;
  const pieces = words.map((word, number) => {
    const isHeard = number < heard;
    const piece = document.createElement(isHeard ? "span" : "del");
    piece.textContent = isHeard && isCut ? said[number] : word.text;
    if (!isHeard) piece.title = box.dataset.cut;
    if (hasAudio && isHeard && word.at_s !== null) piece.dataset.at = word.at_s;
    return piece;
  });
  part.replaceChildren(...pieces.flatMap((piece) => [piece, " "]));
}

function showNotes(notes, why) {
  at("noted").hidden = !why;
  at("noted").textContent = `${box.dataset.noted} ${why}`;
  const rows = notes.map((note) => {
    const row = document.createElement("tr");
    for (const text of [clock(note.at_s), note.what, note.why]) {
      const cell = row.insertCell();
      cell.textContent = text;
    }
    row.lastElementChild.className = "wrap";
    return row;
  });
  at("notes").replaceChildren(...rows);
  at("why").hidden = false;
}

class Player {
  constructor(timeline) {
    this.wave = new Wave(at("wave"), timeline, (seconds, plays) => this.seek(seconds, plays));
    this.words = [...document.querySelectorAll(".call-words [data-at]")];
    this.times = this.words.map((word) => Number(word.dataset.at));
    this.seconds = timeline.seconds;
    audio.addEventListener("timeupdate", () => this.follow());
    for (const news of ["play", "pause"]) audio.addEventListener(news, () => this.showState());
    const status = at("sound-status");
    audio.addEventListener("error", () => { status.textContent = box.dataset.noSound; });
    audio.addEventListener("playing", () => { status.textContent = ""; });
    at("play").addEventListener("click", () => this.toggle());
    at("zoom-in").addEventListener("click", () => this.wave.zoom(0.5));
    at("zoom-out").addEventListener("click", () => this.wave.zoom(2));
    document.querySelector(".call-said")?.addEventListener("click", ({ target }) => {
      const from = target.closest("[data-at]")?.dataset.at;
      if (from !== undefined) this.play(Number(from));
    });
    for (const button of document.querySelectorAll(".call-at")) button.disabled = false;
    this.wave.draw();
  }

  toggle() {
    if (audio.paused) this.start();
    else audio.pause();
  }

  seek(seconds, plays = false) {
    if (plays) return this.toggle();
    audio.currentTime = Math.max(0, Math.min(seconds, this.seconds));
    return this.follow();
  }

  play(seconds) {
    audio.currentTime = seconds;
    this.start();
  }

  /** Play; what has failed to load is loaded again. */
  start() {
    const from = audio.currentTime;
    if (audio.error) {
      audio.load();
      audio.currentTime = from;
    }
    // Why it does not play, an event says.
    audio.play().catch(() => {});
  }

  showState() {
    at("play").setAttribute("aria-pressed", String(!audio.paused));
    // Who pauses and plays within one frame has one picture a frame still.
    cancelAnimationFrame(this.drawing);
    const draw = () => {
      this.follow();
      if (!audio.paused) this.drawing = requestAnimationFrame(draw);
    };
    draw();
  }

  follow() {
    const now = audio.currentTime;
    this.wave.move(now);
    at("place").textContent = clock(now);
    let latest = -1;
    this.times.forEach((time, number) => {
      if (time <= now && now - time < 3 && (latest < 0 || time >= this.times[latest])) {
        latest = number;
      }
    });
    if (latest === this.shown) return;
    this.words[this.shown]?.classList.remove("now");
    this.words[latest]?.classList.add("now");
    this.shown = latest;
  }
}

async function show() {
  const answer = await fetch(box.dataset.timeline).catch(() => ({ ok: false, status: "" }));
  const timeline = answer.ok || answer.status === 409 ? await answer.json() : {};
  if (!answer.ok) {
    at("sound-status").textContent = `${box.dataset.failed} ${timeline.why ?? answer.status}`;
    return;
  }
  for (const part of document.querySelectorAll(".call-words[data-item]")) {
    const words = timeline.words[part.dataset.item];
    if (words) showWords(part, words, timeline.has_audio);
  }
  showNotes(timeline.notes, timeline.why_noted);
  at("sound-status").textContent = timeline.has_audio ? "" : box.dataset.noAudio;
  if (!timeline.has_audio) return;
  at("player").hidden = false;
  audio.src = box.dataset.sound;
  new Player(timeline).follow();
}

if (box) show();
