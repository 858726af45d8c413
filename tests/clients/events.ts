// Publishes a job straight to RabbitMQ and reads what comes of it, with the types that Modelina makes of the AsyncAPI document.
// Each event is held against the document's schema before it is taken for one.
//
//   node events.js <token> <number>...       with AMQP_URL in the environment, and asyncapi.json beside it

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import amqp from "amqplib";
import type { AnyEvent } from "./models/AnyEvent";
import type { SendBody } from "./models/SendBody";

const { AMQP_URL, AMQP_PREFIX = "fanfare" } = process.env;
const [token, ...numbers] = process.argv.slice(2);
if (!AMQP_URL || !token) throw new Error("AMQP_URL and a token are missing");

const { components } = JSON.parse(readFileSync("asyncapi.json", "utf8"));
const schemas = new Ajv2020({ strict: false, validateFormats: false });
schemas.addSchema({ $id: "document", components });
const isEvent = schemas.compile<AnyEvent>({ $ref: "document#/components/schemas/AnyEvent" });
const isJob = schemas.compile<SendBody>({ $ref: "document#/components/schemas/SendBody" });

const queueId = randomUUID();
const job: SendBody = {
  queueId,
  numbers: numbers.map((number) => ({ number, reference: `customer ${number}` })),
  message: { type: "text", text: "From TypeScript, by the broker." },
  delay: { min: 0, max: 0.1 },
};
if (!isJob(job)) throw new Error(`no job: ${schemas.errorsText(isJob.errors)}`);

const connection = await amqp.connect(AMQP_URL);
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(queue, `${AMQP_PREFIX}.events`, `${token}.#`);

const names: Record<string, number> = {};
const settled: string[] = [];
let finish: (reason?: Error) => void = () => {};
const finished = new Promise<void>((resolve, reject) => {
  finish = (reason) => (reason ? reject(reason) : resolve());
});

/** What there is to do about an event: its name tells which shape its data has. */
function take(event: AnyEvent): void {
  names[event.event] = (names[event.event] ?? 0) + 1;
  switch (event.event) {
    case "send.message:PROCESSING":
      if (event.data.queue.queueId === queueId) settled.push(event.data.queue.recipient.state);
      break;
    case "send.message:COMPLETED":
      if (event.data.queue.queueId === queueId) finish();
      break;
    case "job.rejected":
      finish(new Error(`${event.data.code}: ${event.data.message}`));
      break;
  }
}

await channel.consume(
  queue,
  (delivery) => {
    const event: unknown = delivery && JSON.parse(delivery.content.toString());
    if (isEvent(event)) take(event);
    else finish(new Error(`no event: ${schemas.errorsText(isEvent.errors)}`));
  },
  { noAck: true },
);
channel.publish(`${AMQP_PREFIX}.jobs`, token, Buffer.from(JSON.stringify(job)), {
  type: "send",
  messageId: queueId,
  contentType: "application/json",
  deliveryMode: 2,
});
await channel.waitForConfirms();
await finished;
await connection.close();
console.log(JSON.stringify({ queue: queueId, settled, names }));
