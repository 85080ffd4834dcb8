// Calls of the API with the login's cookie, and live events.

const csrf = () => document.documentElement.dataset.csrf;

export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf();
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  const response = await fetch(path, { method, headers, body, credentials: "same-origin" });
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/api/login") location.reload();
  if (!response.ok) throw new Error(answer.message ?? `HTTP ${response.status}`);
  return answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

export const sessionPath = (session, rest) =>
  session === "default" ? `/api/whatsapp/${rest}` : `/api/sessions/${encodeURIComponent(session)}/whatsapp/${rest}`;

export const may = (scope) => {
  const scopes = document.documentElement.dataset.scopes.split(" ");
  return scopes.includes("admin") || scopes.includes(scope);
};

// Events from now on. One connection for all pages; it comes back by itself without a gap.
const listeners = new Set();
let source;

export function onEvent(listener) {
  listeners.add(listener);
  if (!source) {
    source = new EventSource("/api/events/stream");
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      for (const one of listeners) one(event);
    };
  }
  return () => listeners.delete(listener);
}

// Calls `action` soon after events of these types, at most once a second.
export function refreshOn(types, action) {
  let timer;
  return onEvent((event) => {
    if (timer || !types.some((type) => event.event.startsWith(type))) return;
    timer = setTimeout(() => { timer = null; action(); }, 800);
  });
}
