// Keys: who may call the API, and what. Audit: what each changed.

import { call, get, post, query } from "./api.js";
import { badge, button, card, confirmed, dialog, empty, field, form, h, link, paged, t, table, time, toast } from "./dom.js";

export async function draw(page) {
  return page.name === "audit" ? drawAudit(page) : drawKeys(page);
}

async function drawKeys({ again }) {
  const keys = (await get("/api/keys?limit=1000")).data;
  const scopes = [["read", t("look at everything")], ["send", t("send messages")], ["manage", t("change endpoints and sessions, replay")], ["admin", t("everything, keys included")]];
  const add = button(t("Make a key"), () => {
    const box = dialog(t("Make a key"), form(t("Make"), async (data) => {
      const body = { name: data.get("name"), scopes: data.getAll("scope") };
      const sessions = data.get("sessions").split(",").map((one) => one.trim()).filter(Boolean);
      if (sessions.length) body.sessions = sessions;
      if (data.get("expiresAt")) body.expiresAt = new Date(data.get("expiresAt")).toISOString();
      if (data.get("rate")) body.requestsPerMinute = Number(data.get("rate"));
      const { data: made } = await post("/api/keys", body);
      box.close();
      const shown = dialog(t("The new key"), h("p", {}, t("It is shown this once.")), h("pre", { tabindex: "0" }, made.key),
        h("div", { class: "actions" }, button(t("Copy"), async () => { await navigator.clipboard.writeText(made.key); toast(t("Copied")); }), button(t("Done"), () => shown.close(), "primary")));
      shown.addEventListener("close", again);
    }, field(t("Name"), h("input", { name: "name", required: true, maxlength: 100 })),
    h("fieldset", {}, h("legend", {}, t("What it may do")), h("div", { class: "checks" }, scopes.map(([scope, text]) =>
      h("label", {}, h("input", { type: "checkbox", name: "scope", value: scope, checked: scope === "read" }), `${scope}: ${text}`)))),
    field(t("Sessions"), h("input", { name: "sessions" }), t("With commas between; empty: all.")),
    field(t("Ends"), h("input", { type: "datetime-local", name: "expiresAt" }), t("Empty: never.")),
    field(t("Requests in a minute"), h("input", { type: "number", name: "rate", min: 1 }), t("Empty: no limit."))));
  }, "primary");
  const list = keys.length ? table(t("Keys"), [
    [t("Name"), (one) => one.name],
    [t("Begins with"), (one) => h("code", {}, `${one.startsWith}…`)],
    [t("May"), (one) => one.scopes.map((scope) => [badge(scope, "info"), " "])],
    [t("Sessions"), (one) => one.sessions.join(", ") || t("all")],
    [t("Ends"), (one) => (one.expired ? badge("expired") : one.expiresAt ? time(one.expiresAt) : t("never"))],
    [t("Made"), (one) => time(one.createdAt)],
    ["", (one) => h("div", { class: "row" }, link(`/audit?key=${one.id}`, t("Its changes")), button(t("Delete"), async () => {
      if (!(await confirmed(t("Delete this key"), t("Every replica refuses it from now on."), t("Delete")))) return;
      await call("DELETE", `/api/keys/${one.id}`);
      await again();
    }, "danger"))],
  ], keys) : empty(t("Only API_KEY"), t("Give each program a key of its own, with no more rights than it needs."), add);
  return [keys.length > 0 && h("p", {}, add), list].filter(Boolean);
}

async function drawAudit({ params }) {
  const filter = Object.fromEntries(params);
  const list = await paged((after) => get(query("/api/audit", { ...filter, after, limit: 100 })),
    (rows) => table(t("Audit"), [
      [t("What"), (one) => one.action],
      [t("Status"), (one) => badge(String(one.status), one.status < 300 ? "good" : "bad")],
      [t("Who"), (one) => [one.keyName, one.viaDashboard ? h("small", {}, ` (${t("dashboard")})`) : ""]],
      [t("Target"), (one) => h("code", {}, one.target ?? one.path)],
      [t("From"), (one) => one.address],
      [t("Time"), (one) => time(one.at)],
    ], rows),
    () => empty(t("Nothing was changed yet"), t("Each change through the API appears here: who, what and from where.")));
  return [filter.key && card(null, t("Only the key"), " ", h("code", {}, filter.key), " · ", link("/audit", t("All"))), list].filter(Boolean);
}
