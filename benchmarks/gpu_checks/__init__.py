"""The checks of `benchmarks/gpu.py`; each takes a device, so that the tests run them on the CPU."""
