// A Baileys client that a test can drive: state in memory, restarts after pairing, events as promises.
import { DisconnectReason, generateMessageIDV2, initAuthCreds, makeCacheableSignalKeyStore, makeWASocket, proto } from 'baileys';

// The library of its sessions writes whole sessions to the console.
for (const level of ['log', 'info', 'warn', 'error']) console[level] = () => {};
const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
// WA_TRACE=1 prints what Baileys logs.
const noisy = { ...silent, level: 'trace', child: () => noisy };
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) {
  noisy[level] = (...parts) => process.stderr.write(`${level} ${parts.map((part) => JSON.stringify(part)).join(' ')}\n`);
}
const logger = process.env.WA_TRACE ? noisy : silent;

// Credentials and keys in memory; what is stored is copied, as a database would.
export function memoryAuth() {
  const data = new Map();
  const keys = {
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
          if (value === null || value === undefined) data.delete(`${type}/${id}`);
          else data.set(`${type}/${id}`, value);
        }
      }
    },
  };
  return { creds: initAuthCreds(), keys: makeCacheableSignalKeyStore(keys, silent) };
}

// Whether a client that was closed with this code stays so.
export const isFinal = (code) => code === DisconnectReason.loggedOut || code === DisconnectReason.connectionReplaced;

export class BaileysClient {
  // `auth`: credentials and keys. `listen`: called with each new socket, to hear its events too.
  constructor(url, { auth = memoryAuth(), listen = () => {}, ...options } = {}) {
    this.url = url;
    this.options = options;
    this.auth = auth;
    this.listen = listen;
    this.messages = [];
    this.updates = [];
    this.histories = [];
    this.closes = [];
    this.waiters = new Set();
    this.isStopped = false;
  }

  // Connects; stays connected until stop(), whatever happens.
  start() {
    this.isStopped = false;
    const socket = makeWASocket({
      waWebSocketUrl: this.url,
      auth: this.auth,
      logger,
      browser: ['Mac OS', 'Chrome', '14.4.1'],
      syncFullHistory: false,
      markOnlineOnConnect: true,
      getMessage: async (key) => this.sent?.get(key.id),
      ...this.options,
    });
    this.socket = socket;
    this.isOpen = false;
    socket.ev.on('creds.update', (update) => {
      Object.assign(this.auth.creds, update);
      this.#wake();
    });
    socket.ev.on('messaging-history.set', (history) => {
      this.histories.push(history);
      this.#wake();
    });
    socket.ev.on('connection.update', (update) => {
      if (socket !== this.socket) return;
      if (update.qr) this.qr = update.qr;
      if (update.connection === 'open') this.isOpen = true;
      if (update.connection === 'close') {
        this.isOpen = false;
        const code = update.lastDisconnect?.error?.output?.statusCode;
        this.closes.push(code);
        if (!this.isStopped && !isFinal(code)) setTimeout(() => this.isStopped || this.start(), code === 515 ? 0 : 100);
      }
      this.#wake();
    });
    socket.ev.on('messages.upsert', ({ messages, type }) => {
      for (const message of messages) this.messages.push({ ...message, upsert: type });
      this.#wake();
    });
    socket.ev.on('messages.update', (updates) => {
      this.updates.push(...updates);
      this.#wake();
    });
    this.listen(socket);
    return this;
  }

  async stop() {
    this.isStopped = true;
    this.socket?.end(undefined);
    await this.until(() => !this.socket?.ws?.isOpen, 'socket to close').catch(() => {});
  }

  async sendText(to, text) {
    const sent = await this.socket.sendMessage(to.includes('@') ? to : `${to}@s.whatsapp.net`, { text });
    this.sent ??= new Map();
    this.sent.set(sent.key.id, sent.message);
    return sent.key.id;
  }

  // Sends a message of any kind, as the JSON of a protobuf.
  async sendMessage(to, json) {
    const message = proto.Message.fromObject(json);
    const id = generateMessageIDV2(this.socket.user?.id);
    this.sent ??= new Map();
    this.sent.set(id, message);
    await this.socket.relayMessage(`${to}@s.whatsapp.net`, message, { messageId: id });
    return id;
  }

  textsFrom(number) {
    return this.messages
      .filter((message) => !message.key.fromMe && [message.key.remoteJid, message.key.remoteJidAlt].includes(`${number}@s.whatsapp.net`))
      .map((message) => message.message?.conversation ?? message.message?.extendedTextMessage?.text)
      .filter((text) => text !== undefined);
  }

  // How far a sent message is. An update that comes in the same flush as its message is merged into that.
  status(id) {
    const updates = this.updates.filter((update) => update.key.id === id).map((update) => update.update.status ?? 0);
    const messages = this.messages.filter((message) => message.key.id === id).map((message) => message.status ?? 0);
    return Math.max(0, ...updates, ...messages);
  }

  // Waits until `done()` is true (or gives something); fails by the name of what did not happen.
  async until(done, what, timeout = 30_000) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const value = await done();
      if (value) return value;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${what} did not happen within ${timeout} ms`);
      await new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.waiters.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, Math.min(left, 50));
        this.waiters.add(wake);
      });
    }
  }

  #wake() {
    for (const wake of [...this.waiters]) wake();
  }
}

export const Status = proto.WebMessageInfo.Status;
