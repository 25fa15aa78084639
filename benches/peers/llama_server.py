"""llama.cpp's server, for serve.py:  python llama_server.py FILE.gguf SLOTS CONTEXT"""

import sys
import time

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_parallel, parameters.n_ctx = int(sys.argv[2]), int(sys.argv[3])
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
parameters.n_gpu_layers = 0
parameters.verbosity = 0
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
while True:
    time.sleep(3600)
