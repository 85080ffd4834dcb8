// The frame of the dashboard: login, navigation, and which page belongs to a path.

import { call, may, query } from "./api.js";
import { button, field, form, guarded, h, icon, link, loadTexts, select, t } from "./dom.js";

const root = document.documentElement;

// Path, page, its name, the scope that shows it, the file that draws it.
const PAGES = [
  ["/", "overview", "Overview", "read", "overview"],
  ["/sessions", "sessions", "Sessions", "read", "sessions"],
  ["/messages", "messages", "Messages", "read", "messages"],
  ["/endpoints", "endpoints", "Endpoints", "read", "endpoints"],
  ["/deliveries", "deliveries", "Deliveries", "read", "deliveries"],
  ["/dead-letters", "dead-letters", "Dead letters", "read", "deliveries"],
  ["/send", "send", "Send", "send", "send"],
  ["/jobs", "jobs", "Jobs", "read", "send"],
  ["/keys", "keys", "Keys", "admin", "access"],
  ["/audit", "audit", "Audit", "admin", "access"],
  ...("demo" in root.dataset ? [["/phone", "phone", "Phone", "manage", "phone"]] : []),
];
const LANGUAGES = [["en", "English"], ["id", "Bahasa Indonesia"], ["pt", "Português"], ["es", "Español"]];

let leave = () => {};
let turn = 0;

async function start() {
  await loadTexts(root.lang);
  if (!root.dataset.csrf) return showLogin();
  const nav = h("nav", { "aria-label": t("Pages"), id: "nav" },
    PAGES.filter(([, , , scope]) => may(scope)).map(([path, name, title]) =>
      h("a", { href: path, "data-page": name }, icon(name), h("span", {}, t(title)))));
  const search = h("form", {
    role: "search", class: "search",
    onsubmit: (event) => {
      event.preventDefault();
      go(query("/messages", { q: event.target.elements.q.value }));
    },
  }, icon("search"), h("input", {
    type: "search", name: "q", id: "search", placeholder: t("Search messages, people, ids"), "aria-label": t("Search"), maxlength: 200,
  }), h("kbd", { "aria-hidden": "true" }, "/"));
  const language = select("language", LANGUAGES, root.lang);
  language.setAttribute("aria-label", t("Language"));
  language.addEventListener("change", () => {
    document.cookie = `kurir_language=${language.value}; path=/; max-age=31536000; samesite=strict`;
    location.reload();
  });
  const menu = h("button", {
    type: "button", class: "menu quiet", "aria-controls": "nav", "aria-expanded": "false", "aria-label": t("Menu"),
    onclick: () => menu.setAttribute("aria-expanded", String(document.body.classList.toggle("menu-open"))),
  }, icon("more"));
  document.body.replaceChildren(
    h("a", { href: "#main", class: "skip" }, t("Skip to the content")),
    h("aside", { class: "side", "aria-label": "Kurir" },
      h("div", { class: "brand" }, h("img", { src: new URL("./icon.svg", import.meta.url).pathname, alt: "", width: 28, height: 28 }), h("span", {}, "Kurir")),
      nav,
      h("footer", {}, language, h("p", {}, root.dataset.key, " · ", root.dataset.version), link("/docs", t("API reference")),
        button(t("Log out"), async () => { await call("DELETE", "/api/login"); location.href = "/"; }, "quiet"))),
    h("header", { class: "top" }, menu, search),
    h("main", { id: "main", tabindex: "-1" }),
    h("div", { id: "toasts", role: "status", "aria-live": "polite" }));
  document.addEventListener("click", followLink);
  document.addEventListener("keydown", shortcuts);
  window.addEventListener("popstate", show);
  await show();
}

function followLink(event) {
  const anchor = event.target.closest("a[href]");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
  if (!anchor) {
    const row = isPlain && !event.target.closest("button, input, select") && event.target.closest("tr.clickable");
    if (row && !getSelection().toString()) row.querySelector(".row-link")?.click();
    return;
  }
  const path = anchor.getAttribute("href");
  if (!isPlain || !path.startsWith("/") || path.startsWith("/docs") || path.startsWith("/media") || anchor.target) return;
  event.preventDefault();
  go(path);
}

export function go(path) {
  history.pushState(null, "", path);
  return show();
}

const KEYS = { o: "/", s: "/sessions", m: "/messages", e: "/endpoints", d: "/deliveries", l: "/dead-letters", n: "/send", j: "/jobs" };
let lastKey;

// `/` searches; `g` and a letter goes to a page.
function shortcuts(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search").focus();
  } else if (lastKey === "g" && KEYS[event.key]) {
    go(KEYS[event.key]);
  }
  lastKey = event.key;
}

async function show() {
  const mine = ++turn;
  leave();
  leave = () => {};
  document.body.classList.remove("menu-open");
  const main = document.getElementById("main");
  const parts = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const isEvent = parts[0] === "events";
  const page = PAGES.find(([path]) => path === `/${parts[0] ?? ""}`) ?? PAGES[0];
  const [, name, title, , file] = isEvent ? [null, "messages", "Life of a message", "read", "life"] : page;
  for (const anchor of document.querySelectorAll("#nav a")) {
    if (anchor.dataset.page === name) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  document.title = `${t(title)} · Kurir`;
  main.setAttribute("aria-busy", "true");
  const cleanups = [];
  leave = () => cleanups.forEach((cleanup) => cleanup());
  try {
    const module = await import(`./${file}.js`);
    const content = await module.draw({
      name, id: parts[1], params: new URLSearchParams(location.search), go,
      onLeave: (cleanup) => cleanups.push(cleanup),
      again: () => mine === turn && show(),
    });
    if (mine !== turn) return cleanups.forEach((cleanup) => cleanup());
    main.replaceChildren(h("h1", {}, t(title)), ...content);
  } catch (error) {
    if (mine !== turn) return;
    main.replaceChildren(h("h1", {}, t(title)),
      h("div", { class: "empty", role: "alert" }, h("h2", {}, t("This page could not be loaded")), h("p", {}, error.message),
        h("div", { class: "actions" }, h("button", { type: "button", onclick: guarded(show) }, t("Try again")))));
  } finally {
    if (mine === turn) main.removeAttribute("aria-busy");
  }
}

function showLogin() {
  const key = h("input", { type: "password", name: "key", required: true, autocomplete: "current-password", autofocus: true });
  document.title = `${t("Log in")} · Kurir`;
  document.body.className = "login";
  document.body.replaceChildren(h("main", { id: "main" },
    h("img", { src: new URL("./icon.svg", import.meta.url).pathname, alt: "", width: 48, height: 48 }),
    h("h1", {}, "Kurir"), h("p", {}, t("WhatsApp messages that arrive.")),
    form(t("Log in"), async (data) => {
      const body = JSON.stringify({ apiKey: data.get("key") });
      const response = await fetch("/api/login", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!response.ok) throw new Error((await response.json()).message);
      location.reload();
    }, field(t("API key"), key, t("The value of API_KEY, or a key that was made here. The page does not keep it.")))));
  key.focus();
}

start();
