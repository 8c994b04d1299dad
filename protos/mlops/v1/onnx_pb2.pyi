from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OnnxModel(_message.Message):
    __slots__ = ("graph", "functions")
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    graph: OnnxGraph
    functions: _containers.RepeatedCompositeFieldContainer[OnnxFunction]
    def __init__(self, graph: _Optional[_Union[OnnxGraph, _Mapping]] = ..., functions: _Optional[_Iterable[_Union[OnnxFunction, _Mapping]]] = ...) -> None: ...

class OnnxGraph(_message.Message):
    __slots__ = ("nodes", "initializers", "sparse_initializers")
    NODES_FIELD_NUMBER: _ClassVar[int]
    INITIALIZERS_FIELD_NUMBER: _ClassVar[int]
    SPARSE_INITIALIZERS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[OnnxNode]
    initializers: _containers.RepeatedCompositeFieldContainer[OnnxTensor]
    sparse_initializers: _containers.RepeatedCompositeFieldContainer[OnnxSparseTensor]
    def __init__(self, nodes: _Optional[_Iterable[_Union[OnnxNode, _Mapping]]] = ..., initializers: _Optional[_Iterable[_Union[OnnxTensor, _Mapping]]] = ..., sparse_initializers: _Optional[_Iterable[_Union[OnnxSparseTensor, _Mapping]]] = ...) -> None: ...

class OnnxFunction(_message.Message):
    __slots__ = ("nodes", "attributes")
    NODES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[OnnxNode]
    attributes: _containers.RepeatedCompositeFieldContainer[OnnxAttribute]
    def __init__(self, nodes: _Optional[_Iterable[_Union[OnnxNode, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[OnnxAttribute, _Mapping]]] = ...) -> None: ...

class OnnxNode(_message.Message):
    __slots__ = ("op_type", "attributes", "domain")
    OP_TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    op_type: str
    attributes: _containers.RepeatedCompositeFieldContainer[OnnxAttribute]
    domain: str
    def __init__(self, op_type: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[OnnxAttribute, _Mapping]]] = ..., domain: _Optional[str] = ...) -> None: ...

class OnnxAttribute(_message.Message):
    __slots__ = ("tensor", "graph", "tensors", "graphs", "sparse_tensor", "sparse_tensors")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    GRAPHS_FIELD_NUMBER: _ClassVar[int]
    SPARSE_TENSOR_FIELD_NUMBER: _ClassVar[int]
    SPARSE_TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensor: OnnxTensor
    graph: OnnxGraph
    tensors: _containers.RepeatedCompositeFieldContainer[OnnxTensor]
    graphs: _containers.RepeatedCompositeFieldContainer[OnnxGraph]
    sparse_tensor: OnnxSparseTensor
    sparse_tensors: _containers.RepeatedCompositeFieldContainer[OnnxSparseTensor]
    def __init__(self, tensor: _Optional[_Union[OnnxTensor, _Mapping]] = ..., graph: _Optional[_Union[OnnxGraph, _Mapping]] = ..., tensors: _Optional[_Iterable[_Union[OnnxTensor, _Mapping]]] = ..., graphs: _Optional[_Iterable[_Union[OnnxGraph, _Mapping]]] = ..., sparse_tensor: _Optional[_Union[OnnxSparseTensor, _Mapping]] = ..., sparse_tensors: _Optional[_Iterable[_Union[OnnxSparseTensor, _Mapping]]] = ...) -> None: ...

class OnnxSparseTensor(_message.Message):
    __slots__ = ("values", "indices")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    values: OnnxTensor
    indices: OnnxTensor
    def __init__(self, values: _Optional[_Union[OnnxTensor, _Mapping]] = ..., indices: _Optional[_Union[OnnxTensor, _Mapping]] = ...) -> None: ...

class OnnxTensor(_message.Message):
    __slots__ = ("external_data", "data_location")
    EXTERNAL_DATA_FIELD_NUMBER: _ClassVar[int]
    DATA_LOCATION_FIELD_NUMBER: _ClassVar[int]
    external_data: _containers.RepeatedScalarFieldContainer[bytes]
    data_location: int
    def __init__(self, external_data: _Optional[_Iterable[bytes]] = ..., data_location: _Optional[int] = ...) -> None: ...
