// The simulator's control interface, as far as the page's tests need it.

export class Simulator {
  constructor(base) {
    this.base = base;
  }

  async ask(method, path, body) {
    const answer = await fetch(this.base + path, { method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" } });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  phone = (number, name) => this.ask("POST", "/phones", { number, name });
  scan = (number, qr) => this.ask("POST", `/phones/${number}/scan`, { qr });
  typeCode = (number, code) => this.ask("POST", `/phones/${number}/link-code`, { code });
  contacts = (prefix, count, more) => this.ask("POST", "/contacts", { prefix, count, deliver_ms: 100, read_ms: 600, ...more });
  audit = () => this.ask("GET", "/audit");
}
