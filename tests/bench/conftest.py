"""What pytest-benchmark records of the machine: not whose it is."""


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)
