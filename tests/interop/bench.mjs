// What Baileys needs for the work that `make bench` measures, as JSON lines {name, unit, median, min, max}.
//
//   node bench.mjs micro                                   the primitives, in this process
//   SIM_WS=… SIM_CONTROL=… node bench.mjs send N PREFIX    texts to N contacts from one session through the simulator
//   SIM_WS=… SIM_CONTROL=… node --expose-gc bench.mjs idle N   memory of N idle sessions, as a slope
import { makeCacheableSignalKeyStore, makeWASocket, initAuthCreds, proto, Browsers, Curve, signedKeyPair } from 'baileys';
import { encodeBinaryNode } from 'baileys/lib/WABinary/encode.js';
import { decodeBinaryNode } from 'baileys/lib/WABinary/decode.js';
import { makeLibSignalRepository } from 'baileys/lib/Signal/libsignal.js';
import { addTransactionCapability } from 'baileys/lib/Utils/auth-utils.js';
import { decodePatches, encodeSyncdPatch, newLTHashState } from 'baileys/lib/Utils/chat-utils.js';
import { aesDecryptGCM, aesEncryptGCM } from 'baileys/lib/Utils/crypto.js';
import { decryptMessageNode } from 'baileys/lib/Utils/decode-wa-message.js';
import { writeRandomPadMax16 } from 'baileys/lib/Utils/generics.js';
import { downloadAndProcessHistorySyncNotification } from 'baileys/lib/Utils/history.js';
import { randomBytes } from 'node:crypto';
import { deflateSync } from 'node:zlib';

const ROUNDS = 9;
// The library of its sessions writes whole sessions to the console; that is neither wanted nor to be measured.
for (const level of ['log', 'info', 'warn']) console[level] = () => {};
const say = (row) => process.stdout.write(JSON.stringify(row) + '\n');
const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

// Runs `body` in rounds of `count` and prints the median time of one call.
async function measure(name, count, body, more = {}) {
  for (let i = 0; i < Math.min(count, 200); i++) await body(i);
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) await body(i);
    times.push(Number(process.hrtime.bigint() - start) / 1000 / count);
  }
  report(name, 'us', times, more);
}

function report(name, unit, values, more = {}) {
  values.sort((a, b) => a - b);
  const round = (x) => Number(x.toPrecision(5));
  say({ name, unit, median: round(values[values.length >> 1]), min: round(values[0]), max: round(values.at(-1)), ...more });
}

function memoryKeys() {
  const data = new Map();
  return {
    async get(type, ids) {
      const found = {};
      for (const id of ids) {
        const value = data.get(`${type}/${id}`);
        if (value !== undefined) found[id] = value;
      }
      return found;
    },
    async set(values) {
      for (const [type, entries] of Object.entries(values)) {
        for (const [id, value] of Object.entries(entries)) {
          if (value === null) data.delete(`${type}/${id}`);
          else data.set(`${type}/${id}`, value);
        }
      }
    },
  };
}

// The message of the benchmark: two devices, ciphertexts of 176 bytes, as our own bench has it.
function messageNode() {
  const enc = (jid) => ({ tag: 'to', attrs: { jid }, content: [{ tag: 'enc', attrs: { v: '2', type: 'msg' }, content: Buffer.alloc(176, 0x5a) }] });
  return {
    tag: 'message',
    attrs: { id: '3EB0AABBCCDDEEFF001122', to: '15551230002@s.whatsapp.net', type: 'text' },
    content: [{ tag: 'participants', attrs: {}, content: [enc('15551230002@s.whatsapp.net'), enc('15551230002:5@s.whatsapp.net')] }],
  };
}

function bundle() {
  const identity = Curve.generateKeyPair();
  const preKey = Curve.generateKeyPair();
  const signed = signedKeyPair(identity, 1);
  const public33 = (key) => Buffer.concat([Buffer.from([5]), Buffer.from(key)]);
  return {
    registrationId: 1234,
    identityKey: public33(identity.public),
    preKey: { keyId: 1, publicKey: public33(preKey.public) },
    signedPreKey: { keyId: 1, publicKey: public33(signed.keyPair.public), signature: signed.signature },
  };
}

function party() {
  const creds = initAuthCreds();
  const keys = addTransactionCapability(makeCacheableSignalKeyStore(memoryKeys(), silent), silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 });
  return { creds, keys, sessions: makeLibSignalRepository({ creds, keys }, silent, async () => undefined) };
}

const repository = () => party().sessions;

