// Baileys as a process that a test talks to, line by line in JSON.
//
//   SIM_WS=ws://… node peer.mjs FOLDER
//
// Credentials lie in FOLDER, so that the same device comes back after a restart. It says on standard output
//   {"event":"qr","qr"} {"event":"open","jid"} {"event":"message","id","from","text"} {"event":"sent","id"} {"event":"closed","code"}
// and takes from standard input
//   {"send":{"to","text"}}
import { Browsers, makeWASocket, useMultiFileAuthState } from 'baileys';
import { createInterface } from 'node:readline';

// The library writes sessions to the console.
for (const level of ['log', 'info', 'warn', 'error']) console[level] = () => {};
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

const { state, saveCreds } = await useMultiFileAuthState(process.argv[2]);
const sent = new Map();
let socket;

function connect() {
  socket = makeWASocket({
    auth: state,
    logger: silent,
    waWebSocketUrl: process.env.SIM_WS,
    browser: Browsers.macOS('Chrome'),
    markOnlineOnConnect: true,
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => false,
    getMessage: async (key) => sent.get(key.id),
  });
  socket.ev.on('creds.update', saveCreds);
  socket.ev.on('connection.update', ({ connection, qr, lastDisconnect }) => {
    if (qr) say({ event: 'qr', qr });
    if (connection === 'open') say({ event: 'open', jid: socket.user.id });
    if (connection !== 'close') return;
    const code = lastDisconnect?.error?.output?.statusCode;
    if (code === 515 || code === 428 || code === 503) connect();
    else say({ event: 'closed', code });
  });
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) {
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      if (text) say({ event: 'message', id: key.id, from: key.remoteJid, fromMe: key.fromMe ?? false, text });
    }
  });
}

connect();

for await (const line of createInterface({ input: process.stdin })) {
  const { send } = JSON.parse(line);
  if (!send) continue;
  const { key, message } = await socket.sendMessage(send.to, { text: send.text });
  sent.set(key.id, message);
  say({ event: 'sent', id: key.id });
}
process.exit(0);
