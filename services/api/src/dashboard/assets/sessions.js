// Sessions: the state of each, its QR code live, a pairing code, a passkey, and its history.

import { call, get, may, onEvent, post, refreshOn, sessionPath } from "./api.js";
import { badge, button, card, confirmed, field, form, h, link, person, t, table, time, toast, words } from "./dom.js";

export async function draw(page) {
  return page.id ? drawOne(page) : drawAll(page);
}

async function drawAll({ onLeave, again }) {
  const sessions = (await get("/api/sessions")).data;
  onLeave(refreshOn(["connection.", "session."], again));
  return [table(t("Sessions"), [
    [t("Session"), (one) => one.id],
    [t("State"), (one) => (one.status ? badge(one.status) : badge("no gateway", "bad"))],
    [t("Account"), (one) => person(one.jid)],
    [t("Reason"), (one) => one.reason ?? "—"],
  ], sessions, (one) => `/sessions/${one.id}`)];
}

async function drawOne({ id, onLeave, again }) {
  const [status, history] = await Promise.all([
    get(sessionPath(id, "status")).then((answer) => answer.data, (error) => ({ status: null, reason: error.message })),
    get(`/api/events?session=${encodeURIComponent(id)}&type=connection.status&limit=100`),
  ]);
  onLeave(onEvent((event) => {
    if (event.session === id && /^(connection|session)\./.test(event.event)) again();
  }));
  const act = (path, label, kind, question) => may("manage") && button(label, async () => {
    if (question && !(await confirmed(label, question, label))) return;
    toast((await post(sessionPath(id, path))).message ?? t("Done"));
    await again();
  }, kind);
  return [
    h("p", { class: "row" }, link("/sessions", `← ${t("Sessions")}`)),
    h("div", { class: "halves" },
      card(id, h("dl", {},
        h("dt", {}, t("State")), h("dd", {}, status.status ? badge(status.status) : badge("no gateway", "bad")),
        h("dt", {}, t("Account")), h("dd", {}, person(status.jid)),
        h("dt", {}, t("Reason")), h("dd", {}, status.reason ?? "—"),
        status.restriction && [h("dt", {}, t("Restriction")), h("dd", {}, words(status.restriction.kind), " ", t("until"), " ", time(status.restriction.until))],
        h("dt", {}, t("Phone last seen")), h("dd", {}, time(status.phoneLastSeen))),
      h("div", { class: "actions" }, act("restart", t("Restart")),
        act("logout", t("Log the device out"), "danger", t("The pairing ends, and the phone has to scan a new QR code.")))),
      status.qrCode ? pairing(id, onLeave) : card(t("Pairing"), h("p", { class: "soft" },
        status.isConnected ? t("The phone is paired.") : t("A QR code appears here when the session waits for one.")))),
    card(t("History"), history.data.length
      ? h("ol", { class: "timeline" }, history.data.filter((event, index, all) => event.detail !== all[index - 1]?.detail).map((event) => h("li", { class: event.detail === "connected" ? "good" : "" },
        h("div", { class: "head" }, badge(event.detail), time(event.at)))))
      : h("p", { class: "soft" }, t("Nothing happened yet."))),
  ];
}

function pairing(id, onLeave) {
  const left = h("span", {}, "20");
  const picture = h("img", { class: "qr", alt: t("QR code to scan with WhatsApp"), src: `${sessionPath(id, "qr")}?format=svg&t=${Date.now()}` });
  const until = Date.now() + 20000;
  // The next code comes as an event, which draws the page again.
  const timer = setInterval(() => { left.textContent = Math.max(0, Math.ceil((until - Date.now()) / 1000)); }, 500);
  onLeave(() => clearInterval(timer));
  const code = h("p", { class: "code", "aria-live": "polite" });
  const number = h("input", { name: "number", inputmode: "tel", placeholder: "6281234567890", required: true, maxlength: 20 });
  return card(t("Pair your phone"),
    h("p", {}, t("WhatsApp on the phone: Settings, Linked devices, Link a device.")), may("manage") && picture,
    h("p", { class: "soft" }, t("A new code comes by itself, at the latest in"), " ", left, " s."),
    may("manage") && h("details", {}, h("summary", {}, t("Without a camera: a pairing code")),
      form(t("Make a code"), async (data) => {
        const answer = await call("POST", sessionPath(id, "pairing-code"), { phoneNumber: data.get("number") });
        code.textContent = answer.data.code.replace(/(.{4})/, "$1 ");
      }, field(t("Phone number"), number, t("With the country code, only digits.")), code)),
    link("/docs", t("An account with a passkey: see the API reference"), "soft"));
}
