"""`python -m tests.bench`: what the gateway achieves on this machine, a table and build/bench.json; no pass or fail."""
