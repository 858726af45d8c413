// Baileys as a process that a test talks to, line by line in JSON.
//
//   SIM_WS=ws://… node peer.mjs FOLDER
//
// Credentials lie in FOLDER, so that the same device comes back after a restart. It says on standard output
//   {"event":"qr","qr"} {"event":"open","jid"} {"event":"message","id","from","text","message","bytes"} {"event":"sent","id"} {"event":"closed","code"}
//   {"event":"call","id","status","from","callerPn","isVideo","isGroup"} {"event":"contact","id","notify","imgUrl"}
//   {"event":"history","messages","chats","names"}: the ids of messages and chats, and the names of contacts, of a piece of the history
// where `message` is what it decrypted, as JSON, and `bytes` the same as a protobuf in base64; and takes from standard input
//   {"send":{"to","text"}} or {"send":{"to","message"}}, where `message` is the JSON of a protobuf
//   {"download":{"id"}}: fetches and decrypts the file of a message; says {"event":"file","id","length","sha256"}
//   {"document":{"to","name","text"}}: sends a file that says `text`; says "sent"
//   {"reject":{"id","from"}}: rejects a call; says "sent"
//   {"vote":{"to","poll","options"}}: votes in a poll that it received from `to`, by id; says "sent"
//   {"open":{"vote","poll"}}: opens a vote that it received in a poll that it sent, by their ids; says {"event":"opened","id","poll","options"},
//     where `options` are their hashes in hexadecimal digits
//   {"call":{"method","args"}}: calls a method of the socket that changes the app state; says {"event":"called"}
// What other devices of the account did it says as {"event":"state","name","row"}, a line per row, `name` as Baileys calls it.
import { decryptPollVote, downloadContentFromMessage, generateWAMessageContent, jidNormalizedUser, proto, useMultiFileAuthState } from 'baileys';
import { createCipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { BaileysClient, isFinal } from './baileys.mjs';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const { state, saveCreds } = await useMultiFileAuthState(process.argv[2]);
const received = new Map();
const senders = new Map();
const client = new BaileysClient(process.env.SIM_WS, { auth: state, listen }).start();

function listen(socket) {
  socket.ev.on('creds.update', saveCreds);
  socket.ev.on('connection.update', ({ connection, qr, lastDisconnect }) => {
    if (qr) say({ event: 'qr', qr });
    if (connection === 'open') say({ event: 'open', jid: socket.user.id });
    const code = lastDisconnect?.error?.output?.statusCode;
    if (connection === 'close' && isFinal(code)) say({ event: 'closed', code });
  });
  socket.ev.on('call', (calls) => {
    for (const { id, status, from, callerPn, isVideo, isGroup } of calls) say({ event: 'call', id, status, from, callerPn, isVideo, isGroup });
  });
  socket.ev.on('contacts.update', (contacts) => {
    for (const { id, notify, imgUrl } of contacts) say({ event: 'contact', id, notify, imgUrl });
  });
  socket.ev.on('messaging-history.set', ({ messages, chats, contacts }) => {
    const names = contacts.flatMap(({ name }) => (name ? [name] : []));
    say({ event: 'history', messages: messages.map(({ key }) => key.id), chats: chats.map(({ id }) => id), names });
  });
  for (const name of ['chats.update', 'chats.delete', 'contacts.upsert', 'messages.delete', 'labels.edit', 'labels.association', 'creds.update']) {
    socket.ev.on(name, (told) => {
      for (const row of Array.isArray(told) ? told : [told]) {
        if (name !== 'creds.update' || row.me) say({ event: 'state', name, row });
      }
    });
  }
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) {
      if (!message) continue;
      received.set(key.id, message);
      senders.set(key.id, [key.participant || key.remoteJid, key.participantAlt || key.remoteJidAlt]);
      const text = message.conversation ?? message.extendedTextMessage?.text;
      const bytes = Buffer.from(proto.Message.encode(message).finish()).toString('base64');
      say({ event: 'message', id: key.id, from: key.remoteJid, fromMe: key.fromMe ?? false, text, message, bytes });
    }
  });
}

const KINDS = { imageMessage: 'image', videoMessage: 'video', audioMessage: 'audio', documentMessage: 'document', stickerMessage: 'sticker' };

