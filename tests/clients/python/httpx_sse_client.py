"""httpx-sse, coming back as its documentation says ("Handling reconnections"); says what it got as JSON.

`get` asks once and reads by GET /v1/streams/..., `post` repeats the request itself.
"""

import json
import os
import sys
import time

import httpx
from httpx_sse import connect_sse

FRONT = os.environ["FRONT"]
CHAT = f"{FRONT}/v1/chat/completions"
HEADERS = {"x-ringway-resume": "true", "x-mock-events": "40", "x-mock-batch": "20",
           "x-mock-gap-ms": "100", "x-mock-stream": "c0ffee"}
BODY = {"model": "demo", "stream": True, "messages": []}


def iter_sse_retrying(client, method, url, begun, last_event_id="", **more):
    """Until the server says that there is no more."""
    reconnection_delay = 0.0
    while True:
        headers = dict(more.get("headers", {}))
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        try:
            with connect_sse(client, method, url, **{**more, "headers": headers}) as event_source:
                answer = event_source.response
                if answer.status_code == 204:
                    return
                answer.raise_for_status()
                # Cut before its first event, a client has the stream's name still.
                begun.setdefault("stream", answer.headers["x-ringway-stream"])
                last_event_id = last_event_id or f"{begun['stream']}.0"
                for sse in event_source.iter_sse():
                    last_event_id = sse.id
                    if sse.retry is not None:
                        reconnection_delay = sse.retry / 1000
                    yield sse
        except (httpx.ReadError, httpx.RemoteProtocolError):
            pass
        time.sleep(reconnection_delay)


begun = {}
with httpx.Client(trust_env=False, timeout=20) as client:
    if sys.argv[1] == "get":
        with client.stream("POST", CHAT, json=BODY, headers=HEADERS) as answer:
            begun["stream"] = answer.headers["x-ringway-stream"]
        events = iter_sse_retrying(client, "GET", f"{FRONT}/v1/streams/{begun['stream']}", begun)
    else:
        events = iter_sse_retrying(client, "POST", CHAT, begun, json=BODY, headers=HEADERS)
    events = [{"type": sse.event, "data": sse.data, "id": sse.id} for sse in events]
print(json.dumps({"events": events, **begun}))
