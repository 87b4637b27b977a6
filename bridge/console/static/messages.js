// Pages of messages: when an event names another revision than the page shows, what has
// changed is fetched and put in its place. Nodes that are the same stay, so that what is
// open stays open, and a screen reader reads only what is new.

import { isLoggedIn, leave, post, showLost } from "./console.js";

// Who has scrolled further back than this stays where they read.
const AT_END_PX = 80;
const RETRY_MS = 5_000;

/** Return a node's text as the server wrote it: what a person has opened is not part. */
function written(node) {
  const copy = node.cloneNode(true);
  for (const one of copy.querySelectorAll("details[open]")) one.removeAttribute("open");
  return copy.outerHTML;
}

/** Make the children of a list those of a fresh one. */
function merge(list, fresh) {
  const before = new Map([...list.children].map((child) => [child.id, child]));
  const wanted = [...fresh.children].map((child) => {
    const own = child.id && before.get(child.id);
    return own && written(own) === written(child) ? own : child;
  });
  wanted.forEach((child, at) => {
    if (list.children[at] !== child) list.insertBefore(child, list.children[at] ?? null);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
}

/** Replace what is in a part of the page; the keyboard stays on the link or button. */
function replace(part, fresh) {
  const wanted = (one) => one.href ?? one.form?.action;
  const held = part.contains(document.activeElement) && wanted(document.activeElement);
  part.replaceChildren(...fresh.childNodes);
  if (!held) return;
  [...part.querySelectorAll("a, button")].find((one) => wanted(one) === held)?.focus();
}

/** The events of a page: `refresh` is called when they name what is not shown. */
class Events {
  constructor(url, shown, refresh) {
    Object.assign(this, { url, shown, refresh });
    this.connect();
  }

  connect() {
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => showLost(false));
    this.source.addEventListener("revision", ({ data }) => {
      this.wanted = JSON.parse(data);
      this.look();
    });
    this.source.addEventListener("over", leave);
    this.source.addEventListener("error", () => {
      showLost(true);
      // A refused stream does not come back by itself: too many pages may be open.
      if (this.source.readyState === EventSource.CLOSED) this.retry();
    });
  }

  retry() {
    this.waiting = setTimeout(async () => {
      // Not this page itself: who looks at it is written into the audit log.
      if ((await isLoggedIn()) === false) leave();
      if (this.waiting) this.connect();
    }, RETRY_MS);
  }

  close() {
    clearTimeout(this.waiting);
    clearTimeout(this.looking);
    this.waiting = undefined;
    this.source.close();
  }

  async look() {
    if (this.isLooking) return;
    this.isLooking = true;
    while (this.wanted !== this.shown()) {
      const before = this.wanted;
      try {
        await this.refresh();
      } catch {
        showLost(true);
        // The next event may come in hours. A closed stream comes back with an event.
        clearTimeout(this.looking);
        if (this.source.readyState !== EventSource.CLOSED) {
          this.looking = setTimeout(() => this.look(), RETRY_MS);
        }
        break;
      }
      showLost(this.source.readyState !== EventSource.OPEN);
      // What was fetched may be newer than what was named.
      if (this.wanted === before) break;
    }
    this.isLooking = false;
  }
}

async function fetched(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (answer.status === 404) location.reload();
  if (!answer.ok) throw new Error(String(answer.status));
  const text = await answer.text();
  return new DOMParser().parseFromString(text, "text/html");
}

/** A conversation on a page: its thread, its state, and the form that writes in it. */
export class Chat {
  constructor(element) {
    this.element = element;
    this.form = element.querySelector("#composer");
    this.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.write({ text: this.field.value, key: this.keyOf(this.field.value) });
    });
    this.field?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    element.addEventListener("submit", (event) => {
      if (!event.target.closest("#state")) return;
      event.preventDefault();
      this.order(event.target);
    });
    this.scrollDown();
  }

  get thread() {
    return this.element.querySelector("#thread");
  }

  get field() {
    return this.form?.elements.text;
  }

  get revision() {
    return this.element.querySelector("#part")?.dataset.revision;
  }

  open(partUrl, eventsUrl) {
    this.close();
    this.partUrl = partUrl;
    this.events = new Events(eventsUrl, () => this.revision, () => this.refresh());
  }

  close() {
    this.events?.close();
  }

  get log() {
    return this.element.querySelector("#log");
  }

  scrollDown() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  async refresh() {
    const { partUrl } = this;
    const page = await fetched(partUrl);
    // Another chat was begun meanwhile.
    if (partUrl !== this.partUrl) return;
    const fresh = page.getElementById("part");
    const part = this.element.querySelector("#part");
    const { log } = this;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
    merge(this.thread, fresh.querySelector("#thread"));
    for (const id of ["state", "earlier"]) {
      const [old, now] = [part, fresh].map((one) => one.querySelector(`#${id}`));
      if (old && now && old.innerHTML !== now.innerHTML) replace(old, now);
    }
    part.dataset.revision = fresh.dataset.revision;
    const fieldset = this.form?.querySelector("fieldset");
    if (fieldset) fieldset.disabled = "closed" in fresh.dataset;
    if (isAtEnd) this.scrollDown();
  }

  /** Take the conversation over, or hand it back: what is typed stays. */
  async order(form) {
    if (this.isOrdering) return;
    this.isOrdering = true;
    const isHeld = form.contains(document.activeElement);
    this.fault("");
    const answer = await post(form.action).catch(() => null);
    if (!answer?.ok) this.fault(this.form.dataset.undone);
    // If it fails, an event tells of the change.
    else await this.refresh().catch(() => {});
    this.isOrdering = false;
    if (isHeld && !this.element.contains(document.activeElement)) {
      this.element.querySelector("#state button")?.focus();
    }
  }

  /** Return the key of what is typed: the same for what is sent again. */
  keyOf(text) {
    if (this.typed?.text !== text) {
      this.typed = { text, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
    }
    return this.typed.key;
  }

  fault(text) {
    const line = this.form.querySelector("#text-fault");
    line.textContent = text;
    line.hidden = !text;
    if (text) this.field.setAttribute("aria-invalid", "true");
    else this.field.removeAttribute("aria-invalid");
  }

  /** Send what the form says; return the server's answer, if it took it. */
  async write(values) {
    const button = this.form.querySelector('button[type="submit"]');
    // Enter sends a form whose button is disabled, too.
    if (button.disabled) return null;
    this.fault("");
    button.disabled = true;
    const answer = await post(this.form.action, values).catch(() => null);
    button.disabled = false;
    if (!answer?.ok) {
      const told = answer?.status === 422 ? (await answer.json()).faults.text : "";
      this.fault(told || this.form.dataset.failed);
      this.field.focus();
      return null;
    }
    this.typed = undefined;
    // What was typed meanwhile is the next message.
    if (this.field.value === values.text) this.form.reset();
    return answer;
  }
}

const chat = document.querySelector("#chat[data-events]");
if (chat) new Chat(chat).open(chat.dataset.part, chat.dataset.events);

const rows = document.querySelector("#rows[data-events]");
if (rows) {
  const shown = () => rows.firstElementChild.dataset.revision;
  const refresh = async () => {
    const page = await fetched(rows.dataset.rows);
    replace(rows, page.body);
  };
  new Events(rows.dataset.events, shown, refresh);
}
