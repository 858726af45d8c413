// One socket.io connection over a WebSocket: what happens at the API, as it happens. Speaks the part of the protocol that a
// reader needs (Engine.IO 4 and Socket.IO 5, https://socket.io/docs/v4/socket-io-protocol/). Knows no view and no event.

const PATH = "/socket.io/?EIO=4&transport=websocket";

/** How long after a failure the first further try comes; it doubles up to the longest. */
const RETRY_MS = 1000;
const RETRY_MAX_MS = 30000;
/** Longest until the server opens a connection, and lets it in. */
const OPENING_MS = 15000;

/** Packets by their first characters. */
const [OPEN, PING, PONG, CONNECT, LEFT, EVENT, ANSWER, REFUSED] = ["0", "2", "3", "40", "41", "42", "43", "44"];

export class Stream {
  /**
   * `key` as the API wants it, or none. `onEvent` gets each event's envelope; `onState` is told with true when what is wanted comes
   * from now on, so that what was missed can be asked for, and with false when nothing comes.
   */
  constructor({ key, onEvent, onState }) {
    Object.assign(this, { key, onEvent, onState, wanted: [], had: null, wait: RETRY_MS, timer: null, socket: null });
    this.online = () => (navigator.onLine ? this.connect() : this.retry());
    ["online", "offline"].forEach((name) => addEventListener(name, this.online));
    this.connect();
  }

  /** Whose events are wanted: tokens, or "*" for all. */
  want(tokens) {
    this.wanted = tokens;
    if (!this.had) return;
    const more = tokens.filter((token) => !this.had.includes(token));
    const less = this.had.filter((token) => !tokens.includes(token));
    this.had = tokens;
    if (less.length) this.emit(EVENT, "leave", less);
    // Answered, so that it is known from when on they come.
    if (more.length) this.emit(`${EVENT}1`, "join", more);
  }

  close() {
    ["online", "offline"].forEach((name) => removeEventListener(name, this.online));
    this.drop();
  }

  connect() {
    this.drop();
    // The browser says when it is worth a try again.
    if (!navigator.onLine) return;
    this.socket = new WebSocket(location.origin.replace(/^http/, "ws") + PATH);
    this.socket.onmessage = ({ data }) => this.take(data);
    this.socket.onclose = () => this.retry();
    this.silence = OPENING_MS;
    this.heard();
  }

  take(packet) {
    this.heard();
    const kind = packet[0] === "4" ? packet.slice(0, 2) : packet[0];
    const body = packet.slice(kind.length);
    if (kind === OPEN) this.enter(JSON.parse(body));
    else if (kind === PING) this.socket.send(PONG);
    else if (kind === EVENT) this.event(...JSON.parse(body));
    else if (kind === ANSWER) this.onState(true);
    else if (kind === LEFT || kind === REFUSED) this.retry();
  }

  enter({ pingInterval, pingTimeout }) {
    this.silence = pingInterval + pingTimeout;
    this.entered = this.wanted;
    this.socket.send(CONNECT + JSON.stringify({ ...(this.key && { key: this.key }), tokens: this.wanted }));
  }

  event(name, data) {
    // What clients of the older API listen for tells the same once more.
    if (data?.event === name) this.onEvent(data);
    if (name !== "joined") return;
    Object.assign(this, { had: this.entered, wait: RETRY_MS });
    this.want(this.wanted);
    this.onState(true);
  }

  emit(packet, name, tokens) {
    this.socket.send(packet + JSON.stringify([name, tokens]));
  }

  /** The server is there; if it is silent for longer than it says, it is not. */
  heard() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(), this.silence);
  }

  retry() {
    this.drop();
    // Not all at once, where many pages lose one server.
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, RETRY_MAX_MS);
    this.onState(false);
  }

  drop() {
    clearTimeout(this.timer);
    this.had = null;
    if (!this.socket) return;
    this.socket.onclose = null;
    this.socket.onmessage = null;
    this.socket.close();
    this.socket = null;
  }
}
