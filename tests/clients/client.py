"""A broadcast by a client that openapi-python-client makes of the document: sent, paused, listed, resumed.

    python client.py <token> <number>...     with API_URL and AUTH in the environment
"""

import json
import os
import sys
import time

from fanfare import AuthenticatedClient
from fanfare.api.queues import queues_create, queues_pause, queues_recipients, queues_resume, queues_show
from fanfare.models import Delay, NamedRecipientBody, Problem, SendBody
from fanfare.models.content_type_0 import ContentType0

token, *numbers = sys.argv[1:]
api = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["AUTH"])


def taken(answer):
    """The data of an answer; what was refused ends the program, in the API's words."""
    if isinstance(answer, Problem):
        sys.exit(f"{answer.code}: {answer.detail}")
    return answer


people = [NamedRecipientBody(number=number, reference=f"customer-{at}") for at, number in enumerate(numbers)]
job = SendBody(
    numbers=people,
    message=ContentType0(type_="text", text="From Python."),
    delay=Delay(min_=0.2, max_=0.2),
    label="python",
)
queue = taken(queues_create.sync(token, client=api, body=job)).queue_id


def become(state):
    """Waits until the queue is in this state."""
    for _ in range(600):
        if taken(queues_show.sync(token, queue, client=api)).state == state:
            return
        time.sleep(0.1)
    sys.exit(f"the queue is not {state}")


def recipients():
    """All recipients, page by page."""
    cursor = None
    while True:
        page = taken(queues_recipients.sync(token, queue, client=api, limit=4, cursor=cursor))
        yield from page.items
        cursor = page.next_
        if cursor is None:
            return


taken(queues_pause.sync(token, queue, client=api))
become("paused")
waiting = sum(recipient.state == "queued" for recipient in recipients())
taken(queues_resume.sync(token, queue, client=api))
become("completed")
sent = sum(bool(recipient.message_id and recipient.sent_at) for recipient in recipients())

# What is refused is a problem with a code, and a type.
refused = queues_pause.sync(token, queue, client=api)
assert isinstance(refused, Problem)
print(json.dumps({"queue": str(queue), "waiting": waiting, "sent": sent, "refused": refused.code}))
