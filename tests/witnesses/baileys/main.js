// A client that nobody here wrote: Baileys, steered by lines of JSON.
//
// Usage: node main.js SIMULATOR_URL FOLDER PUSH_NAME. Commands come on standard input, events go to standard output.
// Only the server's address and the trust anchors differ from a client of the real WhatsApp. The media server's
// certificate comes in NODE_EXTRA_CA_CERTS, which node reads when it starts.
import { createInterface } from 'node:readline'
import pino from 'pino'

// `baileys` is the newest line, `baileys-6` the one before it.
const library = process.env.WITNESS_BAILEYS ?? 'baileys'
const {
  default: makeWASocket,
  Browsers,
  DisconnectReason,
  downloadMediaMessage,
  proto,
  useMultiFileAuthState,
} = await import(library)
const { WA_CERT_DETAILS } = await import(`${library}/lib/Defaults/index.js`)

const [base, folder, pushName] = process.argv.slice(2)
const logger = pino({ level: process.env.WITNESS_LOG ?? 'silent' }, pino.destination(2))
const emit = (event) => console.log(JSON.stringify(event))
const fail = (doing, error) => emit({ event: 'error', text: `${doing}: ${error?.stack ?? error}` })

const anchors = await (await fetch(`${base}/certificate`)).json()
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(anchors.noiseRootKey, 'hex')
// A history has no URL, so the client asks the one media server whose name it knows.
const fetchFrom = globalThis.fetch
globalThis.fetch = (target, options) =>
  fetchFrom(String(target?.url ?? target).replace('//mmg.whatsapp.net/', `//${anchors.mediaHost}/`), options)

let socket
let wanted = false

const jid = (to) => (to.includes('@') ? to : `${to}@s.whatsapp.net`)

const textOf = (message) =>
  message?.conversation ?? message?.extendedTextMessage?.text ?? message?.imageMessage?.caption ?? ''

async function connect() {
  wanted = true
  const { state, saveCreds } = await useMultiFileAuthState(folder)
  // The simulator chooses the account by the push name of the registration.
  socket = makeWASocket({
    auth: state,
    logger,
    browser: Browsers.ubuntu('Chrome'),
    waWebSocketUrl: `${base.replace('http', 'ws')}/ws/chat`,
    shouldSyncHistoryMessage: () => true,
  })
  const own = socket
  own.ev.on('creds.update', saveCreds)
  own.ev.on('connection.update', ({ connection, qr, isNewLogin, lastDisconnect }) => {
    if (own !== socket) return
    if (qr) emit({ event: 'qr', code: qr })
    if (isNewLogin) emit({ event: 'paired', jid: state.creds.me?.id ?? '' })
    if (connection === 'open') emit({ event: 'connected' })
    if (connection === 'close') {
      const code = lastDisconnect?.error?.output?.statusCode
      if (code === DisconnectReason.loggedOut) emit({ event: 'logged_out', reason: String(code) })
      else if (wanted) connect().catch((error) => fail('connect', error))
      else emit({ event: 'disconnected' })
    }
  })
  own.ev.on('messages.upsert', async ({ messages }) => {
    for (const { key, message, pushName, messageStubParameters, ...rest } of messages) {
      if (!message && messageStubParameters) {
        emit({ event: 'undecryptable', id: key.id, why: messageStubParameters.join(' ') })
        continue
      }
      if (!message || message.protocolMessage) continue
      const fields = {
        event: 'message',
        id: key.id,
        text: textOf(message),
        fromMe: Boolean(key.fromMe),
        from: key.participant || key.remoteJid,
        chat: key.remoteJid,
        pushName,
      }
      if (message.imageMessage) {
        try {
          fields.size = (await downloadMediaMessage({ key, message, ...rest }, 'buffer', {})).length
        } catch (error) {
          fail('download', error)
        }
      }
      emit(fields)
      // A receipt that came in the same moment is part of the message.
      if (key.fromMe && rest.status >= proto.WebMessageInfo.Status.DELIVERY_ACK)
        emit({ event: 'receipt', ids: [key.id], type: String(rest.status) })
    }
  })
  own.ev.on('messages.update', (updates) => {
    for (const { key, update } of updates) emit({ event: 'receipt', ids: [key.id], type: String(update.status ?? '') })
  })
  own.ev.on('presence.update', ({ id, presences }) => {
    for (const [from, { lastKnownPresence: state }] of Object.entries(presences)) {
      if (state === 'composing' || state === 'recording') emit({ event: 'typing', chat: id, from, state })
      else emit({ event: 'presence', chat: id, from, unavailable: state === 'unavailable' })
    }
  })
  const setting = (name, chat, on) => emit({ event: 'setting', setting: name, chat, on })
  own.ev.on('chats.update', (updates) => {
    for (const { id, pinned, muteEndTime, archived } of updates) {
      if (pinned !== undefined) setting('pin', id, Boolean(pinned))
      if (muteEndTime !== undefined) setting('mute', id, Boolean(muteEndTime))
      if (archived !== undefined) setting('archive', id, archived)
    }
  })
  own.ev.on('contacts.upsert', (contacts) => {
    for (const { id, name } of contacts) if (name) emit({ event: 'setting', setting: 'contact', chat: id, text: name })
  })
  own.ev.on('groups.upsert', (groups) => {
    for (const { id, subject } of groups) emit({ event: 'joined_group', id, name: subject })
  })
  own.ev.on('groups.update', (groups) => {
    for (const { id, subject, announce } of groups) emit({ event: 'group', id, name: subject, announce })
  })
  own.ev.on('chats.update', (updates) => {
    for (const { id, ephemeralExpiration } of updates)
      if (ephemeralExpiration !== undefined) emit({ event: 'group', id, ephemeral: ephemeralExpiration })
  })
  own.ev.on('messaging-history.set', ({ messages, syncType }) => {
    const kind = proto.HistorySync.HistorySyncType[syncType]
    for (const { message } of messages) emit({ event: 'history', kind, text: textOf(message) })
  })
  own.ev.on('call', (calls) => {
    for (const { id, status, groupJid } of calls) emit({ event: 'call', id, state: status, group: groupJid ?? '' })
  })
  own.ev.on('contacts.update', (contacts) => {
    for (const { imgUrl } of contacts) if (imgUrl) emit({ event: 'picture_changed', removed: imgUrl === 'removed' })
  })
  own.ev.on('creds.update', ({ me }) => {
    if (me?.name) emit({ event: 'setting', setting: 'push_name', text: me.name })
  })
}

