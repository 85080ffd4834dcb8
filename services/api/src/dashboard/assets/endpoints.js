// Endpoints: all of them, one with its health and its ledger in a line, and a form for a new one.

import { call, get, may, post } from "./api.js";
import { deliveryChart, latencyChart } from "./charts.js";
import { badge, button, card, confirmed, dialog, duration, empty, field, form, h, link, number, select, t, table, time, toast } from "./dom.js";

export async function draw(page) {
  if (page.id === "new") return drawNew(page);
  return page.id ? drawOne(page) : drawAll(page);
}

async function drawAll() {
  const endpoints = (await get("/api/endpoints?limit=1000")).data;
  const add = may("manage") && link("/endpoints/new", t("Add an endpoint"), "button primary");
  if (!endpoints.length) return [empty(t("No endpoint yet"), t("An endpoint is a URL that gets your events: n8n, your own program, anything that takes a POST."), add)];
  return [add && h("p", { class: "row" }, add), table(t("Endpoints"), [
    [t("Endpoint"), (one) => one.description || one.id],
    [t("URL"), (one) => host(one.url)],
    [t("State"), (one) => (one.enabled ? badge("enabled", "good") : badge("disabled"))],
    [t("Events"), (one) => one.events.join(", ") || t("all")],
    [t("Made"), (one) => (one.createdAt ? time(one.createdAt) : t("WEBHOOK_URL"))],
  ], endpoints, (one) => `/endpoints/${one.id}`)];
}

// The path of a URL may be a secret.
const host = (url) => { try { return new URL(url).host; } catch { return url; } };

async function drawOne({ id, go, again }) {
  const path = `/api/endpoints/${encodeURIComponent(id)}`;
  const [{ data: one }, { data: counts }, ledger] = await Promise.all([
    get(path), get(`/api/statistics?hours=24&endpoint=${encodeURIComponent(id)}`),
    get(`/api/ledger?endpoint=${encodeURIComponent(id)}`).catch(() => null),
  ]);
  const isOwn = one.managedBy === "api" && may("manage");
  const { backlog } = one;
  const test = may("manage") && button(t("Send a test"), async () => {
    const { result } = await post(`${path}/test`);
    toast(result.success ? t("Delivered: the receiver answered {status}", { status: result.status }) : result.error, result.success ? "good" : "bad");
    await again();
  }, "primary");
  return [
    h("p", {}, link("/endpoints", `← ${t("Endpoints")}`)),
    card(null, h("div", { class: "row spread" },
      h("div", { class: "row" }, h("strong", {}, one.description || one.id), one.enabled ? badge("enabled", "good") : badge("disabled"), one.circuit !== "closed" && badge(one.circuit)),
      h("div", { class: "row" }, test,
        isOwn && button(t("Change"), () => change(one, path, again)),
        isOwn && button(one.enabled ? t("Disable") : t("Enable"), async () => { await post(`${path}/${one.enabled ? "disable" : "enable"}`); await again(); }),
        isOwn && button(t("New secret"), () => rotate(path)),
        isOwn && button(t("Delete"), async () => {
          if (!(await confirmed(t("Delete this endpoint"), t("It gets no more events."), t("Delete")))) return;
          await call("DELETE", path);
          go("/endpoints");
        }, "danger"))),
      one.lastError && h("p", { class: "problem" }, t("Failing since"), " ", time(one.failingSince), ": ", one.lastError),
      ledger && h("p", {}, ledgerLine(ledger.data)),
      h("dl", {}, h("dt", {}, t("URL")), h("dd", {}, h("code", {}, one.url)),
        h("dt", {}, t("Id")), h("dd", {}, h("code", {}, one.id)),
        h("dt", {}, t("Events")), h("dd", {}, one.events.join(", ") || t("all")),
        h("dt", {}, t("Sessions")), h("dd", {}, one.sessions.join(", ") || t("all")),
        h("dt", {}, t("Format")), h("dd", {}, one.format), h("dt", {}, t("Order")), h("dd", {}, one.ordering),
        h("dt", {}, t("Signed")), h("dd", {}, one.signed === null ? t("see WEBHOOK_SECRET") : one.signed ? t("yes") : t("no")))),
    h("div", { class: "grid" }, [[t("Not taken yet"), backlog.pending ?? 0], [t("In delivery"), backlog.inFlight], [t("Wait for a retry"), backlog.waitingRetries], [t("Latency, p95"), duration(counts.p95Ms)]]
      .map(([title, value]) => h("section", { class: "card" }, h("h2", {}, title), h("div", { class: "figure" }, typeof value === "number" ? number(value) : value)))),
    h("div", { class: "halves" }, card(t("Attempts, 24 h"), deliveryChart(counts.points)), card(t("Latency, p95"), latencyChart(counts.points))),
    h("p", { class: "row" }, link(`/deliveries?endpoint=${one.id}`, t("Its deliveries"), "button"), link(`/dead-letters?endpoint=${one.id}`, t("Its dead letters"), "button")),
  ];
}

