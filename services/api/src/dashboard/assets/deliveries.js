// Deliveries: every attempt, by filters, and a selection again. Dead letters: why, and their way back.

import { call, get, may, post, query } from "./api.js";
import { badge, button, card, confirmed, dialog, duration, empty, field, h, link, number, paged, person, select, t, table, time, toast } from "./dom.js";

export async function draw(page) {
  if (page.name === "dead-letters") return page.id ? drawLetter(page) : drawLetters(page);
  return page.id ? drawDelivery(page) : drawDeliveries(page);
}

async function endpointOptions(value) {
  const endpoints = (await get("/api/endpoints?limit=1000")).data;
  return select("endpoint", [["", t("all")], ...endpoints.map((one) => [one.id, one.description || one.id])], value ?? "");
}

function filterForm(path, params, go, ...fields) {
  const element = h("form", {
    class: "filters",
    onsubmit: (event) => { event.preventDefault(); go(query(path, Object.fromEntries(new FormData(element)))); },
    onchange: () => element.requestSubmit(),
  }, ...fields, h("button", { type: "submit" }, t("Filter")));
  return element;
}

async function drawDeliveries({ params, go }) {
  const filter = Object.fromEntries(params);
  const text = (name, label, hint) => field(label, h("input", { name, value: filter[name] ?? "", placeholder: hint }));
  const filters = filterForm("/deliveries", params, go,
    field(t("Endpoint"), await endpointOptions(filter.endpoint)),
    field(t("Outcome"), select("outcome", [["", t("all")], ...["delivered", "refused", "failed", "filtered"].map((one) => [one, t(one)])], filter.outcome ?? "")),
    text("type", t("Event type"), "message.*"), text("status", t("Status"), "503"), text("chat", t("Chat"), "…@s.whatsapp.net"));
  const list = await paged((after) => get(query("/api/deliveries", { ...filter, after, limit: 50 })),
    (rows) => table(t("Deliveries"), [
      [t("Event"), (one) => one.event],
      [t("Outcome"), (one) => [badge(one.outcome), " ", one.status ?? one.class ?? ""]],
      [t("Endpoint"), (one) => one.endpoint],
      [t("Chat"), (one) => person(one.chat)],
      [t("Attempt"), (one) => one.attempt, "right"],
      [t("Took"), (one) => duration(one.durationMs), "right"],
      [t("Time"), (one) => time(one.at)],
    ], rows, (one) => `/deliveries/${one.id}`),
    () => empty(t("No deliveries"), t("Each attempt to deliver an event appears here."), link("/endpoints", t("Endpoints"), "button")));
  const resend = may("manage") && button(t("Deliver this selection again"), () => resendSelection(filter));
  return [filters, resend && h("p", {}, resend), list];
}

// First how many it would be, then the delivery.
async function resendSelection({ endpoint, outcome, type, status, chat }) {
  const selection = Object.fromEntries(Object.entries({ endpoint, outcome, type, chat, status: status && Number(status) }).filter(([, value]) => value));
  const { data } = await post("/api/deliveries/resend", { ...selection, dryRun: true });
  if (!data.total) return toast(t("The selection is empty"), "bad");
  const parts = data.endpoints.map((one) => `${one.endpoint}: ${number(one.events)}`).join(", ");
  if (!(await confirmed(t("Deliver {count} events again", { count: number(data.total) }), parts, t("Deliver again")))) return;
  const resent = await post("/api/deliveries/resend", { ...selection, dryRun: false });
  follow(resent.data.endpoints.flatMap((one) => one.replays));
}

async function drawDelivery({ id }) {
  const { data: one } = await get(`/api/deliveries/${id}`);
  const event = await get(`/api/events/${one.sequence}`).catch(() => null);
  return [
    h("p", { class: "row" }, link("/deliveries", `← ${t("Deliveries")}`), link(`/events/${one.eventId}`, t("Life of the message"), "button primary")),
    card(null, h("div", { class: "row" }, badge(one.outcome), h("strong", {}, one.event), "→", link(`/endpoints/${one.endpoint}`, one.endpoint)),
      h("dl", {}, h("dt", {}, t("Attempt")), h("dd", {}, one.attempt), h("dt", {}, t("Time")), h("dd", {}, time(one.at)),
        h("dt", {}, t("Took")), h("dd", {}, duration(one.durationMs)), h("dt", {}, t("Status")), h("dd", {}, one.status ?? one.class ?? "—"))),
    h("div", { class: "halves" },
      card(t("Request"), event?.data.body ? h("pre", { tabindex: "0" }, JSON.stringify(event.data.body, null, 2)) : h("p", { class: "soft" }, t("NATS does not have it any more."))),
      card(t("Response"), one.headers.length > 0 && h("pre", { tabindex: "0" }, one.headers.map(([name, value]) => `${name}: ${value}`).join("\n")),
        h("pre", { tabindex: "0" }, one.answer ?? t("The body of a success is not kept.")))),
  ];
}