// The file of a message, which Baileys does not check.
async function download(id) {
  let message = received.get(id);
  const wrapper = message.viewOnceMessageV2 ?? message.documentWithCaptionMessage;
  message = wrapper?.message ?? message;
  const [field, kind] = Object.entries(KINDS).find(([field]) => message[field]);
  const { mediaKey, url } = message[field];
  // Without a path it fetches from the address as it is; with one always by https.
  const pieces = await downloadContentFromMessage({ mediaKey, url }, kind).then((stream) => stream.toArray());
  const file = Buffer.concat(pieces);
  return { event: 'file', id, length: file.length, sha256: createHash('sha256').update(file).digest('hex') };
}

// Uploads as Baileys does, but by the scheme of this host.
async function upload(path, { mediaType, fileEncSha256B64 }) {
  const { auth, hosts } = await client.socket.refreshMediaConn();
  const token = Buffer.from(fileEncSha256B64, 'base64').toString('base64url');
  const address = `http://${hosts[0].hostname}/mms/${mediaType}/${token}?auth=${encodeURIComponent(auth)}&token=${token}`;
  const headers = { origin: 'https://web.whatsapp.com', 'content-type': 'application/octet-stream' };
  const answer = await fetch(address, { method: 'POST', body: await readFile(path), headers });
  const { url, direct_path: directPath } = await answer.json();
  return { mediaUrl: url, directPath };
}

async function sendDocument({ to, name, text }) {
  const document = { document: Buffer.from(text), fileName: name, mimetype: 'text/plain' };
  const content = await generateWAMessageContent(document, { upload });
  return client.socket.relayMessage(`${to}@s.whatsapp.net`, content, {});
}

// Baileys opens votes and seals none: this is what its decryptPollVote opens.
function vote({ to, poll, options }) {
  const { messageSecret } = received.get(poll).messageContextInfo;
  const [creator, voter] = [`${to}@s.whatsapp.net`, jidNormalizedUser(client.socket.user.id)];
  const key = Buffer.from(hkdfSync('sha256', messageSecret, '', poll + creator + voter + 'Poll Vote', 32));
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(`${poll}\0${voter}`));
  const selectedOptions = options.map((name) => createHash('sha256').update(name).digest());
  const plain = proto.Message.PollVoteMessage.encode({ selectedOptions }).finish();
  const encPayload = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const sealed = { encPayload, encIv: iv };
  const opened = decryptPollVote(sealed, { pollCreatorJid: creator, pollMsgId: poll, pollEncKey: messageSecret, voterJid: voter });
  if (opened.selectedOptions.length !== options.length) throw new Error('Baileys does not open the vote');
  const pollCreationMessageKey = { remoteJid: creator, fromMe: false, id: poll };
  return client.sendMessage(to, { pollUpdateMessage: { pollCreationMessageKey, vote: sealed, senderTimestampMs: Date.now() } });
}

// What was chosen in a poll of this device.
function open({ vote, poll }) {
  const { pollCreationMessageKey, vote: sealed } = received.get(vote).pollUpdateMessage;
  const { messageSecret } = client.sent.get(poll).messageContextInfo;
  // Both by number or by hidden id, as the chat is addressed.
  for (const creator of [client.socket.user.id, client.socket.user.lid]) {
    for (const voter of senders.get(vote)) {
      if (!creator || !voter) continue;
      const names = { pollCreatorJid: jidNormalizedUser(creator), voterJid: jidNormalizedUser(voter) };
      try {
        const opened = decryptPollVote(sealed, { ...names, pollMsgId: poll, pollEncKey: messageSecret });
        const options = opened.selectedOptions.map((hash) => Buffer.from(hash).toString('hex'));
        return { event: 'opened', id: vote, poll: pollCreationMessageKey.id, options };
      } catch {
        // It is sealed for other names.
      }
    }
  }
  throw new Error('Baileys does not open the vote');
}

for await (const line of createInterface({ input: process.stdin })) {
  const { send, download: wanted, document, vote: chosen, open: cast, reject, call } = JSON.parse(line);
  if (send) say({ event: 'sent', id: await (send.message ? client.sendMessage(send.to, send.message) : client.sendText(send.to, send.text)) });
  if (wanted) say(await download(wanted.id));
  if (document) say({ event: 'sent', id: await sendDocument(document) });
  if (cast) say(open(cast));
  if (reject) {
    await client.socket.rejectCall(reject.id, reject.from);
    say({ event: 'sent', id: reject.id });
  }
  if (call) {
    // Its phone shares them soon after it is linked.
    await client.until(() => client.auth.creds.myAppStateKeyId, 'the keys of the app state');
    await client.socket[call.method](...call.args);
    say({ event: 'called' });
  }
  if (chosen) say({ event: 'sent', id: await vote(chosen) });
}
process.exit(0);
