// The live page: one card for each running call, kept up to date by events. Cards of
// calls that are over are removed, so the page does not grow.

import { isLoggedIn, leave, post, showLost } from "./console.js";
import { Line } from "./live_line.js";

const page = document.getElementById("live");
const words = page.dataset;
const list = document.getElementById("calls");
const refused = document.getElementById("refused");
const template = document.getElementById("call");
const REFUSED_SHOWN = 20;
const RETRY_MS = 5_000;
const cards = new Map();
// The server's clock minus this browser's, in s.
let ahead = 0;

const money = new Intl.NumberFormat(document.documentElement.lang, {
  style: "currency",
  currency: words.currency,
  minimumFractionDigits: 2,
  maximumFractionDigits: 3,
});
const clock = new Intl.DateTimeFormat(document.documentElement.lang, {
  timeStyle: "medium",
});

class Card {
  constructor(call) {
    this.item = template.content.firstElementChild.cloneNode(true);
    this.article = this.item.firstElementChild;
    this.base = `${words.base}/${call.business_id}/live/${call.call_sid}`;
    this.line = new Line(`${this.base}/line`, words.worklets, (news) => this.on(news));
    this.item.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-do]");
      if (button) this.press(button.dataset.do);
    });
    this.item.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(event.target);
    });
    this.part("phone").textContent = call.from_number || "–";
    const link = this.part("business");
    link.textContent = call.business_name;
    link.href = `${words.base}/${call.business_id}/live`;
    this.openedAt = call.opened_at;
    this.call = {};
    this.sending = new Set();
    this.change(call);
  }

  /** Take the fields that have changed. */
  change(fields) {
    Object.assign(this.call, fields);
    this.show(this.call);
  }

  part(name) {
    return this.item.querySelector(`[data-of="${name}"]`);
  }

  control(name) {
    return this.item.querySelector(`[data-do="${name}"]`);
  }

  set(name, text) {
    const part = this.part(name);
    if (part.textContent !== text) part.textContent = text;
  }

  show(call) {
    const talks = call.phase === "talking";
    const speaker = words[call.speaker || "nobody"];
    this.set("speaker", talks ? `${words.speaks} ${speaker}` : (words[call.phase] ?? call.phase));
    this.set("gate", words[call.gate] ?? "");
    this.set("tools", call.tools.length ? `${words.tool} ${call.tools.join(", ")}` : "");
    this.set("cost", call.cost === null ? "" : money.format(call.cost));
    const said = words[call.last_role];
    this.set("words", call.last_words ? `${said}: ${call.last_words}` : "");
    const taken = call.taken_over_by ? `${words.taken} ${call.taken_over_by}` : "";
    const hearing = call.listeners.length ? `${words.hearing} ${call.listeners.join(", ")}` : "";
    const node = call.node ? `${words.node} ${call.node}` : "";
    this.set("who", [taken, hearing, node].filter(Boolean).join(" · "));
    this.part("actions").hidden = call.is_only_seen;
    this.control("hint").hidden = call.is_only_seen;
    this.article.dataset.taken = String(Boolean(call.taken_over_by));
    this.control("take").disabled = Boolean(call.taken_over_by) || !talks;
    this.control("goodbye").disabled = !talks;
    this.control("hint").querySelector("button").disabled = !talks;
    if (this.line.isTaken && !call.taken_over_by) this.line.noteBack();
    // A machine of an older version says the name alone.
    const isMine = call.taken_over_page
      ? call.taken_over_page === this.line.id
      : call.taken_over_by === words.me;
    if (this.line.isSpeaking && isMine) this.line.noteTaken();
    else if (this.line.isSpeaking && call.taken_over_by) this.line.fail();
    this.tick();
  }

  tick() {
    const seconds = Math.max(0, Math.floor(Date.now() / 1000 + ahead - this.openedAt));
    this.set("time", `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
  }

  say(text) {
    this.set("status", text);
  }

  on(news) {
    const { line } = this;
    const held = this.item.contains(document.activeElement) && document.activeElement;
    this.control("listen").setAttribute("aria-pressed", String(line.isOpen));
    this.control("take").hidden = this.control("listen").hidden = line.isSpeaking;
    this.control("back").hidden = !line.isSpeaking;
    // The keyboard stays in the card when what it was on is hidden.
    if (held && held.closest("[hidden]")) {
      (line.isSpeaking ? this.control("back").elements.note : this.control("listen")).focus();
    }
    // Beside the status: a screen reader does not read each change of it aloud.
    this.set("lag", line.lagMs ? `${words.lag} ${line.lagMs} ms` : "");
    if (news === "lag") return;
    if (news === "state" && line.isSpeaking) this.say(words.speaking);
    else if (news === "state" && line.isOpen) this.say(words.listening);
    else if (news === "state") this.say("");
    else this.say(words[news]);
  }

  async press(what) {
    if (what === "listen") await (this.line.isOpen ? this.line.close() : this.line.open());
    if (what === "take") await this.line.takeOver(() => this.mayTake);
    if (what === "goodbye") await this.send("goodbye", {}, words.goodbye);
    if (what === "phone") await this.showPhone();
  }

  /** Whether the call runs, and nobody else has it. */
  get mayTake() {
    return this.item.isConnected && !this.control("take").disabled;
  }

  async submit(form) {
    if (form.dataset.do === "back") {
      if (this.line.handBack(form.elements.note.value)) form.reset();
      return;
    }
    const values = Object.fromEntries(new FormData(form));
    const isGiven = await this.send("hint", values, words.sent);
    // What was typed meanwhile is the next hint.
    if (isGiven && form.elements.text.value === values.text) form.reset();
  }

  /** Send an order once, however often it is given while its answer is on its way. */
  async send(what, values, done) {
    if (this.sending.has(what)) return false;
    this.set("fault", "");
    const field = this.control("hint").elements.text;
    field.removeAttribute("aria-invalid");
    this.sending.add(what);
    const answer = await post(`${this.base}/${what}`, values).catch(() => null);
    this.sending.delete(what);
    if (answer?.status === 422) {
      this.set("fault", (await answer.json()).faults.text);
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return false;
    }
    this.say(answer?.ok ? done : words.failed);
    return Boolean(answer?.ok);
  }

  async showPhone() {
    const answer = await post(`${this.base}/phone`).catch(() => null);
    if (!answer?.ok) return this.say(words.failed);
    this.set("phone", (await answer.json()).phone || "–");
    this.control("phone").hidden = true;
  }

  remove() {
    this.line.close();
    this.item.remove();
  }
}

function count() {
  document.getElementById("none").hidden = cards.size > 0;
  document.getElementById("count").textContent = String(cards.size);
}

const on = {
  now(at) {
    ahead = at - Date.now() / 1000;
  },
  start(running) {
    showLost(false);
    // They come again with the stream.
    refused.replaceChildren();
    document.getElementById("no-refused").hidden = false;
    for (const id of [...cards.keys()]) if (!running.includes(id)) on.gone(id);
    count();
  },
  call(call) {
    const card = cards.get(call.call_sid);
    if (card) return card.change(call);
    const made = new Card(call);
    cards.set(call.call_sid, made);
    list.append(made.item);
    count();
  },
  change(fields) {
    cards.get(fields.call_sid)?.change(fields);
  },
  gone(id) {
    cards.get(id)?.remove();
    cards.delete(id);
    count();
  },
  refused(one) {
    document.getElementById("no-refused").hidden = true;
    const item = document.createElement("li");
    item.textContent = `${clock.format(one.at * 1000)} · ${one.reason}`;
    refused.prepend(item);
    while (refused.childElementCount > REFUSED_SHOWN) refused.lastElementChild.remove();
  },
  over: leave,
};

function connect() {
  const source = new EventSource(words.events);
  for (const [name, act] of Object.entries(on)) {
    source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  }
  source.addEventListener("error", () => {
    showLost(true);
    // A refused stream does not come back by itself: too many pages may be open.
    if (source.readyState === EventSource.CLOSED) setTimeout(retry, RETRY_MS);
  });
}

/** Connect again, unless the session is over. The lines to calls go on meanwhile. */
async function retry() {
  if ((await isLoggedIn()) === false) leave();
  connect();
}

connect();
setInterval(() => cards.forEach((card) => card.tick()), 1000);
