"""LeNet-5 on MNIST in PyTorch, as plainly as a user would write it.

    python bench/mnist_torch.py FOLDER EPOCHS    # a folder with MNIST's four IDX files

The same network, images, batches, optimizer and schedule as `striate train mnist`. The
images stay bytes in memory; each batch of them becomes floats.
"""

import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

BATCH = 128


def read(path: Path) -> torch.Tensor:
    """Read one IDX file."""
    data = gzip.decompress(path.read_bytes())
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start], ">i4")
    return torch.from_numpy(
        np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
    )


folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
images = read(folder / "train-images-idx3-ubyte.gz")[:, None]
labels = read(folder / "train-labels-idx1-ubyte.gz").long()
test_images = read(folder / "t10k-images-idx3-ubyte.gz")[:, None]
test_labels = read(folder / "t10k-labels-idx1-ubyte.gz").long()


def normalize(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes to floats of mean 0 and deviation 1."""
    return (pixels.float() / 255 - 0.1307) / 0.3081


torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(400, 120),
    nn.ReLU(),
    nn.Linear(120, 84),
    nn.ReLU(),
    nn.Linear(84, 10),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
steps = -(-len(images) // BATCH)
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=0.1, epochs=epochs, steps_per_epoch=steps, cycle_momentum=False
)
loss_function = nn.CrossEntropyLoss()

began = time.perf_counter()
for _ in range(epochs):
    for index in torch.randperm(len(images)).split(BATCH):
        optimizer.zero_grad()
        loss = loss_function(model(normalize(images[index])), labels[index])
        loss.backward()
        optimizer.step()
        schedule.step()
training_seconds = time.perf_counter() - began

with torch.no_grad():
    correct = 0
    for some, right in zip(
        test_images.split(1000), test_labels.split(1000), strict=True
    ):
        correct += int((model(normalize(some)).argmax(1) == right).sum())
torch.save(model.state_dict(), "lenet5.pt")
print(
    json.dumps(
        {
            "training_seconds": training_seconds,
            "accuracy": correct / len(test_labels),
        }
    )
)
