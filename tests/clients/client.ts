// A broadcast by a client that openapi-typescript and openapi-fetch make of the document: sent, paused, listed, resumed.
//
//   node client.js <token> <number>...       with API_URL and AUTH in the environment

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Recipient = components["schemas"]["Page_Recipient"]["items"][number];

const { API_URL, AUTH } = process.env;
const [token, ...numbers] = process.argv.slice(2);
if (!API_URL || !AUTH || !token) throw new Error("API_URL, AUTH and a token are missing");

const api = createClient<paths>({ baseUrl: API_URL, headers: { Authorization: `Bearer ${AUTH}` } });

/** The data of an answer; what was refused ends the program, in the API's words. */
function taken<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (error) throw new Error(`${error.code}: ${error.detail}`);
  if (data === undefined) throw new Error("an answer without a body");
  return data;
}

const { queueId: queue } = taken(
  await api.POST("/v1/sessions/{token}/queues", {
    params: { path: { token } },
    body: {
      numbers: numbers.map((number, at) => ({ number, reference: `customer-${at}` })),
      message: { type: "text", text: "From TypeScript." },
      delay: { min: 0.2, max: 0.2 },
      label: "typescript",
    },
  }),
);
const path = { token, queue };

/** Waits until the queue is in this state. */
async function become(state: string): Promise<void> {
  for (let look = 0; look < 600; look += 1) {
    const shown = taken(await api.GET("/v1/sessions/{token}/queues/{queue}", { params: { path } }));
    if (shown.state === state) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`the queue is not ${state}`);
}

/** All recipients, page by page. */
async function recipients(): Promise<Recipient[]> {
  const all: Recipient[] = [];
  let cursor: string | undefined;
  do {
    const page = taken(
      await api.GET("/v1/sessions/{token}/queues/{queue}/recipients", {
        params: { path, query: { limit: 4, cursor } },
      }),
    );
    all.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor);
  return all;
}

taken(await api.POST("/v1/sessions/{token}/queues/{queue}/pause", { params: { path } }));
await become("paused");
const waiting = (await recipients()).filter((recipient) => recipient.state === "queued");
taken(await api.POST("/v1/sessions/{token}/queues/{queue}/resume", { params: { path } }));
await become("completed");
const sent = (await recipients()).filter((recipient) => recipient.messageId && recipient.sentAt);

// What is refused is a problem with a code, and a type.
const { error } = await api.POST("/v1/sessions/{token}/queues/{queue}/pause", { params: { path } });
console.log(JSON.stringify({ queue, waiting: waiting.length, sent: sent.length, refused: error?.code }));
