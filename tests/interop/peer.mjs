// Baileys as a process that a test talks to, line by line in JSON.
//
//   SIM_WS=ws://… node peer.mjs FOLDER
//
// Credentials lie in FOLDER, so that the same device comes back after a restart. It says on standard output
//   {"event":"qr","qr"} {"event":"open","jid"} {"event":"message","id","from","text","message","bytes"} {"event":"sent","id"} {"event":"closed","code"}
// where `message` is what it decrypted, as JSON, and `bytes` the same as a protobuf in base64; and takes from standard input
//   {"send":{"to","text"}}
import { proto, useMultiFileAuthState } from 'baileys';
import { createInterface } from 'node:readline';
import { BaileysClient, isFinal } from './baileys.mjs';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const { state, saveCreds } = await useMultiFileAuthState(process.argv[2]);
const client = new BaileysClient(process.env.SIM_WS, { auth: state, listen }).start();

function listen(socket) {
  socket.ev.on('creds.update', saveCreds);
  socket.ev.on('connection.update', ({ connection, qr, lastDisconnect }) => {
    if (qr) say({ event: 'qr', qr });
    if (connection === 'open') say({ event: 'open', jid: socket.user.id });
    const code = lastDisconnect?.error?.output?.statusCode;
    if (connection === 'close' && isFinal(code)) say({ event: 'closed', code });
  });
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) {
      if (!message) continue;
      const text = message.conversation ?? message.extendedTextMessage?.text;
      const bytes = Buffer.from(proto.Message.encode(message).finish()).toString('base64');
      say({ event: 'message', id: key.id, from: key.remoteJid, fromMe: key.fromMe ?? false, text, message, bytes });
    }
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { to, text } = JSON.parse(line).send;
  say({ event: 'sent', id: await client.sendText(to, text) });
}
process.exit(0);