async function drawLetters({ params, go, again }) {
  const endpoint = params.get("endpoint") ?? "";
  const filters = filterForm("/dead-letters", params, go, field(t("Endpoint"), await endpointOptions(endpoint)));
  const list = await paged((after) => get(query("/api/dead-letters", { endpoint, after, limit: 50 })),
    (rows) => table(t("Dead letters"), [
      [t("Event"), (one) => one.event],
      [t("Why"), (one) => one.reason],
      [t("Endpoint"), (one) => one.endpoint],
      [t("Attempts"), (one) => one.attempts, "right"],
      [t("Given up"), (one) => time(one.at)],
    ], rows, (one) => `/dead-letters/${one.id}`),
    () => empty(t("No dead letters"), t("Events that a receiver refused at every attempt wait here, and can be delivered again.")));
  const all = may("manage") && endpoint && button(t("Deliver all of this endpoint again"), async () => {
    if (!(await confirmed(t("Deliver all again"), endpoint, t("Deliver again")))) return;
    follow([(await post("/api/dead-letters/replay", { endpoint })).data], again);
  }, "primary");
  return [filters, all && h("p", {}, all), list];
}

async function drawLetter({ id, go }) {
  const { data: one } = await get(`/api/dead-letters/${id}`);
  const path = `/api/dead-letters/${id}`;
  let payload = one.payload;
  try { payload = JSON.stringify(JSON.parse(one.payload), null, 2); } catch { /* shown as it is */ }
  return [
    h("p", { class: "row" }, link("/dead-letters", `← ${t("Dead letters")}`), link(`/events/${one.eventId}`, t("Life of the message"), "button")),
    card(null, h("div", { class: "row spread" }, h("div", { class: "row" }, badge("dead"), h("strong", {}, one.event), "→", link(`/endpoints/${one.endpoint}`, one.endpoint)),
      may("manage") && h("div", { class: "row" },
        button(t("Deliver again"), async () => follow([(await post(`${path}/replay`)).data], () => go("/dead-letters")), "primary"),
        button(t("Delete"), async () => {
          if (!(await confirmed(t("Delete this dead letter"), t("It cannot be delivered any more."), t("Delete")))) return;
          await call("DELETE", path);
          go("/dead-letters");
        }, "danger"))),
      h("p", {}, one.reason), h("dl", {}, h("dt", {}, t("Attempts")), h("dd", {}, one.attempts), h("dt", {}, t("Given up")), h("dd", {}, time(one.at)),
        h("dt", {}, t("Last answer")), h("dd", {}, one.last?.status ?? one.last?.class ?? "—", one.last?.body && h("pre", { tabindex: "0" }, one.last.body)))),
    card(t("The event"), h("pre", { tabindex: "0" }, payload)),
  ];
}

// Shows how far replays are until they end.
function follow(replays, then = () => {}) {
  const total = replays.reduce((sum, one) => sum + one.total, 0);
  const bar = h("progress", { max: Math.max(1, total), value: 0, "aria-label": t("Progress") });
  const line = h("p", { "aria-live": "polite" }, t("{done} of {total}", { done: 0, total: number(total) }));
  const box = dialog(t("Delivering again"), bar, line);
  const timer = setInterval(async () => {
    const now = await Promise.all(replays.map((one) => get(`/api/replays/${one.id}`)));
    const waiting = now.reduce((sum, one) => sum + one.data.waiting, 0);
    bar.value = total - waiting;
    line.textContent = t("{done} of {total}", { done: number(total - waiting), total: number(total) });
    if (now.every((one) => one.data.state !== "running")) {
      clearInterval(timer);
      line.textContent = t("Done: {total} events", { total: number(total) });
    }
  }, 700);
  box.addEventListener("close", () => { clearInterval(timer); then(); });
}
