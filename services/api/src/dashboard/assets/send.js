// Send: a text, a file, a poll, now or later. Jobs: sends that wait or go out one after the other.

import { call, get, may, post, query, refreshOn, sessionPath } from "./api.js";
import { badge, button, card, confirmed, empty, field, form, h, link, number, paged, select, t, table, time, toast } from "./dom.js";

export async function draw(page) {
  return page.name === "jobs" ? drawJobs(page) : drawSend(page);
}

async function sessionField(value = "default") {
  const sessions = (await get("/api/sessions")).data;
  return field(t("Session"), select("session", sessions.map((one) => [one.id, one.id]), value));
}

async function drawSend({ go }) {
  const kind = select("kind", [["text", t("Text")], ["file", t("File")], ["poll", t("Poll")]], "text");
  const message = field(t("Message"), h("textarea", { name: "message", maxlength: 4096 }));
  const file = field(t("File"), h("input", { type: "file", name: "media" }));
  const type = field(t("Kind of file"), select("mediaType", [["image", t("image")], ["video", t("video")], ["audio", t("audio")], ["document", t("document")]], "image"));
  const options = field(t("Options"), h("textarea", { name: "options", placeholder: t("One in each line") }));
  const later = field(t("Send at"), h("input", { type: "datetime-local", name: "sendAt" }), t("Empty: now. At most 30 days ahead."));
  const show = () => {
    file.hidden = type.hidden = kind.value !== "file";
    options.hidden = kind.value !== "poll";
    later.hidden = kind.value !== "text";
  };
  kind.addEventListener("change", show);
  show();
  return [card(null, form(t("Send"), async (data, element) => {
    const session = data.get("session");
    const answer = await sendOne(session, data);
    const id = answer.messageId;
    toast(answer.message ?? t("Taken"));
    element.reset();
    show();
    if (id) setTimeout(() => go(`/events/${id}`), 900);
    else go("/jobs");
  }, await sessionField(), field(t("To"), h("input", { name: "to", required: true, placeholder: "6281234567890" }), t("A number with its country code, or a JID.")),
  field(t("What"), kind), message, file, type, options, later))];
}

async function sendOne(session, data) {
  const to = data.get("to");
  if (data.get("kind") === "file") {
    const body = new FormData();
    for (const [name, value] of [["to", to], ["mediaType", data.get("mediaType")], ["caption", data.get("message")], ["media", data.get("media")]]) body.append(name, value);
    return call("POST", sessionPath(session, "send-media"), body);
  }
  if (data.get("kind") === "poll") {
    const options = data.get("options").split("\n").map((one) => one.trim()).filter(Boolean);
    return post(sessionPath(session, "send-poll"), { to, name: data.get("message"), options });
  }
  if (data.get("sendAt")) {
    const sendAt = new Date(data.get("sendAt")).toISOString();
    return post(sessionPath(session, "jobs"), { messages: [{ to, message: data.get("message") }], sendAt });
  }
  return post(sessionPath(session, "send-message"), { to, message: data.get("message") });
}

async function drawJobs({ params, go, onLeave, again }) {
  const session = params.get("session") ?? "default";
  onLeave(refreshOn(["job.", "message.queued"], again));
  const path = sessionPath(session, "jobs");
  const pick = await sessionField(session);
  pick.querySelector("select").addEventListener("change", (event) => go(query("/jobs", { session: event.target.value })));
  const list = await paged((after) => get(query(path, { after, limit: 50 })),
    (rows) => table(t("Jobs"), [
      [t("Job"), (one) => one.name ?? one.id],
      [t("State"), (one) => badge(one.state)],
      [t("Sent"), (one) => `${number(one.sent)} / ${number(one.total)}`, "right"],
      [t("Failed"), (one) => number(one.failed), "right"],
      [t("Waits until"), (one) => (one.until ? time(one.until) : "—")],
      [t("Why"), (one) => one.reason ?? "—"],
      [t("Made"), (one) => time(one.createdAt)],
      ["", (one) => may("send") && !["done", "cancelled", "failed"].includes(one.state) && button(t("Cancel"), async () => {
        if (!(await confirmed(t("Cancel this job"), t("What was sent stays sent."), t("Cancel the job")))) return;
        await call("DELETE", `${path}/${one.id}`);
        await again();
      })],
    ], rows),
    () => empty(t("No jobs"), t("Messages that are sent later, or many at once, appear here."), link("/send", t("Send"), "button primary")));
  return [h("div", { class: "filters" }, pick), list];
}
