"""Models behind a server that speaks OpenAI's protocol: what the server says, requests, the worker."""
