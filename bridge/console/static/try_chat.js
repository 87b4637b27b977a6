// "Try it" in writing: a chat that begins with its first message.

import { Chat } from "./messages.js";

const element = document.getElementById("try-chat");
const SLOW_MS = 15_000;

class TryChat extends Chat {
  conversation = "";
  waiting;

  constructor(at) {
    super(at);
    this.record = document.getElementById("chat-record");
    this.slow = document.getElementById("slow");
    this.again = document.getElementById("new-chat");
    this.again.addEventListener("click", () => this.begin());
    at.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-choice]");
      if (button) this.choose(button);
    });
  }

  begin() {
    this.close();
    clearTimeout(this.waiting);
    this.conversation = "";
    this.partUrl = undefined;
    this.thread.replaceChildren();
    this.element.querySelector("#part").dataset.revision = "";
    this.slow.hidden = this.record.hidden = this.again.disabled = true;
    this.field.focus();
  }

  async choose(button) {
    button.disabled = true;
    if (!(await this.write({ choice: button.dataset.choice }))) button.disabled = false;
  }

  async write(values) {
    const own = this.conversation;
    const answer = await super.write({ ...values, conversation: own });
    if (!answer) return null;
    const begun = await answer.json();
    // Another chat was begun meanwhile.
    if (this.conversation !== own) return answer;
    if (begun.conversation !== this.conversation) {
      this.conversation = begun.conversation;
      this.record.href = begun.record;
      this.record.hidden = this.again.disabled = false;
      this.open(begun.part, begun.events);
    }
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.tellSlow(), SLOW_MS);
    await this.refresh().catch(() => {});
    this.scrollDown();
    this.field.focus();
    return answer;
  }

  async refresh() {
    await super.refresh();
    const last = [...this.thread.children].findLast((one) => one.id.startsWith("m-"));
    if (last?.classList.contains("thread-out")) {
      clearTimeout(this.waiting);
      this.slow.hidden = true;
    }
  }

  tellSlow() {
    this.slow.hidden = false;
  }
}

if (element) new TryChat(element);
