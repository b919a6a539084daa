"""What this process computes on: device, precision, rank; the one place that reads the launcher's environment."""

import atexit
import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

# glibc's mallopt parameters: a training step asks for the same large blocks over and over, and fresh pages cost more than what is computed in
# them: an eighth of the time of a base model's updates. So blocks up to 1 GiB come from the heap, which is given back only on demand.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
HEAP_BLOCK, OLD_HEAP_BLOCK, NEVER = 2**30, 2**25, -1


@dataclass(frozen=True)
class Device:
    """Where this process computes. rank, world_size: its place among the processes of the run."""

    device: torch.device
    dtype: torch.dtype
    rank: int = 0
    world_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, values: Tensor) -> Tensor:
        """The largest over all processes, element by element, in place."""
        if self.world_size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    @torch.no_grad()
    def share(self, values: Iterable[Tensor]) -> None:
        """Gives every process the leading one's values, in place."""
        if self.world_size == 1:
            return
        for tensor in values:
            whole = tensor.contiguous()
            dist.broadcast(whole, src=0)
            if whole is not tensor:
                tensor.copy_(whole)

    def from_leader(self, value: int) -> int:
        """The leading process' value, on every process."""
        if self.world_size == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.broadcast(shared, src=0)
        return int(shared.item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            dist.barrier()

    def free_bytes(self) -> int:
        """Memory that can still be had; on a CPU what the system says is available, shared among all processes."""
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0])
        return _available_bytes() // self.world_size

    def describe(self) -> str:
        threads = torch.get_num_threads()
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        several = f", {self.world_size} processes" if self.world_size > 1 else ""
        return f"{name}, {str(self.dtype).removeprefix('torch.')}{several}"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    # Before torch 2.13 or so it is known under another name.
    older: Callable[[], bool] = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)
    return older()


def precision(device: torch.device, *, bf16: bool | None, fp16: bool) -> torch.dtype:
    """bfloat16 where the hardware has it, float16 on older GPUs, else float32; or what was asked for. A CPU has no float16: a plan says so."""
    if fp16 and device.type != "cpu":
        return torch.float16
    if bf16 is None:
        if has_fast_bf16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if bf16 else torch.float32


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that there is no memory: a GPU has a class of its own for it, a CPU's allocator words."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _available_bytes() -> int:
    """Of a Linux machine, or of the container's share of it; elsewhere all the memory there is."""
    told = Path("/proc/meminfo")
    if not told.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = 1024 * next(int(line.split()[1]) for line in told.read_text(encoding="ascii").splitlines() if line.startswith("MemAvailable"))
    most, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if most.exists() and (limit := most.read_text(encoding="ascii").strip()).isdigit():
        found = min(found, int(limit) - int(used.read_text(encoding="ascii")))
    return found


def keep_heap() -> None:
    """Has glibc keep freed memory for the next step; elsewhere does nothing."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # Older ones take 32 MiB at most. Setting the other alone would have every larger block come from the system.
        if libc.mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK) or libc.mallopt(M_MMAP_THRESHOLD, OLD_HEAP_BLOCK):
            libc.mallopt(M_TRIM_THRESHOLD, NEVER)


def leads() -> bool:
    """Whether this process writes files and speaks, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def device_of_this_process(*, bf16: bool | None, fp16: bool) -> Device:
    """The device and, under torchrun, this process' place in the group."""
    rank, world_size, local = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_heap()
    dtype = precision(device, bf16=bf16, fp16=fp16)
    if world_size == 1:
        return Device(device, dtype)
    if not dist.is_initialized():
        # Once for the life of the process: a second group would meet the first one's addresses in the launcher's store.
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return Device(device, dtype, rank, world_size)