const commands = {
  connect,
  disconnect: async () => {
    wanted = false
    await socket.end(undefined)
    emit({ event: 'disconnected' })
  },
  pair_code: async ({ number }) => emit({ event: 'pair_code', code: await socket.requestPairingCode(number) }),
  send: async ({ to, text }) => emit({ event: 'sent', id: (await socket.sendMessage(jid(to), { text })).key.id }),
  send_image: async ({ to, text, base64 }) => {
    const image = Buffer.from(base64, 'base64')
    emit({ event: 'sent', id: (await socket.sendMessage(jid(to), { image, caption: text })).key.id })
  },
  exists: async ({ number }) => {
    const found = await socket.onWhatsApp(number)
    emit({ event: 'exists', found: Boolean(found?.[0]?.exists) })
  },
  about: async ({ number }) => {
    const found = await socket.fetchStatus(jid(number))
    emit({ event: 'about', text: found?.[0]?.status?.status ?? '' })
  },
  group_create: async ({ name, with: numbers }) => {
    const group = await socket.groupCreate(name, numbers.map(jid))
    emit({ event: 'group_created', id: group.id, members: group.participants.length })
  },
  group_topic: async ({ to }) => emit({ event: 'group_topic', text: (await socket.groupMetadata(to)).desc ?? '' }),
  set: async ({ name, to, on, text }) => {
    if (name === 'push_name') await socket.updateProfileName(text)
    else if (name === 'pin') await socket.chatModify({ pin: on }, jid(to))
    else if (name === 'mute') await socket.chatModify({ mute: on ? -1 : null }, jid(to))
    else if (name === 'archive') await socket.chatModify({ archive: on, lastMessages: [] }, jid(to))
    else throw new Error('no such setting')
    emit({ event: 'set' })
  },
  status_post: async ({ text, with: numbers }) => {
    const options = { statusJidList: numbers.map(jid), backgroundColor: '#1E6E4F', font: 1 }
    emit({ event: 'sent', id: (await socket.sendMessage('status@broadcast', { text }, options)).key.id })
  },
  read: async ({ to, id }) => socket.readMessages([{ remoteJid: jid(to), id, fromMe: false }]),
  privacy: async ({ name, state }) => {
    if (name !== 'last') throw new Error('no such setting')
    await socket.updateLastSeenPrivacy(state)
    emit({ event: 'privacy' })
  },
  picture: async ({ to }) => emit({ event: 'picture', url: (await socket.profilePictureUrl(jid(to), 'image')) ?? '' }),
  channel_create: async ({ name }) => {
    const { id, name: called } = await socket.newsletterCreate(name)
    const shown = await socket.newsletterMetadata('jid', id)
    emit({ event: 'channel_created', id, name: called, role: shown.viewer_metadata.role })
  },
  channel_send: async ({ to, text }) => socket.sendMessage(to, { text }),
  channel_follow: async ({ to }) => {
    await socket.newsletterFollow(to)
    emit({ event: 'channel_followed' })
  },
  channel_unfollow: async ({ to }) => {
    await socket.newsletterUnfollow(to)
    emit({ event: 'channel_unfollowed' })
  },
  channel_hand_over: async ({ to, person }) => socket.newsletterChangeOwner(to, person),
  channel_react: async ({ to, id, text }) => socket.newsletterReactMessage(to, id, text),
  community_create: async ({ name }) => {
    await socket.communityCreate(name, '')
    emit({ event: 'community_created' })
  },
  community_link: async ({ to, group }) => {
    await socket.communityLinkGroup(group, to)
    emit({ event: 'community_linked' })
  },
  community_groups: async ({ to }) => {
    const { linkedGroups } = await socket.communityFetchLinkedGroups(to)
    emit({ event: 'community_groups', groups: linkedGroups.map(({ id }) => id) })
  },
  business: async ({ to }) => {
    const { address, category } = await socket.getBusinessProfile(jid(to))
    emit({ event: 'business', address, category })
  },
  bots: async () => emit({ event: 'bots', count: (await socket.getBotListV2()).length }),
  available: async () => socket.sendPresenceUpdate('available'),
  subscribe: async ({ to }) => socket.presenceSubscribe(jid(to)),
  typing: async ({ to, state }) => socket.sendPresenceUpdate(state, jid(to)),
  logout: async () => {
    wanted = false
    await socket.logout()
  },
}

process.on('unhandledRejection', (error) => {
  // The older line takes what comes in the same moment as the handshake's end for a part of it, and connects again then.
  if (library !== 'baileys' && /unable to authenticate data/.test(error?.message)) socket.end(error)
  else fail('unhandled', error)
})
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  // One after another, as a person would.
  await commands[order.do](order).catch((error) => fail(order.do, error))
}
process.exit(0)
