"""onnxruntime: predictions of PyTorch's network, exported to ONNX."""

from __future__ import annotations

import io

import onnxruntime
import torch

from .data import Rows, first_batch
from .timing import Work
from .torch_networks import network
from .torch_peer import arranged
from .workloads import Workload


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return predictions of one row, an array already with the channels first."""
    row = arranged(first_batch(workload, data)[0], variant)
    file = io.BytesIO()
    # the exporter that needs no further package
    torch.onnx.export(network(workload).eval(), (row,), file, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    given = {"x": row.numpy()}

    def predict(n: int) -> None:
        for _ in range(n):
            session.run(None, given)

    return Work(predict)