async function micro() {
  const node = messageNode();
  const bytes = encodeBinaryNode(node);
  const size = { bytes: bytes.length };
  await measure('encode_message_2_devices', 5000, () => encodeBinaryNode(node), size);
  await measure('decode_message_2_devices', 5000, () => decodeBinaryNode(bytes), size);

  const one = repository();
  await one.injectE2ESession({ jid: '15551230002@s.whatsapp.net', session: bundle() });
  const text = randomBytes(112);
  await measure('ratchet_encrypt_112', 300, () => one.encryptMessage({ jid: '15551230002@s.whatsapp.net', data: text }));

  const many = repository();
  const bundles = Array.from({ length: 20 }, bundle);
  let peer = 15551240000;
  await measure('session_start', 20, (i) => many.injectE2ESession({ jid: `${peer++}@s.whatsapp.net`, session: bundles[i % 20] }));

  const whole = repository();
  const jids = ['15551230002@s.whatsapp.net', '15551230002:5@s.whatsapp.net', '15551230001@s.whatsapp.net'];
  for (const jid of jids) await whole.injectE2ESession({ jid, session: bundle() });
  const key = randomBytes(32);
  const iv = Buffer.alloc(12);
  await measure('send_3_devices', 200, async () => {
    const message = proto.Message.fromObject({ extendedTextMessage: { text: 'We open at nine tomorrow.' } });
    const content = [];
    for (const jid of jids) {
      const { type, ciphertext } = await whole.encryptMessage({ jid, data: writeRandomPadMax16(proto.Message.encode(message).finish()) });
      content.push({ tag: 'to', attrs: { jid }, content: [{ tag: 'enc', attrs: { v: '2', type }, content: ciphertext }] });
    }
    const stanza = { tag: 'message', attrs: { id: '3EB0AABBCCDDEEFF001122', to: jids[0], type: 'text' }, content: [{ tag: 'participants', attrs: {}, content }] };
    aesEncryptGCM(encodeBinaryNode(stanza), key, iv, Buffer.alloc(0));
  });

  await receiving();
  await patches();
  const notice = historyNotice();
  await measure('history_chunk_1000', 20, () => downloadAndProcessHistorySyncNotification(notice, {}, undefined));
}

// A text that comes in: from its frame to the message, and the receipt. What was said before it makes it a plain message.
async function receiving() {
  const [own, peer] = ['15551230001@s.whatsapp.net', '15551230002@s.whatsapp.net'];
  const [ours, theirs] = [party(), party()];
  const preKey = Curve.generateKeyPair();
  await ours.keys.set({ 'pre-key': { 1: preKey } });
  const { signedIdentityKey, signedPreKey, registrationId } = ours.creds;
  const public33 = (key) => Buffer.concat([Buffer.from([5]), Buffer.from(key)]);
  await theirs.sessions.injectE2ESession({ jid: own, session: {
    registrationId,
    identityKey: public33(signedIdentityKey.public),
    preKey: { keyId: 1, publicKey: public33(preKey.public) },
    signedPreKey: { keyId: signedPreKey.keyId, publicKey: public33(signedPreKey.keyPair.public), signature: signedPreKey.signature },
  } });
  const data = () => writeRandomPadMax16(proto.Message.encode(proto.Message.fromObject({ extendedTextMessage: { text: 'We open at nine tomorrow.' } })).finish());
  const first = await theirs.sessions.encryptMessage({ jid: own, data: data() });
  await ours.sessions.decryptMessage({ jid: peer, type: first.type, ciphertext: first.ciphertext });
  const answer = await ours.sessions.encryptMessage({ jid: peer, data: data() });
  await theirs.sessions.decryptMessage({ jid: own, type: answer.type, ciphertext: answer.ciphertext });
  const key = randomBytes(32);
  const iv = Buffer.alloc(12);
  const frames = [];
  const count = 200;
  for (let n = 0; n < (ROUNDS + 1) * count; n++) {
    const { type, ciphertext } = await theirs.sessions.encryptMessage({ jid: own, data: data() });
    const enc = { tag: 'enc', attrs: { v: '2', type }, content: ciphertext };
    const stanza = { tag: 'message', attrs: { id: `3EB0${n}`, from: peer, type: 'text', t: '1700000000' }, content: [enc] };
    frames.push(aesEncryptGCM(encodeBinaryNode(stanza), key, iv, Buffer.alloc(0)));
  }
  let next = 0;
  await measure('receive_text', count, async () => {
    const node = await decodeBinaryNode(aesDecryptGCM(frames[next++], key, iv, Buffer.alloc(0)));
    const { fullMessage, decrypt } = decryptMessageNode(node, own, '100000000000001@lid', ours.sessions, silent);
    await decrypt();
    if (!fullMessage.message?.extendedTextMessage) throw new Error(`not read: ${fullMessage.messageStubParameters}`);
    aesEncryptGCM(encodeBinaryNode({ tag: 'receipt', attrs: { id: node.attrs.id, to: peer } }), key, iv, Buffer.alloc(0));
  });
}