function ledgerLine(ledger) {
  const parts = [["delivered", "delivered"], ["waiting", "waiting"], ["dead", "dead"], ["filtered", "filtered"], ["missing", "missing"]]
    .filter(([name]) => ledger[name] || name === "delivered").map(([name, word]) => `${number(ledger[name])} ${t(word)}`);
  return [h("strong", {}, `${number(ledger.matched)} ${t("matched")}`), " = ", parts.join(" + ")];
}

function inputs(one = {}) {
  return [
    field(t("URL"), h("input", { name: "url", type: "url", required: true, value: one.url ?? "", placeholder: "https://example.org/webhook" })),
    field(t("Name"), h("input", { name: "description", value: one.description ?? "", maxlength: 200 })),
    field(t("Events"), h("input", { name: "events", value: (one.events ?? []).join(", "), placeholder: "message.*, call.missed" }), t("With commas between; empty: all.")),
    field(t("Format"), select("format", [["kurir", "Kurir"], ["cloudevents", "CloudEvents"], ["evolution", "Evolution API"], ["waha", "WAHA"], ["baileys", "Baileys"]], one.format ?? "kurir")),
    field(t("Order"), select("ordering", [["none", t("any order")], ["chat", t("in order within a chat")]], one.ordering ?? "none")),
  ];
}

const body = (data) => ({
  url: data.get("url"), description: data.get("description"), format: data.get("format"), ordering: data.get("ordering"),
  events: data.get("events").split(",").map((one) => one.trim()).filter(Boolean),
});

async function drawNew({ go }) {
  return [card(t("Add an endpoint"), form(t("Add"), async (data) => {
    const made = (await post("/api/endpoints", body(data))).data;
    showSecret(made.secret, () => go(`/endpoints/${made.id}`));
  }, ...inputs()))];
}

function change(one, path, again) {
  const box = dialog(t("Change"), form(t("Save"), async (data) => {
    await call("PATCH", path, body(data));
    box.close();
    await again();
  }, ...inputs(one)));
}

async function rotate(path) {
  if (!(await confirmed(t("New secret"), t("The old secret signs for another hour beside the new one."), t("New secret")))) return;
  const { data } = await post(`${path}/secret/rotate`, { keepOldForSeconds: 3600 });
  showSecret(data.secret);
}

function showSecret(secret, then = () => {}) {
  const box = dialog(t("The endpoint's secret"),
    h("p", {}, t("It signs each delivery (standard webhooks). It is shown this once.")), h("pre", { tabindex: "0" }, secret ?? "—"),
    h("div", { class: "actions" }, button(t("Copy"), async () => { await navigator.clipboard.writeText(secret); toast(t("Copied")); }), button(t("Done"), () => box.close(), "primary")));
  box.addEventListener("close", then);
}
