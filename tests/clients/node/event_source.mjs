// The `eventsource` package, which comes back by itself; says what it got as JSON.
// `get` asks with fetch and reads by GET /v1/streams/..., `post` has it send the request itself.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { FRONT, NODE_PACKAGES } = process.env;
const require = createRequire(`${NODE_PACKAGES}/package.json`);
const { EventSource } = await import(pathToFileURL(require.resolve("eventsource")));

const chat = `${FRONT}/v1/chat/completions`;
const ask = {
  method: "POST",
  headers: {
    "content-type": "application/json",
    "x-ringway-resume": "true",
    "x-mock-events": "40",
    "x-mock-batch": "20",
    "x-mock-gap-ms": "100",
    "x-mock-stream": "c0ffee",
  },
  body: JSON.stringify({ model: "demo", stream: true, messages: [] }),
};

let stream, source;
if (process.argv[2] === "get") {
  stream = (await fetch(chat, ask)).headers.get("x-ringway-stream");
  source = new EventSource(`${FRONT}/v1/streams/${stream}`);
} else {
  source = new EventSource(chat, {
    async fetch(url, init) {
      const answer = await fetch(url, { ...init, ...ask, headers: { ...init.headers, ...ask.headers } });
      stream ??= answer.headers.get("x-ringway-stream");
      return answer;
    },
  });
}
const events = [];
source.onmessage = ({ type, data, lastEventId }) => events.push({ type, data, id: lastEventId });
await new Promise((resolve) => {
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(); };
});
console.log(JSON.stringify({ stream, events }));
process.exit(0);
