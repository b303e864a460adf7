"""What only a cluster needs: steps as pods, and their requests for GPUs.

`PARLER_EXECUTOR=k8s` runs every step in a pod of its own (extra `k8s`). `PARLER_K8S_GPUS` says how many GPUs a step of
the pool `gpu` asks Kubernetes for; the tags are inert where steps are processes.
"""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

EXECUTORS = ("", "k8s")


class ClusterError(ValueError):
    """A setting of the cluster that cannot be used; the message says what to do."""


def executor() -> dg.ExecutorDefinition | None:
    """How steps are run; None leaves Dagster's default, a process a step, which the Launchpad can change.

    Raises:
        ClusterError: an executor that is not known, or not installed.
    """
    wanted = os.environ.get("PARLER_EXECUTOR", "")
    if wanted not in EXECUTORS:
        raise ClusterError(f"PARLER_EXECUTOR={wanted}: unset it, or set it to k8s")
    if not wanted:
        return None
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError:
        raise ClusterError("PARLER_EXECUTOR=k8s needs dagster-k8s: pip install 'parler-assets[k8s]'") from None
    return k8s_job_executor


def on_gpu(needed: bool = True) -> dict[str, Any]:
    """How an asset says that its step computes on a GPU: it waits for the pool `gpu`, and its pod asks for one."""
    return {"pool": "gpu", "op_tags": gpu_tags()} if needed else {}


def gpu_tags() -> dict[str, Any]:
    """Tags of a step that computes on a GPU: what its pod asks for.

    Raises:
        ClusterError: PARLER_K8S_GPUS is not a whole number.
    """
    wanted = os.environ.get("PARLER_K8S_GPUS", "1")
    if not wanted.isdigit():
        raise ClusterError(f"PARLER_K8S_GPUS={wanted}: write a whole number, 0 for none")
    if wanted == "0":
        return {}
    limits = {"nvidia.com/gpu": int(wanted)}
    return {"dagster-k8s/config": {"container_config": {"resources": {"limits": limits}}}}
