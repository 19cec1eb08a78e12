"""The plain sampler on vLLM."""
