// Overview: what needs attention first, then how deliveries fare. Whoever is new is led to the first delivered message.

import { get, may, refreshOn } from "./api.js";
import { deliveryChart, latencyChart } from "./charts.js";
import { badge, card, duration, h, link, number, person, t, time } from "./dom.js";

export async function draw({ onLeave, again }) {
  const [sessions, endpoints, letters, statistics, deliveries, index] = await Promise.all([
    get("/api/sessions"), get("/api/endpoints?limit=100"), get("/api/dead-letters?limit=100"),
    get("/api/statistics?hours=24"), get("/api/deliveries?limit=8"), get("/api/index"),
  ]);
  onLeave(refreshOn(["connection.", "session.", "message.", "endpoint.", "error."], again));
  const details = await Promise.all(endpoints.data.slice(0, 20).map(async (one) => (await get(`/api/endpoints/${one.id}`)).data));
  const { delivered, failed, p95Ms, points } = statistics.data;
  const backlog = details.reduce((sum, one) => sum + (one.backlog.pending ?? 0) + one.backlog.inFlight + one.backlog.waitingRetries, 0);
  const rate = delivered + failed ? `${((delivered / (delivered + failed)) * 100).toFixed(delivered && failed ? 1 : 0)} %` : "—";
  const figure = (title, value, path) => h("section", { class: "card" }, h("h2", {}, link(path, title)), h("div", { class: "figure" }, value));
  const connected = sessions.data.filter((session) => session.isConnected);
  const isNew = !connected.length || !endpoints.data.length || !delivered;
  return [
    isNew && firstSteps(connected.length > 0, endpoints.data.length > 0, delivered > 0),
    ...attention(sessions.data, details, letters, index.data),
    h("div", { class: "grid" },
      figure(t("Sessions connected"), `${connected.length} / ${sessions.data.length}`, "/sessions"),
      figure(t("Waiting events"), number(backlog), "/endpoints"),
      figure(t("Successful attempts, 24 h"), rate, "/deliveries"),
      figure(t("Latency, p95"), duration(p95Ms), "/deliveries"),
      figure(t("Dead letters"), letters.next ? "100+" : number(letters.data.length), "/dead-letters")),
    h("div", { class: "halves" }, card(t("Attempts, 24 h"), deliveryChart(points)), card(t("Latency, p95"), latencyChart(points))),
    card(t("Latest deliveries"), deliveries.data.length
      ? h("ul", { class: "list" }, deliveries.data.map((one) => h("li", { class: "row" },
        badge(one.outcome), link(`/events/${one.eventId}`, one.event), h("span", { class: "soft" }, "→ ", one.endpoint, one.chat ? ` · ${person(one.chat)}` : ""), h("span", { class: "soft" }, duration(one.durationMs), " · ", time(one.at)))))
      : h("p", { class: "soft" }, t("Nothing was delivered yet."))),
  ].filter(Boolean);
}

function firstSteps(isPaired, hasEndpoint, hasDelivery) {
  const step = (done, title, text, path, label) => h("li", { class: done && "done" },
    h("div", {}, h("strong", {}, title), h("div", { class: "soft" }, text)),
    !done && may("manage") && link(path, label, "button primary"));
  return card(t("Your first delivered message"), h("ol", { class: "steps" },
    step(isPaired, t("Pair your phone"), t("Scan a QR code with WhatsApp."), "/sessions/default", t("Show the QR code")),
    step(hasEndpoint, t("Add an endpoint"), t("The URL that gets your messages."), "/endpoints/new", t("Add an endpoint")),
    step(hasDelivery, t("Send a test and see it arrive"), t("Or write to your number from another phone."), "/endpoints", t("Send a test"))));
}

function attention(sessions, endpoints, letters, index) {
  const line = (kind, title, text, path, label) => h("section", { class: `card attention ${kind}` },
    h("div", { class: "row spread" }, h("div", {}, h("strong", {}, title), " ", h("span", { class: "soft" }, text)), link(path, label)));
  const found = [];
  for (const one of sessions) {
    if (one.isConnected || (one.status === "connecting")) continue;
    const text = one.status ? one.reason ?? "" : t("No gateway answers for it.");
    found.push(line("bad", t("Session {id} is {status}", { id: one.id, status: t((one.status ?? "away").replaceAll("_", " ")) }), text, `/sessions/${one.id}`, t("Look")));
  }
  for (const one of endpoints) {
    if (!one.enabled) found.push(line("", t("Endpoint {id} is disabled", { id: one.description || one.id }), one.disabledReason ?? t("Its events wait."), `/endpoints/${one.id}`, t("Look")));
    else if (one.failingSince) found.push(line("bad", t("Endpoint {id} fails", { id: one.description || one.id }), one.lastError ?? "", `/endpoints/${one.id}`, t("Look")));
  }
  if (letters.data.length) found.push(line("", t("{count} dead letters", { count: letters.next ? "100+" : letters.data.length }), t("They can be delivered again."), "/dead-letters", t("Look")));
  if (!index.caughtUp) {
    const left = index.streams.reduce((sum, one) => sum + Math.max(0, one.last - one.read), 0);
    found.push(line("", t("The search index catches up"), t("{left} to go", { left: number(left) }), "/", t("Reload")));
  }
  return found;
}
