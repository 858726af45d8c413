// Baileys against the simulator: pairing by QR and by code, and texts with contacts both ways.
//
//   SIM_WS=ws://… SIM_CONTROL=http://… node --test simulator.test.mjs
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fetchLatestWaWebVersion } from 'baileys';
import { BaileysClient, Status } from './baileys.mjs';
import { controlUrl, eventually, freshNumber, get, post, wsUrl } from './control.mjs';

const clients = [];
let prefix;
let echoes;

before(async () => {
  prefix = freshNumber().slice(0, 9);
  await post('/contacts', { prefix: `2${prefix}`, count: 100, deliver_ms: 20, read_ms: 60 });
  await post('/contacts', { prefix: `3${prefix}`, count: 100, deliver_ms: 0, reply: true });
  echoes = `3${prefix}`;
});

after(async () => {
  for (const client of clients) await client.stop();
});

async function pairByQr(number, name) {
  await post('/phones', { number, name });
  const client = new BaileysClient(wsUrl).start();
  clients.push(client);
  await client.until(() => client.qr, 'a QR code');
  const linked = await post(`/phones/${number}/scan`, { qr: client.qr });
  await client.until(() => client.isOpen, 'open');
  assert.equal(client.auth.creds.me.id, linked.jid);
  return client;
}

const contact = (index) => `2${prefix}${String(index).padStart(2, '0')}`;
const echo = (index) => `${echoes}${String(index).padStart(2, '0')}`;

async function ready(number) {
  await eventually('/sessions', (all) => all.some((s) => s.number === number && s.active && s.one_time_prekeys > 0), 'an active session');
}

test('pairs by QR and exchanges texts with a contact', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Ann');
  await ready(number);
  assert.ok(client.closes.includes(515));

  const id = await client.sendText(contact(1), 'hello from Baileys');
  const got = await eventually(`/contacts/${contact(1)}/messages`, (all) => all.length > 0, 'a message');
  assert.deepEqual(got.map((m) => [m.id, m.from, m.type, m.text, m.times_shown, m.times_received]), [
    [id, number, 'text', 'hello from Baileys', 1, 1],
  ]);
  await client.until(() => client.status(id) >= Status.READ, 'a read receipt');

  await post(`/contacts/${contact(1)}/messages`, { to: number, text: 'hello Baileys' });
  await client.until(() => client.textsFrom(contact(1)).includes('hello Baileys'), 'a message from the contact');
  await eventually(`/contacts/${contact(1)}/sent`, (all) => all[0].receipts.some((r) => r.device !== 0), 'a receipt of Baileys');

  // The own phone has the copy that Baileys made for it, and what the contact wrote.
  const phone = await eventually(`/phones/${number}/messages`, (all) => all.length === 2, 'both messages on the phone');
  assert.deepEqual(phone.map((m) => [m.text, m.to ?? null]), [
    ['hello from Baileys', contact(1)],
    ['hello Baileys', null],
  ]);
});

test('reads the history and the app state, every MAC of it', async () => {
  const number = freshNumber();
  await post('/phones', { number, name: 'Dora' });
  await post(`/phones/${number}/sharing`, { chats: [{ number: contact(2) }] });
  const client = new BaileysClient(wsUrl, { appStateMacVerification: { patch: true, snapshot: true } });
  clients.push(client.start());
  await client.until(() => client.qr, 'a QR code');
  await post(`/phones/${number}/scan`, { qr: client.qr });
  await client.until(() => client.auth.creds.myAppStateKeyId, 'a key of the app state');
  await client.until(() => client.histories.some(({ chats }) => chats.length === 1), 'the chat in the history');
  await ready(number);
  await post(`/phones/${number}/name`, { name: 'Dora again' });
  await client.until(() => client.auth.creds.me.name === 'Dora again', 'the name in the app state');
  // It holds nothing back for twenty seconds in case a history comes.
  const start = Date.now();
  await post(`/contacts/${contact(2)}/messages`, { to: number, text: 'at once' });
  await client.until(() => client.textsFrom(contact(2)).includes('at once'), 'a message');
  assert.ok(Date.now() - start < 10_000);
});

test('pairs by code and exchanges texts with a contact', async () => {
  const number = freshNumber();
  await post('/phones', { number, name: 'Bob' });
  const client = new BaileysClient(wsUrl).start();
  clients.push(client);
  await client.until(() => client.qr, 'a QR code');
  const code = await client.socket.requestPairingCode(number);
  const linked = await eventuallyPost(`/phones/${number}/link-code`, { code });
  await client.until(() => client.isOpen, 'open');
  assert.equal(client.auth.creds.me.id, linked.jid);
  await ready(number);
  await client.sendText(echo(1), 'paired by code');
  await client.until(() => client.textsFrom(echo(1)).includes('paired by code'), 'the echo');
});

