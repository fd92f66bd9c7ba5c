"""A real model must say the same directly and through the gateway, whole and streamed, one and four at a time."""

import asyncio
import os

import openai

ASK = {"model": "demo", "max_tokens": 40, "temperature": 0, "seed": 1,
       "messages": [{"role": "user", "content": "Count: one, two, three,"}]}


async def whole(client, **more):
    answer = await client.chat.completions.create(**ASK, **more)
    return answer.choices[0].message.content, answer.usage.completion_tokens


async def streamed(client):
    text, usage = "", None
    chunks = await client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    async for chunk in chunks:
        usage = chunk.usage or usage
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    return text, usage.completion_tokens


async def main():
    clients = [openai.AsyncOpenAI(api_key="any", base_url=f"{os.environ[name]}/v1", timeout=120, max_retries=0)
               for name in ("DIRECT", "GATEWAY")]
    direct, through = clients
    expected = await whole(direct)
    assert expected[0].strip(), expected
    for answer in (await whole(through), await streamed(direct), await streamed(through)):
        assert answer == expected, (answer, expected)
    # At once the server computes in batches, where the last bit of a float may fall otherwise: only whole answers count.
    several = await asyncio.gather(*(streamed(through) for _ in range(4)))
    assert all(tokens == expected[1] for _, tokens in several), several
    error = None
    try:
        await through.chat.completions.create(model="demo", messages="no list")
    except openai.APIStatusError as caught:
        error = caught
    assert error is not None and 400 <= error.status_code <= 500, error
    chunks = await through.chat.completions.create(**{**ASK, "max_tokens": 2000}, stream=True)
    async for _ in chunks:
        break
    await chunks.close()
    assert (await whole(through))[1] == expected[1], "the slot is free again"
    print(f"the same: {expected[0]!r}")


asyncio.run(main())
