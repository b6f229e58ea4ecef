"""The machine that a benchmark runs on: its description, and how fast it multiplies matrices."""

import importlib.metadata
import os
import platform
from typing import Any

import jax
import torch

from jaxembed.kernels import flops

PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "numpy", "pillow")


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def device() -> torch.device:
    """Return PyTorch's device of the kind that JAX uses, after setting PyTorch up to be as fast as JAX."""
    if jax.device_count() > 1:
        raise SystemExit(
            f"benchmarks: JAX must have one device, got {jax.device_count()}; set CUDA_VISIBLE_DEVICES"
        )
    if jax.default_backend() == "cpu":
        torch.set_num_threads(cores())
        return torch.device("cpu")
    # As in JAX: float32 matmuls and convolutions run as TF32, and cuDNN benchmarks its algorithms.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def describe(device: torch.device) -> dict[str, Any]:
    """Describe the machine, and list the versions of the packages."""
    return {
        "device": jax.devices()[0].device_kind if device.type == "cuda" else _processor(),
        "platform": device.type,
        "cores": cores(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def peak(dtype: str, device: torch.device) -> float:
    """Measure the machine's matmul peak in FLOP/s, with the faster of JAX and PyTorch."""
    size = 2048 if device.type == "cpu" else 8192
    tensor = torch.randn((size, size), dtype=getattr(torch, dtype), device=device)

    def multiply() -> None:
        torch.matmul(tensor, tensor)
        if device.type == "cuda":
            torch.cuda.synchronize()

    # Without the cache that a run uses: here the peak is measured repeatedly.
    return max(flops.peak.__wrapped__(dtype), 2 * size**3 / flops.fastest(multiply))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
