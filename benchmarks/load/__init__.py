"""Load for benchmarks: real servers in a temporary folder, and a publisher that costs next to nothing."""
