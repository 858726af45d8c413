#!/usr/bin/env bash
# Every request of the older API, one after the other, as its document writes them: the address, the key, the token, the
# people and the picture are put in. Prints a line for each answer: its path, a tab, the body.
#
#   API=http://127.0.0.1:3000 AUTH=… TOKEN=shop NUMBER=…@s.whatsapp.net GROUP=…@g.us PICTURE=https://… older-api.sh
set -euo pipefail
: "${API:?}" "${AUTH:?}" "${TOKEN:?}" "${NUMBER:?}" "${GROUP:?}" "${PICTURE:?}"
BASIC=$(printf '%s:' "$AUTH" | base64 -w0)

post() {
    printf '%s\t' "$1"
    # Answers to mistakes are shown too.
    curl --silent --show-error --location --request POST "$API/api/whatsapp/$1" \
        --header 'Content-Type: application/json' \
        --header "Authorization: Basic $BASIC" \
        --data-raw "$2"
    echo
}
said() { printf '%s' "$1" | sed -E 's/.*"id":"([^"]+)".*/\1/'; }

post create-instance '{ "token": "'"$TOKEN"'" }'
post send-text '{
    "token": "'"$TOKEN"'",
    "text": "Some text",
    "number": "'"$NUMBER"'"
}'
post send-media '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "type": "image",
    "url": "'"$PICTURE"'",
    "fileName": null,
    "caption": "Sample post image"
}'
post send-button-message '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "button": [
        {"displayText": "First Button"},
        {"displayText": "Second Button"},
        {"displayText": "Third Button"}
    ],
    "message": "Message using buttons",
    "footer": "Footer message",
    "type": "url",
    "image": "'"$PICTURE"'"
}'
post send-template-message '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "button": [
        {"displayText": "Visit my website", "url": "https://wa.ndalu.id"},
        {"displayText": "Call me", "phoneNumber": "000000"},
        {"displayText": "Push to reply", "id": "id-like-buttons-message"}
    ],
    "text": "Message using buttons",
    "footer": "Footer message",
    "image": "'"$PICTURE"'"
}'
listed=$(post send-list-message '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "list": [
        {
            "title": "Section 1",
            "rows": [
                {"title": "Option 1", "rowId": "option1"},
                {"title": "Option 2", "rowId": "option2", "description": "This is a description"}
            ]
        },
        {
            "title": "Section 2",
            "rows": [
                {"title": "Option 3", "rowId": "option3", "description": "This is a description"},
                {"title": "Option 4", "rowId": "option4"}
            ]
        }
    ],
    "text": "This is a text",
    "footer": "And this is a footer",
    "link": "https://wa.ndalu.id",
    "title": "And this is TITLE",
    "buttonText": "Required, text on the button to view the list"
}')
printf '%s\n' "$listed"
key='{ "remoteJid": "'"$NUMBER"'", "fromMe": true, "id": "'"$(said "$listed")"'" }'
post send-reaction '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "text": "🦖",
    "key": '"$key"'
}'
post is-exists '{ "token": "'"$TOKEN"'", "number": "'"$NUMBER"'" }'
post get-profile-picture '{ "token": "'"$TOKEN"'", "number": "'"$NUMBER"'", "highrest": true }'
post delete-for-every-one '{
    "token": "'"$TOKEN"'",
    "number": "'"$NUMBER"'",
    "key": '"$key"'
}'
post group-metadata '{ "token": "'"$TOKEN"'", "number": "'"$GROUP"'" }'
post store/chats '{ "token": "'"$TOKEN"'", "type": "chats" }'
post store/chats '{ "token": "'"$TOKEN"'", "type": "contacts" }'
post store/chats '{ "token": "'"$TOKEN"'", "type": "messages" }'
post store/chats '{ "token": "'"$TOKEN"'", "type": "messages", "jid": "'"$NUMBER"'" }'
post scheduler/add-scheduler '{
    "id": 1,
    "token": "'"$TOKEN"'",
    "type": "sendText",
    "data": {
        "number": "'"$NUMBER"'",
        "text": "Pesan otomatis"
    },
    "time": "05 12 * * *"
}'
post scheduler '{ "token": "'"$TOKEN"'" }'
post scheduler/stop-scheduler '{ "id": 1, "token": "'"$TOKEN"'" }'
post delete-credential '{ "token": "'"$TOKEN"'" }'
