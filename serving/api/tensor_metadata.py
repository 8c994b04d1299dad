"""How the Open Inference Protocol describes a model: its inputs, its outputs and what was answered."""

from protos.inference import open_inference_pb2 as pb
from serving.api.codec import MAXIMUM_ROWS
from serving.api.tensor_calls import OUTPUTS
from serving.formats.contract import Contract
from serving.model_statistics import VersionStatistics
from serving.scoring.loading import LoadedModel

PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"

_INPUT_SHAPE = (-1, 1)
_TYPES = {"BYTES": pb.TYPE_STRING, "FP64": pb.TYPE_FP64, "INT64": pb.TYPE_INT64}


def metadata_of(model: LoadedModel) -> pb.ModelMetadataResponse:
    """Describe tensors by the shape of a whole request.

    `properties` stays empty: in the protos of MLServer that field is of another type, and its clients could not read
    the message.
    """
    tensor = pb.ModelMetadataResponse.TensorMetadata
    return pb.ModelMetadataResponse(
        name=model.name,
        versions=[model.version],
        platform=PLATFORM,
        inputs=[tensor(name=name, datatype=kind, shape=_INPUT_SHAPE) for name, kind in _inputs(model.contract).items()],
        outputs=[tensor(name=name, datatype=it.datatype, shape=it.shape) for name, it in OUTPUTS.items()],
    )


def config_of(model: LoadedModel) -> pb.ModelConfig:
    """Describe tensors by the shape of one row, as that message does where a batch is possible."""
    inputs = _inputs(model.contract).items()
    return pb.ModelConfig(
        name=model.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=MAXIMUM_ROWS,
        input=[pb.ModelInput(name=name, data_type=_TYPES[kind], dims=_INPUT_SHAPE[1:]) for name, kind in inputs],
        output=[
            pb.ModelOutput(name=name, data_type=_TYPES[it.datatype], dims=it.shape[1:]) for name, it in OUTPUTS.items()
        ],
    )


def statistics_of(model: str, version: str, counts: VersionStatistics) -> pb.ModelStatistics:
    """Tell what was measured; what was not (the steps of a call, the time of refused calls, the last call) stays 0."""
    return pb.ModelStatistics(
        name=model,
        version=version,
        inference_count=counts.rows,
        execution_count=counts.calls,
        inference_stats=pb.InferStatistics(
            success=pb.StatisticDuration(count=counts.calls, ns=round(counts.seconds * 1e9)),
            fail=pb.StatisticDuration(count=counts.refused_calls),
        ),
    )


def _inputs(contract: Contract) -> dict[str, str]:
    """Return the datatype that fits each feature best; only FP64 can say that a number is missing."""
    numbers = {f.name: "INT64" if f.integer and not f.nullable else "FP64" for f in contract.numbers}
    return numbers | {feature.name: "BYTES" for feature in contract.texts}
