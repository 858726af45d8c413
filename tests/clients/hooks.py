"""What Schemathesis asks for is aimed at what is there.

Ids that it invents are nobody's, and all that it would see is 404. So three of four requests name the session, the queue,
the message, the webhook and the delivery that the test has made (the environment says which); the rest stay as they are.
What would end one of them goes to a spare.
"""

import atexit
import json
import os
import zlib

import schemathesis

THERE = {name: os.environ[f"FANFARE_{name.upper()}"] for name in ("token", "queue", "message", "webhook", "delivery", "media")}
UNPAIRED, CONTROLLED = os.environ["FANFARE_UNPAIRED"], os.environ["FANFARE_CONTROLLED"]
SPARE = {name: os.environ[f"FANFARE_SPARE_{name.upper()}"] for name in ("token", "queue", "webhook", "media")}
# The session whose credential goes; the spare is deleted.
CREDENTIAL = os.environ["FANFARE_CREDENTIAL"]
# A message that came in with a file.
RECEIVED = os.environ["FANFARE_RECEIVED"]

# Ends what it is for.
ENDS = {
    "DELETE /v1/sessions/{token}": "token",
    "POST /v1/sessions/{token}/logout": "token",
    "DELETE /v1/sessions/{token}/queues/{queue}": "queue",
    "DELETE /v1/webhooks/{webhook}": "webhook",
    "DELETE /v1/media/{media}": "media",
}
# Makes what it names.
MAKES = ("POST /v1/sessions", "POST /api/whatsapp/create-instance")
# Ends and begins connections.
CONTROLS = ("/start", "/stop", "/restart")
# Is for a session that has no account yet.
PAIRS = ("/qr", "/pairing-code", "/passkey", "/passkey/confirm", "/passkey/cancel")


def aim(operation, name, given):
    """The value of `name` for a request to `operation`, in place of the one that was invented."""
    # Sessions that it made and those that are for pairing have no account: what wants one is answered with 503, as it should be.
    is_made = str(given).startswith("made-") or given in (UNPAIRED, CONTROLLED)
    # Decided by the value alone, so that a run with the same seed is the same run.
    if given is not None and not is_made and zlib.crc32(repr(given).encode()) % 4 == 0:
        return given
    if ENDS.get(operation) == name:
        return SPARE[name]
    if name == "token" and operation == "POST /api/whatsapp/delete-credential":
        return CREDENTIAL
    if name == "message" and operation.endswith("/media"):
        return RECEIVED
    if name == "token" and operation.endswith(PAIRS):
        return UNPAIRED
    if name == "token" and operation.endswith(CONTROLS):
        return CONTROLLED
    return THERE[name]


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = f"{case.operation.method.upper()} {case.operation.path}"
    if case.method.upper() != case.operation.method.upper():
        return
    for name in case.path_parameters or {}:
        if name in THERE:
            case.path_parameters[name] = aim(operation, name, case.path_parameters[name])
    if isinstance(case.body, dict) and case.body.get("proxy"):
        # No proxy that it invents leads anywhere: a session that is to leave by it would be away from then on.
        if operation == "PATCH /v1/sessions/{token}":
            case.path_parameters["token"] = CONTROLLED
        elif operation not in MAKES:
            case.body["proxy"] = None
    if not isinstance(case.body, dict) or not isinstance(case.body.get("token"), str):
        return
    if operation not in MAKES:
        case.body["token"] = aim(operation, "token", case.body["token"])
    elif case.body["token"] not in THERE.values() or case.body.get("proxy"):
        # Nobody else invents this one: a session without an account is for what pairs one, and nothing else.
        case.body["token"] = ("made-" + case.body["token"])[:64]


SEEN = {}


@schemathesis.hook
def after_call(context, case, response):
    operation = f"{case.operation.method} {case.operation.path}"
    SEEN.setdefault(operation, set()).add(response.status_code)


@atexit.register
def tell():
    """Which statuses each operation answered with, for the test."""
    with open(os.environ["FANFARE_SEEN"], "w", encoding="utf-8") as file:
        json.dump({operation: sorted(statuses) for operation, statuses in SEEN.items()}, file)