test('a wrong code links nothing', async () => {
  const number = freshNumber();
  await post('/phones', { number, name: 'Eve' });
  const client = new BaileysClient(wsUrl).start();
  clients.push(client);
  await client.until(() => client.qr, 'a QR code');
  const code = await client.socket.requestPairingCode(number);
  const wrong = code.startsWith('1') ? `2${code.slice(1)}` : `1${code.slice(1)}`;
  await assert.rejects(eventuallyPost(`/phones/${number}/link-code`, { code: wrong }), (error) => error.answer?.field === 'code');
  assert.equal((await get('/sessions')).filter((s) => s.number === number).length, 0);
});

test('a conversation goes on after a restart, and offline messages come then', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Cid');
  await ready(number);
  for (let i = 0; i < 5; i++) await client.sendText(echo(2), `before ${i}`);
  await client.until(() => client.textsFrom(echo(2)).length === 5, 'five echoes');
  await client.stop();
  await eventually('/sessions', (all) => all.some((s) => s.number === number && !s.online), 'offline');
  for (let i = 0; i < 3; i++) await post(`/contacts/${echo(2)}/messages`, { to: number, text: `while away ${i}` });
  await eventually('/sessions', (all) => all.some((s) => s.number === number && s.pending >= 3), 'three waiting messages');
  client.start();
  // A message that it had no time to acknowledge comes again too.
  await client.until(() => [0, 1, 2].every((i) => client.textsFrom(echo(2)).includes(`while away ${i}`)), 'the waiting messages');
  await client.sendText(echo(2), 'after');
  await client.until(() => client.textsFrom(echo(2)).includes('after'), 'the echo after the restart');
});

test('two Baileys clients write to each other, and to a device that was added', async () => {
  const [a, b] = [freshNumber(), freshNumber()];
  const ann = await pairByQr(a, 'Ann');
  const bob = await pairByQr(b, 'Bob');
  await ready(a);
  await ready(b);
  await ann.sendText(b, 'to Bob');
  await bob.until(() => bob.textsFrom(a).includes('to Bob'), 'the text at Bob');
  await bob.sendText(a, 'to Ann');
  await ann.until(() => ann.textsFrom(b).includes('to Ann'), 'the text at Ann');

  const second = await pairByQr(b, 'Bob');
  await eventually('/sessions', (all) => all.filter((s) => s.number === b && s.one_time_prekeys > 0).length === 2, 'a second device');
  await ann.until(async () => {
    await ann.sendText(b, 'to both');
    await new Promise((resolve) => setTimeout(resolve, 300));
    return second.textsFrom(a).includes('to both');
  }, 'the text at the added device');
});

test('a contact that asks again gets the message, and a corrupted one comes again', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Dan');
  await ready(number);
  for (const kind of ['force_retry', 'corrupt_mac']) {
    await post('/faults', { kind, match: { from: number } });
    const id = await client.sendText(contact(7), `with ${kind}`);
    const all = await eventually(
      `/contacts/${contact(7)}/messages`,
      (messages) => messages.some((m) => m.id === id && m.times_shown === 1),
      `the message after ${kind}`,
    );
    assert.equal(all.find((m) => m.id === id).times_failed, 1);
  }
});

test('what arrives broken at Baileys comes again when it asks', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Gil');
  await ready(number);
  await client.sendText(contact(8), 'so that both know each other');
  for (let i = 0; i < 2; i++) {
    await post('/faults', { kind: 'corrupt_mac', match: { from: contact(8), to: number } });
    await post(`/contacts/${contact(8)}/messages`, { to: number, text: `broken ${i}` });
    await client.until(() => client.textsFrom(contact(8)).includes(`broken ${i}`), 'the message that was sent again');
  }
});

test('a contact that writes under its hidden id is understood', async () => {
  await post('/contacts', { prefix: `4${prefix}`, count: 10, addressing: 'lid' });
  const hidden = `4${prefix}1`;
  const number = freshNumber();
  const client = await pairByQr(number, 'Hal');
  await ready(number);
  await post(`/contacts/${hidden}/messages`, { to: number, text: 'who am I' });
  await client.until(() => client.textsFrom(hidden).includes('who am I'), 'the message of the hidden id');
  const got = client.messages.find((message) => message.message?.conversation === 'who am I');
  await client.socket.sendMessage(got.key.remoteJid, { text: 'I know you' });
  await eventually(`/contacts/${hidden}/messages`, (all) => all.some((m) => m.text === 'I know you' && m.times_shown === 1), 'the answer');
});