// Twenty patches of the app state, each of which mutes a chat.
async function patches() {
  const keyId = Buffer.from([0, 0, 0, 0, 0, 1]).toString('base64');
  const keyOf = async () => ({ keyData: Buffer.alloc(32, 7) });
  const all = [];
  let state = newLTHashState();
  for (let n = 0; n < 20; n++) {
    const chat = `1555${String(n).padStart(7, '0')}@s.whatsapp.net`;
    const syncAction = { timestamp: 1_790_000_000_000, muteAction: { muted: true, muteEndTimestamp: 1_790_000_000_000 } };
    const change = { type: 'regular_high', index: ['mute', chat], syncAction, apiVersion: 2, operation: proto.SyncdMutation.SyncdOperation.SET };
    const made = await encodeSyncdPatch(change, keyId, state, keyOf);
    state = made.state;
    all.push({ ...made.patch, version: { version: state.version } });
  }
  await measure('app_state_20_patches', 20, async () => {
    const { state: now } = await decodePatches('regular_high', all, newLTHashState(), keyOf, {}, undefined, silent, true);
    if (now.version !== 20) throw new Error(`at version ${now.version}`);
  });
}

// A piece of the history: fifty chats of twenty messages each.
function historyNotice() {
  const conversations = Array.from({ length: 50 }, (_, chat) => {
    const id = `1555${String(chat).padStart(7, '0')}@s.whatsapp.net`;
    const hex = (n) => n.toString(16).toUpperCase().padStart(9, '0');
    const messages = Array.from({ length: 20 }, (_, place) => ({ message: {
      key: { remoteJid: id, fromMe: place % 3 === 2, id: `3EB0${hex(chat)}${hex(place)}` },
      message: { conversation: `message ${place} of chat ${chat}` },
      messageTimestamp: 1_790_000_000 - place,
    } }));
    return { id, messages, displayName: `Contact ${chat}` };
  });
  const history = proto.HistorySync.fromObject({ syncType: 3, conversations });
  return { initialHistBootstrapInlinePayload: deflateSync(proto.HistorySync.encode(history).finish()) };
}

async function control(path, body) {
  const answer = await fetch(process.env.SIM_CONTROL + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

// Pairs with a phone of its own by QR and returns the open socket.
async function connected(number) {
  await control('/phones', { number, name: 'bench' });
  const auth = { creds: initAuthCreds(), keys: makeCacheableSignalKeyStore(memoryKeys(), silent) };
  for (;;) {
    const socket = makeWASocket({
      auth, logger: silent, waWebSocketUrl: process.env.SIM_WS, browser: Browsers.macOS('Chrome'),
      syncFullHistory: false, markOnlineOnConnect: false, shouldSyncHistoryMessage: () => false,
    });
    socket.ev.on('creds.update', (update) => Object.assign(auth.creds, update));
    const outcome = await new Promise((resolve) => {
      socket.ev.on('connection.update', ({ connection, qr, lastDisconnect }) => {
        if (qr) control(`/phones/${number}/scan`, { qr }).catch(resolve);
        if (connection === 'open') resolve('open');
        if (connection === 'close') resolve(lastDisconnect?.error?.output?.statusCode ?? lastDisconnect?.error);
      });
    });
    if (outcome === 'open') return socket;
    if (outcome !== 515) throw new Error(`pairing failed: ${outcome}`);
  }
}

// Every contact gets one message with which the session begins, then more in the same sessions.
async function send(count, prefix) {
  const socket = await connected('551191' + process.pid);
  const width = String(count - 1).length;
  const numbers = Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(width, '0')}@s.whatsapp.net`);
  // A send is done when the server has it: Baileys itself says so as soon as the socket has taken the bytes.
  const accepted = async () => (await (await fetch(process.env.SIM_CONTROL + '/audit')).json()).messages_accepted;
  const round = async () => {
    const before = await accepted();
    const start = process.hrtime.bigint();
    let next = 0;
    // As many at once as Baileys profits from.
    await Promise.all(Array.from({ length: 16 }, async () => {
      while (next < numbers.length) await socket.sendMessage(numbers[next++], { text: 'We open at nine tomorrow.' });
    }));
    while (await accepted() < before + count) await new Promise((resolve) => setTimeout(resolve, 10));
    return count / (Number(process.hrtime.bigint() - start) / 1e9);
  };
  report('send_first_message', 'messages/s', [await round()]);
  report('send_message', 'messages/s', [await round(), await round(), await round()]);
  process.exit(0);
}

async function idle(count) {
  const resident = () => { globalThis.gc?.(); return process.memoryUsage().rss; };
  await connected('551192000000');
  const before = resident();
  for (let i = 1; i <= count; i++) await connected('5511920' + String(i).padStart(5, '0'));
  const perSession = (resident() - before) / count / 1024;
  say({ name: 'idle_session', unit: 'KiB', median: perSession, min: perSession, max: perSession });
  process.exit(0);
}

const [mode, count, prefix] = process.argv.slice(2);
if (mode === 'micro') await micro();
else if (mode === 'send') await send(Number(count), prefix);
else if (mode === 'idle') await idle(Number(count));
else {
  console.error('usage: node bench.mjs micro | send N PREFIX | idle N');
  process.exit(2);
}
