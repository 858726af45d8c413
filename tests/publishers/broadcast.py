"""Publish a broadcast straight to RabbitMQ, pause it, resume it, and read the events back.

    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python broadcast.py TOKEN NUMBER [NUMBER ...]

Prints one JSON object: how often each event of the queue came. Needs pika (pip install pika).
"""

import json
import os
import sys
import uuid

import pika

PREFIX = os.environ.get("AMQP_PREFIX", "fanfare")
PATIENCE_S = 120


def publish(channel, token, kind, body, message_id):
    """A job: JSON, its kind in `type`, its identity in `message_id`, its session's token as the routing key."""
    channel.basic_publish(
        exchange=f"{PREFIX}.jobs",
        routing_key=token,
        body=json.dumps(body),
        properties=pika.BasicProperties(
            type=kind, message_id=message_id, content_type="application/json", delivery_mode=2
        ),
        mandatory=True,
    )


def main(token, numbers):
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()  # from here on, basic_publish returns when the broker has the job on disk

    events = channel.queue_declare(queue="", exclusive=True).method.queue
    channel.queue_bind(events, f"{PREFIX}.events", f"{token}.#")

    queue_id = str(uuid.uuid4())
    publish(
        channel,
        token,
        "send",
        {
            "numbers": numbers,
            "message": {"type": "text", "text": "hello from Python"},
            "delay": {"min": 0.05, "max": 0.1},
        },
        queue_id,
    )

    seen = {}
    paused = False
    for method, _, body in channel.consume(events, auto_ack=True, inactivity_timeout=PATIENCE_S):
        if method is None:
            raise SystemExit(f"no event for {PATIENCE_S} s; so far: {seen}")
        event = json.loads(body)
        data = event["data"]
        queue = data.get("queue", data) if isinstance(data, dict) else {}
        if queue.get("queueId") != queue_id:
            continue
        name = event["event"]
        seen[name] = seen.get(name, 0) + 1
        if name == "send.message:PROCESSING" and not paused:
            paused = True
            publish(channel, token, "pause", {"queueId": queue_id}, str(uuid.uuid4()))
        elif name == "paused.queue":
            publish(channel, token, "resume", {"queueId": queue_id}, str(uuid.uuid4()))
        elif name == "send.message:COMPLETED":
            break
    channel.cancel()
    connection.close()
    print(json.dumps({"queueId": queue_id, "events": seen}))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2:])
