"""Ray Serve: a deployment that reads the request's JSON, on a Ray of one CPU without dashboard."""

import sys
from typing import Any

import benchmark_model
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment
class Benchmark:
    def __init__(self) -> None:
        self.model = benchmark_model.load()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return {"probability": self.model.probability(await request.json())}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": benchmark_model.PORT})
    serve.run(Benchmark.bind())
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()