test('tokens are issued, given, and shown where they are asked for', async () => {
  const [a, b] = [freshNumber(), freshNumber()];
  const ann = await pairByQr(a, 'Ida');
  const bob = await pairByQr(b, 'Jim');
  await ready(a);
  await ready(b);
  const before = await get('/audit');
  await ann.sendText(b, 'a first word');
  await bob.until(() => bob.textsFrom(a).includes('a first word'), 'the text at Bob');
  await bob.sendText(a, 'a first answer');
  await ann.until(() => ann.textsFrom(b).includes('a first answer'), 'the text at Ann');
  await post(`/contacts/${contact(21)}/messages`, { to: a, text: 'a contact gives its token too' });
  await ann.until(() => ann.textsFrom(contact(21)).length === 1, 'the text of the contact');
  await eventually('/audit', (audit) => audit.tokens_issued >= before.tokens_issued + 2, 'tokens of both');
  // Each has acknowledged what it was given.
  await eventually('/sessions', (all) => all.filter((s) => [a, b].includes(s.number)).every((s) => s.pending === 0), 'all is taken');

  for (const number of [a, b]) await post(`/phones/${number}/tokens`, { proofs: 'always' });
  await ann.sendText(b, 'proved');
  await bob.until(() => bob.textsFrom(a).includes('proved'), 'the proved text at Bob');
  await bob.sendText(a, 'proved too');
  await ann.until(() => ann.textsFrom(b).includes('proved too'), 'the proved text at Ann');
  const known = await ann.sendText(contact(21), 'to a known contact');
  await eventually(`/contacts/${contact(21)}/messages`, (all) => all.some((m) => m.id === known), 'the text at the contact');
  const audit = await get('/audit');
  assert.ok(audit.tokens_shown >= before.tokens_shown + 3);
  assert.equal(audit.tokens_wrong, 0);
  assert.equal(audit.tokens_misplaced, 0);
  assert.equal(audit.messages_unproved, before.messages_unproved);

  // Baileys makes nothing of the salt: it has no way to whoever gave it no token.
  await ann.sendText(contact(22), 'to a stranger');
  await eventually('/audit', (audit) => audit.messages_unproved === before.messages_unproved + 1, 'a refusal');
  assert.deepEqual(await get(`/contacts/${contact(22)}/messages`), []);
});

test('unlinking on the phone logs Baileys out', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Fay');
  await ready(number);
  await post(`/phones/${number}/unlink`);
  await client.until(() => client.closes.includes(401), 'logged out');
});

test('copies of what its phone sends, and channels, are answered so that they do not come again', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Ida');
  await ready(number);
  const settled = (what) => eventually('/sessions', (all) => all.some((s) => s.number === number && s.pending === 0), what);
  for (let i = 0; i < 2; i++) await post(`/phones/${number}/messages`, { to: contact(9), text: `from the phone ${i}` });
  // What the phone shares of keys and history comes so too, at any time.
  await client.until(() => client.messages.filter((m) => m.key.fromMe && m.message?.conversation).length === 2, 'both copies');
  await settled('copies that are settled');
  await post(`/phones/${number}/stanzas`, { kind: 'newsletter' });
  await settled('a channel that is acknowledged');
});

test('a message without a copy for companions is asked of the phone', async () => {
  const number = freshNumber();
  const client = await pairByQr(number, 'Jan');
  await ready(number);
  await post(`/phones/${number}/stanzas`, { kind: 'unavailable', from: contact(9), text: 'from an advertisement' });
  await client.until(() => client.textsFrom(contact(9)).includes('from an advertisement'), 'the message that the phone has');
});

test('reads the current version from the page', async () => {
  const { published } = await get('/version');
  const original = globalThis.fetch;
  // It knows WhatsApp's address alone.
  globalThis.fetch = (url, options) => original(String(url).replace('https://web.whatsapp.com', controlUrl), options);
  try {
    for (const page of ['script', 'document']) {
      await post('/version', { page });
      const latest = await fetchLatestWaWebVersion();
      assert.deepEqual([latest.isLatest, latest.version.join('.')], [true, published]);
    }
    await post('/version', { page: 'rubbish' });
    assert.equal((await fetchLatestWaWebVersion()).isLatest, false);
  } finally {
    globalThis.fetch = original;
    await post('/version', { page: 'script' });
  }
});

test('is refused for an old version, when it logs in and when it registers', async () => {
  const { min } = await get('/version');
  const number = freshNumber();
  const client = await pairByQr(number, 'Old');
  await ready(number);
  await post('/version', { min: '2.3000.4000000000' });
  try {
    await post('/faults', { kind: 'cut', on: 'now', match: { from: number } });
    await client.until(() => client.closes.includes(405), 'the refusal of a login');
    const fresh = new BaileysClient(wsUrl).start();
    clients.push(fresh);
    await fresh.until(() => fresh.closes.includes(405), 'the refusal of a registration');
    assert.equal(fresh.qr, undefined);
  } finally {
    await post('/version', { min });
  }
});

test('the audit found nothing wrong', async () => {
  const audit = await get('/audit');
  assert.equal(audit.message_keys_reused, 0);
  assert.equal(audit.undecryptable, 0);
  assert.equal(audit.shown_twice, 0);
  assert.equal(audit.malformed, 0);
  assert.equal(audit.violations, 0);
  assert.equal(audit.misaddressed, 0);
  assert.equal(audit.wrong_destinations, 0);
  assert.equal(audit.lost, 0);
});

// The companion's hello may still be on its way.
async function eventuallyPost(path, body) {
  for (let tries = 0; ; tries++) {
    try {
      return await post(path, body);
    } catch (error) {
      if (error.status !== 409 || tries > 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
