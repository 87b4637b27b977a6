// What every page has: the CSRF token on htmx's requests, and the notice of a lost
// connection. Pages work without this script as far as they are forms and links.

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = csrf;
});

// A fault is not put into the page (htmx.html). What is not there, or not this person's
// any more, the whole page says; whoever is logged out, htmx leads to the login.
document.addEventListener("htmx:after:request", ({ detail }) => {
  const { status } = detail.ctx.response;
  showLost(status >= 500);
  if (status === 403 || status === 404) location.reload();
});
document.addEventListener("htmx:error", () => showLost(true));

// A form that loads a page is sent once, however often its button is pressed meanwhile.
// What is answered with a file, or not at all, can be sent again after a while.
const SENT_MS = 3_000;
let sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) event.preventDefault();
  else setTimeout(() => sent.delete(form), SENT_MS);
  sent.add(form);
});
// The page may come back as it was left.
window.addEventListener("pageshow", () => {
  sent = new WeakSet();
});

const notice = document.getElementById("connection");

/** Show or hide the notice that the connection is lost. */
export function showLost(isLost) {
  if (notice) notice.hidden = !isLost;
}

/** Send a form's values as the page's own forms do; return the response. */
export function post(url, values = {}) {
  return fetch(url, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf },
    body: new URLSearchParams(values),
  });
}

window.addEventListener("offline", () => showLost(true));
window.addEventListener("online", () => showLost(false));
