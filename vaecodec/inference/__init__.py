"""A weight file, running: behind one interface on ONNX Runtime or torch.

May import network and below.
"""
