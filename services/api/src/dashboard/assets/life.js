// The life of one message: what happened to it, and at each endpoint, as timelines.

import { get, may, onEvent, post } from "./api.js";
import { badge, button, card, confirmed, duration, h, link, person, t, time, toast, words } from "./dom.js";

const STATES = { delivered: "good", waiting: "warn", dead: "bad", filtered: "info", pending: "warn", unmatched: "", unknown: "" };

export async function draw({ id, onLeave, again }) {
  const path = `/api/events/${encodeURIComponent(id)}`;
  const [life, event] = await Promise.all([get(`${path}/life`), get(path)]);
  const { steps, endpoints } = life.data;
  const about = event.data;
  const isOpen = endpoints.some((one) => one.state === "waiting" || one.state === "pending");
  const timer = isOpen && setInterval(again, 3000);
  onLeave(() => clearInterval(timer));
  onLeave(onEvent((other) => { if (about.messageId && other.body?.data?.messageId === about.messageId) again(); }));
  const text = about.body?.data?.content?.text ?? about.body?.data?.content?.caption;
  return [
    about.chat && h("p", {}, link(`/messages/${encodeURIComponent(about.chat)}?session=${about.session}`, `← ${person(about.chat)}`)),
    card(null, h("div", { class: "row spread" }, h("div", { class: "row" }, h("strong", {}, about.event), about.detail && badge(about.detail)), h("code", {}, about.id)),
      text && h("p", {}, text),
      h("dl", {}, h("dt", {}, t("Session")), h("dd", {}, about.session),
        h("dt", {}, t("Author")), h("dd", {}, person(about.author)),
        about.messageId && [h("dt", {}, t("Message id")), h("dd", {}, h("code", {}, about.messageId))])),
    h("h2", {}, t("At each endpoint")),
    ...(endpoints.length ? endpoints.map((one) => endpoint(one, about.id, again)) : [h("p", { class: "soft" }, t("There is no endpoint."))]),
    h("div", { class: "halves" },
      card(t("The message"), h("ol", { class: "timeline" }, steps.map(step))),
      card(t("The event as receivers get it"), about.body
        ? h("pre", { tabindex: "0" }, JSON.stringify(about.body, null, 2))
        : h("p", { class: "soft" }, t("NATS does not have it any more.")))),
  ].filter(Boolean);
}

function step(one) {
  return h("li", {}, h("div", { class: "head" }, h("strong", {}, words(one.step)), one.at ? time(one.at) : null), h("div", { class: "soft" }, one.text));
}

function endpoint(one, eventId, again) {
  const resend = may("manage") && one.attempts.length > 0 && button(t("Deliver again"), async () => {
    if (!(await confirmed(t("Deliver again"), t("The receiver gets this event once more, under the same id."), t("Deliver again")))) return;
    await post("/api/deliveries/resend", { endpoint: one.endpoint, event: eventId, dryRun: false });
    toast(t("It is being delivered again"));
    setTimeout(again, 1500);
  });
  return card(null,
    h("div", { class: "row spread" },
      h("div", { class: "row" }, badge(one.state, STATES[one.state]), link(`/endpoints/${one.endpoint}`, one.endpoint), h("span", { class: "soft" }, one.host ?? "")), resend),
    h("p", {}, one.reason, one.until && [" · ", t("next attempt"), " ", time(one.until)], one.deadLetter && [" · ", link(`/dead-letters/${one.deadLetter}`, t("dead letter"))]),
    one.attempts.length > 0 && h("ol", { class: "timeline" }, one.attempts.map((attempt) =>
      h("li", { class: attempt.outcome === "delivered" ? "good" : attempt.outcome === "filtered" ? "" : "bad" },
        h("div", { class: "head" }, h("strong", {}, t("Attempt {number}", { number: attempt.attempt })), badge(attempt.outcome), attempt.status, h("span", { class: "soft" }, duration(attempt.durationMs)), time(attempt.at), attempt.replay && h("span", { class: "soft" }, t("replay"))),
        attempt.answer && h("pre", { tabindex: "0" }, attempt.answer)))));
}
