// Elements, texts and small parts of pages. No text ever becomes markup.

let texts = {};

export async function loadTexts(language) {
  texts = (await import(`./texts-${language}.js`)).default;
}

// The English text is the key; `{name}` stands for a value.
export function t(text, values = {}) {
  return (texts[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function h(tag, props = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "circle", "g", "title", "polyline", "text"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  overview: "M3 12l9-8 9 8M5 10v10h14V10",
  sessions: "M7 3h10v18H7zM11 18h2",
  messages: "M4 5h16v11H9l-5 4z",
  endpoints: "M9 12a3 3 0 106 0 3 3 0 00-6 0M12 3v6M5 19l5-5M19 19l-5-5",
  deliveries: "M3 12h14M12 6l6 6-6 6M21 5v14",
  "dead-letters": "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  send: "M4 12L20 4l-5 16-3-7z",
  jobs: "M12 7v5l3 3M12 3a9 9 0 100 18 9 9 0 000-18",
  keys: "M14 10a4 4 0 10-4 4l1.500-.5H14v2h2v2h3v-3l-5-4.500",
  audit: "M6 3h9l4 4v14H6zM9 12h7M9 16h5",
  phone: "M8 2h8v20H8zM11 19h2",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14M16 16l5 5",
  more: "M4 7h16M4 12h16M4 17h16",
};

export function icon(name) {
  return h("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, h("path", { d: ICONS[name] ?? "" }));
}

export const locale = () => document.documentElement.lang;
export const number = (value) => new Intl.NumberFormat(locale()).format(value ?? 0);

export function time(iso, withDate = true) {
  if (!iso) return "—";
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const shown = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  if (withDate && !today) Object.assign(shown, { month: "short", day: "numeric" });
  return h("time", { datetime: iso, title: at.toLocaleString(locale()) }, at.toLocaleString(locale(), shown));
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "—";
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
}

const TONES = {
  delivered: "good", connected: "good", done: "good", read: "good", played: "good", sent: "good", closed: "good",
  refused: "bad", failed: "bad", dead: "bad", banned: "bad", locked: "bad", damaged: "bad", logged_out: "bad", open: "bad", expired: "bad",
  waiting: "warn", pending: "warn", pairing: "warn", reconnecting: "warn", queued: "warn", half_open: "warn", disabled: "warn",
  running: "info", scheduled: "info", connecting: "info", filtered: "info",
};

export const words = (name) => t(String(name ?? "").replaceAll("_", " "));

export function badge(name, tone) {
  return h("span", { class: `badge ${tone ?? TONES[name] ?? ""}` }, words(name));
}

export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", {}, title), ...children);
}

export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), h("div", { class: "actions" }, ...actions));
}

export function button(label, onclick, kind = "") {
  return h("button", { type: "button", class: kind, onclick: guarded(onclick) }, label);
}

// One click at a time; an error is shown.
export function guarded(action) {
  return async (event) => {
    const target = event.currentTarget;
    if (target.disabled) return;
    target.disabled = true;
    try {
      await action(event);
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      target.disabled = false;
    }
  };
}

export function link(path, label, className) {
  return h("a", { href: path, class: className }, label);
}

// `columns`: title, and what stands in the cell; `open`: the path of a row.
export function table(label, columns, rows, open) {
  const head = h("tr", {}, columns.map(([title, , kind]) => title ? h("th", { scope: "col", class: kind }, title) : h("td", {})));
  const body = rows.map((row) => {
    const cells = columns.map(([title, cell, kind], index) => {
      const content = cell(row);
      const path = index === 0 && open?.(row);
      return h("td", { class: kind, "data-title": title }, path ? link(path, content, "row-link") : content);
    });
    return h("tr", { class: open && "clickable" }, cells);
  });
  return h("div", { class: "table", role: "region", "aria-label": label, tabindex: "0" },
    h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
}

// A list that loads its next page on demand.
export async function paged(load, draw, none) {
  const box = h("div", { class: "paged" });
  const rows = [];
  const more = async (after) => {
    const page = await load(after);
    rows.push(...page.data);
    const next = page.next && button(t("Show more"), () => more(page.next), "quiet");
    box.replaceChildren(rows.length ? draw(rows) : none(), next ?? "");
  };
  await more(null);
  return box;
}

export function field(label, input, hint) {
  const id = input.id || (input.id = `f-${Math.random().toString(36).slice(2)}`);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("small", {}, hint));
}

export function form(submitLabel, onsubmit, ...children) {
  const submit = h("button", { type: "submit", class: "primary" }, submitLabel);
  const problem = h("p", { class: "problem", role: "alert" });
  const element = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      submit.disabled = true;
      problem.textContent = "";
      try {
        await onsubmit(new FormData(element), element);
      } catch (error) {
        problem.textContent = error.message;
      } finally {
        submit.disabled = false;
      }
    },
  }, ...children, problem, h("div", { class: "actions" }, submit));
  return element;
}

export function select(name, options, value) {
  return h("select", { name, id: `s-${name}` },
    options.map(([key, label]) => h("option", { value: key, selected: key === value }, label)));
}

export function dialog(title, ...children) {
  const element = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => element.remove() },
    h("header", {}, h("h2", { id: "dialog-title" }, title),
      h("button", { type: "button", class: "quiet", "aria-label": t("Close"), onclick: () => element.close() }, "✕")),
    ...children);
  document.body.append(element);
  element.showModal();
  return element;
}

export function confirmed(title, text, label) {
  return new Promise((resolve) => {
    const box = dialog(title, h("p", {}, text), h("div", { class: "actions" },
      h("button", { type: "button", class: "quiet", onclick: () => box.close() }, t("Cancel")),
      h("button", { type: "button", class: "danger", onclick: () => { resolve(true); box.close(); } }, label)));
    box.addEventListener("close", () => resolve(false));
  });
}

export function toast(text, tone = "good") {
  const box = document.getElementById("toasts");
  const line = h("div", { class: `toast ${tone}` }, text);
  box.append(line);
  setTimeout(() => line.remove(), 6000);
}

export const person = (jid) => {
  if (!jid) return "—";
  const [user, server] = jid.split("@");
  return server === "s.whatsapp.net" ? `+${user}` : jid;
};
