// Publish a broadcast straight to RabbitMQ, pause it, resume it, and read the events back.
//
//   AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f node broadcast.mjs TOKEN NUMBER [NUMBER ...]
//
// Prints one JSON object: how often each event of the queue came. Needs amqplib (npm install amqplib).
import { randomUUID } from 'node:crypto';
import amqp from 'amqplib';

const prefix = process.env.AMQP_PREFIX ?? 'fanfare';
const patienceMs = 120_000;

const [token, ...numbers] = process.argv.slice(2);
if (!token || numbers.length === 0) {
  console.error('usage: AMQP_URL=… node broadcast.mjs TOKEN NUMBER [NUMBER ...]');
  process.exit(2);
}

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();

// A job: JSON, its kind in `type`, its identity in `messageId`, its session's token as the routing key.
async function publish(type, body, messageId) {
  channel.publish(`${prefix}.jobs`, token, Buffer.from(JSON.stringify(body)), {
    type, messageId, contentType: 'application/json', persistent: true, mandatory: true,
  });
  await channel.waitForConfirms();
}

const { queue: events } = await channel.assertQueue('', { exclusive: true });
await channel.bindQueue(events, `${prefix}.events`, `${token}.#`);

const queueId = randomUUID();
const seen = {};
let paused = false;

const completed = new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`not completed in ${patienceMs} ms; so far: ${JSON.stringify(seen)}`)), patienceMs);
  const take = async (delivery) => {
    const event = JSON.parse(delivery.content.toString());
    if ((event.data?.queue ?? event.data)?.queueId !== queueId) return;
    seen[event.event] = (seen[event.event] ?? 0) + 1;
    if (event.event === 'send.message:PROCESSING' && !paused) {
      paused = true;
      await publish('pause', { queueId }, randomUUID());
    } else if (event.event === 'paused.queue') {
      await publish('resume', { queueId }, randomUUID());
    } else if (event.event === 'send.message:COMPLETED') {
      clearTimeout(timer);
      resolve();
    }
  };
  channel.consume(events, (delivery) => delivery && take(delivery).catch(reject), { noAck: true });
});

await publish('send', {
  numbers,
  message: { type: 'text', text: 'hello from Node' },
  delay: { min: 0.05, max: 0.1 },
}, queueId);
await completed;
await connection.close();
console.log(JSON.stringify({ queueId, events: seen }));
