"""A neural network learns in PyTorch: python train.py; prints a line a step, and runs on."""

import torch

torch.manual_seed(1)
layers = [
    torch.nn.Sequential(torch.nn.Linear(4096, 4096), torch.nn.ReLU()).cuda() for _ in range(12)
]
network = torch.nn.Sequential(*layers)
optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
batch = torch.randn(4096, 4096, device="cuda")
while True:
    optimizer.zero_grad()
    loss = network(batch).square().mean()
    loss.backward()
    optimizer.step()
    print(loss.item(), flush=True)
