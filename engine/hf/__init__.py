"""The plain sampler on transformers: packed passes with what prompts share computed once."""
