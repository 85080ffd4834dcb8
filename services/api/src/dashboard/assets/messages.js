// Messages: search, chats, and one chat as a chat. Each message leads to its life.

import { call, get, may, onEvent, post, query, sessionPath } from "./api.js";
import { button, card, confirmed, empty, field, form, h, link, paged, person, t, table, time, toast } from "./dom.js";

const STATUS = { server: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓" };
const KINDS = { image: "🖼", video: "🎬", audio: "🎤", document: "📄", sticker: "🌟", contact: "👤", contacts: "👥", location: "📍", live_location: "📍", poll: "📊" };

export async function draw({ id, params, go, onLeave, again }) {
  const q = params.get("q");
  if (q) return drawSearch(q);
  const [chats, index] = await Promise.all([get("/api/chats?limit=200"), get("/api/index")]);
  const session = params.get("session") ?? "default";
  if (!chats.data.length) {
    return [empty(t("No messages yet"), t("Pair your phone, and messages appear here as they arrive."), link("/sessions", t("Sessions"), "button primary"))];
  }
  const list = h("div", { class: "chat-list", tabindex: "0", role: "region", "aria-label": t("Chats") }, chats.data.map((chat) => {
    const isOpen = chat.id === id && chat.session === session;
    return h("a", { href: query(`/messages/${encodeURIComponent(chat.id)}`, { session: chat.session }), "aria-current": isOpen && "true" },
      h("span", { class: "avatar", "aria-hidden": "true" }, (chat.name ?? (chat.isGroup ? "G" : person(chat.id).slice(-2))).slice(0, 2).toUpperCase()),
      h("strong", {}, chat.name ?? person(chat.id)), h("small", {}, time(chat.lastAt)),
      h("p", {}, chat.lastFromMe ? "↪ " : "", KINDS[chat.lastKind] ?? "", " ", chat.lastText ?? t("(text not kept)")));
  }));
  const conversation = id ? await drawChat({ id, session, chat: chats.data.find((one) => one.id === id), go, onLeave })
    : h("div", { class: "conversation" }, h("div", { class: "bubbles" }));
  onLeave(onEvent((event) => { if (!id && event.event.startsWith("message.")) again(); }));
  const days = Math.round(index.data.retentionSeconds / 86400);
  return [
    h("div", { class: id ? "chats opened" : "chats" }, list, conversation),
    h("p", { class: "soft" }, index.data.messageStore
      ? t("Texts are kept here for {days} days (MESSAGE_STORE, INDEX_RETENTION), and can be erased by chat.", { days })
      : t("MESSAGE_STORE=false: texts are not kept.")),
  ];
}

async function drawChat({ id, session, chat, go, onLeave }) {
  const path = query(`/api/chats/${encodeURIComponent(id)}/messages`, { session, limit: 50 });
  const bubbles = h("div", { class: "bubbles", tabindex: "0", role: "log", "aria-label": t("Messages") });
  const load = async (after) => {
    const page = await get(after ? `${path}&after=${after}` : path);
    const more = page.next && button(t("Earlier messages"), async (event) => { event.target.remove(); await load(page.next); }, "quiet");
    if (!after) bubbles.replaceChildren();
    bubbles.append(...page.data.map(bubble), ...(more ? [more] : []));
  };
  await load();
  let waits;
  onLeave(onEvent((event) => {
    const data = event.body?.data;
    if (data?.chat?.jid !== id || waits) return;
    // The index has it a moment later.
    waits = setTimeout(async () => { waits = null; await load(); }, 600);
  }));
  const reply = may("send") && form(t("Send"), async (data, element) => {
    await post(sessionPath(session, "send-message"), { to: id, message: data.get("message") });
    element.reset();
    setTimeout(load, 700);
  }, field(t("Message"), h("input", { name: "message", required: true, maxlength: 4096, placeholder: t("Message"), autocomplete: "off" })));
  if (reply) reply.className = "reply";
  const erase = may("manage") && button(t("Erase"), async () => {
    if (!(await confirmed(t("Erase this chat"), t("Its messages leave the search index of every replica for good. NATS keeps its events as long as before."), t("Erase")))) return;
    const answer = await call("DELETE", `/api/chats/${encodeURIComponent(id)}`);
    toast(t("{count} messages erased", { count: answer.data.messages }));
    go("/messages");
  }, "quiet");
  return h("section", { class: "conversation", "aria-label": chat?.name ?? id },
    h("header", { class: "row spread" }, h("div", { class: "row" }, link("/messages", "←", "quiet"),
      h("div", {}, h("strong", {}, chat?.name ?? person(id)), h("div", { class: "soft" }, person(id), " · ", session))), erase),
    bubbles, reply);
}

function bubble(message) {
  const kind = KINDS[message.kind];
  const text = message.revoked ? t("Deleted for everyone") : message.text ?? (kind ? "" : t("(text not kept)"));
  return h("a", { href: `/events/${message.eventId}`, class: `bubble ${message.fromMe ? "mine" : ""} ${message.revoked ? "revoked" : ""}`, title: t("Its life") },
    message.authorName && !message.fromMe && message.chat.endsWith("@g.us") && h("strong", {}, message.authorName, "\n"),
    kind && `${kind} `, text,
    h("span", { class: "meta" }, message.reaction, message.edited && t("edited"), time(message.at),
      message.fromMe && message.status && h("span", { title: t(message.status) }, STATUS[message.status] ?? message.status)));
}

async function drawSearch(q) {
  const results = await paged((after) => get(query("/api/search", { q, after, limit: 50 })),
    (hits) => table(t("Results"), [
      [t("Found"), (hit) => hit.found === "message" ? hit.message.text ?? hit.message.kind : hit.found === "contact" ? hit.contact.name ?? person(hit.contact.id) : hit.event.event],
      [t("Kind"), (hit) => t(hit.found)],
      [t("Chat"), (hit) => person(hit.message?.chat ?? hit.contact?.id ?? hit.event?.chat)],
      [t("Time"), (hit) => time(hit.message?.at ?? hit.contact?.lastAt ?? hit.event?.at)],
    ], hits, (hit) => hit.found === "contact" ? query(`/messages/${encodeURIComponent(hit.contact.id)}`, { session: hit.contact.session }) : `/events/${(hit.message ?? hit.event).eventId ?? hit.event.id}`),
    () => empty(t("Nothing was found"), t("Search finds whole words and their beginnings, names, numbers and ids."), link("/messages", t("All chats"), "button")));
  return [card(null, h("div", { class: "row spread" }, h("span", {}, t("Results for"), " ", h("strong", {}, q)), link("/messages", t("All chats")))), results];
}
