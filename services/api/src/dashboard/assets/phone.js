// The demo's simulated phone: write as a contact, see what the contact gets, break things.

import { get, onEvent, post, query } from "./api.js";
import { button, card, confirmed, empty, field, form, h, select, t, time, toast } from "./dom.js";

const CONTACTS = [["6281234567890", "+62 812-3456-7890"], ["5511987654321", "+55 11 98765-4321"], ["4915112345678", "+49 1511 2345678"]];
const FAULTS = [
  ["drop_connections", "Cut the connection", "WhatsApp's side of every connection breaks. The gateway connects again, and nothing is lost."],
  ["corrupt_next_message", "Damage the next message", "The next message cannot be decrypted. The gateway asks for it again."],
  ["swallow_next_acknowledgement", "Lose the next acknowledgement", "The next send is not acknowledged. The gateway sends it again under the same id."],
  ["remove_device", "Remove this device", "As if the user had removed it on the phone: the session must be paired again."],
];

export async function draw({ params, go, onLeave }) {
  const number = params.get("contact") ?? CONTACTS[0][0];
  const contact = select("contact", CONTACTS, number);
  contact.addEventListener("change", () => go(query("/phone", { contact: contact.value })));
  const bubbles = h("div", { class: "bubbles", tabindex: "0", role: "log", "aria-label": t("What the contact sees") });
  const load = async () => {
    const path = query(`/api/chats/${encodeURIComponent(`${number}@s.whatsapp.net`)}/messages`, { limit: 50 });
    const rows = (await get(path).catch(() => ({ data: [] }))).data;
    bubbles.replaceChildren(...(rows.length ? rows.map(bubble) : [empty(t("Nothing was written yet"), t("Write as the contact, and the message goes the whole way."))]));
  };
  await load();
  let waits;
  onLeave(onEvent((event) => {
    if (waits || !event.event.startsWith("message.")) return;
    // The index has it a moment later.
    waits = setTimeout(async () => { waits = null; await load(); }, 600);
  }));
  const write = form(t("Write"), async (data, element) => {
    await post("/api/demo/messages", { contact: number, text: data.get("text") });
    element.reset();
    setTimeout(load, 900);
  }, field(t("Message"), h("input", { name: "text", required: true, maxlength: 4096, autocomplete: "off", placeholder: t("As the contact") })));
  write.className = "reply";
  const faults = FAULTS.map(([fault, title, what]) => h("div", { class: "row spread" },
    h("div", {}, h("strong", {}, t(title)), h("p", { class: "soft" }, t(what))),
    button(t("Do it"), async () => {
      if (fault === "remove_device" && !(await confirmed(t("Remove this device"), t(what), t("Remove this device")))) return;
      toast((await post("/api/demo/faults", { fault })).message);
    }, "quiet")));
  return [
    h("p", { class: "soft" }, t("This WhatsApp is simulated: nothing here reaches a real phone.")),
    h("div", { class: "filters" }, field(t("Contact"), contact)),
    h("div", { class: "halves" },
      h("section", { class: "conversation phone", "aria-label": t("The contact's phone") }, bubbles, write),
      card(t("Break things"), ...faults)),
  ];
}

// The contact's own messages are on the right, as on a phone.
function bubble(message) {
  return h("a", { href: `/events/${message.eventId}`, class: `bubble ${message.fromMe ? "" : "mine"}`, title: t("Its life") },
    message.text ?? message.kind, h("span", { class: "meta" }, time(message.at)));
}
