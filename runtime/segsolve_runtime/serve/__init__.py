"""Serves plans over HTTP and gRPC: the Open Inference Protocol, version 2, and detection as CodeProject.AI has it.

Protocol: https://github.com/kserve/open-inference-protocol. Binary tensors, `config`, `stats` and `repository/index`
are the extensions of the same names that Triton documents, which its clients use.
"""
