"""The asset graph as plain data, for the snapshot test."""

from __future__ import annotations

import dagster as dg


def described(defs: dg.Definitions) -> dict:
    """What a reviewer should see change: keys, groups, dependencies, pools, kinds, checks, jobs."""
    graph = defs.resolve_asset_graph()
    assets = {key.to_user_string(): _asset(defs, graph, key) for key in sorted(graph.get_all_asset_keys())}
    repository = defs.get_repository_def()
    return {
        "assets": assets,
        "jobs": {job.name: job.description for job in repository.get_all_jobs() if not job.name.startswith("__")},
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "resources": sorted(defs.resources or {}),
    }


def _asset(defs: dg.Definitions, graph, key: dg.AssetKey) -> dict:
    node = graph.get(key)
    checks = {check.name: node_check(graph, check) for check in sorted(node.check_keys, key=lambda check: check.name)}
    return {
        "group": node.group_name,
        "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
        "pools": sorted(node.pools or ()),
        "kinds": sorted(node.kinds),
        "owners": list(node.owners),
        "description": (node.description or "").splitlines()[0],
        "checks": checks,
    }


def node_check(graph, check: dg.AssetCheckKey) -> str:
    return "blocking" if graph.get(check).blocking else "warning"
