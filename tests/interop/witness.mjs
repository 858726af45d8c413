// Baileys as a witness: all that it reports of an account, as it reports it, line by line in JSON.
//
//   SIM_WS=ws://… node witness.mjs FOLDER
//
// Credentials lie in FOLDER. It says on standard output
//   {"event":"qr","qr"} {"event":"open"} {"event":"told","name","data"}: an event of Baileys by its own name, bytes in base64
// and takes from standard input, a line each,
//   {"call":{"method","args"}}: calls a method of the socket; says {"event":"done"}
//   {"encode":message}: the JSON of a protobuf as its bytes; says {"event":"done","bytes"}, in hexadecimal digits
import { proto, useMultiFileAuthState } from 'baileys';
import { createInterface } from 'node:readline';
import { BaileysClient } from './baileys.mjs';

// What JSON has not: times, as seconds, and what protobufs have, numbers of 64 bits and bytes.
function plain(name, value) {
  if (this[name] instanceof Date) return Math.floor(this[name] / 1000);
  if (value?.type === 'Buffer') return Buffer.from(value.data).toString('base64');
  if (typeof value?.low === 'number' && typeof value.high === 'number') return value.high * 2 ** 32 + (value.low >>> 0);
  return value;
}

const say = (line) => process.stdout.write(JSON.stringify(line, plain) + '\n');
const { state, saveCreds } = await useMultiFileAuthState(process.argv[2]);
const client = new BaileysClient(process.env.SIM_WS, { auth: state, listen }).start();

function listen(socket) {
  socket.ev.on('creds.update', saveCreds);
  socket.ev.process((events) => {
    for (const [name, data] of Object.entries(events)) {
      if (name === 'connection.update') {
        if (data.qr) say({ event: 'qr', qr: data.qr });
        if (data.connection === 'open') say({ event: 'open' });
      } else if (name !== 'creds.update') say({ event: 'told', name, data });
    }
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { call, encode } = JSON.parse(line);
  if (encode) {
    const bytes = proto.Message.encode(proto.Message.fromObject(encode)).finish();
    say({ event: 'done', bytes: Buffer.from(bytes).toString('hex') });
  }
  if (call) {
    await client.socket[call.method](...call.args);
    say({ event: 'done' });
  }
}
process.exit(0);
