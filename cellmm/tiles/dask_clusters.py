"""The clusters that dask runs pieces on."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from cellmm.errors import CellMMError
from cellmm.extras import need

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy import Cluster

RESOURCE = "cellmm"  # a worker has one, and a piece takes it: so that a worker predicts one piece at a time
JOBS = 8  # of SLURM, unless the user says how many


@contextlib.contextmanager
def connect(where: str) -> Iterator["Client"]:
    """A client of the cluster; one that was started here ends with the context.

    Args:
        where: ``local``, ``local:4`` (processes), ``slurm``, ``slurm:16`` (jobs), or the address of a
            scheduler, such as ``tcp://host:8786``.

    Raises:
        CellMMError: dask is not installed, ``where`` is none of these, or no scheduler answers.
    """
    distributed = need("distributed", "dask", "runs with --dask")
    kind, _, number = where.partition(":")
    if "://" in where:
        with _client_of(distributed, where) as client:
            yield client
    elif kind in CLUSTERS and (not number or (number.isdecimal() and int(number) > 0)):
        cluster = CLUSTERS[kind](int(number) if number else None)
        with cluster, distributed.Client(cluster) as client:
            yield client
    else:
        raise CellMMError(f"--dask {where}: give local, local:N, slurm, slurm:N or tcp://host:8786")


def _client_of(distributed, address: str) -> "Client":
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise CellMMError(
            f"--dask {address}: no scheduler answers there; start it with `dask scheduler`, or check "
            "the address"
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"]
    without = [name for name, worker in workers.items() if not worker["resources"].get(RESOURCE)]
    if without:
        client.close()
        raise CellMMError(
            f"--dask {address}: {len(without)} of {len(workers)} workers may run several pieces at a time, "
            f'such as {without[0]}; start them with `dask worker {address} --resources "{RESOURCE}=1"`'
        )
    return client


def _local(number: int | None) -> "Cluster":
    from distributed import LocalCluster

    # a worker that dask pauses for its memory would never go on: what torch keeps for reuse stays there
    return LocalCluster(
        n_workers=number or torch.cuda.device_count() or None,
        processes=True,
        resources={RESOURCE: 1},
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
    )


def _slurm(number: int | None) -> "Cluster":
    jobqueue = need("dask_jobqueue", "dask", "runs with --dask slurm")
    if shutil.which("sbatch") is None:
        raise CellMMError("--dask slurm: sbatch is not installed here; run this on a machine of the cluster")
    import dask

    own = dask.config.get("jobqueue.slurm.worker-extra-args", None) or []
    try:
        cluster = jobqueue.SLURMCluster(
            worker_extra_args=[*own, "--resources", f"{RESOURCE}=1", "--memory-limit", "0"]
        )
    except ValueError as error:
        raise CellMMError(
            f"--dask slurm: {error}; set jobqueue.slurm in ~/.config/dask/jobqueue.yaml"
        ) from error
    jobs = number or JOBS
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that ends is submitted again
    return cluster


CLUSTERS = {"local": _local, "slurm": _slurm}
