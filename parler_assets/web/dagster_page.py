"""Dagster's own webserver behind our guard: `python -P -m parler_assets.web.dagster_page -w workspace.yaml`.

Dagster lets every page that a browser opens start runs: it takes GraphQL mutations by GET, bodies of any content type,
any `Host` and any `Origin`. The options are those of `dagster-webserver` that its Helm chart passes, and
`--allow-host`; what another program starts as `dagster-webserver` can be this (see deploy/).
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer
from dagster._core.workspace.context import WorkspaceProcessContext  # Dagster has no public way to serve its page
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from parler_assets.web.guard import Guard, Policy, PolicyError, policy_for
from parler_assets.web.server import run

ALLOWED_HOSTS = "PARLER_ALLOWED_HOSTS"  # names that the page is reached by beside loopback's, parted by commas
BODY_BYTES = 10 << 20  # of a run's configuration


class GuardedWebserver(DagsterWebserver):
    """Dagster's page, API and web socket: nothing of them is reached but through the guard."""

    def __init__(self, context: WorkspaceProcessContext, prefix: str, policy: Policy) -> None:
        self.policy = policy
        super().__init__(context, prefix, live_data_poll_rate=2000)

    def build_middleware(self) -> list[Middleware]:
        return [Middleware(Guard, policy=self.policy), *super().build_middleware()]


def page_policy(hosts: list[str], bound: str) -> Policy:
    """What the page lets in. Raises `PolicyError` as `policy_for` does."""
    named = [name for name in os.environ.get(ALLOWED_HOSTS, "").split(",") if name.strip()]
    return policy_for([*hosts, *named], bound=bound, acting=("/graphql",), body_bytes=BODY_BYTES)


@contextmanager
def opened(workspace: Path, read_only: bool, statement_timeout: int, pool_recycle: int, pool_overflow: int):
    """The workspace of DAGSTER_HOME's instance and a workspace file."""
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(statement_timeout, pool_recycle, pool_overflow)
        target = WorkspaceFileTarget([str(workspace)])
        with WorkspaceProcessContext(instance, target, __version__, read_only, code_server_log_level="warning") as it:
            yield it


def serve_page(
    workspace: Annotated[Path, typer.Option("--workspace", "-w")],
    host: Annotated[str, typer.Option("--host", "-h")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p")] = 3000,
    path_prefix: Annotated[str, typer.Option("--path-prefix", "-l")] = "",
    allow_host: Annotated[list[str] | None, typer.Option(help="a name that the page is reached by; repeatable")] = None,
    read_only: bool = False,
    log_level: Annotated[str, typer.Option("--log-level", "--uvicorn-log-level")] = "warning",
    db_statement_timeout: int = 15_000,
    db_pool_recycle: int = 3600,
    db_pool_max_overflow: int = 20,
) -> None:
    """Serve Dagster's page behind the guard."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        policy = page_policy(allow_host or [], host)
    except PolicyError as error:
        raise typer.BadParameter(str(error)) from None
    with opened(workspace, read_only, db_statement_timeout, db_pool_recycle, db_pool_max_overflow) as context:
        app = GuardedWebserver(context, path_prefix, policy).create_asgi_app()
        logging.getLogger(__name__).info(
            "Dagster's page for %s: http://%s:%d", ", ".join(sorted(policy.hosts)), host, port
        )
        run(app, host, port, log_level, BODY_BYTES)


if __name__ == "__main__":
    typer.run(serve_page)
