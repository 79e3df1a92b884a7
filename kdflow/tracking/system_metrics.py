"""What the machine is busy with while it trains, for runs of which MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING asks it.

MLflow's own monitor is a thread that asks the store each time, keeps nothing for one that is away, and is waited for
at the end. Here its samples are taken once an epoch and logged as all metrics are.
"""

from contextlib import suppress

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

from kdflow.common.console import warn


class SystemMetrics:
    """Samples processor, memory, disk, network and NVIDIA GPUs; a failure ends that with a warning, nothing else."""

    def __init__(self) -> None:
        self._monitors: list[BaseMetricsMonitor] = []
        if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
            try:
                self._monitors = _monitors()
            except ImportError as error:
                warn(f"no system metrics are logged: {error}; `pip install psutil`")
            self.sample()  # from here on the load of the processor is measured

    def sample(self) -> dict[str, float]:
        """The metrics by name, such as "system/cpu_utilization_percentage", which is since the last sample."""
        try:
            return {f"system/{name}": float(value) for one in self._monitors for name, value in _sample(one).items()}
        except Exception as error:  # whatever a system does not tell
            self._monitors = []
            warn(f"system metrics are no longer logged: {error}")
            return {}


def _monitors() -> list[BaseMetricsMonitor]:
    """MLflow's, which cannot be imported without psutil."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(ImportError, RuntimeError):  # there is no such GPU, or nvidia-ml-py is not installed
        monitors.append(GPUMonitor())
    return monitors


def _sample(monitor: BaseMetricsMonitor) -> dict[str, float]:
    monitor.collect_metrics()
    sampled = monitor.aggregate_metrics()
    monitor.clear_metrics()
    return sampled
