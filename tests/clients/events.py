"""Publishes a job straight to RabbitMQ and reads what comes of it, with the models that datamodel-code-generator makes of
the AsyncAPI document: each event is read by its model, so what is not as the document says is refused.

    python events.py <token> <number>...     with AMQP_URL in the environment
"""

import collections
import json
import os
import sys
import uuid

import pika
from events_model import (
    AnyEvent,
    Delay,
    JobRejectedEvent,
    NamedRecipientBody,
    SendBody,
    SendMessageCompletedEvent,
    SendMessageProcessingEvent,
    TextContent,
)

PREFIX = os.environ.get("AMQP_PREFIX", "fanfare")
token, *numbers = sys.argv[1:]
queue_id = str(uuid.uuid4())
job = SendBody(
    queueId=queue_id,
    numbers=[NamedRecipientBody(number=number, reference=f"customer {number}") for number in numbers],
    message=TextContent(type="text", text="From Python, by the broker."),
    delay=Delay(min=0, max=0.1),
)

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
events = channel.queue_declare(queue="", exclusive=True).method.queue
channel.queue_bind(events, f"{PREFIX}.events", f"{token}.#")
channel.basic_publish(
    exchange=f"{PREFIX}.jobs",
    routing_key=token,
    body=job.model_dump_json(exclude_unset=True),
    properties=pika.BasicProperties(
        type="send", message_id=queue_id, content_type="application/json", delivery_mode=2
    ),
    mandatory=True,
)

names = collections.Counter()
settled = []
for _, _, body in channel.consume(events, auto_ack=True, inactivity_timeout=90):
    if body is None:
        sys.exit("no event comes")
    event = AnyEvent.model_validate_json(body).root
    names[event.event] += 1
    if isinstance(event, SendMessageProcessingEvent) and str(event.data.queue.queueId.root) == queue_id:
        settled.append(event.data.queue.recipient.state)
    elif isinstance(event, JobRejectedEvent):
        sys.exit(f"{event.data.code}: {event.data.message}")
    elif isinstance(event, SendMessageCompletedEvent) and str(event.data.queue.queueId.root) == queue_id:
        break
connection.close()
print(json.dumps({"queue": queue_id, "settled": settled, "names": names}))
