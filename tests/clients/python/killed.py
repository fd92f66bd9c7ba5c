"""A stream of the OpenAI SDK whose model server is killed: it must be an error, never a silent end."""

import sys

import openai

from checks import GATEWAY

client = openai.OpenAI(api_key="any", base_url=f"{GATEWAY}/v1", timeout=20, max_retries=0)
headers = {"x-mock-events": "100000", "x-mock-gap-ms": "5"}
chunks = client.chat.completions.create(
    model="demo", messages=[{"role": "user", "content": "hello"}], stream=True, extra_headers=headers)
count = 0
try:
    for _ in chunks:
        count += 1
        if count == 3:
            print("streaming", flush=True)
except openai.APIError as error:
    assert count >= 3 and error.code == "upstream_error", (count, error)
    print("failed as it must")
    sys.exit(0)
sys.exit("the stream ended as if it were whole")
