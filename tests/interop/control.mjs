// The simulator's control API.
const base = process.env.SIM_CONTROL;
if (!base || !process.env.SIM_WS) throw new Error('SIM_CONTROL and SIM_WS must name a running simulator (its first line of output)');

export const wsUrl = process.env.SIM_WS;
export const controlUrl = base;

export async function call(method, path, body) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { status: response.status, answer });
  return answer;
}

export const post = (path, body) => call('POST', path, body);
export const get = (path) => call('GET', path);

// A number that no other test uses.
let last = 0;
const run = (Date.now() % 1_000_000).toString().padStart(6, '0');
export const freshNumber = () => `1${run}${(++last).toString().padStart(4, '0')}`;

// Asks until `done` is true of the answer.
export async function eventually(path, done, what, timeout = 30_000) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const answer = await get(path);
    if (done(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${timeout} ms: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
