// What every page has: the CSRF token on htmx's requests, and the notice of a lost
// connection. Pages work without this script as far as they are forms and links.

let csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = csrf;
});

// A fault is not put into the page (htmx.html). What is not there, or not this person's
// any more, the whole page says. Nothing takes the place of what is typed.
document.addEventListener("htmx:after:request", ({ detail }) => {
  const { status } = detail.ctx.response;
  showLost(status >= 500);
  if (status === 401) return leave();
  showLoggedOut(false);
  if (status !== 403 && status !== 404) return;
  if (isTyped()) isLoggedIn();
  else location.reload();
});
document.addEventListener("htmx:error", () => showLost(true));

// A form that loads a page is sent once, however often its button is pressed meanwhile.
// What is answered with a file, or not at all, can be sent again after a while.
const SENT_MS = 3_000;
let sent = new WeakSet();
// Forms whose user is logged in still.
const admitted = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (admitted.delete(form)) return;
  if (!sent.has(form)) {
    sent.add(form);
    setTimeout(() => sent.delete(form), SENT_MS);
    // On the login there is nobody yet.
    if (!csrf) return;
    admit(form, event.submitter);
  }
  event.preventDefault();
});
// The page may come back as it was left.
window.addEventListener("pageshow", () => {
  sent = new WeakSet();
});

/**
 * Send a form if its user is logged in still and the service answers. Otherwise the page
 * stays, with what was typed: its answer would take the page's place.
 */
async function admit(form, submitter) {
  if (!(await isLoggedIn())) return void sent.delete(form);
  if (form.elements.csrf) form.elements.csrf.value = csrf;
  admitted.add(form);
  form.requestSubmit(submitter?.isConnected ? submitter : undefined);
}

/**
 * Tell whether the user is logged in, perhaps anew; null if the service does not say.
 * The page shows a notice unless it is true.
 */
export async function isLoggedIn() {
  const answer = await fetch("/console/account").catch(() => null);
  const isOut = answer?.status === 401;
  showLoggedOut(isOut);
  showLost(!isOut && !answer?.ok);
  if (!answer?.ok) return isOut ? false : null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  csrf = page.querySelector('meta[name="csrf"]').content;
  return true;
}

/** Lead to the login and back here; a page on which something is typed stays. */
export function leave() {
  if (isTyped()) return showLoggedOut(true);
  const here = encodeURIComponent(location.pathname + location.search);
  location.assign(`/console/login?next=${here}`);
}

function isTyped() {
  const fields = [...document.querySelectorAll("main :is(input, textarea)")];
  return fields.some((field) => field.value !== field.defaultValue);
}

const notice = document.getElementById("connection");

/** Show or hide the notice that the connection is lost. */
export function showLost(isLost) {
  if (notice) notice.hidden = !isLost;
}

function showLoggedOut(isOut) {
  const notice = document.getElementById("logged-out");
  if (notice) notice.hidden = !isOut;
}

/** Send a form's values as the page's own forms do; return the response. */
export async function post(url, values = {}) {
  const send = () =>
    fetch(url, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf },
      body: new URLSearchParams(values),
    });
  const answer = await send();
  // Logged out; or in anew, in another window.
  if (![401, 403].includes(answer.status) || !(await isLoggedIn())) return answer;
  return send();
}

window.addEventListener("offline", () => showLost(true));
window.addEventListener("online", () => showLost(false));
