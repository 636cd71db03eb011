// What every page does: live updates by htmx, keyboard, and the reader's time zone.
import "htmx.org";
import "htmx.org/dist/ext/hx-sse.js";

const YEAR_SECONDS = 31_536_000;

// The server writes times in the reader's zone from the next page on.
function rememberZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes(`zone=${zone}`)) {
    document.cookie = `zone=${zone}; path=/; max-age=${YEAR_SECONDS}; samesite=lax`;
  }
}

// On a phone the bars are wider than the screen; they begin where the reader is.
function showWhereWeAre() {
  for (const link of document.querySelectorAll(".nav [aria-current], .tabs [aria-current]")) {
    const [bar, here] = [link.parentElement, link.getBoundingClientRect()];
    bar.scrollLeft += here.left + here.width / 2 - bar.getBoundingClientRect().left - bar.clientWidth / 2;
  }
}

function move(step) {
  const links = [...document.querySelectorAll("a.open")];
  if (!links.length) return;
  const now = links.indexOf(document.activeElement);
  const next = now < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(now + step, 0), links.length - 1);
  links[next].focus();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  u: () => document.querySelector("a[data-up]")?.click(),
  "?": () => document.getElementById("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable], #map");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const action = KEYS[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) KEYS["?"]();
});

// What a choice needs is asked for before the form is sent: a refused one would lose what was entered.
document.addEventListener("change", ({ target }) => {
  const chosen = target.type === "radio" ? target : target.selectedOptions?.[0];
  if (!chosen || !target.form || !target.form.querySelector("[data-needs]")) return;
  for (const choice of target.form.querySelectorAll("[data-needs]")) target.form.elements[choice.dataset.needs].required = false;
  if (chosen.dataset.needs) target.form.elements[chosen.dataset.needs].required = true;
});

// A form that is on its way shows it, and is sent once, however slow the network or often the tap.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.hasAttribute("aria-busy")) event.preventDefault();
  form.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) form.removeAttribute("aria-busy");
});

// An inspector's phone knows where it stands; without that the fields are filled in by hand, or not at all.
for (const button of document.querySelectorAll("[data-locate]")) {
  if (!navigator.geolocation) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-busy", "true");
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        button.removeAttribute("aria-busy");
        for (const field of document.querySelectorAll("[data-position]")) {
          const value = coords[field.dataset.position];
          field.value = field.dataset.position === "accuracy" ? Math.round(value) : value.toFixed(6);
        }
      },
      () => {
        button.removeAttribute("aria-busy");
        button.textContent = button.dataset.failed;
      },
      { enableHighAccuracy: true, timeout: 15_000 },
    );
  });
}

// The session ended while the page was open: the log-in page says so better than a silent one.
document.addEventListener("htmx:sse:error", (event) => {
  if (event.detail.status === 401) window.location.reload();
});

rememberZone();
showWhereWeAre();
