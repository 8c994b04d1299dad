"""FastAPI: a pydantic model of the row and a path operation, under uvicorn with one process (one core)."""

import benchmark_model
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

Row = create_model(
    "Row",
    **dict.fromkeys(benchmark_model.NUMBERS, (float, ...)),
    **dict.fromkeys(benchmark_model.TEXTS, (str, ...)),
)
app = FastAPI()
model = benchmark_model.load()

if benchmark_model.IS_ONNX:

    @app.post("/predict")
    async def predict(row: Row):  # so short that a thread would cost more
        return {"probability": model.probability(row.__dict__)}

else:

    @app.post("/predict")
    def predict(row: Row):
        return {"probability": model.probability(row.model_dump())}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=benchmark_model.PORT, log_level="warning")
