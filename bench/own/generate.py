"""A language model of 1.1 billion parameters (random ones) writes: python generate.py.

Prints a line each eight tokens of eight texts, and runs on.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(1)
config = LlamaConfig(
    hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
    num_key_value_heads=4, vocab_size=32000,
)  # fmt: skip
with torch.device("cuda"):
    model = LlamaForCausalLM(config).half().eval()
    prompt = torch.randint(0, config.vocab_size, (8, 512))
with torch.inference_mode():
    while True:
        written = model.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)
        print(written[0, -8:].tolist(), flush=True)
