"""What a clock that was ahead leaves behind: schedules and sensors that wait for a day that has already been.

Nothing that this project writes is compared with the clock: manifests, locks and leases hold no times. Dagster's daemon
does: it fires no schedule and no sensor before its last tick, so one tick of next year silences it until then, and
switching it off and on does not help.

`parler-assets run` and `dev` repair that as they start. Where the daemon is a container of its own, `python -m
parler_assets.clock` does, in any container that has the instance: deploy/compose.yaml runs it before every daemon.
"""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData, SensorInstigatorData

TOLERANCE = 300.0  # seconds that clocks of several machines may differ by
FOR_EVER = 1e10  # a moment after every tick, in seconds since 1970


def waiting_for_the_future(instance: dg.DagsterInstance) -> list[str]:
    """Schedules and sensors with a time in the future, by name."""
    return [state.name for state in _ahead(instance)]


def come_back(instance: dg.DagsterInstance) -> list[str]:
    """Let schedules and sensors with a time in the future go on from now; their names.

    A schedule stays on or off, a sensor keeps its cursor; the list of ticks in the UI starts anew, runs are kept.
    """
    ahead = _ahead(instance)
    for state in ahead:
        instance.purge_ticks(state.instigator_origin_id, state.selector_id, FOR_EVER)
        if data := _from_now(state):
            instance.update_instigator_state(state.with_data(data))
    return [state.name for state in ahead]


def _ahead(instance: dg.DagsterInstance) -> list[InstigatorState]:
    limit = time.time() + TOLERANCE
    return [state for state in instance.all_instigator_state() if _latest(instance, state) > limit]


def _latest(instance: dg.DagsterInstance, state: InstigatorState) -> float:
    """The latest time that the daemon would wait for."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    data = state.instigator_data
    if isinstance(data, ScheduleInstigatorData):
        kept = [data.start_timestamp, data.last_iteration_timestamp]
    elif isinstance(data, SensorInstigatorData):
        kept = [data.last_tick_timestamp, data.last_tick_start_timestamp, data.last_sensor_start_timestamp]
    else:
        kept = []
    return max([0.0, *(tick.timestamp for tick in ticks), *(value for value in kept if value)])


def _from_now(state: InstigatorState) -> ScheduleInstigatorData | SensorInstigatorData | None:
    """What a schedule or sensor is to remember instead; nothing of one that was never started."""
    data = state.instigator_data
    if isinstance(data, ScheduleInstigatorData):
        return ScheduleInstigatorData(data.cron_schedule, start_timestamp=time.time())
    if isinstance(data, SensorInstigatorData):
        return SensorInstigatorData(
            last_run_key=data.last_run_key,
            min_interval=data.min_interval,
            cursor=data.cursor,
            sensor_type=data.sensor_type,
        )
    return None


def main() -> None:
    """Repair the instance of DAGSTER_HOME, and say what had to be."""
    with dg.DagsterInstance.get() as instance:
        for name in come_back(instance):
            print(f"{name} had a time in the future: a clock was ahead. It goes on from now.", flush=True)


if __name__ == "__main__":
    main()
